"""A calibration tuned to a night: what moved since, as far as the night's frames tell.

The change of each model over the field is a polynomial of low degree: a constant, and what
cross-validation adds. What the night does not tell stays as it was.
"""

from dataclasses import replace

import numpy as np
from astropy.table import QTable, vstack
from threadpoolctl import threadpool_limits

from specwcs.errors import FitError, InputError
from specwcs.inputs import LineCatalog
from specwcs.measure import arc_spectra, recognise, retrace
from specwcs.measure.borders import LAID, PARTLY
from specwcs.measure.lines import NOT_LISTED
from specwcs.measure.reduce import canonical_data
from specwcs.measure.retrace import ODD

from .field_fit import fit_field
from .fitter import residual_table
from .measured import arc_lines, edge_markers, frame_of, model_traces
from .moved import moved
from .points import Points
from .provenance import provenance, sources_of
from .smoothness import MOVED_ACROSS, MOVED_ALONG, Smoothness

__all__ = ["tune"]

# Highest degrees of what may change of the traces, and of the wavelengths.
_CRV, _IDS = (2, 1, 1), (3, 2, 2)
# px: what changed may leave no more than this (median of a slit), or the slit contradicts it;
# of all slits this part at most.
_CONTRADICTS, _MOST = 1.0, 0.4
# A slit that is off by more than this, px and standard deviations of a point, is flagged.
_OFF, _SIGMAS = 0.3, 3.0


# The matrices are small: more than one BLAS thread only waits for the other.
@threadpool_limits.wrap(limits=1, user_api="blas")
def tune(calibration, *, flat=None, arc=None, sky=None, catalog=None, bias=None, progress=None):
    """Tune a calibration to a night.

    The traces are tuned by the flat, or by where lines of arc or sky end at the edges of the
    slits; the wavelengths by the arc, or by the lines of the night sky on a science frame.

    Parameters
    ----------
    calibration : Calibration
    flat, arc, sky : CCDData, path, or list of paths, optional
        Frames of the night; of arc and sky at most one. Frames of a list are summed.
    catalog : LineCatalog, optional
        Lines of the arc, by default those that the calibration rests on; or of the sky, by
        default those of the night sky that ship.
    bias : path or list of paths, optional
        Subtracted from frames that are given as paths.
    progress : callable, optional
        Called with a few words at the start of each step.

    Returns
    -------
    Calibration
        What moved, slit by slit, is in its ``provenance["moved"]``, and by `moved`.

    Raises
    ------
    FitError
        If the frames contradict the calibration: another grating, another mask; or if
        they tell nothing.
    InputError
        If no frame is given, or one is of another set-up.
    """
    if (arc is None) == (sky is None) and (arc is not None or flat is None):
        given = "both" if arc is not None else "no frame"
        raise InputError(
            f"{given} given", "Must be flat, arc, or sky; of arc and sky one", "Give one of them"
        )
    say = progress or _silent
    say("reading frames")
    frames = {
        kind: None if given is None else frame_of(given, calibration.instrument, bias)
        for kind, given in (("flat", flat), ("arc", arc), ("sky", sky))
    }
    for frame in frames.values():
        if frame is not None:
            calibration.check_frame(frame)
    say("measuring the edges of the slits")
    by = next(kind for kind in frames if frames[kind] is not None)
    night, notes, tables = _tune_traces(calibration, frames[by], by)
    for kind in ("arc", "sky"):
        if frames[kind] is not None:
            say("measuring the lines")
            lines = _catalog(calibration, catalog, kind)
            night, said, table = _tune_wavelengths(night, frames[kind], lines, kind)
            notes, tables = notes + said, tables + table
    return _finish(calibration, night, frames, tables, notes)


def _silent(step):
    """Report no progress."""


