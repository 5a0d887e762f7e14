"""From what was measured on frames to markers: of the automatic path, and of a session."""

from copy import copy

import numpy as np
from astropy.nddata import CCDData

from specwcs.errors import FitError, InputError
from specwcs.inputs import read_frame
from specwcs.inputs.frame import PixelFlag
from specwcs.markers import Markers
from specwcs.measure import (
    Traces,
    arc_spectra,
    find_traces,
    identify,
    measure_lines,
    traces_from_mask,
)
from specwcs.measure.borders import BEYOND, LAID, PARTLY, out_of_frame
from specwcs.measure.reduce import canonical_data, dead_columns
from specwcs.measure.retrace import retrace

__all__ = [
    "arc_lines",
    "check_together",
    "edge_markers",
    "frame_of",
    "frame_traces",
    "identified",
    "line_markers",
    "model_traces",
    "without_dead",
]

_NOMINAL_SIGMA = 1.0  # px: of edges that no frame shows
_NOMINAL_EDGES = 32
_FEW_SLITS = 3
_TOGETHER = 0.5  # px: by how much the slits of flat and arc may differ across the dispersion
_TIE = 1.0  # in the logarithm of the likelihood: less tells nothing
_SAME = 0.01  # in the score of a layout


def frame_of(given, instrument, bias=None):
    """Return a frame as it is given, or read from a path or a list of paths."""
    if isinstance(given, CCDData):
        return given
    if isinstance(given, (list, tuple)) and any(isinstance(one, CCDData) for one in given):
        raise InputError(
            "a list of frames in memory",
            "Must be one CCDData, a path, or a list of paths",
            "Add the frames, with their errors, or give their files",
        )
    return read_frame(given, instrument, bias=bias)


def without_dead(frame, flat, instrument):
    """Return a frame in which the columns that a flat shows to be dead are masked, too."""
    dead = dead_columns(flat, instrument)
    if not dead.any():
        return frame
    masked = copy(frame)
    masked.mask = np.zeros(frame.shape, bool) if frame.mask is None else np.array(frame.mask)
    instrument.direction.canonical_image(masked.mask)[:, dead] = True
    return masked


def frame_traces(flat, arc, mask, instrument):
    """Find the slits, and say where: on the flat, on the arc, or from the mask alone.

    Parameters
    ----------
    flat : CCDData or None
    arc : CCDData
    mask : Mask
    instrument : Instrument

    Returns
    -------
    candidates : list of Traces
    origin : {"flat", "arc", "mask"}
    """
    if flat is not None:
        return find_traces(flat, mask, instrument), "flat"
    try:
        found = find_traces(arc, mask, instrument)
    except FitError:
        found = [traces_from_mask(mask, instrument, flip) for flip in (False, True)]
        found = found[: 1 if len(mask) == 1 else 2]
    return found, "arc" if any(np.any(t.edges["used"]) for t in found) else "mask"


def identified(candidates, arc, instrument, catalog):
    """Identify the arc under each layout that is possible; return the best that holds.

    Returns
    -------
    Traces
    Identification

    Raises
    ------
    FitError
        If none holds.
    """
    data, variance, bad = canonical_data(arc, instrument)
    tried = []
    for traces in candidates:
        spectra = arc_spectra(data, variance, bad, traces, instrument)
        tried.append((traces, identify(spectra, traces, instrument, catalog)))
    held = [pair for pair in tried if pair[1].ok]
    if not held:
        reason = tried[0][1].reason
        msg = (
            f"the lines of the arc are not identified: {reason}. Check that the catalogue has "
            "the lamps of the arc, and linear_dispersion and reference_lambda."
        )
        raise FitError(msg)
    best = max(found.score for _, found in held)
    alike = [pair for pair in held if pair[1].score > best - _TIE]
    # Few slits are their own mirror image but for their lengths: the flat tells these.
    best = max(traces.score for traces, _ in alike)
    alike = [pair for pair in alike if not pair[0].score < best - _SAME]
    # A mask that is its own mirror image is taken as it is drawn.
    return min(alike, key=lambda pair: (pair[0].flip_v, -pair[1].score))


def check_together(arc, traces, identification, instrument):
    """Check that the slits of the arc are where the flat shows them.

    Parameters
    ----------
    arc : CCDData
    traces : Traces
        Of the flat.
    identification : Identification
    instrument : Instrument

    Raises
    ------
    FitError
        If its lines end elsewhere: positions in the slits would be wrong.
    """
    slits = [key for key, slit in identification.slits.items() if slit.ok]
    try:
        edges = retrace(arc, traces, instrument, slits).edges
    except FitError:
        return  # an arc need not show the edges
    edges = edges[edges["used"]]
    away = []
    for key in np.unique(edges["slit"]):
        mine = edges[edges["slit"] == key]
        moved = mine["q"].value - traces.q(str(key), mine["t"], mine["p"].value)
        away.append(np.median(moved))
    shift = np.median(away) if away else 0.0
    if np.abs(shift) > _TOGETHER:
        msg = (
            f"the slits of the arc lie {np.abs(shift):.1f} px off those of the flat, across the "
            "dispersion. Give a flat and an arc of one setting, or no flat: the arc shows the "
            "slits, too."
        )
        raise FitError(msg)


