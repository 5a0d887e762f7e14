"""Find where the mask lies on a frame: a vote of all slit edges at once.

The slope of the light across the slits, in a stretch of columns, is correlated with the
edges that the mask predicts (the light falls at t = 0, rises at t = 1; abutting edges
cancel), for both mirror images, a range of scales, of rotations of the mask, and of
shifts. The best votes are polished: predicted edges are matched to measured ones with
shrinking tolerance and rising degree, and judged by how much of what was expected is seen
and how much of what is seen was expected.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from specwcs.measure.field import TraceField, design
from specwcs.measure.traces import MaskEdges, domain, frame_scale, nominal_scale, oriented

__all__ = ["Layout", "Profile", "central_profile", "find_layouts", "nominal_layout"]

SCALE_RANGE = 0.07
"""Largest relative error of the nominal scale."""

FREE_SCALE = (0.4, 1.3)
"""Scales tried where no slit has a length in arcsec, in units of mask filling the frame."""

ROTATION_RANGE = np.radians(2.0)
"""Largest rotation of the mask against the dispersion."""

SHIFT_RANGE = 0.15
"""Largest shift of the field, as a fraction of the frame."""

SLOPE_RANGE = np.tan(np.radians(2.5))
"""Largest slope of traces in the middle of the frame."""

VOTE_SIGMA = 2.5
"""Blur of the slope that is voted on, px: distortion bends the layout by as much."""

MATCH_SIGMA = 1.3
"""Blur of the slope in which single edges are found, px."""

SHOWN_SIGMA = 1.7
"""The same with the blur of images, about."""

FLOOR = 0.05
"""Quantile of the light across the slits that is what is beside them."""

STEP = 4.0
"""Largest displacement of an edge between neighbouring trials of a vote, px."""

CANDIDATES = 10
"""Votes of each mirror image that are polished."""

TOLERANCES = (10.0, 8.0, 6.0, 4.0, 3.0, 2.5)
"""Largest distance of an edge from where it is expected, px, in each round of polishing."""

BENDS = {
    (0, 0, 0): 0.02, (0, 1, 0): 0.02, (1, 0, 0): 0.02,
    (0, 2, 0): 0.004, (0, 3, 0): 0.006, (0, 4, 0): 0.002, (1, 1, 0): 0.003,
}  # fmt: skip
"""What polishing may add to a vote: the likely size of Chebyshev terms in (u, v, p), in units
of half the layout. The first three correct the vote, the others are distortion, of 1 or 2 %."""

BLURRED = 0.5
"""Standard error of an edge in a profile, px."""

SEEN = 0.3
"""Weight of an edge that is clearly seen."""

MATCHED = 1.0
"""Distance, px, that a match of the right layout hardly exceeds: chance matches do."""

PREFERENCE = 0.3
"""Loss of score per relative error of the nominal scale: decides where edges do not."""


@dataclass(frozen=True)
class Profile:
    """The light across the slits in a stretch of columns, with sloping traces straightened.

    Attributes
    ----------
    p : float
        Column to which rows refer.
    slope : float
        dq/dp of the traces.
    light, variance : ndarray, shape (rows,)
    """

    p: float
    slope: float
    light: np.ndarray
    variance: np.ndarray

    def rise(self, sigma):
        """Return the slope of the light with q, and its standard error."""
        rise = ndimage.gaussian_filter1d(self.light, sigma, order=1, mode="nearest")
        # The square of a Gaussian derivative is a positive kernel of this sum.
        noise = ndimage.gaussian_filter1d(self.variance, sigma, mode="nearest")
        return rise, np.sqrt(noise / (4 * np.sqrt(np.pi) * sigma**3))


@dataclass(frozen=True)
class Peaks:
    """Edges seen in a profile: row, sign of the rise, and weight from 0 to 1."""

    q: np.ndarray
    sign: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Layout:
    """A mask laid on the frame at one column.

    Attributes
    ----------
    flip_v : bool
    mask : Mask
        Oriented for `flip_v`.
    edges : MaskEdges
    field : TraceField
        Independent of p.
    score : float
        1 where all expected edges are seen and nothing else.
    matched, expected : int
        Number of edges.
    whole : int
        Number of slits of which both edges are clearly seen.
    """

    flip_v: bool
    mask: object
    edges: MaskEdges
    field: TraceField
    score: float
    matched: int
    expected: int
    whole: int = 0


# -- the profile ----------------------------------------------------------------


def central_profile(reduced, middle, *, aspect=1.0, size=4, width=0.25):
    """Add up the columns around `middle` along the slope that sharpens the edges most.

    Parameters
    ----------
    reduced : Reduced
    middle : float
        Centre of the stretch, as a fraction of the frame.
    aspect : float
        Height of a row, in widths of a column.
    size : int
        Averaged columns that are joined before slopes are tried.
    width : float
        Length of the stretch, as a fraction of the frame.

    Returns
    -------
    Profile
    """
    profiles, variances, p = reduced.profiles(size)
    columns = reduced.shape[1]
    centre = middle * columns
    near = np.abs(p - centre) <= width * columns / 2
    profiles, variances, offset = profiles[near], variances[near], p[near] - centre
    rise = ndimage.gaussian_filter1d(profiles, VOTE_SIGMA, axis=1, order=1, mode="nearest")
    limit = 1.5 * np.quantile(np.abs(rise), 0.97, axis=1, keepdims=True)
    rise = np.clip(rise, -limit, limit) / np.where(limit > 0, limit, 1.0)
    frequency = 2j * np.pi * np.fft.rfftfreq(rise.shape[1])
    spectrum = np.fft.rfft(rise, axis=1)
    step = 1.0 / max(np.abs(offset).max(), 1.0)
    steepest = SLOPE_RANGE / aspect
    slopes = np.arange(-steepest, steepest + step, step)
    power = [
        np.sum(np.abs(np.sum(spectrum * np.exp(frequency * s * offset[:, None]), axis=0)) ** 2)
        for s in slopes
    ]
    slope = float(_vertex(slopes, np.array(power)))
    straight = [
        ndimage.shift(row, -slope * dp, order=1, mode="nearest")
        for row, dp in zip(profiles, offset, strict=True)
    ]
    return Profile(centre, slope, np.mean(straight, axis=0), variances.mean(axis=0) / len(offset))


def _vertex(x, y):
    """Position of the maximum of y(x) on an even grid, by a parabola."""
    i = int(np.clip(np.argmax(y), 1, len(y) - 2))
    curvature = y[i - 1] - 2 * y[i] + y[i + 1]
    shift = 0.5 * (y[i - 1] - y[i + 1]) / curvature if curvature < 0 else 0.0
    return x[i] + np.clip(shift, -1, 1) * (x[1] - x[0])


def find_peaks(profile, n_edges):
    """Find the edges in a profile.

    Parameters
    ----------
    profile : Profile
    n_edges : int
        Number of edges that the mask has: sets what is a strong one.

    Returns
    -------
    Peaks
        Those above six standard errors and an eighth of a strong edge.
    """
    rise, noise = profile.rise(MATCH_SIGMA)
    height = np.abs(rise)
    inner = slice(1, -1)
    top = (height[inner] >= height[:-2]) & (height[inner] > height[2:])
    q = np.flatnonzero(top) + 1
    q = q[height[q] > 6 * noise[q]]
    if len(q) == 0:
        return Peaks(q.astype(float), q.astype(float), q.astype(float))
    strong = np.median(np.sort(height[q])[-n_edges:])
    q = q[height[q] > strong / 8]
    left, mid, right = height[q - 1], height[q], height[q + 1]
    curvature = left - 2 * mid + right
    shift = np.where(curvature < 0, 0.5 * (left - right) / np.where(curvature < 0, curvature, 1), 0)
    weight = np.minimum(mid / strong, 1.0) * _completeness(profile.light, q, rise[q] > 0)
    return Peaks(q + shift, np.sign(rise[q]), weight)


def _completeness(light, q, rises):
    """How much of the light of a slit ends at each edge, from 0 to 1: little at a nick."""
    ends = np.concatenate([[0], q, [len(light)]])
    stretches = [light[low : high + 1] for low, high in itertools.pairwise(ends)]
    low, high = (np.array([f(part) for part in stretches]) for f in (np.min, np.max))
    floor = np.quantile(light, FLOOR)
    low[[0, -1]] = np.minimum(low[[0, -1]], floor)  # beyond the frame it may be dark
    dark = np.where(rises, low[:-1], low[1:])
    bright = np.where(rises, high[1:], high[:-1])
    return (bright - dark) / np.maximum(bright - np.minimum(floor, dark), 1e-300)


# -- the vote ---------------------------------------------------------------------


def find_layouts(profile, mask, instrument):
    """Lay the mask on a profile, in either mirror image.

    Parameters
    ----------
    profile : Profile
    mask : Mask
    instrument : Instrument

    Returns
    -------
    list of Layout
        Best first; solutions that differ in no edge by more than a few pixels are one.
    """
    nominal = nominal_scale(mask, instrument)
    layouts = []
    for flip_v in (False, True):
        turned = oriented(mask, instrument.direction, flip_v)
        edges = MaskEdges.of(turned, instrument.direction, flip_v)
        peaks = find_peaks(profile, len(edges))
        for trial in _vote(profile, edges, nominal):
            field = _polish(trial, edges, peaks, len(profile.light))
            layouts.append(_judged(field, flip_v, turned, edges, peaks, profile, nominal))
    layouts.sort(key=lambda layout: -layout.score)
    return _distinct(layouts, len(profile.light))


def nominal_layout(profile, mask, instrument):
    """Lay a mask on a profile by its nominal scale, in the middle; see `find_layouts`."""
    turned = oriented(mask, instrument.direction, False)
    edges = MaskEdges.of(turned, instrument.direction, False)
    rows = len(profile.light)
    scale = nominal_scale(mask, instrument)
    field = TraceField.linear(scale, (rows - 1) / 2, domain(edges, (rows, 1)))
    return Layout(False, turned, edges, field, np.nan, 0, 0)


def _scales(nominal, edges, rows):
    """Scales to try, px per mm, in equal ratios about the nominal one."""
    if nominal:
        low, high = nominal * (1 - SCALE_RANGE), nominal * (1 + SCALE_RANGE)
    else:
        low, high = (factor * frame_scale(edges, (rows,)) for factor in FREE_SCALE)
    reach = np.abs(edges.v - np.mean(edges.v)).max() * high
    steps = np.log(high / low) * min(reach, rows) / STEP
    return np.geomspace(low, high, 2 * int(np.ceil(steps / 2)) + 1)


def _rotations(edges, scale):
    """Rotations to try, in radians, that displace edges by `STEP`."""
    steps = 2 * ROTATION_RANGE * np.ptp(edges.u) / 2 * scale / STEP
    return np.linspace(-ROTATION_RANGE, ROTATION_RANGE, 2 * int(np.ceil(steps / 2)) + 1)


def _preference(scale, nominal):
    """Factor on the score of a scale: a little below 1 away from the nominal one."""
    return 1 - PREFERENCE * abs(np.log(scale / nominal)) if nominal else 1.0


def _vote(profile, edges, nominal):
    """Correlate the edges with the profile; return the best (scale, rotation, shift)."""
    rows = len(profile.light)
    slope, noise = profile.rise(VOTE_SIGMA)
    slope = _even(slope, noise, len(edges))
    scales = _scales(nominal, edges, rows)
    rotations = _rotations(edges, scales[-1]) if np.ptp(edges.u) else np.zeros(1)
    largest = int(SHIFT_RANGE * rows)
    shifts = np.arange(-largest, largest + 1)
    reach = scales[-1] * (np.abs(edges.v).max() + ROTATION_RANGE * np.abs(edges.u).max())
    size = _fft_size(2 * int(reach) + rows + 2 * largest + 4)
    target = np.conj(np.fft.rfft(slope, size))
    middle = (rows - 1) / 2
    found = []
    for scale in scales:
        q = middle + scale * (edges.v + rotations[:, np.newaxis] * edges.u)
        spectrum = np.fft.rfft(_template(q, edges.sign, size), axis=1)
        both = np.fft.irfft(np.conj(spectrum * target), size, axis=1)[:, shifts]
        seen = _on_frame(q, shifts, rows)
        score = both / np.sqrt(np.maximum(seen, 0.5 * len(edges)))
        score *= _preference(scale, nominal)
        best = np.argmax(score, axis=1)
        found += [
            (score[n, i], scale, rotation, middle + shifts[i])
            for n, (rotation, i) in enumerate(zip(rotations, best, strict=True))
        ]
        found += _second_best(score, scale, rotations, shifts, middle, best)
    return _separate(sorted(found, reverse=True), edges)


def _even(slope, noise, n_edges):
    """Clip the slope, so that a few bright slits do not outvote the others."""
    peaks = np.abs(slope)[1:-1]
    top = peaks[(peaks >= np.abs(slope)[:-2]) & (peaks > np.abs(slope)[2:])]
    strong = np.median(np.sort(top)[-n_edges:]) if len(top) else 1.0
    strong = max(strong, 3 * float(np.median(noise)), 1e-300)
    return np.clip(slope / strong, -1.0, 1.0)


def _template(q, sign, size):
    """Signed unit impulses at q, shared between neighbouring rows; shape (len(q), size)."""
    first = np.floor(q).astype(int)
    share = q - first
    template = np.zeros((len(q), size))
    line = np.arange(len(q))[:, np.newaxis]
    np.add.at(template, (line, first % size), sign * (1 - share))
    np.add.at(template, (line, (first + 1) % size), sign * share)
    return template


def _on_frame(q, shifts, rows):
    """Count the edges on the frame for each shift; shape (len(q), len(shifts))."""
    ordered = np.sort(q, axis=1)
    return np.array(
        [np.searchsorted(row, rows - shifts) - np.searchsorted(row, -shifts) for row in ordered]
    )


def _second_best(score, scale, rotations, shifts, middle, best):
    """List the best vote of each scale that is elsewhere than that of its rotation."""
    far = np.abs(np.arange(score.shape[1]) - best[:, np.newaxis]) > 8
    rest = np.where(far, score, -np.inf)
    n, i = np.unravel_index(np.argmax(rest), rest.shape)
    return [(rest[n, i], scale, rotations[n], middle + shifts[i])]


def _fft_size(size):
    """Return a power of two that is at least `size`."""
    return 1 << (size - 1).bit_length()


def _separate(found, edges):
    """Keep the best votes that differ from each other in some edge by a few pixels."""
    kept, places = [], []
    for _, scale, rotation, shift in found:
        q = shift + scale * (edges.v + rotation * edges.u)
        if all(np.abs(q - place).max() > 2 * STEP for place in places):
            kept.append((scale, rotation, shift))
            places.append(q)
        if len(kept) == CANDIDATES:
            break
    return kept


# -- polishing ----------------------------------------------------------------------


def _polish(trial, edges, peaks, rows):
    """Bend a vote to the peaks that it comes near to, nearer in every round."""
    scale, rotation, shift = trial
    straight = TraceField.linear(scale, shift, domain(edges, (rows, 1)), rotation)
    field, free = straight, ~_abutting(edges, scale)
    for tolerance in TOLERANCES:
        edge, peak = _match(field(edges.u, edges.v, 0.0), edges.sign, free, peaks, tolerance)
        field = _bent(straight, edges, edge, peaks.q[peak])
    return field


def _judged(field, flip_v, mask, edges, peaks, profile, nominal):
    """Make the layout of a field, with its score."""
    rows = len(profile.light)
    q = field(edges.u, edges.v, 0.0)
    scale = (q.max() - q.min()) / np.ptp(edges.v)
    free = ~_abutting(edges, scale)
    q = np.where(free, _shown(q, edges.sign), q)
    edge, peak = _match(q, edges.sign, free, peaks, TOLERANCES[-1])
    # The seam of two slits may show as a dip, or not at all: it counts neither way.
    seam = np.any(np.abs(peaks.q[:, np.newaxis] - q[~free]) <= TOLERANCES[-1], axis=1)
    seam[peak] = False
    expected = int(np.sum(free & (q > -0.5) & (q < rows - 0.5)))
    miss = (q[edge] - peaks.q[peak]) / MATCHED
    agree = np.sum(peaks.weight[peak] * np.exp(-(miss**2) / 2))
    score = agree / np.sqrt(max(expected, 1) * max(np.sum(peaks.weight[~seam] ** 2), 1e-9))
    score *= _preference(scale, nominal) * _ordered(q)
    clear = edges.slit[edge[peaks.weight[peak] > SEEN]]
    whole = int(np.sum(np.bincount(clear) == 2))
    return Layout(flip_v, mask, edges, field, float(score), len(edge), expected, whole)


def _abutting(edges, scale):
    """Edges that cancel: the next slit begins within two pixels."""
    place = scale * edges.v
    near = np.abs(place[:, np.newaxis] - place) < 2.0
    other = edges.sign[:, np.newaxis] != edges.sign
    return np.any(near & other, axis=1)


def _shown(q, sign):
    """Rows at which edges show as peaks: those nearer than the blur push each other apart.

    Of two opposite steps, 2 h apart in units of the blur, the slope of the light is highest where
    ``y tanh(y h) = h``, y from the middle between them.
    """
    order = np.argsort(q)
    low, high = order[:-1], order[1:]
    half = np.maximum(q[high] - q[low], 1e-3) / (2 * SHOWN_SIGMA)
    y = np.cbrt(half**3 + 1)
    for _ in range(4):
        y = 0.5 * (y + half / np.tanh(y * half))
    push = np.where(sign[low] != sign[high], SHOWN_SIGMA * (y - half), 0.0)
    shown = q.copy()
    shown[low] -= push
    shown[high] += push
    return shown


def _match(q, sign, free, peaks, tolerance):
    """Pair edges and peaks that are each other's nearest, with the same sign."""
    if len(peaks.q) == 0:
        return np.array([], dtype=int), np.array([], dtype=int)
    distance = np.abs(q[:, np.newaxis] - peaks.q)
    distance[(sign[:, np.newaxis] != peaks.sign) | ~free[:, np.newaxis]] = np.inf
    peak = np.argmin(distance, axis=1)
    edge = np.arange(len(q))
    good = (distance[edge, peak] <= tolerance) & (np.argmin(distance, axis=0)[peak] == edge)
    return edge[good], peak[good]