def _catalog(calibration, catalog, kind):
    """Return the lines to be looked for, in the medium of the calibration."""
    if catalog is not None:
        return catalog.to_medium(calibration.medium)
    if kind == "sky":
        return LineCatalog.read("sky").to_medium(calibration.medium)
    tables = [t[t["kind"] == "line"] for t in (calibration.residuals, calibration.dropped)]
    rests = [t["wavelength"].value[t["reason"] != NOT_LISTED] for t in tables]
    wavelength = np.unique(np.concatenate(rests))
    wavelength = wavelength[np.isfinite(wavelength)]
    if not len(wavelength):
        raise InputError("the calibration has no lines", "", "Give the lines of the arc: catalog")
    n = len(wavelength)
    return LineCatalog(
        wavelength, np.full(n, "arc"), np.ones(n, int), np.full(n, np.nan), calibration.medium
    )


# -- the traces -------------------------------------------------------------------------------


def _tune_traces(cal, frame, kind):
    """Tune CRV by the edges of the slits on a frame.

    Returns
    -------
    Calibration
    notes : list of str
    tables : list of QTable
        Of residuals.
    """
    traces = model_traces(cal.opt, cal.crv, cal.mask, cal.instrument)
    traces = retrace(frame, traces, cal.instrument, cal.good(), objects=kind == "sky")
    if traces is None and kind == "flat" and len(cal.mask) > 1:
        msg = (
            "the flat contradicts the calibration: the edges of the slits are nowhere near where "
            "they are expected. Is it of another mask?"
        )
        raise FitError(msg)
    edges = None if traces is None else edge_markers(traces, cal.instrument)
    if edges is not None:
        cal = _at_fault(cal, dict.fromkeys(_astray(edges), f"its edges are {ODD} on the {kind}"))
        seen = np.asarray(edges["used"]) & ~np.isin(edges["reason"], (LAID, PARTLY))
        edges = edges[seen & np.isin(edges["slit"], cal.good())]
    if edges is None or not len(edges):
        return cal, [f"CRV stays: the {kind} does not show the edges of the slits."], []
    return _with_change(cal, "crv", edges, _edge_points(cal, edges), _CRV, f"CRV by the {kind}")


def _astray(edges):
    """Return the slits both of whose edges are where the others do not put them."""
    seen = edges[edges["used"] | (edges["reason"] == ODD)]
    astray = []
    for key in np.unique(seen["slit"]):
        mine = seen[seen["slit"] == key]
        if len(np.unique(mine["t"])) == 2 and not mine["used"].any():
            astray.append(str(key))
    return astray


def _edge_points(cal, edges):
    """Field positions of edges, and how far they are from where the calibration has them."""
    direction = cal.instrument.direction
    x, y = edges["x"].value, edges["y"].value
    slits, t = np.asarray(edges["slit"]), np.asarray(edges["t"], float)
    x0, y0, d, miss = np.full((4, len(edges)), np.nan)
    for key in np.unique(slits):
        mine = slits == key
        x0[mine], y0[mine] = cal.opt(*cal.mask[str(key)].curve(t[mine]))
        along0, _ = direction.split(x0[mine], y0[mine])
        along, across = direction.split(x[mine], y[mine])
        d[mine] = direction.sign * (along - along0)
        trace = cal.geometry(str(key), extrapolate=True).trace
        expected = direction.split(*trace.pixel_from_trace(d[mine], t[mine]))[1]
        miss[mine] = across - expected
    return Points(x0, y0, d, miss, edges["sigma"].value, slits, t)


# -- the wavelengths --------------------------------------------------------------------------


