"""Measure slit edges along their traces, to hundredths of a pixel.

`follow` tracks all edges outward from the column of a `Layout`; `measure_edges` measures
them again about the smooth field that results. The position of an edge is the peak of the
light's Gaussian derivative, with a blur of `BLUR` times the width of the edge: wide fits
are pulled by neighbours, narrow ones by noise. What neighbouring edges add is subtracted.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from specwcs.measure.borders import BEYOND, beyond_border
from specwcs.measure.field import Samples
from specwcs.measure.seams import WINDOW as SEAM_WINDOW
from specwcs.measure.seams import Seams, measure_seams

__all__ = ["UNEVEN", "EdgeProfiles", "Measured", "follow", "measure_edges", "samples_of"]

BLUR = 0.42
"""Blur of the derivative, in units of the edge's full width at half maximum."""

LEAST_WIDTH = 1.4
"""Least standard deviation of the blurred edge, px: a sharper one shows the pixels."""

WINDOW = 2.5
"""Largest distance of an edge from where it is expected, px."""

BINS = 32
"""Bins along the dispersion."""

SIGNIFICANT = 6.0
"""Least height of an edge, in standard errors."""

FAINT = 0.05
"""Least height of an edge in its bin, in units of the median one of the bin."""

FINE = 8
"""Samples per pixel of a straightened profile."""

RAMP = 0.68
"""Width of a Gaussian in units of a ramp that blurs alike: of the end of a tilted slit."""

ABUT = 0.8
"""Edges nearer to each other, in units of the full width at half maximum, are not resolved."""

SEAM = 1.6
"""Edges nearer to each other, in the same units, are measured as one seam."""

LEAST_SEAM = 2.4
"""The same in px, of the sharpest images."""

BORDER = 1.5
"""An edge nearer than this to the frame's, in units of its full width, is cut off."""

CROSSTALK_ROUNDS = 10
"""Rounds in which the light of neighbouring edges is subtracted."""

GRID = 0.25
"""Step of the offsets at which the slope of the light is known, px."""

WORST = 0.3
"""Largest standard error of a point that is used, px."""

BESIDE = 4.0
"""Distance from a slit at which its light has ended, px."""

LEAST_ROWS = 3
"""So many rows beside the slits tell the light there."""

BORDER_WORST = 0.1
"""The same of an edge at the frame's border, where part of its light is not seen."""

UNEVEN = "uneven light"
"""Why the end of a slit that is partly covered is not used."""

WIDTH, WIDTH_SPREAD = 0.1, 5.0
"""An edge is that of uneven light where its width differs by more from that of others, in units
of it and of the scatter of all: what steps twice is not where the slit ends."""

LEAST_EDGES = 6
"""So many edges tell what width they have."""

BLUR_TERMS = np.array([0.5, 0.5, 0.5, 0.3, 0.3, 0.3])
"""By how much the square of the blur may differ from that of the edges that stand alone, in units
of it, 1 sigma: a constant, linear and quadratic terms over the frame."""

BLUR_ERROR = 0.3
"""Error of each measurement of it: those of an edge err alike, where its light is uneven."""

BLUR_RANGE = 0.5, 3.0
"""Standard deviation of the blur at least and at most, px."""

BLUR_ROUNDS = 4
"""Rounds in which it is measured, and the light of neighbours subtracted that is as wide."""

LEAST_POINTS = 20
"""So many points tell how it differs."""

DEFAULT_FWHM = 2.5
"""Blur of edges where none is measured, px."""

FWHM = 2.3548  # of a Gaussian, in standard deviations


@dataclass(frozen=True)
class Measured:
    """Measured edges; arrays of shape (edges, bins).

    Attributes
    ----------
    p, q, sigma : ndarray
        Canonical position, px, and the standard error of q.
    height : ndarray
        Height of the step of the light.
    used : ndarray of bool
    reason : ndarray of str
        Why a point is not used.
    fwhm : float
        Full width at half maximum of the blur of edges, px.
    rows : int
        Of the frame.
    seams : int
        Number of pairs of edges, and of edges at the border, that were fitted.
    """

    p: np.ndarray
    q: np.ndarray
    sigma: np.ndarray
    height: np.ndarray
    used: np.ndarray
    reason: np.ndarray
    fwhm: float
    rows: int
    seams: int = 0


