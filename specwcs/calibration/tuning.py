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
from specwcs.markers import Markers
from specwcs.measure import arc_spectra, find_traces
from specwcs.measure.borders import LAID, PARTLY
from specwcs.measure.predicted import (
    Expected,
    edge_miss,
    find_shift,
    measure_expected,
    stands_out,
)
from specwcs.measure.reduce import canonical_data
from specwcs.models import CurvatureModel, DispersionModel

from .field_fit import fit_field
from .fitter import residual_table
from .measured import edge_markers, frame_of, model_traces
from .moved import moved
from .points import Points
from .provenance import provenance, sources_of

__all__ = ["tune"]

# Highest degrees of what may change: of the traces by a flat, by the ends of lines, which show
# each edge at one place; and of the wavelengths by an arc, by the sky.
_CRV, _CRV_LINES, _IDS_ARC, _IDS_SKY = (2, 1, 1), (0, 1, 1), (3, 2, 2), (1, 1, 1)
# A neighbour nearer than this, FWHM, with this part of a line's intensity makes it a blend.
_NEAR, _RELATIVE = 1.6, 0.03
# Of the lines that should be bright: this many are looked for in a slit, and so many of those
# that a slit shows must agree for the night to be one of this calibration.
_BRIGHTEST, _AGREE = 40, 0.5
# A line is a blend if it is further off the others than so many robust standard deviations, px.
_ODD, _ODD_LEAST = 2.5, 0.03
# px: what changed may leave no more than this (median of a slit), or the slit contradicts it;
# of all slits this part at most.
_CONTRADICTS, _MOST = 1.0, 0.4
# Between two nights nothing moves by more than this, px, but by another set-up.
_FARTHEST = 30.0


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
    night, notes, tables = calibration, [], []
    if frames["flat"] is not None:
        say("measuring the edges of the slits")
        night, notes, tables = _tune_traces(night, frames["flat"])
    for kind, highest in (("arc", _IDS_ARC), ("sky", _IDS_SKY)):
        if frames[kind] is None:
            continue
        say("measuring the lines")
        lines = _catalog(calibration, catalog, kind)
        label = {"arc": "the arc", "sky": "the sky"}[kind]
        if frames["flat"] is None:
            night, said, table = _tune_traces_by_lines(night, frames[kind], lines, label)
            notes, tables = notes + said, tables + table
        night, said, table = _tune_wavelengths(night, frames[kind], lines, highest, label)
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
    table = calibration.residuals
    used = np.asarray(table["used"]) & (np.asarray(table["kind"]) == "line")
    wavelength = np.unique(table["wavelength"].value[used])
    if not len(wavelength):
        raise InputError("the calibration has no lines", "", "Give the lines of the arc: catalog")
    n = len(wavelength)
    return LineCatalog(
        wavelength, np.full(n, "arc"), np.ones(n, int), np.full(n, np.nan), calibration.medium
    )


# -- the traces -------------------------------------------------------------------------------


def _tune_traces(cal, frame):
    """Tune CRV by the edges of the slits on a flat."""
    try:
        found = find_traces(frame, cal.mask, cal.instrument)
    except FitError as error:
        msg = f"the flat contradicts the calibration: {error} Is it of another mask?"
        raise FitError(msg) from error
    same = [traces for traces in found if traces.flip_v == _flips(cal)[1] or len(cal.mask) == 1]
    if not same:
        msg = "the flat shows the mask mirrored across the dispersion. Is it of another mask?"
        raise FitError(msg)
    edges = edge_markers(same[0], cal.instrument)
    seen = np.asarray(edges["used"]) & ~np.isin(edges["reason"], (LAID, PARTLY))
    edges = edges[seen & np.isin(edges["slit"], cal.good())]
    return _with_edges(cal, edges, "the flat", _CRV)


def _flips(cal):
    """Whether the mask is mirrored along and across the dispersion."""
    flips = cal.opt.x_flipped, cal.opt.y_flipped
    return flips if cal.instrument.direction.along_x else flips[::-1]


def _with_edges(cal, edges, label, highest):
    """Tune CRV by edges.

    Returns
    -------
    Calibration
    notes : list of str
    tables : list of QTable
        Of residuals.
    """
    points, miss = _edge_points(cal, edges)
    model, fit, notes = _change(CurvatureModel, cal.crv, points, miss, highest, f"CRV by {label}")
    covariance = cal.covariance | {"crv": _joined(cal, "crv", model, fit)}
    tuned = replace(cal, crv=cal.crv.plus(model), covariance=covariance)
    return tuned, notes, [residual_table(edges, fit.residuals, fit.used)]


