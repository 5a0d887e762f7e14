"""Where the slits fall at the reference wavelength, from lines and edges of all wavelengths.

No bright isolated reference line is needed: every line and edge is moved to the reference
wavelength by the dispersion and the curvature that the field has in common.
"""

import numpy as np

from specwcs.errors import FitError
from specwcs.markers import Markers
from specwcs.models import FieldPolynomial

from .field_fit import fit_field

__all__ = ["derive_boxes"]

_BINS = 24  # positions along a slit at which boxes are derived
_FLOOR = 0.02  # px: no box is surer; what OPT leaves is part of CRV and IDS
_LEAST = 3  # points that tell where an edge is


def derive_boxes(fitter, lines, edges):
    """Return boxes from lines and edges, moved to the reference wavelength.

    Parameters
    ----------
    fitter : ModelFitter
    lines, edges : Markers

    Returns
    -------
    boxes : Markers
    astray : list of str
        Slits whose lines contradict the others: they are not where the mask says, or not known.
    notes : list of str
        Sentences for the provenance.

    Raises
    ------
    FitError
        If there are no lines or no edges, or they do not determine the field.
    """
    for kind, found in (("lines", lines), ("edges", edges)):
        if not len(found):
            msg = f"OPT: no {kind} to derive it from. Measure them, or give boxes."
            raise FitError(msg)
    reference = fitter.instrument.reference_lambda
    wavelength = lines["wavelength"].value
    along, _ = fitter.split(lines)
    moved, model, line_notes = _move(fitter, lines, wavelength, along, reference, "ids", "lines")
    astray = sorted(set(lines["slit"]) - set(lines["slit"][np.isfinite(moved)]))
    edges = edges[~np.isin(edges["slit"], astray)]
    if not len(edges):
        msg = "OPT: no edges of the slits whose lines agree. Measure them, or give boxes."
        raise FitError(msg)
    X, Y = fitter.mask_points(edges)
    along, across = fitter.split(edges)
    d = fitter.direction.sign * (along - model(X, Y, np.full(len(X), reference)))
    moved_edges, _, edge_notes = _move(fitter, edges, d, across, 0.0, "crv", "edges")
    tables = []
    for key in np.unique(np.concatenate([lines["slit"], edges["slit"]])):
        mine, ends = lines["slit"] == key, edges["slit"] == key
        across = _at_ends(np.asarray(edges["t"])[ends], moved_edges[ends])
        tables.append(_slit_boxes(fitter, key, lines[mine], moved[mine], across))
    return Markers.join(tables), astray, [*line_notes, *edge_notes]


def _move(fitter, markers, u, values, reference, kind, what):
    """Move positions to u = reference by a fit over the mask; NaN where it rejects."""
    X, Y = fitter.mask_points(markers)
    points = fitter.points(markers, (X, Y), u, values, lines=kind == "ids")
    limits = [(k[0], *o) for k, o in zip(fitter.limits[kind], fitter.limits["opt"], strict=True)]
    model, fit, _, notes = fit_field(
        FieldPolynomial, points, limits, what=f"{kind.upper()} {what} on the mask",
        include=(reference,), likely=fitter.likely(kind, markers), **fitter.plane,
    )  # fmt: skip
    moved = values - model(X, Y, u) + model(X, Y, np.full(len(X), reference))
    return np.where(fit.used, moved, np.nan), model, notes


def _at_ends(t_edges, across):
    """Return across at t = 0 and 1 at the reference wavelength; NaN where it is not measured."""
    ends = []
    for end in (0.0, 1.0):
        mine = np.isfinite(across) & (np.abs(t_edges - end) < 0.25)
        ends.append(np.mean(across[mine]) if mine.sum() >= _LEAST else np.nan)
    return np.array(ends)


def _slit_boxes(fitter, key, lines, along, ends):
    """Return the boxes of a slit: along by its lines, across straight between its edges.

    Where an edge was not measured, the one that was is a box of its own, and the others are not
    known across; where there are no lines, edges are boxes that are not known along.
    """
    t, sigma = np.asarray(lines["t"]), lines["sigma"].value
    bins = np.where(np.isfinite(along), np.floor(t * _BINS), np.nan)
    rows = []
    for k in np.unique(bins[np.isfinite(bins)]):
        chosen = bins == k
        n = chosen.sum()
        spread = max(np.std(along[chosen]), np.median(sigma[chosen])) / np.sqrt(n)
        rows.append((np.mean(t[chosen]), np.mean(along[chosen]), spread))
    t, along, sigma = np.transpose(rows) if rows else np.zeros((3, 0))
    across = ends[0] + t * (ends[1] - ends[0])
    measured = np.isfinite(ends)
    if not rows or measured.sum() == 1:
        n = measured.sum()
        t = np.append(t, np.array([0.0, 1.0])[measured])
        along, across = np.append(along, np.full(n, np.nan)), np.append(across, ends[measured])
        sigma = np.append(sigma, np.zeros(n))
    if not len(t):
        return Markers.join([])
    sigma = np.hypot(sigma, _FLOOR)
    x, y = fitter.direction.join(along, across)
    reference = fitter.instrument.reference_lambda
    return Markers.of("box", key, t, x, y, sigma=sigma, wavelength=reference)
