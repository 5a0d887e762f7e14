"""The vote: which wavelengths could the peaks of all slits be, from the nominal values alone.

Model: in every slit wavelength is one smooth function of the column plus a constant,
``lambda = F(p) + A_slit``; it is exact for a grating in the plane (the grating equation is
a sum of a term of the column and a term of the slit's position) and close to it elsewhere.
The nominal values give F to some per cent and A_slit to a part of the frame. A prism moves
the spectrum of a slit as a whole, ``lambda = F(p - p_slit)``, and bends it as glass does.

Score: the logarithm of the probability density of the peaks' wavelengths, if a part of
them are catalogue lines and the others fall anywhere, over the density if all fell
anywhere. The catalogue's density is normalised over the wavelengths that a hypothesis
puts on the frame, so that a rich catalogue, which explains anything, earns little.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from specwcs.measure.solution import DEGREE, Solution, moved

__all__ = ["Prior", "vote"]

STRETCH = 0.065
"""How far the dispersion may be from its nominal value, as a fraction."""
BENDS = (0.08, 0.2)
"""Largest quadratic term: the shift at the frame's edges as a fraction of half the frame. The
second is tried where the first, which most instruments keep to, holds no solution."""
GLASS = (0.1, 0.42)
"""The same of prisms, the last to be tried: from 1.5 to 5 times the dispersion of the blue end in
the red. Wavelengths are a hyperbola of the column, whose Chebyshev terms go as powers."""
CUBIC = (-0.008, -0.004, 0.0)
"""Third Chebyshev term, likewise: gratings and cameras make it negative."""
GLASS_STRETCH = 0.16
"""As `STRETCH`, of the middle of the frame, where that at the reference wavelength is known."""
SHIFT = 0.15
"""How far the spectra may lie from where the mask puts them, in units of the frame."""
SCALES = (0.07, 0.3)
"""How far the mask's scale along the dispersion may be from its nominal value; the second is tried
with the second of `BENDS`: dispersers far off their normal stretch the mask."""

# Width of the vote's kernel over the length of the frame: what its grids and the terms that
# it leaves out may shift a line.
_BLUR = 1.6e-3
_STEP = 0.7
_PEAKS = 30
# Fraction of the peaks of each grade that are no line of the catalogue.
_UNKNOWN = (0.12, 0.25, 0.5)
# A slit's constant may leave the straight line in the mask's position by this part of it.
_STRAY = 0.01


@dataclass(frozen=True)
class Prior:
    """What is known of the wavelengths before a look at the arc.

    Attributes
    ----------
    dispersion : float
        Nominal, Å/px.
    reference : float
        Reference wavelength, Å.
    offset : ndarray, shape (n_slits,)
        Where the mask puts the reference wavelength: px from the middle of the frame.
    row : ndarray, shape (n_slits,)
        Row of the middle of each slit, from the middle of the frame: as many px as it would be
        were rows as high as columns are wide.
    length : int
        Columns of the frame.
    bend : float
        Largest quadratic term, as in `BENDS`.
    scale : float
        Range of the mask's scale, as in `SCALES`.
    glass : bool
        Whether the disperser is a prism: `GLASS` instead.
    """

    dispersion: float
    reference: float
    offset: np.ndarray
    row: np.ndarray
    length: int
    bend: float = BENDS[0]
    scale: float = SCALES[0]
    glass: bool = False

    @property
    def blur(self):
        """Width of the vote's kernel, px."""
        return max(1.0, _BLUR * self.length)

    @property
    def place(self):
        """Places of the slits as in `Solution`, shape (n_slits, 2)."""
        return np.stack([self.offset, self.row], axis=1) / (0.5 * self.length)

    def of_slits(self, slits):
        """Return the same for some slits."""
        return replace(self, offset=self.offset[slits], row=self.row[slits])

    def span(self):
        """Return the shortest and longest wavelength that can fall on the frame, Å."""
        reach = (0.5 + SHIFT) * self.length + (1 + self.scale) * np.abs(self.offset).max()
        reach *= self.dispersion * (1 + STRETCH) * (1 + self.bend)
        return self.reference - reach, self.reference + reach

    def moves(self, flip_u):
        """Return by how much a prism moves the spectra of slits, px, shape (n_slits,), or None."""
        return self.offset * (-1.0 if flip_u else 1.0) if self.glass else None