def _tune_traces_by_lines(cal, frame, catalog, label):
    """Tune CRV by where the lines of a frame end: at the edges of the slits."""
    night = _Night(cal, frame, catalog, label)
    direction, shape = cal.instrument.direction, cal.instrument.shape
    parts = []
    for key, lines in night.expected.items():
        geometry = cal.geometry(key, extrapolate=True)
        for t, step in ((0.0, 0.02), (1.0, -0.02)):
            at, within = (
                direction.canonical_pixel(
                    *geometry.pixel(lines.wavelength, np.full(len(lines.p), place)), shape
                )
                for place in (t, t + step)
            )
            slope = (within[0] - at[0]) / (within[1] - at[1])
            inward = int(np.sign(np.median(within[1] - at[1])))
            p = at[0] + night.shift
            miss, sigma = edge_miss(night.image, p, at[1], slope, inward, night.spectra.fwhm)
            if np.isfinite(miss):
                middle = float(np.median(p))
                q = float(np.interp(middle, p, at[1])) + miss
                x, y = direction.detector_pixel(middle, q, shape)
                parts.append(Markers.of("edge", key, t, x, y, sigma=sigma))
    if not parts:
        return cal, [f"CRV stays: {label} does not show the edges of the slits."], []
    return _with_edges(cal, Markers.join(parts), label, _CRV_LINES)


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
    points = Points(x0, y0, d, miss, edges["sigma"].value, slits, t)
    return points, miss


# -- the wavelengths --------------------------------------------------------------------------


class _Night:
    """Spectra of a frame, the lines that they should show, and by how much these moved."""

    def __init__(self, cal, frame, catalog, label):
        instrument = cal.instrument
        data, variance, bad = canonical_data(frame, instrument)
        self.image = data, variance, ~bad
        self.traces = model_traces(cal.opt, cal.crv, cal.mask, instrument)
        self.spectra = arc_spectra(data, variance, bad, self.traces, instrument)
        slits = [key for key in cal.good() if not cal.mask[key].reference]
        expected = {key: _expected(cal, key, catalog, self.spectra.fwhm) for key in slits}
        self.expected = {key: lines for key, lines in expected.items() if len(lines.p)}
        if not self.expected:
            msg = f"no line that stands alone falls on a calibrated slit: {label} tells nothing."
            raise FitError(msg)
        spectra = self.spectra.by_flip[int(_flips(cal)[0])]
        self.shift, contrast = find_shift(spectra, self.expected, self.spectra.fwhm)
        if not stands_out(contrast):
            msg = (
                f"{label} contradicts the calibration: its lines are nowhere within "
                f"{_FARTHEST:.0f} px of where they are expected. Is it of another grating, or of "
                "other lamps?"
            )
            raise FitError(msg)


def _tune_wavelengths(cal, frame, catalog, highest, label):
    """Tune IDS by lines whose places the calibration predicts."""
    night, parts = _Night(cal, frame, catalog, label), []
    for key, lines in night.expected.items():
        tilt = _tilt(cal.geometry(key, extrapolate=True), cal, np.median(lines.wavelength))
        lines = replace(lines, p=lines.p + night.shift)
        found = measure_expected(night.image, night.traces, key, lines, tilt, night.spectra.fwhm)
        if found is not None and len(found.p):
            parts.append(_line_markers(cal, key, found))
    if not parts:
        msg = f"no line is seen where it is expected: {label} tells nothing."
        raise FitError(msg)
    markers = Markers.join(parts)
    points, miss = _line_points(cal, markers)
    model, fit, notes = _change(DispersionModel, cal.ids, points, miss, highest, f"IDS by {label}")
    _check_lines(markers, fit, night.expected, label)
    covariance = cal.covariance | {"ids": _joined(cal, "ids", model, fit)}
    tuned = replace(cal, ids=cal.ids.plus(model), covariance=covariance)
    return tuned, notes, [residual_table(markers, fit.residuals, fit.used)]


def _expected(cal, key, catalog, fwhm):
    """Return the lines of a slit that stand alone, where the calibration has them."""
    geometry = cal.geometry(key)
    low, high = geometry.dispersion.wavelength_domain
    near = catalog.select(low, high)
    wavelength = np.asarray(near.wavelength, float)
    x, y = geometry.pixel(wavelength, np.full(len(wavelength), 0.5))
    p, q = cal.instrument.direction.canonical_pixel(x, y, cal.instrument.shape)
    length = cal.instrument.direction.split(*cal.instrument.shape[::-1])[0]
    intensity = np.asarray(near.intensity, float)
    known = np.where(np.isfinite(intensity) & (intensity > 0), intensity, 1.0)
    apart = np.abs(p[:, None] - p) / fwhm
    rival = (apart < _NEAR) & (known > _RELATIVE * known[:, None])
    np.fill_diagonal(rival, False)
    use = ~rival.any(axis=1) & (np.asarray(near.flag) == 1) & (p > 2) & (p < length - 3)
    use &= np.isfinite(q)
    index = np.flatnonzero(use)
    index = index[np.argsort(-known[index], kind="stable")[:_BRIGHTEST]]
    index = index[np.argsort(p[index])]
    weight = (known[index] / known[index].max(initial=1e-9)) ** 0.3
    return Expected(wavelength[index], p[index], weight)