def samples_of(measured, edges):
    """Return the used points as `Samples` of the field."""
    edge, column = np.nonzero(measured.used)
    at = edge, column
    return Samples(
        edges.u[edge], edges.v[edge], measured.p[at], measured.q[at], measured.sigma[at],
        edge, edges.slit[edge],
    )  # fmt: skip


# -- outward from one column ------------------------------------------------------------


def follow(reduced, layout, profile, *, size=4, sigma=1.3):
    """Track the edges outward, a few columns at a time.

    Where edges are not seen, they are carried along by those that are: the displacement
    from the column of the layout is a low polynomial in v.

    Parameters
    ----------
    reduced : Reduced
    layout : Layout
    profile : Profile
        The stretch of columns that `layout` is true for.
    size : int
        Averaged columns that are taken together.
    sigma : float
        Blur of the derivative, px.

    Returns
    -------
    Measured
        Rough positions.
    """
    light, variance, p = reduced.profiles(size)
    rise = ndimage.gaussian_filter1d(light, sigma, axis=1, order=1, mode="nearest")
    noise = ndimage.gaussian_filter1d(variance, sigma, axis=1, mode="nearest")
    noise = np.sqrt(noise / (4 * np.sqrt(np.pi) * sigma**3))
    edges = layout.edges
    start = layout.field(edges.u, edges.v, 0.0)
    q = np.full((len(edges), len(p)), np.nan)
    middle = int(np.argmin(np.abs(p - profile.p)))
    for order in (range(middle, len(p)), range(middle - 1, -1, -1)):
        path = _Path(start, edges.v, profile)
        for k in order:
            expected = path.predict(p[k])
            q[:, k] = _nearest_peak(rise[k], noise[k], edges.sign, expected)
            q[:, k] = path.accept(p[k], q[:, k], expected)
    columns = np.broadcast_to(p, q.shape)
    seen = np.isfinite(q)
    return Measured(columns, q, np.where(seen, 0.1, np.inf), seen * 1.0, seen,
                    np.where(seen, "", "not seen"), np.nan, len(reduced.data))  # fmt: skip


class _Path:
    """The displacement of all edges from their start, learnt from the last columns.

    Parameters
    ----------
    start : ndarray
        Rows of the edges at the column of `profile`.
    v : ndarray
        mm.
    profile : Profile
        Gives the column and the slope to begin with.
    """

    memory = 10  # columns

    def __init__(self, start, v, profile):
        self.start, self.profile = start, profile
        self.v = (v - v.mean()) / max(np.ptp(v) / 2, 1e-9)
        self.points = []

    def _matrix(self, v, dp):
        terms = [np.ones_like(v), dp]
        if len(self.v) > 1:
            terms += [v * dp]
        if len(self.v) > 8:
            terms += [v, v**2, v**2 * dp]
        return np.stack(terms, axis=-1)

    def predict(self, p):
        """Rows expected at column p."""
        plain = self.start + self.profile.slope * (p - self.profile.p)
        if sum(len(miss) for _, _, miss in self.points) < 12:
            return plain
        columns = np.concatenate([np.full(len(v), column) for column, v, _ in self.points])
        v = np.concatenate([v for _, v, _ in self.points])
        miss = np.concatenate([miss for _, _, miss in self.points])
        near, span = self.points[-1][0], max(np.ptp(columns), 1.0)
        matrix = self._matrix(v, (columns - near) / span)
        # A little stiffness keeps what few edges cannot tell at the slope of the start.
        stiff = 0.1 * np.eye(matrix.shape[1])
        weight = np.ones(len(miss))
        for _ in range(3):
            solution = np.linalg.lstsq(
                np.vstack([matrix * weight[:, None], stiff]),
                np.append(miss * weight, np.zeros(len(stiff))), rcond=None,
            )[0]  # fmt: skip
            weight = 1 / np.maximum(np.abs(miss - matrix @ solution) / 0.3, 1.0)
        ahead = np.full(len(self.v), (p - near) / span)
        return plain + self._matrix(self.v, ahead) @ solution

    def accept(self, p, q, expected):
        """Keep the rows that move together; return them, NaN elsewhere."""
        jump = q - expected
        seen = np.isfinite(jump)
        if seen.any():
            seen &= np.abs(jump - np.nanmedian(jump)) < 1.5
        if seen.any():
            miss = q - self.start - self.profile.slope * (p - self.profile.p)
            self.points = [*self.points[1 - self.memory :], (p, self.v[seen], miss[seen])]
        return np.where(seen, q, np.nan)


