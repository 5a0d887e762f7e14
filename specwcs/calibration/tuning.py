"""A calibration tuned to a night: what moved since, as far as the night's frames tell.

The change of each model over the field is a polynomial with terms of likely sizes. What the night
does not tell stays as it was.
"""

from dataclasses import replace

import numpy as np
from astropy.table import QTable, vstack
from threadpoolctl import threadpool_limits

from specwcs.errors import FitError, InputError, check_type
from specwcs.inputs import LineCatalog
from specwcs.measure import arc_spectra, recognise, retrace
from specwcs.measure.borders import LAID, PARTLY
from specwcs.measure.lines import NOT_LISTED
from specwcs.measure.reduce import canonical_data
from specwcs.measure.retrace import ODD, EdgesUnseenError

from .bundle import Calibration
from .confirm import CONFIRM, lines_that_confirm
from .field_fit import fit_field
from .fitter import residual_table
from .known import KNOWN, doubt, longest_known, trace_rows, wavelength_rows
from .measured import arc_lines, edge_markers, frame_of, model_traces, without_dead
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
# px, and sigma: the median distance of edges from a smooth change. Those of another mask that
# happen to be near are anywhere within what is searched.
_SCATTER, _SCATTERED = 0.12, 2.0
_HIDDEN = 1.5  # times the doubt by the sky: its lines hide others that no catalogue has
_OTHER = {
    "arc": "Is it of another grating, or of other lamps?",
    "sky": "Is it of another grating, or are its lines too faint?",
}
_WAVELENGTHS = 41  # at which it is seen how well they are known


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
    check_type(Calibration, calibration=calibration)
    check_type(LineCatalog, optional=True, catalog=catalog)
    if (arc is None) == (sky is None) and (arc is not None or flat is None):
        given = "both" if arc is not None else "no frame"
        raise InputError(
            f"{given} given", "Must be flat, arc, or sky; of arc and sky one", "Give one of them"
        )
    if all(calibration.mask[key].reference for key in calibration.good()):
        raise FitError("no slit of the calibration is calibrated. Tune one with good slits.")
    say = progress or _silent
    say("reading frames")
    frames = {
        kind: None if given is None else frame_of(given, calibration.instrument, bias)
        for kind, given in (("flat", flat), ("arc", arc), ("sky", sky))
    }
    for frame in frames.values():
        if frame is not None:
            calibration.check_frame(frame)
    if flat is not None and arc is not None:
        frames["arc"] = without_dead(frames["arc"], frames["flat"], calibration.instrument)
    say("measuring the edges of the slits")
    by = next(kind for kind in frames if frames[kind] is not None)
    night, notes, tables, singles = _tune_traces(calibration, frames[by], by)
    for kind in ("arc", "sky"):
        if frames[kind] is not None:
            say("measuring the lines")
            lines = _catalog(calibration, catalog, kind)
            night, *told = _tune_wavelengths(night, frames[kind], lines, kind)
            notes, tables, singles = notes + told[0], tables + told[1], singles | told[2]
    if not tables:
        raise FitError(" ".join(notes))
    if arc is None and sky is None:
        notes = [*notes, _NO_LINES]
    return _finish(calibration, night, frames, tables, notes, singles)


_NO_LINES = (
    "IDS stays: neither arc nor sky was given, so that what moved along the dispersion since the "
    "calibration is not known, nor in its errors."
)
_NO_EDGES = (
    "What moved across the dispersion is not known: the errors of the traces allow for as much as "
    "along it, {:.2f} px (1 sigma)."
)


def _silent(step):
    """Report no progress."""


def _catalog(calibration, catalog, kind):
    """Return the lines to be looked for, in the medium of the calibration."""
    if catalog is not None:
        return catalog.to_medium(calibration.medium)
    if kind == "sky":
        return LineCatalog.read("sky").to_medium(calibration.medium)
    lines = _lines_of_arc(calibration)
    if not lines["used"]:
        raise InputError("the calibration has no lines", "", "Give the lines of the arc: catalog")
    wavelength = np.array([*lines["used"], *lines["beside"]])
    flag = np.repeat([1, 0], [len(lines["used"]), len(lines["beside"])])
    label, intensity = np.full(len(flag), "arc", object), np.full(len(flag), np.nan)
    lamp = calibration.provenance.get("lamp")
    if lamp and lamp["wavelength"]:
        known, place = np.array(lamp["wavelength"]), np.argsort(lamp["wavelength"])
        nearest = place[np.clip(np.searchsorted(known[place], wavelength), 0, len(known) - 1)]
        same = known[nearest] == wavelength
        label[same] = np.array(lamp["label"], object)[nearest[same]]
        intensity[same] = np.array(lamp["intensity"])[nearest[same]]
    order = np.argsort(wavelength)
    columns = (values[order] for values in (wavelength, label.astype(str), flag, intensity))
    return LineCatalog(*columns, calibration.medium)