def _tune_wavelengths(cal, frame, catalog, kind):
    """Tune IDS by lines that are recognised."""
    instrument = cal.instrument
    traces = model_traces(cal.opt, cal.crv, cal.mask, instrument)
    spectra = arc_spectra(*canonical_data(frame, instrument), traces, instrument)
    slits = [key for key in cal.good() if not cal.mask[key].reference]
    known = {key: _known(cal, key) for key in slits}
    lines = recognise(spectra, traces, known, catalog, _flips(cal)[0])
    if lines.status == "no lines":
        msg = f"the {kind} tells nothing: {lines.reason}. Give one with more light."
        raise FitError(msg)
    if not lines.ok:
        msg = (
            f"the {kind} contradicts the calibration: {lines.reason}. Is it of another grating, or "
            "of other lamps?"
        )
        raise FitError(msg)
    odd = {
        key: f"{slit.reason} of the {kind}" for key, slit in lines.slits.items()
        if slit.status == "not identified"
    }  # fmt: skip
    if len(odd) > _MOST * len(lines.slits):
        msg = (
            f"the {kind} contradicts the calibration: in {len(odd)} of {len(lines.slits)} slits "
            "its lines are elsewhere. Is it of another grating, or of other lamps?"
        )
        raise FitError(msg)
    cal = _at_fault(cal, odd)
    markers = arc_lines(frame, traces, lines, catalog, instrument)
    markers = markers[np.asarray(markers["used"])]
    if not len(markers):
        msg = f"no line is measured: the {kind} tells nothing."
        raise FitError(msg)
    points = _line_points(cal, markers)
    return _with_change(cal, "ids", markers, points, _IDS, f"IDS by the {kind}")


def _flips(cal):
    """Whether the mask is mirrored along and across the dispersion."""
    flips = cal.opt.x_flipped, cal.opt.y_flipped
    return flips if cal.instrument.direction.along_x else flips[::-1]


def _known(cal, key):
    """Return the wavelengths of the columns in the middle of a slit, Å; NaN where not known."""
    geometry, direction, shape = cal.geometry(key), cal.instrument.direction, cal.instrument.shape
    length = direction.split(*shape[::-1])[0]
    wavelength = np.linspace(*geometry.dispersion.wavelength_domain, length)
    x, y = geometry.pixel(wavelength, np.full(length, 0.5))
    p, _ = direction.canonical_pixel(x, y, shape)
    return np.interp(np.arange(length), p, wavelength, left=np.nan, right=np.nan)


def _line_points(cal, markers):
    """Field positions of lines, and how far along the trace they are from where expected."""
    slits, wavelength = np.asarray(markers["slit"]), markers["wavelength"].value
    x, y = markers["x"].value, markers["y"].value
    x0, y0, miss, t = np.full((4, len(markers)), np.nan)
    for key in np.unique(slits):
        mine, geometry = slits == key, cal.geometry(str(key), extrapolate=True)
        d, t[mine] = geometry.trace.trace_from_pixel(x[mine], y[mine])
        x0[mine], y0[mine] = cal.opt(*cal.mask[str(key)].curve(t[mine]))
        miss[mine] = d - geometry.dispersion.distance_from_wavelength(wavelength[mine], t[mine])
    return Points(x0, y0, wavelength, miss, markers["sigma"].value, slits, t, lines=True)


# -- the change of a model --------------------------------------------------------------------


def _with_change(cal, name, markers, points, highest, what):
    """Add what changed to a model.

    Returns
    -------
    Calibration
    notes : list of str
    tables : list of QTable
        Of residuals.
    """
    change, covariance, residuals, used, notes = _change(cal, name, points, highest, what)
    faults = {
        key: f"{what}: it is off by {off:+.2f} px from what the others say"
        for key, off in _odd_slits(points, residuals).items()
    }
    tuned = replace(
        _at_fault(cal, faults),
        **{name: getattr(cal, name).plus(change)},
        covariance=cal.covariance | {name: _joined(cal, name, change, covariance)},
    )
    return tuned, notes, [residual_table(markers, residuals, used)]