def _tilt(geometry, cal, wavelength):
    """Return how lines lie along the dispersion, px, as a function of t."""
    direction, shape = cal.instrument.direction, cal.instrument.shape

    def along(t):
        t = np.asarray(t, float)
        x, y = geometry.pixel(np.full(t.shape, wavelength), t)
        return direction.canonical_pixel(x, y, shape)[0]

    return along


def _line_markers(cal, key, found):
    x, y = cal.instrument.direction.detector_pixel(found.p, found.q, cal.instrument.shape)
    return Markers.of("line", key, found.t, x, y, wavelength=found.wavelength, sigma=found.sigma)


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
    points = Points(x0, y0, wavelength, miss, markers["sigma"].value, slits, t, lines=True)
    return points, miss


def _steady(cal, markers):
    """Whether markers are of lines that move as lines do: blends of a wide sky do not."""
    _, miss = _line_points(cal, markers)
    wavelength, slits = markers["wavelength"].value, np.asarray(markers["slit"])
    # Relative to the median of each slit: slits may move apart, lines of one may not.
    for key in np.unique(slits):
        miss[slits == key] -= np.nanmedian(miss[slits == key])
    lines = np.unique(wavelength)
    off = np.array([np.nanmedian(miss[wavelength == w]) for w in lines])
    limit = max(_ODD * 1.4826 * np.nanmedian(np.abs(off)), _ODD_LEAST)
    return np.isin(wavelength, lines[np.abs(off) < limit])


def _check_lines(markers, fit, expected, label):
    """Refuse a night whose lines agree by chance only."""
    slits, used = np.asarray(markers["slit"]), fit.used & (np.abs(fit.residuals) < _CONTRADICTS)
    wavelength = markers["wavelength"].value
    seen = sum(len(np.unique(wavelength[(slits == key) & used])) for key in np.unique(slits))
    wanted = sum(min(len(lines.p), 5) for lines in expected.values())
    if seen < _AGREE * wanted:
        msg = (
            f"{label} contradicts the calibration: {seen} lines are where they are expected, of "
            f"{wanted} that should be. Is it of another grating, or of other lamps?"
        )
        raise FitError(msg)


# -- the change of a model --------------------------------------------------------------------


def _change(cls, model, points, miss, highest, what):
    """Fit what changed, over the domains of the model.

    Returns
    -------
    model, fit
    notes : list of str

    Raises
    ------
    FitError
        If nothing was measured, or too many slits do not follow.
    """
    domains = {name: getattr(model, name) for name in ("domain", "x_domain", "y_domain")}
    finite = np.isfinite(miss)
    if not finite.any():
        msg = f"{what}: nothing that was measured is where the calibration can compare it."
        raise FitError(msg)
    lowest = (0, 0, 0)
    limits = lowest, tuple(min(a, b) for a, b in zip(highest, model.degrees, strict=True))
    try:
        change, fit, _, notes = fit_field(cls, points, limits, what=what, **domains)
    except FitError:
        change, fit, _, notes = fit_field(cls, points, (lowest, lowest), what=what, **domains)
    slits = np.unique(points.slit[finite])
    off = [
        key for key in slits
        if np.median(np.abs(fit.residuals[finite & (points.slit == key)])) > _CONTRADICTS
    ]  # fmt: skip
    if len(off) > _MOST * len(slits) or abs(np.median(miss[finite])) > _FARTHEST:
        msg = (
            f"{what} contradicts the calibration: after what moved by "
            f"{np.median(miss[finite]):+.1f} px, {len(off)} of {len(slits)} slits are still off by "
            f"more than {_CONTRADICTS:g} px. Is it of another mask, or another grating?"
        )
        raise FitError(msg)
    return (
        change,
        fit,
        [*notes, *(f"{what}: slit {key} does not follow the others." for key in off)],
    )


def _joined(cal, name, change, fit):
    """Covariance of the sum of a model and its change; local terms stay the last."""
    model, old = getattr(cal, name), cal.covariance[name]
    total = model.plus(change)
    n, own = len(total.parameters), len(model.parameters)
    joined = np.zeros((n + len(old) - own,) * 2)
    place = np.concatenate([model.places_in(total), np.arange(n, len(joined))])
    joined[np.ix_(place, place)] = old
    place = change.places_in(total)
    joined[np.ix_(place, place)] += fit.covariance
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