def _bent(straight, edges, edge, q):
    """Bend a layout to matched edges, as far as `BENDS` make likely.

    The penalty makes one law of it for one edge and for hundreds.
    """
    terms = np.array(list(BENDS))
    size = np.ptp(straight(edges.u, edges.v, 0.0)) / 2
    stiff = np.diag(BLURRED / (size * np.array(list(BENDS.values()))))
    u, v = edges.u[edge], edges.v[edge]
    matrix = design(terms, straight.domain, u, v, np.zeros(len(edge)))
    miss = q - straight(u, v, 0.0)
    weight = np.ones(len(edge))
    # In the end a slit that is cut elsewhere, both of whose edges are off, pulls nothing.
    for power in (0.5, 0.5, 0.5, 1.0, 1.0, 1.0):
        rows = np.vstack([matrix * weight[:, np.newaxis], stiff])
        change = np.linalg.lstsq(rows, np.append(miss * weight, np.zeros(len(terms))), rcond=None)[
            0
        ]
        weight = np.minimum(1, BLURRED / np.maximum(np.abs(miss - matrix @ change), 1e-9)) ** power
    base = np.zeros(len(terms))
    for term, coefficient in zip(straight.terms, straight.coefficients, strict=True):
        base[np.all(terms == term, axis=1)] = coefficient
    return TraceField(terms, base + change, straight.domain)


def _ordered(q):
    """Whether every slit still has its t = 0 end at the larger q."""
    return bool(np.all(np.diff(q.reshape(-1, 2), axis=1) < 0))


def _distinct(layouts, rows):
    """Drop layouts that a better one repeats, in the edges that it puts on the frame."""
    kept = []
    for layout in layouts:
        q = layout.field(layout.edges.u, layout.edges.v, 0.0)
        on = (q > -0.5) & (q < rows - 0.5)
        same = (
            other.flip_v == layout.flip_v
            and _apart(q[on], other.field(other.edges.u[on], other.edges.v[on], 0.0)) < 2 * STEP
            for other in kept
        )
        if not any(same):
            kept.append(layout)
    return kept


def _apart(q, other):
    """Return the median distance of two sets of rows; 0 of empty ones."""
    return np.median(np.abs(q - other)) if len(q) else 0.0