def _lines_of_arc(calibration):
    """Return the lines of the arc that the calibration rests on, and those beside them, Å.

    They are kept when a calibration is tuned: by the sky, or by an arc that shows fewer.
    """
    if "arc_lines" in calibration.provenance:
        return calibration.provenance["arc_lines"]
    tables = [t[t["kind"] == "line"] for t in (calibration.residuals, calibration.dropped)]
    used = np.unique(tables[0]["wavelength"].value[tables[0]["used"]])
    others = [t["wavelength"].value[t["reason"] != NOT_LISTED] for t in tables]
    beside = np.setdiff1d(np.concatenate(others), used)
    return {"used": used.tolist(), "beside": beside[np.isfinite(beside)].tolist()}


# -- the traces -------------------------------------------------------------------------------


def _tune_traces(cal, frame, kind):
    """Tune CRV by the edges of the slits on a frame.

    Returns
    -------
    Calibration
    notes : list of str
    tables : list of QTable
        Of residuals.
    singles : dict
        See `_with_change`.
    """
    try:
        traces = retrace(frame, _traces(cal), cal.instrument, cal.good(), objects=kind == "sky")
    except FitError as error:
        if kind == "flat" and not isinstance(error, EdgesUnseenError):
            msg = f"the flat contradicts the calibration: {error} Is it of another mask?"
            raise FitError(msg) from error
        return cal, [f"CRV stays: the {kind} does not tell it: {error}"], [], {}
    edges = edge_markers(traces, cal.instrument)
    edges = edges[np.isin(edges["slit"], cal.good()) & ~np.isin(edges["reason"], (LAID, PARTLY))]
    cal = _at_fault(cal, dict.fromkeys(_astray(edges), f"its edges are {ODD} on the {kind}"))
    cal, edges = _used(cal, edges)
    if not len(edges):
        return cal, [f"CRV stays: the {kind} does not show the edges of the slits."], [], {}
    points = _edge_points(cal, edges)
    tuned, notes, tables, singles = _with_change(
        cal, "crv", edges, points, _CRV, f"CRV by the {kind}"
    )
    scatter = np.nanmedian(np.abs(tables[0]["residual"].value))
    if scatter > max(_SCATTER, _SCATTERED * np.nanmedian(points.sigma)):
        says = f"its edges scatter by {scatter:.2f} px about any smooth change of the traces."
        if kind == "flat":
            raise FitError(f"the flat contradicts the calibration: {says} Is it of another mask?")
        return cal, [f"CRV stays: the {kind} does not tell it: {says}"], [], {}
    return tuned, notes, tables, singles


def _traces(cal):
    """Return the traces of a calibration, with what single slits deviate by."""
    traces = model_traces(cal.opt, cal.crv, cal.mask, cal.instrument)
    direction, shape = cal.instrument.direction, cal.instrument.shape
    t, offset = np.array([0.0, 1.0]), {}
    for key in traces.mask:
        x, y = cal.geometry(key, extrapolate=True).trace.pixel_from_trace(np.zeros(2), t)
        p, q = direction.canonical_pixel(x, y, shape)
        offset[key] = tuple(q - traces.q(key, t, p))
    return replace(traces, offset=offset)


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
    traces = _traces(cal)
    spectra = arc_spectra(*canonical_data(frame, instrument), traces, instrument)
    slits = [key for key in cal.good() if not cal.mask[key].reference]
    known = {key: _known(cal, key) for key in slits}
    known = {key: wavelength for key, wavelength in known.items() if np.isfinite(wavelength).any()}
    lines = recognise(spectra, traces, cal.instrument, known, catalog, _flips(cal)[0])
    if lines.status == "no lines":
        msg = f"the {kind} tells nothing: {lines.reason}. Give one with more light."
        raise FitError(msg)
    if not lines.ok:
        # Of the sky a few lines that chance could have put there may as well be too little light.
        says = "contradicts" if kind == "arc" else "does not confirm"
        msg = f"the {kind} {says} the calibration: {lines.reason}. {_OTHER[kind]}"
        raise FitError(msg)
    odd = {
        key: f"{slit.reason} of the {kind}" for key, slit in lines.slits.items()
        if slit.status == "not identified"
    }  # fmt: skip
    if len(odd) > _MOST * len(lines.slits):
        msg = (
            f"the {kind} contradicts the calibration: in {len(odd)} of {len(lines.slits)} slits "
            f"its lines are elsewhere. {_OTHER[kind]}"
        )
        raise FitError(msg)
    if kind == "arc":  # on the sky a star may outshine the lines of a slit
        cal = _at_fault(cal, odd)
    markers = arc_lines(frame, traces, lines, catalog, instrument)
    cal, markers = _used(cal, markers)
    if not len(markers):
        msg = f"no line is measured: the {kind} tells nothing."
        raise FitError(msg)
    points = _line_points(cal, markers)
    confirm = CONFIRM  # the sky has far more lines than its catalogue
    if kind == "arc":
        seen = markers["wavelength"].value
        confirm = lines_that_confirm(catalog, seen, instrument.linear_dispersion)
    return _with_change(cal, "ids", markers, points, _IDS, f"IDS by the {kind}", confirm)


