"""From a flat (or an arc) to traces: the steps in their order, and what each slit got."""

from dataclasses import replace

import numpy as np

from specwcs.errors import FitError
from specwcs.measure import edges as measuring
from specwcs.measure.borders import BEYOND, DEPTH, goes_on, out_of_frame
from specwcs.measure.field import MAX_DEGREE, Samples, fit_field
from specwcs.measure.layout import (
    SCALE_RANGE,
    SEEN,
    central_profile,
    find_layouts,
    find_peaks,
    nominal_layout,
)
from specwcs.measure.reduce import canonical_data, reduce_frame
from specwcs.measure.traces import (
    SlitStatus,
    Traces,
    domain,
    edge_table,
    nominal_scale,
    place_status,
)

__all__ = ["ASTRAY", "find_traces"]

MIDDLES = (0.5, 0.3, 0.7)
"""Where the layout is looked for, in units of the frame: first where most edges are seen."""

LEAST_SCORE = (0.7, 0.25)
"""Layouts below explain too little of the frame: a + b / √n for n edges expected on the frame.
By chance few edges score more: up to 0.6 for twelve in trials with the wrong mask."""

MANY = 6
"""So many edges do not all match by chance with that score, whatever their number."""

WHOLE = 3
"""Nor do both ends of so many slits, if no other layout comes near: some may be cut elsewhere, or
not at all, or not be listed, and the others stay where they are."""

LEAD = 1.3
"""Ratio of scores from which no other layout comes near."""

LEAST_MATCHED = 0.6
"""Least fraction of the expected edges that are seen."""

CONTRAST = 1.1
"""Ratio of scores from which a layout is better than another."""

BINS = 32
"""Columns at which it is seen which slits have light."""

NO_LIGHT = 0.05
"""Light, in units of the median slit's, below which a slit is dark."""

BESIDE = 6.0
"""Largest distance from a slit at which the light beside it is taken, px."""

CLEAR = 4.0
"""Gap in whose middle there is no light of the slits beside it, px."""

CAUTIOUS_DEGREE = (1, 2, 2)
"""Degree of the field where a higher one makes traces cross, far from measured edges."""

NOMINAL = 1.0
"""Error of ends that are laid where they are not seen, px."""

THIN = 3
"""Of so many roughly followed points one is fitted."""

SETTLED, ROUNDS = 0.05, 8
"""Seams are measured again about the traces that follow, until these move by less, px; as often at
most: gaps are known no better before."""

WHOLE_EDGE = 0.25
"""Distance of a whole edge from the field beyond which it is left out, px."""

OFF = "off the field"
"""Why an edge is left out that is not where the others put it."""

ASTRAY = "off its place"
"""What is said of a slit both of whose edges are so, alike: the mask is not as it is designed."""


def find_traces(image, mask, instrument):
    """Find the slits on a flat, and measure their edges.

    Parameters
    ----------
    image : CCDData or tuple of ndarray
        A flat, or an arc where there is none; in detector orientation.
        ``(data, variance, mask)`` of ndarrays is accepted too.
    mask : Mask
    instrument : Instrument

    Returns
    -------
    list of Traces
        Best first. Two where the frame does not tell whether the mask is mirrored across
        the dispersion, else one. For a single slit, where it cannot tell, the mask is
        taken as it is.

    Raises
    ------
    FitError
        If no layout of the mask stands out.
    """
    reduced = reduce_frame(*canonical_data(image, instrument))
    profile = _best_profile(reduced, instrument, 2 * len(mask))
    if _overfills(profile, mask, instrument):
        return [_traces(reduced, profile, nominal_layout(profile, mask, instrument), instrument, 0)]
    layouts = find_layouts(profile, mask, instrument)
    chosen = _choose(layouts, len(mask))
    other = {flip: max((x.score for x in layouts if x.flip_v != flip), default=0.0)
             for flip in (False, True)}  # fmt: skip
    return [
        _traces(reduced, profile, layout, instrument, other[layout.flip_v]) for layout in chosen
    ]