def _nearest_peak(rise, noise, sign, expected):
    """Row of the significant peak of the right sign nearest to each expected row; or NaN."""
    rows = len(rise)
    offset = np.arange(-3, 4)
    finite = np.clip(np.nan_to_num(expected), -1e6, 1e6)
    row = np.rint(finite).astype(int)[:, np.newaxis] + offset
    inside = (row >= 1) & (row <= rows - 2)
    row = np.clip(row, 1, rows - 2)
    left, mid, right = (sign[:, np.newaxis] * rise[row + n] for n in (-1, 0, 1))
    top = inside & (mid >= left) & (mid > right) & (mid > SIGNIFICANT * noise[row])
    distance = np.where(top, np.abs(row - finite[:, np.newaxis]), np.inf)
    best = np.argmin(distance, axis=1)
    edge = np.arange(len(expected))
    left, mid, right, row = (a[edge, best] for a in (left, mid, right, row))
    curvature = np.where(top[edge, best], left - 2 * mid + right, -1.0)
    found = np.isfinite(distance[edge, best])
    return np.where(found, row + 0.5 * (left - right) / curvature, np.nan)


# -- about a smooth field -----------------------------------------------------------------


@dataclass(frozen=True)
class EdgeProfiles:
    """The light about each expected edge, bin by bin, straightened along the trace.

    Attributes
    ----------
    offset : ndarray, shape (n,)
        Distance from the expected row, px.
    light, variance, hidden, hits : ndarray, shape (edges, bins, n)
        Sums per fine sample: light, its variance, the number of interpolated pixels, and that
        of all pixels; none where some would lie beyond the frame, and repeat its border.
    count : ndarray, shape (edges, bins)
        Columns that were summed.
    p, q : ndarray, shape (edges, bins)
        The middle of the bin, and the row expected there.
    """

    offset: np.ndarray
    light: np.ndarray
    variance: np.ndarray
    hidden: np.ndarray
    hits: np.ndarray
    count: np.ndarray
    p: np.ndarray
    q: np.ndarray

    @classmethod
    def of(cls, reduced, field, edges, reach):
        """Collect the profiles within `reach` px of the edges of a field."""
        starts = np.linspace(0, len(reduced.p), min(BINS, len(reduced.p)) + 1).astype(int)
        label = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        n_bins, n_fine = len(starts) - 1, 2 * reach * FINE + 1
        rows = len(reduced.data)
        relative = np.arange(-reach, reach + 1)[:, np.newaxis]
        column = np.arange(len(reduced.p))
        middle = np.add.reduceat(reduced.p, starts[:-1]) / np.diff(starts)
        light, variance, hidden, hits, count = [], [], [], [], []
        for u, v in zip(edges.u, edges.v, strict=True):
            q = field(u, v, reduced.p)
            on = (q > -WINDOW) & (q < rows - 1 + WINDOW)
            row, k, place = np.rint(q[on]).astype(int) + relative, column[on], label[on]
            fine = (row - q[on] + reach) * FINE
            beyond = (row < 0) | (row > rows - 1)
            row = np.clip(row, 0, rows - 1)
            first = np.floor(fine).astype(int)
            inside = (first >= 0) & (first + 1 < n_fine)
            share = (fine - first)[inside]
            index = (place * n_fine + first)[inside]
            size = n_bins * n_fine

            def total(values, index=index, share=share, size=size):
                low = np.bincount(index, values * (1 - share), minlength=size)
                return low + np.bincount(index + 1, values * share, minlength=size)

            light.append(total(reduced.data[row, k][inside]))
            variance.append(total(reduced.variance[row, k][inside]))
            hidden.append(total(reduced.bad[row, k][inside].astype(float)))
            real = total(beyond[inside].astype(float)) == 0
            hits.append(np.where(real, total(np.ones(len(share))), 0.0))
            count.append(np.bincount(place, minlength=n_bins))
        stack = (len(edges), n_bins, n_fine)
        centre = field(edges.u[:, np.newaxis], edges.v[:, np.newaxis], middle)
        return cls(
            (np.arange(n_fine) / FINE) - reach,
            *(np.reshape(part, stack) for part in (light, variance, hidden, hits)),
            np.array(count), np.broadcast_to(middle, stack[:2]), centre,
        )  # fmt: skip