def _used(cal, markers):
    """Return the calibration with the night's markers that are not used, and those that are."""
    used = np.asarray(markers["used"])
    kept = cal.dropped[cal.dropped["kind"] != markers["kind"][0]] if len(markers) else cal.dropped
    return replace(cal, dropped=QTable(vstack([kept, QTable(markers[~used])]))), markers[used]


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
    error, shared = (markers[name].value for name in ("sigma", "shared"))
    # A slit's own part of what neighbours make of a line was there before, too.
    return Points(x0, y0, wavelength, miss, error, slits, t, shared, lines=True, of_slit=0.0)


# -- the change of a model --------------------------------------------------------------------


def _with_change(cal, name, markers, points, highest, what, confirm=CONFIRM):
    """Add what changed to a model.

    Returns
    -------
    Calibration
    notes : list of str
    tables : list of QTable
        Of residuals.
    singles : dict of str to tuple
        By name of the model: its change, and by what the parameters of that change without single
        lines or edges.
    """
    change, fit, residuals, notes = _change(cal, name, points, highest, what, confirm)
    faults = {
        key: f"{what}: it is off by {off:+.2f} px from what the others say"
        for key, off in _odd_slits(cal, points, residuals).items()
    }
    tuned = replace(
        _at_fault(cal, faults),
        **{name: getattr(cal, name).plus(change)},
        covariance=cal.covariance | {name: _joined(cal, name, change, fit.covariance)},
    )
    singles = {} if fit.changes is None else {name: (change, fit.changes)}
    return tuned, notes, [residual_table(markers, residuals, fit.used)], singles