def _best_profile(reduced, instrument, n_edges):
    """Return the stretch of columns in which most edges are seen."""
    profiles = [central_profile(reduced, middle, aspect=instrument.aspect) for middle in MIDDLES]
    return max(profiles, key=lambda profile: _visible(profile, n_edges))


def _visible(profile, n_edges):
    return np.sum(find_peaks(profile, n_edges).weight > SEEN)


def _overfills(profile, mask, instrument):
    """Whether a single slit reaches beyond the frame at both ends, so that no edge is there."""
    scale = nominal_scale(mask, instrument)
    if len(mask) > 1 or not scale:
        return False
    slit = next(iter(mask.values()))
    length = slit.dimy if instrument.direction.along_x else slit.dimx
    light = profile.light
    if (1 + SCALE_RANGE) * scale * length <= len(light):
        return False
    reach = int(SCALE_RANGE * len(light)) + DEPTH
    return goes_on(light[:reach]) and goes_on(light[::-1][:reach])


def _choose(layouts, n_slits):
    """Return the layouts that stand out: one, or one of each mirror image."""
    best = layouts[0]
    # By chance some edges are missing: where many are expected and none is, less will do.
    rival = max((layout.score for layout in layouts[1:]), default=0.0)
    sure = best.matched == best.expected >= MANY
    sure |= best.whole >= WHOLE and LEAD * rival < best.score
    least = LEAST_SCORE[0] + (0.0 if sure else LEAST_SCORE[1] / np.sqrt(max(best.expected, 1)))
    if best.score < least:
        on_frame = any(layout.expected for layout in layouts)
        found = "no layout of the mask explains" if on_frame else "no slit of the mask falls on"
        raise FitError(_sentence(layouts, f"{found} the frame"))
    if best.matched < LEAST_MATCHED * best.expected or best.expected == 0:
        raise FitError(_sentence(layouts, "too few of the mask's edges are seen on the frame"))
    near = [other for other in layouts[1:] if other.score * CONTRAST > best.score]
    # Of a regular mask moved on by one slit most edges match too: two edges fewer decide.
    if any(x.flip_v == best.flip_v and x.matched > best.matched - 2 for x in near):
        raise FitError(_sentence(layouts, "several layouts explain the frame alike"))
    if n_slits == 1:
        return [min([best, *near], key=lambda layout: layout.flip_v)]
    return [best, *[other for other in near if other.flip_v != best.flip_v][:1]]


def _sentence(layouts, found):
    scores = ", ".join(f"{x.score:.2f} ({x.matched} of {x.expected} edges)" for x in layouts[:2])
    return (
        f"{found}; best scores {scores}. Tried: both mirror images, scale within 7 %, "
        "rotation within 2 degrees, shift within 15 % of the frame. Check that mask and frame "
        "belong together, and pixel_scale and dispersion_direction in the instrument file."
    )


def _traces(reduced, profile, layout, instrument, other_score):
    """Measure the edges of a layout."""
    edges = layout.edges
    limits = domain(edges, reduced.shape)
    rough = measuring.follow(reduced, layout, profile)
    guide = _with_unseen_ends(measuring.samples_of(rough, edges), layout, profile, limits)
    guide = guide.select(np.arange(len(guide)) % THIN == 0)
    field = fit_field(guide, limits, floor=0.1).field
    scale = field_scale(field, edges, profile.p)
    p = np.linspace(*limits[2], BINS)
    light = slit_light(reduced, field(edges.u[:, np.newaxis], edges.v[:, np.newaxis], p), p)
    lit = np.repeat(light > NO_LIGHT * np.nanmedian(light), 2)
    if not lit.any():
        raise FitError("no slit has light. Give a flat, or an arc with light in the slits.")
    for _ in range(ROUNDS):
        measured = measuring.measure_edges(reduced, field, edges, scale, lit)
        samples = measuring.samples_of(measured, edges)
        samples = _with_unseen_ends(samples, layout, profile, limits, measured)
        fit = _uncrossed_fit(samples, limits, edges)
        # How wide a seam is, the other edges tell: those of other seams only once these are told.
        if not measured.seams or _distance(fit.field, field, samples) < SETTLED:
            break
        field = fit.field
    measured, samples, fit = _without_odd_edges(measured, edges, samples, fit, limits)
    edge, column = np.nonzero(measured.used)
    rows = fit.field(edges.u[edge], edges.v[edge], measured.p[edge, column])
    offset = _offsets(list(layout.mask), measured.q[edge, column] - rows, edge)
    return _result(layout, reduced, instrument, measured, fit, offset, other_score)