def measure_edges(reduced, field, edges, scale, lit=None):
    """Measure all edges within `WINDOW` of a field.

    Parameters
    ----------
    reduced : Reduced
    field : TraceField
    edges : MaskEdges
    scale : float
        px per mm across the dispersion, for the extent of tilted slits' ends.
    lit : ndarray of bool, shape (edges,), optional
        Edges of slits that have light; the others are no neighbours. By default all.

    Returns
    -------
    Measured
    """
    lit = np.ones(len(edges), bool) if lit is None else lit
    ramp = edges.ramp * scale
    reach = int(np.ceil(WINDOW + 4 * max(2.0, 0.3 * ramp.max()) + 1))
    profiles = EdgeProfiles.of(reduced, field, edges, reach)
    order = _Order(edges, profiles.q, lit)
    fwhm = _edge_width(profiles, edges, order, ramp, len(reduced.data))
    width = np.hypot(fwhm, RAMP * ramp) / FWHM
    lacking = np.sqrt(np.maximum(LEAST_WIDTH**2 - width**2, 0))
    response = _Response.of(profiles, edges.sign, np.maximum(BLUR * FWHM * width, lacking))
    rows = len(reduced.data)
    peak, tilt = response.peak(response.rise), RAMP * ramp[:, np.newaxis] / FWHM
    width = np.broadcast_to(width[:, np.newaxis], peak.offset.shape)
    for _ in range(BLUR_ROUNDS):
        peak = order.alone(profiles, response, peak, width)
        width = np.hypot(_local_blur(profiles, order, peak, response, tilt, fwhm, rows), tilt)
    peak = order.alone(profiles, response, peak, width)
    found = profiles.q + peak.offset
    cut = _near_border(found, rows, fwhm)
    widest = max(SEAM * fwhm, LEAST_SEAM)
    seams = Seams(edges, profiles.q, lit, rows, widest)
    beside = int(np.ceil(widest + SEAM_WINDOW * width.max() + 2))
    wide = EdgeProfiles.of(reduced, field, edges, beside) if beside > reach else profiles
    light, floor = _binned(reduced, profiles)
    q, error, common, apart = measure_seams(seams, wide, width, floor)
    # What is believed of the light that is not seen errs alike in all bins.
    worst = np.where(seams.at_border, BORDER_WORST, WORST)[:, np.newaxis]
    told = (error < worst) & (q >= 0) & (q <= rows - 1)
    # A peak is no matter of how wide the blur is, and alone is better where it is all seen.
    told &= cut | _near_border(q, rows, fwhm) | ~seams.at_border[:, np.newaxis]
    # Points count as independent, and there are as many as bins.
    error = np.hypot(error, np.sqrt(np.maximum(told.sum(axis=1, keepdims=True) - 1, 0)) * common)
    found, sigma = np.where(told, q, found), np.where(told, error, peak.sigma)
    # The mask may be turned: the light knows better how far two slits are apart.
    abuts = np.minimum(order.gap, apart) < ABUT * fwhm
    reason = _reasons(profiles, replace(peak, sigma=sigma), abuts & ~told, cut & ~told, told)
    blurred = np.hypot(width, response.blur[:, np.newaxis])
    reason[(reason == "") & ~told & _uneven(peak, blurred)] = UNEVEN
    reason[(reason != "") & beyond_border(light, floor, profiles.q, edges, lit)] = BEYOND
    sigma = np.where(reason == "", sigma, np.inf)
    height = peak.height / np.maximum(profiles.count, 1)
    return Measured(
        profiles.p, found, sigma, height, reason == "", reason, fwhm, rows, len(seams.low)
    )


def _near_border(q, rows, fwhm):
    """Whether the light of an edge is cut off by the frame's border."""
    return np.minimum(q, rows - 1 - q) < BORDER * fwhm