def vote(peaks, lines, prior, keep, flip_u):
    """Scan all wavelength solutions that the nominal values allow.

    Parameters
    ----------
    peaks : PeakTable
    lines : LineTable
    prior : Prior
    keep : int
        Number of solutions wanted.
    flip_u : bool
        Whether the mask is taken as mirrored along the dispersion.

    Returns
    -------
    list of Solution
        The best that are distinct, best first.
    """
    table, ways = _Table(lines, prior), _Ways(prior, flip_u)
    scans = [_Scan(peaks.of_slits([i]), table, prior, ways, i) for i in range(len(prior.offset))]
    step = 1.5 * prior.blur / (0.5 * prior.length)
    low, stretch = (GLASS[0], GLASS_STRETCH) if prior.glass else (-prior.bend, STRETCH)
    bend, cubic = np.meshgrid(np.arange(low, prior.bend + step, 1.5 * step), CUBIC)
    found = []
    for slope in prior.dispersion * np.exp(np.arange(-stretch, stretch + step, step)):
        shape = _Shape.of(slope, bend.ravel(), cubic.ravel(), prior.glass)
        found += _consensus(scans, shape, table, prior, ways)
    return _distinct(found, prior, keep, flip_u)


@dataclass(frozen=True)
class _Shape:
    """Chebyshev terms 1 to 4 of some laws, Å/px and parts of the first; all of shape (n,)."""

    slope: np.ndarray
    bend: np.ndarray
    cubic: np.ndarray
    fourth: np.ndarray

    @classmethod
    def of(cls, slope, bend, cubic, glass):
        """Make the laws of a slope in the middle of the frame."""
        ratio = 0.5 * bend if glass else np.zeros(len(bend))
        cubic = cubic + ratio**2
        return cls(slope / (1 - 3 * ratio**2), bend, cubic, ratio**3)

    def shift(self, prior, powers):
        """Wavelength relative to that at the middle of the frame, Å, shape (n, m)."""
        terms = [1 - 3 * self.cubic, self.bend - 8 * self.fourth, 4 * self.cubic, 8 * self.fourth]
        return (0.5 * prior.length * self.slope * terms).T @ powers


def _powers(x):
    """Return what `_Shape.shift` takes for places x, -1 … 1 over the frame, shape (4, len(x))."""
    return np.asarray(x) ** np.arange(1, 5)[:, None]


class _Ways:
    """Where the mask may put the spectra: shifts, px, and scales; and moves as a whole, px."""

    def __init__(self, prior, flip_u):
        extent = np.abs(prior.offset).max()
        self.shift = np.arange(-SHIFT * prior.length, SHIFT * prior.length, _STEP * prior.blur)
        self.scale, self.move = np.ones(1), _none_is_still(prior, flip_u)
        self.stray = _STRAY * extent
        if extent > prior.blur:
            step = 3 * max(prior.blur, self.stray) / extent
            self.scale = np.arange(1 - prior.scale, 1 + prior.scale, step)
        if flip_u:
            self.scale = -self.scale


class _Table:
    """The catalogue's density on a grid of wavelengths: one row a grade of peaks."""

    def __init__(self, lines, prior):
        self.first, last = prior.span()
        self.step = _STEP * prior.blur * prior.dispersion
        bins = np.arange(self.first, last + self.step, self.step)
        self.n = len(bins) - 1
        # Beyond its ends the table goes on by its own length: nothing is sought farther away.
        self.log, self.integral = [], []
        for weight, unknown in zip(lines.weight, _UNKNOWN, strict=True):
            density = np.histogram(lines.wavelength, bins, weights=weight)[0]
            density = density / (density.mean() or 1.0)
            smooth = gaussian_filter1d(density, 1 / _STEP)
            log = np.log(unknown + (1 - unknown) * smooth).astype(np.float32)
            self.log.append(np.pad(log, self.n, constant_values=log.min()))
            integral = np.concatenate([[0.0], np.cumsum(density)])
            self.integral.append(np.pad(integral, self.n, mode="edge"))

    def bins(self, wavelength):
        """Turn differences of wavelengths to numbers of bins, at most all."""
        return np.clip(np.rint(wavelength / self.step), -self.n, self.n).astype(int)

    def log_mean(self, shape, prior, first, last):
        """Logarithm of the mean density over the frame: (n_shapes, n_bins) for each grade."""
        ends = self.bins(shape.shift(prior, _powers([-1.0, 1.0])))
        low, high = np.clip(np.arange(first, last) + ends.T[..., None], 0, self.n)
        # One line more than there is: an empty range is no evidence.
        width, start = high - low + 1.0, self.n + first
        mean = []
        for total in self.integral:
            windows = sliding_window_view(total, last - first)
            low, high = (windows[start + e] for e in ends.T)
            mean.append(np.log(((high - low + 1.0) / width).astype(np.float32)))
        return mean