def _distance(field, other, samples):
    """Return the largest distance of two fields where edges are measured, px."""
    at = samples.u, samples.v, samples.p
    return np.max(np.abs(field(*at) - other(*at)), initial=0.0)


def _with_unseen_ends(samples, layout, profile, limits, measured=None):
    """Lay the ends of a single slit where they are not seen, farther out where they are beyond."""
    edges = layout.edges
    if len(edges) != 2:
        return samples
    laid = [_expected_end(end, samples, layout, profile, limits) for end in (0, 1)]
    for end, (p, q) in enumerate(laid):
        if measured is not None and len(p):
            bins = np.argmin(np.abs(p[:, np.newaxis] - measured.p[end]), axis=1)
            beyond = measured.reason[end, bins] == BEYOND
            out = np.where(beyond, out_of_frame(q, edges.t[end], measured.rows) - q, 0.0)
            # What is nowhere seen is moved as a whole.
            q = q + (out if np.any(samples.group == end) else out[np.argmax(np.abs(out))])
        u, v, group, slit, sigma = (
            np.full(len(p), value)
            for value in (edges.u[end], edges.v[end], end, edges.slit[end], NOMINAL)
        )
        samples = samples.join(Samples(u, v, p, q, sigma, group, slit))
    return samples


def _expected_end(end, samples, layout, profile, limits):
    """Return columns where an end of a single slit is not seen, and the rows expected there.

    They lie at a distance from the other end: that where both are seen, or the nominal one.
    """
    mine, other = (samples.select(samples.group == n) for n in (end, 1 - end))
    rows = layout.field(layout.edges.u, layout.edges.v, 0.0)
    if len(other):
        _, here, there = np.intersect1d(mine.p, other.p, return_indices=True)
        away = np.median(mine.q[here] - other.q[there]) if len(here) else rows[end] - rows[1 - end]
        alone = ~np.isin(other.p, mine.p)
        return other.p[alone], other.q[alone] + away
    if len(mine):
        return np.zeros(0), np.zeros(0)
    p = np.linspace(*limits[2], BINS)
    return p, rows[end] + profile.slope * (p - profile.p)


def _uncrossed_fit(samples, limits, edges):
    """Fit a field in which no slit's ends cross, if need be of a lower degree.

    Raises
    ------
    FitError
        If they cross even so.
    """
    p = np.linspace(*limits[2], 33)
    for max_degree in (MAX_DEGREE, CAUTIOUS_DEGREE):
        fit = fit_field(samples, limits, max_degree=max_degree)
        rows = fit.field(edges.u[:, np.newaxis], edges.v[:, np.newaxis], p)
        if np.all(rows[0::2] > rows[1::2]):
            return fit
    raise FitError(
        "the smooth traces that fit the measured edges cross each other. The edges of a slit "
        "must keep their order along the spectrum. Give a flat with more light, or check the mask."
    )


def field_scale(field, edges, p):
    """Scale of a field across the dispersion, px per mm."""
    low, high = edges.v.min(), edges.v.max()
    ends = field(edges.u.mean(), np.array([low, high]), p)
    return float((ends[1] - ends[0]) / (high - low))