def arc_lines(arc, traces, identification, catalog, instrument):
    """Measure the lines of an identified arc; return them as markers."""
    lines = measure_lines(
        *canonical_data(arc, instrument),
        traces,
        identification,
        catalog,
        instrument,
        saturated=_saturated(arc, instrument),
    )
    return line_markers(lines, instrument)


def _saturated(frame, instrument):
    """Return the pixels flagged as saturated, in the canonical frame; None if not known."""
    if frame.flags is None:
        return None
    flags = np.asarray(frame.flags) & PixelFlag.SATURATED
    return instrument.direction.canonical_image(flags != 0)


def line_markers(lines, instrument):
    """Return the table of `measure_lines` as markers."""
    x, y = instrument.direction.detector_pixel(
        np.asarray(lines["p"], float), np.asarray(lines["q"], float), instrument.shape
    )
    return Markers.of(
        "line",
        np.asarray(lines["slit"]),
        np.asarray(lines["t"], float),
        x,
        y,
        wavelength=np.asarray(lines["wavelength"], float),
        sigma=np.asarray(lines["sigma"], float),
        shared=np.asarray(lines["shared"], float),
        used=np.asarray(lines["used"]),
        reason=np.asarray(lines["reason"]),
    )


def edge_markers(traces, instrument):
    """Return the edges that were measured.

    Where only a few slits are there, no other stands in for an edge that was not seen, off
    the frame perhaps: it is laid out as the nominal values have it, and beyond the frame where
    that is known.
    """
    table = traces.edges
    p, q = np.asarray(table["p"], float), np.asarray(table["q"], float)
    x, y = instrument.direction.detector_pixel(p, q, instrument.shape)
    measured = Markers.of(
        "edge",
        np.asarray(table["slit"]),
        np.asarray(table["t"], float),
        x,
        y,
        sigma=np.asarray(table["sigma"], float),
        used=np.asarray(table["used"]),
        reason=np.asarray(table["reason"]),
    )
    if len(traces.mask) > _FEW_SLITS and np.any(measured["used"]):
        return measured
    laid = []
    for key in traces.mask:
        for t in (0.0, 1.0):
            mine = (measured["slit"] == key) & (measured["t"] == t)
            unseen = mine & ~measured["used"]
            if np.all(unseen == mine):
                columns, reason = np.linspace(0, traces.shape[1] - 1, _NOMINAL_EDGES), LAID
                rows = traces.q(key, t, columns)
            else:
                columns, reason = p[unseen], PARTLY
                rows = traces.q(key, t, columns)
                beyond = measured["reason"][unseen] == BEYOND
                rows = np.where(beyond, out_of_frame(rows, t, traces.shape[0]), rows)
            x, y = instrument.direction.detector_pixel(columns, rows, instrument.shape)
            laid.append(Markers.of("edge", key, t, x, y, sigma=_NOMINAL_SIGMA, reason=reason))
    return Markers.join([measured, *laid])


def model_traces(opt, crv, mask, instrument):
    """Return the traces that OPT and CRV give, for measurements along them.

    Parameters
    ----------
    opt : OpticalModel
    crv : CurvatureModel
    mask : Mask
        Oriented as it falls on the detector.
    instrument : Instrument

    Returns
    -------
    Traces
    """
    direction = instrument.direction
    flip_v = opt.y_flipped if direction.along_x else opt.x_flipped
    nominal = traces_from_mask(mask, instrument, flip_v)

    def field(u, v, p):
        X, Y = direction.mask_from_canonical(u, v)
        if flip_v:
            X, Y = (X, -Y) if direction.along_x else (-X, Y)
        x0, y0 = opt(X, Y)
        along0, across0 = direction.split(x0, y0)
        p0, _ = direction.canonical_pixel(x0, y0, instrument.shape)
        d = np.asarray(p, float) - p0
        across = across0 + crv(x0, y0, d)
        x, y = direction.join(along0 + direction.sign * d, across)
        return direction.canonical_pixel(x, y, instrument.shape)[1]

    return Traces(
        nominal.mask, direction, nominal.shape, flip_v, field, nominal.edges, nominal.status,
        offset=nominal.offset, coverage=nominal.coverage,
    )  # fmt: skip