def _change(cal, name, points, highest, what, confirm):
    """Fit what changed of a model, over its domains.

    Returns
    -------
    model : FieldPolynomial
    fit : Fit
        Of its parameters.
    residuals : ndarray
        px.
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
    direction, aspect = cal.instrument.direction, cal.instrument.aspect
    frame = 0.5 * direction.split(nx, ny)[0]
    sizes, side, length = MOVED_ACROSS, aspect, 0.5 * np.ptp(model.domain)
    if points.lines:
        sizes, side = MOVED_ALONG, 1.0
        length = 0.5 * np.ptp(model(nx / 2, ny / 2, np.array(model.domain)))
    reach = tuple(0.5 * np.array([nx, ny]) * direction.join(1.0, aspect))
    smooth = Smoothness(sizes, frame, max(length, 1.0), reach, 0.0, side, factors=(1.0,))
    degrees = tuple(min(a, b) for a, b in zip(highest, model.degrees, strict=True))
    change, fit, _, notes = fit_field(
        type(model), points, ((0, 0, 0), degrees), what=what, likely=lambda *_: smooth,
        doubt=confirm,
        **domains,
    )  # fmt: skip
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
    changes = None if fit.changes is None else fit.changes[:, :n]
    fit = replace(fit, covariance=fit.covariance[:n, :n], changes=changes)
    return change, fit, residuals, notes


def _odd_slits(cal, points, residuals):
    """Return the slits that did not move with the others, and by how much they are off, px."""
    odd, before = {}, cal.residuals[cal.residuals["used"]]
    before = before[before["kind"] == ("line" if points.lines else "edge")]
    for key in np.unique(points.slit):
        mine = points.finite & (points.slit == key)
        if mine.any():
            own = before["residual"].value[before["slit"] == key]
            off = np.median(residuals[mine]) - (np.median(own) if len(own) else 0.0)
            sigma = np.median(points.sigma[mine])
            if abs(off) > max(_OFF, _SIGMAS * sigma):
                odd[str(key)] = off
    return odd


def _at_fault(cal, reasons):
    """Flag slits that the night contradicts."""
    slits = cal.slits | {
        key: replace(cal.slits[key], flag="doubtful", reason=reason)
        for key, reason in reasons.items()
        if cal.slits[key].ok
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


def _finish(before, night, frames, tables, notes, singles):
    """Note what was done, and what moved."""
    kinds = {str(kind) for table in tables for kind in np.unique(table["kind"])}
    kept = before.residuals[~np.isin(before.residuals["kind"], list(kinds))]
    night = replace(night, residuals=QTable(vstack([kept, *tables])) if tables else kept)
    night = replace(night, slits=_recounted(night))
    night = replace(
        night, slits=_still_known(before, night, singles, by_sky=frames["sky"] is not None)
    )
    table = moved(before, night)
    if night.crv is before.crv and night.ids is not before.ids:
        size = float(np.nanmedian(np.abs(table["along"].value)))
        night = _with_unknown_shift(night, size)
        notes = [*notes, _NO_EDGES.format(size)]
    first = next(frame for frame in frames.values() if frame is not None)
    record = provenance(
        {kind: sources_of(frame) for kind, frame in frames.items()},
        first,
        edges="tuned",
        arc_lines=_lines_of_arc(before),
        **{name: before.provenance[name] for name in ("lamp",) if name in before.provenance},
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


def _with_unknown_shift(cal, sigma):
    """Return it with errors of CRV that allow for a shift of all traces, px."""
    covariance = cal.covariance["crv"].copy()
    covariance[0, 0] += sigma**2  # the first parameter is the constant
    return replace(cal, covariance=cal.covariance | {"crv": covariance})


def _recounted(cal):
    """Return what the slits rest on now."""
    slits, used = dict(cal.slits), cal.residuals[cal.residuals["used"]]
    for key, status in slits.items():
        mine = used[used["slit"] == key]
        lines = mine["residual"].value[mine["kind"] == "line"]
        rms = float(np.sqrt(np.mean(lines**2))) if len(lines) else np.nan
        n_edges = int(np.sum(mine["kind"] == "edge"))
        slits[key] = replace(status, rms=rms, n_lines=len(lines), n_edges=n_edges)
    return slits


def _still_known(before, cal, singles, by_sky):
    """Return the slits, calibrated as far as the night tells what was tuned."""
    slits = dict(cal.slits)
    tuned = [name for name in ("crv", "ids") if getattr(cal, name) is not getattr(before, name)]
    for key in cal.good():
        if cal.mask[key].reference or not tuned:
            continue
        wavelength = np.linspace(*slits[key].known, _WAVELENGTHS)
        doubts = [
            _doubt(cal, key, name, wavelength, singles.get(name))
            * (_HIDDEN if by_sky and name == "ids" else 1.0)
            for name in tuned
        ]
        low, high = longest_known(wavelength, np.max(doubts, axis=0))
        if low < high:
            slits[key] = replace(slits[key], known=(low, high))
        else:
            reason = f"the night tells its wavelengths and edges nowhere to {KNOWN} px (1 sigma)"
            slits[key] = replace(slits[key], flag="uncertain", reason=reason)
    return slits


def _doubt(cal, key, name, wavelength, single):
    """Return how little is known of lines, or of edges, in parts of what may be, over a slit."""
    slit, ends = cal.mask[key], (0.0, 0.5, 1.0) if name == "ids" else (0.0, 1.0)
    t, u = np.repeat(ends, len(wavelength)), np.tile(wavelength, len(ends))
    geometry, rows_of, there = cal.geometry(key, extrapolate=True), wavelength_rows, True
    if name == "crv":
        u, rows_of = geometry.dispersion.distance_from_wavelength(u, t), trace_rows
        (x, y), (ny, nx) = geometry.trace.pixel_from_trace(u, t), cal.instrument.shape
        there = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5)
    rows = rows_of(cal.opt, getattr(cal, name), cal.local[name], slit, t, u)
    sigma, decided = np.sqrt(np.einsum("np,pq,nq->n", rows, cal.covariance[name], rows)), None
    if single is not None:
        change, without = single
        decided = change.fit_deriv(*cal.opt(*slit.curve(t)), u) @ without.T
    return np.where(there, doubt(sigma, decided), 0.0).reshape(len(ends), -1).max(axis=0)


def _plain(value):
    """Return a value that files keep as it is."""
    value = getattr(value, "value", value)
    return str(value) if isinstance(value, str) else float(value)