def _without_odd_edges(measured, edges, samples, fit, limits):
    """Leave out edges that are off the field as a whole; return what is left, and its fit."""
    edge, column = np.nonzero(measured.used)
    if not len(edge):
        return measured, samples, fit
    miss = median_by_edge(fit.residual[: len(edge)], edge, len(edges))  # those laid follow
    spread = 1.4826 * np.nanmedian(np.abs(miss))
    odd = np.abs(np.nan_to_num(miss)) > max(WHOLE_EDGE, 5 * spread)
    reason = measured.reason.copy()
    used = fit.used[: len(edge)]
    reason[edge[~used], column[~used]] = "outlier"
    reason[odd[:, np.newaxis] & measured.used] = OFF
    if odd[samples.group].any():
        samples = samples.select(~odd[samples.group])
        fit = _uncrossed_fit(samples, limits, edges)
    return replace(measured, used=reason == "", reason=reason), samples, fit


def median_by_edge(residual, group, n_edges):
    """Return the median residual of each edge, NaN where there is none."""
    return np.array(
        [np.median(residual[group == n]) if np.any(group == n) else np.nan for n in range(n_edges)]
    )


def _offsets(names, residual, group):
    """How far the two ends of each slit are off the field: where one is unknown, the other's."""
    ends = median_by_edge(residual, group, 2 * len(names)).reshape(-1, 2)
    ends = np.where(np.isnan(ends), ends[:, ::-1], ends)
    return {str(name): tuple(pair) for name, pair in zip(names, np.nan_to_num(ends), strict=True)}


def _result(layout, reduced, instrument, measured, fit, offset, other_score):
    """Put what was measured together, with a status for each slit."""
    mask, edges = layout.mask, layout.edges
    names = np.array(list(mask))
    on = np.isfinite(measured.q)
    edge, _ = np.nonzero(on)
    table = edge_table(
        slit=names[edges.slit[edge]], t=edges.t[edge], p=measured.p[on], q=measured.q[on],
        sigma=measured.sigma[on], used=measured.used[on], reason=measured.reason[on],
    )  # fmt: skip
    coverage = {
        str(name): _coverage(measured, edges.slit == n, reduced.shape[1])
        for n, name in enumerate(names)
    }
    status = _statuses(names, edges, reduced, measured, fit.field)
    return Traces(
        mask, instrument.direction, reduced.shape, layout.flip_v, fit.field, table, status,
        offset, coverage, fit.rms, layout.score, other_score,
    )  # fmt: skip


def _coverage(measured, mine, columns):
    """First and last column in which an edge of a slit was seen; NaN where none was."""
    p = measured.p[mine][measured.used[mine]]
    if len(p) == 0:
        return np.nan, np.nan
    half = columns / measured.p.shape[1] / 2
    return float(max(p.min() - half, 0)), float(min(p.max() + half, columns - 1))


def _statuses(names, edges, reduced, measured, field):
    """Say of each slit whether it is on the frame, lit, and measured."""
    q = field(edges.u[:, np.newaxis], edges.v[:, np.newaxis], measured.p)
    light = slit_light(reduced, q, measured.p[0])
    typical = np.nanmedian(light)
    seen = measured.used.sum(axis=1).reshape(-1, 2)
    rows = q.reshape(len(names), 2, -1)
    status = {}
    for n, name in enumerate(names):
        top, bottom = np.median(rows[n, 0]), np.median(rows[n, 1])
        place = place_status(top, bottom, reduced.shape[0])
        if place is None and not light[n] > NO_LIGHT * typical:
            place = SlitStatus("no light", f"{max(light[n] / typical, 0):.1%} of the others' light")
        if place is None and (off := _off_its_place(measured, rows[n], 2 * n)):
            place = SlitStatus(
                ASTRAY, f"its edges are {off:+.1f} px from where the others put them"
            )
        if place is None and not seen[n].any():
            place = SlitStatus("edges not measured", _why(measured, edges, n, names))
        status[str(name)] = place or SlitStatus("ok", "")
    return status