class _Scan:
    """The scores of one slit for the wavelengths at the middle of the frame: its constants."""

    def __init__(self, peaks, table, prior, ways, i):
        order = np.argsort(-peaks.flux)[:_PEAKS]
        half = 0.5 * prior.length
        x = (2 * peaks.p[order] - prior.length + 1) / (prior.length - 1) - ways.move[i] / half
        self.peaks, self.grade = _powers(x), peaks.grade[order]
        place = ways.shift + (ways.scale * prior.offset[i] - ways.move[i])[:, None]
        self.constants = [_powers(p / half) for p in place]
        self.ends = _powers(np.array([place.min(), place.max()]) / half)
        self.table, self.prior = table, prior

    def bins(self, shape, powers):
        """Return the bins of constants, where the mask puts the reference wavelength."""
        constant = self.prior.reference - self.table.first - shape.shift(self.prior, powers)
        return np.rint(constant / self.table.step)

    def reach(self, shape):
        """Return the first and last bin of the constants that the mask allows."""
        ends = self.bins(shape, self.ends)
        return np.clip([ends.min(), ends.max()], 0, self.table.n - 1).astype(int)

    def __call__(self, shape, mean, start, reach, stray):
        """Return scores, shape (n_scales, n_shapes, n_shifts), with `mean` from bin `start` on."""
        table, (low, high) = self.table, reach
        first, last = max(low - stray, 0), min(high + stray + 1, table.n)
        index = table.bins(shape.shift(self.prior, self.peaks)) + table.n + first
        score = np.zeros((len(index), last - first), np.float32)
        for grade, log in enumerate(table.log):
            windows = sliding_window_view(log, last - first)
            for k in np.flatnonzero(self.grade == grade):
                score += windows[index[:, k]]
            score -= np.sum(self.grade == grade) * mean[grade][:, first - start : last - start]
        if stray:
            score = maximum_filter1d(score, 2 * stray + 1, axis=1)
        row = score.shape[1] * np.arange(len(score))[:, None] - first
        bins = (np.clip(self.bins(shape, powers), low, high) for powers in self.constants)
        return np.stack([score.ravel()[b.astype(int) + row] for b in bins])


def _consensus(scans, shape, table, prior, ways):
    """Sum the slits' scores where the mask puts them, for all shifts and scales."""
    stray = int(ways.stray * shape.slope.mean() / table.step)
    reaches = np.array([scan.reach(shape) for scan in scans])
    start = max(reaches.min() - stray, 0)
    mean = table.log_mean(shape, prior, start, min(reaches.max() + stray + 1, table.n))
    totals = sum(s(shape, mean, start, r, stray) for s, r in zip(scans, reaches, strict=True))
    found = []
    for scale, total in zip(ways.scale, totals, strict=True):
        best = np.argpartition(total.ravel(), -30)[-30:]
        for m, n in zip(*np.unravel_index(best, total.shape), strict=True):
            found.append((float(total[m, n]), shape, m, ways.shift[n], scale))
    return found


def _none_is_still(prior, flip_u):
    """Return by how much spectra are moved as a whole, px; 0 where gratings add constants."""
    moves = prior.moves(flip_u)
    return np.zeros(len(prior.offset)) if moves is None else moves


def _constant(shape, prior, position):
    """Wavelength at the middle of the frame if the reference falls `position` px from it."""
    return prior.reference - shape.shift(prior, _powers(position / (0.5 * prior.length)))


def _solution(candidate, prior, flip_u):
    """Turn the numbers of a candidate into a `Solution`."""
    score, shape, m, shift, scale = candidate
    half, moves = 0.5 * prior.length * shape.slope[m], prior.moves(flip_u)
    constant = shift + scale * prior.offset - _none_is_still(prior, flip_u)
    terms = np.array([1.0, 0.5 * shape.bend[m], shape.cubic[m], shape.fourth[m]])
    series = np.zeros((len(prior.offset), DEGREE + 1))
    series[:, 0] = _constant(shape, prior, constant)[m]
    series[:, 0] += half * (terms[1] - terms[3])
    series[:, 1:5] = half * terms
    if moves is not None:
        series = moved(series, moves, prior.length)
    return Solution(series, prior.length, flip_u, prior.place, score, moves=moves)


def _distinct(found, prior, keep, flip_u):
    """Keep the best candidates that differ by more than the blur somewhere on the frame."""
    found = sorted(found, key=lambda candidate: -candidate[0])
    p = np.linspace(0.05, 0.95, 5) * prior.length
    slit = np.array([[np.argmin(prior.offset)], [np.argmax(prior.offset)]])
    kept, places = [], np.empty((0, 2, len(p)))
    for candidate in found:
        solution = _solution(candidate, prior, flip_u)
        place = solution.wavelength(slit, p) / prior.dispersion
        if np.all(np.abs(places - place).max(axis=(1, 2)) > 2.5 * prior.blur):
            kept.append(solution)
            places = np.concatenate([places, place[None]])
            if len(kept) == keep:
                break
    return kept