def _change(cal, name, points, highest, what):
    """Fit what changed of a model, over its domains.

    Returns
    -------
    model : FieldPolynomial
    covariance : ndarray
        Of its parameters.
    residuals : ndarray
        px.
    used : ndarray of bool
    notes : list of str

    Raises
    ------
    FitError
        If nothing was measured, or too many slits do not follow.
    """
    model, (ny, nx) = getattr(cal, name), cal.instrument.shape
    domains = {axis: getattr(model, axis) for axis in ("domain", "x_domain", "y_domain")}
    finite = points.finite
    if not finite.any():
        msg = f"{what}: nothing that was measured is where the calibration can compare it."
        raise FitError(msg)
    frame = 0.5 * cal.instrument.direction.split(nx, ny)[0]
    sizes, length = MOVED_ACROSS, 0.5 * np.ptp(model.domain)
    if points.lines:
        sizes, length = MOVED_ALONG, 0.5 * np.ptp(model(nx / 2, ny / 2, np.array(model.domain)))
    smooth = Smoothness(sizes, frame, max(length, 1.0), (nx / 2, ny / 2), 0.0, factors=(1.0,))
    degrees = tuple(min(a, b) for a, b in zip(highest, model.degrees, strict=True))
    change, fit, _, notes = fit_field(
        type(model), points, ((0, 0, 0), degrees), what=what, likely=lambda *_: smooth, **domains
    )
    # What slits deviate by, besides, is an error of the night's measurements.
    residuals = points.values - change(points.x, points.y, points.u)
    slits = np.unique(points.slit[finite])
    miss = [np.median(np.abs(residuals[finite & (points.slit == key)])) for key in slits]
    off = slits[np.array(miss) > _CONTRADICTS]
    if len(off) > _MOST * len(slits):
        msg = (
            f"{what} contradicts the calibration: after what moved by "
            f"{np.median(points.values[finite]):+.1f} px, {len(off)} of {len(slits)} slits are "
            f"still off by more than {_CONTRADICTS:g} px. Is it of another mask, or another "
            "grating?"
        )
        raise FitError(msg)
    n = len(change.parameters)
    return change, fit.covariance[:n, :n], residuals, fit.used, notes


def _odd_slits(points, residuals):
    """Return the slits that did not move with the others, and by how much they are off, px."""
    odd = {}
    for key in np.unique(points.slit):
        mine = points.finite & (points.slit == key)
        if mine.any():
            off, sigma = np.median(residuals[mine]), np.median(points.sigma[mine])
            if abs(off) > max(_OFF, _SIGMAS * sigma):
                odd[str(key)] = off
    return odd


def _at_fault(cal, reasons):
    """Flag slits that the night contradicts."""
    slits = cal.slits | {
        key: replace(cal.slits[key], flag="doubtful", reason=reason)
        for key, reason in reasons.items()
    }
    return replace(cal, slits=slits)


def _joined(cal, name, change, covariance):
    """Covariance of the sum of a model and its change; local terms stay the last."""
    model, old = getattr(cal, name), cal.covariance[name]
    total = model.plus(change)
    n, own = len(total.parameters), len(model.parameters)
    joined = np.zeros((n + len(old) - own,) * 2)
    place = np.concatenate([model.places_in(total), np.arange(n, len(joined))])
    joined[np.ix_(place, place)] = old
    place = change.places_in(total)
    joined[np.ix_(place, place)] += covariance
    return joined


# -- the night's calibration ------------------------------------------------------------------


def _finish(before, night, frames, tables, notes):
    """Note what was done, and what moved."""
    kinds = {str(kind) for table in tables for kind in np.unique(table["kind"])}
    kept = before.residuals[~np.isin(before.residuals["kind"], list(kinds))]
    night = replace(night, residuals=QTable(vstack([kept, *tables])) if tables else kept)
    table = moved(before, night)
    first = next(frame for frame in frames.values() if frame is not None)
    record = provenance(
        {kind: sources_of(frame) for kind, frame in frames.items()},
        first,
        edges="tuned",
        fits=[*before.provenance.get("fits", []), *notes],
        tuned_from={
            key: before.provenance.get(key)
            for key in ("created", "inputs")
            if key in before.provenance
        },
        moved=[
            {name: _plain(row[name]) for name in ("slit", "along", "across", "stretch")}
            for row in table
        ],
    )
    setup = before.provenance.get("setup", {})
    return replace(night, provenance={**record, "setup": setup or record["setup"]})


def _plain(value):
    """Return a value that files keep as it is."""
    value = getattr(value, "value", value)
    return str(value) if isinstance(value, str) else float(value)