@dataclass(frozen=True)
class _Response:
    """The slope of the blurred light at distances `offset` from the expected edges.

    Positive where the light changes as the edge's sign says. Arrays of shape
    (edges, bins, offsets); `blur`, shape (edges,), in px.
    """

    offset: np.ndarray
    rise: np.ndarray
    noise: np.ndarray
    jitter: np.ndarray
    hidden: np.ndarray
    blur: np.ndarray
    count: np.ndarray

    @classmethod
    def of(cls, profiles, sign, blur):
        offset = np.arange(-WINDOW - GRID, WINDOW + 1.5 * GRID, GRID)
        sigma = blur[:, np.newaxis, np.newaxis]
        z = (profiles.offset[:, np.newaxis] - offset) / sigma
        gauss = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) / sigma
        first, second = z * gauss / sigma, (z**2 - 1) * gauss / sigma**2
        size = np.abs(first)
        return cls(
            offset,
            sign[:, np.newaxis, np.newaxis] * (profiles.light @ first),
            np.sqrt(profiles.variance @ first**2),
            np.sqrt(profiles.variance @ second**2),
            (profiles.hidden @ size) / (size.sum(axis=1, keepdims=True) / FINE),
            blur,
            profiles.count,
        )

    def peak(self, rise):
        """Find the highest point of the rise, to a fraction of the grid."""
        best = np.argmax(rise[..., 1:-1], axis=-1) + 1

        def at(values, step=0):
            return np.take_along_axis(values, (best + step)[..., np.newaxis], -1)[..., 0]

        left, mid, right = at(rise, -1), at(rise), at(rise, 1)
        curvature = (left - 2 * mid + right) / GRID**2
        inner = (curvature < 0) & (mid > 0) & (best > 1) & (best < rise.shape[-1] - 2)
        curvature = np.where(inner, curvature, -1.0)
        shift = np.where(inner, (left - right) / (2 * GRID) / curvature, 0.0)
        # Of a Gaussian the parabola through three points of the grid is too wide by this.
        width = np.sqrt(np.maximum(np.maximum(mid, 0) / -curvature - GRID**2 / 4, 0.0))
        snr = np.where(inner, mid / np.maximum(at(self.noise), 1e-300), 0.0)
        return _Peak(
            self.offset[best] + shift, mid * np.sqrt(2 * np.pi) * width, width,
            at(self.jitter) / -curvature, snr, at(self.hidden),
        )  # fmt: skip


@dataclass(frozen=True)
class _Peak:
    """The edge in each bin; arrays of shape (edges, bins)."""

    offset: np.ndarray
    height: np.ndarray
    width: np.ndarray
    sigma: np.ndarray
    snr: np.ndarray
    hidden: np.ndarray


class _Order:
    """Which edges are neighbours on the frame.

    Parameters
    ----------
    edges : MaskEdges
    q : ndarray, shape (edges, bins)
    lit : ndarray of bool, shape (edges,)
        Others are nobody's neighbours.
    """

    def __init__(self, edges, q, lit):
        self.sign, self.q = edges.sign, q
        shown = np.flatnonzero(lit)
        order = shown[np.argsort(q[shown].mean(axis=1))]
        place = np.full(len(q), -2)
        place[order] = np.arange(len(order))
        self.neighbours = []
        for step in (-1, 1):
            other = place + step
            exists = (other >= 0) & (other < len(order)) & lit
            self.neighbours.append((order[np.clip(other, 0, len(order) - 1)], exists))

    @property
    def gap(self):
        """Distance to the nearest neighbour in each bin, px."""
        away = [
            np.where(exists[:, np.newaxis], np.abs(self.q[other] - self.q), np.inf)
            for other, exists in self.neighbours
        ]
        return np.min(away, axis=0)

    def alone(self, profiles, response, peak, width):
        """Return the peaks without the light of the neighbours, whose widths are known."""
        for _ in range(CROSSTALK_ROUNDS):
            peak = response.peak(response.rise - self.crosstalk(profiles, response, peak, width))
        return peak

    def crosstalk(self, profiles, response, peak, width):
        """Return what the neighbours add to the rise about each edge."""
        total = np.zeros_like(response.rise)
        for other, exists in self.neighbours:
            real = exists[:, np.newaxis] & (peak.snr[other] > SIGNIFICANT)
            height = (
                np.where(real, peak.height[other], 0.0) * (self.sign * self.sign[other])[:, None]
            )
            share = profiles.count / np.maximum(profiles.count[other], 1)
            where = self.q[other] + peak.offset[other] - self.q
            spread = np.hypot(width[other], response.blur[:, np.newaxis])[..., np.newaxis]
            z = (response.offset - where[..., np.newaxis]) / spread
            total += (height * share)[..., np.newaxis] * np.exp(-(z**2) / 2) / spread
        return total / np.sqrt(2 * np.pi)