def _off_its_place(measured, rows, first):
    """Return how far a slit is off its place, px, if both its edges say so alike; else 0."""
    off = []
    for edge, expected in zip((first, first + 1), rows, strict=True):
        odd = measured.reason[edge] == OFF
        if not odd.any() or measured.used[edge].any():
            return 0.0
        off.append(np.median((measured.q[edge] - expected)[odd]))
    return float(np.mean(off)) if abs(off[0] - off[1]) < WHOLE_EDGE else 0.0


def _why(measured, edges, n, names):
    """Say why no edge of a lit slit was measured."""
    mine = edges.slit == n
    reasons, counts = np.unique(measured.reason[mine], return_counts=True)
    reason = reasons[np.argmax(counts)]
    if reason != "abuts":
        return str(reason)
    middle = measured.p.shape[1] // 2
    q = measured.q[:, middle]
    near = [np.argmin(np.where(mine, np.inf, np.abs(q - q[edge]))) for edge in np.flatnonzero(mine)]
    return "abuts slit " + " and ".join(dict.fromkeys(str(names[edges.slit[e]]) for e in near))


def slit_light(reduced, q, p):
    """Measure the light of each slit above that beside it.

    Parameters
    ----------
    reduced : Reduced
    q : ndarray, shape (edges, bins)
        Rows of the edges.
    p : ndarray, shape (bins,)
        Columns.

    Returns
    -------
    ndarray, shape (slits,)
        In units of the frame, of the brighter bins; NaN where the slit is not on the frame.
    """
    label = np.argmin(np.abs(reduced.p[:, np.newaxis] - p), axis=1)
    profile = np.stack([reduced.data[:, label == k].mean(axis=1) for k in range(len(p))])
    top, bottom = q.reshape(-1, 2, len(p)).transpose(1, 0, 2)
    inside = np.array([_at(profile, top + t * (bottom - top)) for t in (0.3, 0.5, 0.7)])
    on = np.isfinite(inside)
    inside = np.where(on, inside, 0.0).sum(axis=0) / np.where(
        on.any(axis=0), on.sum(axis=0), np.nan
    )
    beside = np.array([_at(profile, gap) for gap in _gaps(top, bottom)])
    floor = np.quantile(profile, 0.05, axis=1)
    dark = np.where(np.isfinite(beside).any(axis=0), np.fmax(*beside), floor)
    net = inside - dark
    light = np.full(len(net), np.nan)
    known = np.isfinite(net).any(axis=1)
    light[known] = np.nanquantile(net[known], 0.8, axis=1)
    return light


def _at(profile, q):
    """Light of each bin at rows q, shape (slits, bins); NaN off the frame."""
    row = np.rint(np.nan_to_num(q, nan=-1)).astype(int)
    inside = (row >= 0) & (row < profile.shape[1])
    column = np.broadcast_to(np.arange(len(profile)), row.shape)
    return np.where(inside, profile[column, np.clip(row, 0, profile.shape[1] - 1)], np.nan)


def _gaps(top, bottom):
    """Rows of the middle of the gaps above and below each slit; NaN where it is not clear."""
    order = np.argsort(-top.mean(axis=1))
    above, below = np.empty_like(top), np.empty_like(top)
    gap = bottom[order[:-1]] - top[order[1:]]
    above[order[0]], below[order[-1]] = top[order[0]] + BESIDE, bottom[order[-1]] - BESIDE
    step = np.where(gap > CLEAR, np.minimum(gap / 2, BESIDE), np.nan)
    above[order[1:]] = top[order[1:]] + step
    below[order[:-1]] = bottom[order[:-1]] - step
    return above, below