def _binned(reduced, profiles):
    """Light of each bin, and that beside the slits; shape (rows, bins), (bins,)."""
    bins = np.argmin(np.abs(reduced.p[:, np.newaxis] - profiles.p[0]), axis=1)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    light = np.add.reduceat(reduced.data, starts, axis=1) / np.diff([*starts, len(bins)])
    row = np.arange(len(light))[:, np.newaxis]
    slits = zip(profiles.q[1::2], profiles.q[0::2], strict=True)
    inside = np.any([(row > low - BESIDE) & (row < high + BESIDE) for low, high in slits], axis=0)
    # A slit that fills the frame leaves nothing to see beside it.
    floor = [
        np.quantile(column[~covered], 0.05) if np.sum(~covered) >= LEAST_ROWS else 0.0
        for column, covered in zip(light.T, inside.T, strict=True)
    ]
    return light, np.array(floor)


def _edge_width(profiles, edges, order, ramp, rows):
    """Full width at half maximum of the blur of edges, px: median of those that stand alone."""
    response = _Response.of(profiles, edges.sign, np.ones(len(edges)))
    peak = response.peak(response.rise)
    from_border = np.minimum(profiles.q, rows - 1 - profiles.q)
    alone = (np.minimum(order.gap, from_border) > 8) & (ramp < 0.3)[:, np.newaxis]
    for good in (alone & (peak.snr > 5 * SIGNIFICANT), peak.snr > SIGNIFICANT):
        if good.any():
            variance = np.median(peak.width[good]) ** 2 - 1
            return FWHM * np.clip(np.sqrt(max(variance, 0.0)), *BLUR_RANGE)
    return DEFAULT_FWHM


def _local_blur(profiles, order, peak, response, tilt, fwhm, rows):
    """Find how blurred each edge is in each bin, 1 sigma, px: images are sharper here than there.

    Over the frame it bends smoothly, as edges tell that are resolved.
    """
    typical = (fwhm / FWHM) ** 2
    p, q = (2 * (a - a.min()) / max(np.ptp(a), 1.0) - 1 for a in (profiles.p, profiles.q))
    terms = np.stack([np.ones_like(p), p, q, p * p, p * q, q * q], axis=-1)
    excess = (peak.width**2 - response.blur[:, np.newaxis] ** 2 - tilt**2) / typical - 1
    clear = (peak.snr > 5 * SIGNIFICANT) & (order.gap > SEAM * fwhm) & (peak.hidden == 0)
    clear &= ~_near_border(profiles.q + peak.offset, rows, fwhm)
    if clear.sum() < LEAST_POINTS:
        return np.full(p.shape, np.sqrt(typical))
    design, target, weight = terms[clear], excess[clear], np.ones(clear.sum())
    for _ in range(4):
        matrix = np.vstack([design * weight[:, np.newaxis], np.diag(BLUR_ERROR / BLUR_TERMS)])
        values = np.linalg.lstsq(matrix, np.append(target * weight, np.zeros(6)), rcond=None)[0]
        miss = np.abs(target - design @ values)
        weight = 1 / np.maximum(miss / (2 * np.median(miss) + 1e-9), 1.0)
    return np.clip(np.sqrt(np.maximum(typical * (1 + terms @ values), 0.0)), *BLUR_RANGE)


def _uneven(peak, width):
    """Find edges that are wider or narrower than the image makes them, shape (edges, 1)."""
    seen = peak.snr > SIGNIFICANT
    ratio = np.full(len(width), np.nan)
    some = seen.any(axis=1)
    ratio[some] = np.nanmedian(np.where(seen, peak.width / width, np.nan)[some], axis=1)
    if some.sum() < LEAST_EDGES:
        return np.zeros((len(width), 1), bool)
    away = np.abs(ratio / np.nanmedian(ratio) - 1)
    limit = max(WIDTH, WIDTH_SPREAD * 1.4826 * np.nanmedian(away))
    return (away > limit)[:, np.newaxis]


def _reasons(profiles, peak, abuts, cut, told):
    """Say why points cannot be used; empty where they can. A seam told some of them."""
    height = peak.height / np.maximum(profiles.count, 1)
    seen = peak.snr > SIGNIFICANT
    typical = [
        np.median(h[s]) if s.any() else np.inf for h, s in zip(height.T, seen.T, strict=True)
    ]
    reason = np.full(peak.snr.shape, "", dtype="U16")
    for faulty, words in (
        (peak.sigma > WORST, "uncertain"),
        (~told & (height < FAINT * np.array(typical)), "faint"),
        (~told & ~seen, "not seen"),
        (abuts, "abuts"),
        (peak.hidden > 0.1 * profiles.count, "bad pixels"),
        (cut | (2 * profiles.count < profiles.count.max()), "off the frame"),
    ):
        reason[faulty] = words
    return reason
