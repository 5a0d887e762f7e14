"""Edges of slits that lie closer together than the light is blurred.

Between two lit slits there is a seam: the light of one ends, and less than a blur farther that of
the other begins. Neither edge can be told alone; but how far they are apart is known from the mask,
and so the pair has one place, which the dip or the step of the light tells.
"""

import numpy as np
from scipy.special import ndtr

__all__ = ["Seams", "measure_seams"]

LEAST_GAP = 0.3
"""Narrowest gap, px, whose dip tells where it is."""

REACH = 1.5
"""Largest distance of a seam from where it is expected, px."""

STEP = 0.25
"""Step of the distances that are tried, px; the best is refined at a tenth of it."""

WINDOW = 4.0
"""Half width of the light that is fitted, in standard deviations of the blur, and 1 px."""

GAP_ERROR = 0.03
"""How well the gap is known, px: it is half as wrong at either edge."""

SCATTERED = 0.05
"""How well the light between slits is known, in units of that in them: a step that moves and a
dip that fills look alike."""


class Seams:
    """Pairs of edges that are measured as one.

    Parameters
    ----------
    edges : MaskEdges
    q : ndarray, shape (edges, bins)
        Expected rows, px.
    lit : ndarray of bool, shape (edges,)
    widest : float
        Gap below which a pair is not resolved, px.

    Attributes
    ----------
    low, high : ndarray of int, shape (pairs,)
        The edges of each pair: where the light of the lower slit ends, and that of the upper
        one begins.
    """

    def __init__(self, edges, q, lit, widest):
        shown = np.flatnonzero(lit)
        order = shown[np.argsort(q[shown].mean(axis=1))]
        low, high = order[:-1], order[1:]
        gap = np.median(q[high] - q[low], axis=1)
        falls, rises = edges.sign[low] < 0, edges.sign[high] > 0
        pair = falls & rises & (gap > LEAST_GAP) & (gap < widest)
        self.low, self.high = low[pair], high[pair]


def measure_seams(seams, profiles, width, floor):
    """Find the common shift of the two edges of each seam.

    Parameters
    ----------
    seams : Seams
    profiles : EdgeProfiles
    width : ndarray, shape (edges,)
        Standard deviation of the blur of each edge, px.
    floor : ndarray, shape (bins,)
        Light beside the slits.

    Returns
    -------
    shift, sigma : ndarray, shape (pairs, bins)
        Of both edges, px; NaN and infinite where it is not found.
    """
    shape = len(seams.low), profiles.q.shape[1]
    shift, sigma = np.full(shape, np.nan), np.full(shape, np.inf)
    for n, (low, high) in enumerate(zip(seams.low, seams.high, strict=True)):
        fit = _Fit(profiles, low, high, width, floor)
        shift[n], sigma[n] = fit.best()
    return shift, sigma


class _Fit:
    """The light about one seam in every bin: a level, and the light of either slit."""

    def __init__(self, profiles, low, high, width, floor):
        self.gap = (profiles.q[high] - profiles.q[low])[:, np.newaxis]
        self.widths = width[low], width[high]
        x = profiles.offset
        reach = WINDOW * max(self.widths) + 1.0
        near = np.abs(x - 0.5 * np.median(self.gap)) < reach
        self.x = x[near]
        self.light, variance, self.hits = (
            part[low][:, near] for part in (profiles.light, profiles.variance, profiles.hits)
        )
        seen = (variance > 0) & (self.hits > 0)
        self.weight = np.where(seen, 1.0 / np.where(seen, variance, 1.0), 0.0)
        level = np.max(np.where(seen, self.light / np.where(seen, self.hits, 1.0), 0.0), axis=1)
        self.floor = floor
        self.certain = 1.0 / (SCATTERED * np.maximum(level - floor, 1e-9)) ** 2

    def misfit(self, shift):
        """Return chi squared of shifts, shape (bins, shifts), with the best levels for each."""
        x, d = self.x, shift[..., np.newaxis]
        columns = np.stack(
            np.broadcast_arrays(
                np.ones(1), ndtr((d - x) / self.widths[0]),
                ndtr((x - self.gap[:, np.newaxis] - d) / self.widths[1]),
            ), axis=-1,
        )  # fmt: skip
        columns = columns * self.hits[:, np.newaxis, :, np.newaxis]
        weighted = columns * self.weight[:, np.newaxis, :, np.newaxis]
        normal = np.swapaxes(columns, -1, -2) @ weighted
        right = np.einsum("bdxk,bx->bdk", weighted, self.light)
        normal[..., 0, 0] += self.certain[:, np.newaxis]
        right[..., 0] += (self.certain * self.floor)[:, np.newaxis]
        scale = np.trace(normal, axis1=-2, axis2=-1)[..., np.newaxis, np.newaxis]
        levels = np.linalg.solve(
            normal + (1e-12 * scale + 1e-300) * np.eye(3), right[..., np.newaxis]
        )
        total = np.sum(self.weight * self.light**2, axis=-1) + self.certain * self.floor**2
        return total[:, np.newaxis] - np.sum(levels[..., 0] * right, axis=-1)

    def best(self):
        """Return the best shift of each bin, and its standard error."""
        bins = len(self.gap)
        tried = np.broadcast_to(np.arange(-REACH, REACH + STEP / 2, STEP), (bins, 13))
        first = np.argmin(self.misfit(tried), axis=1)
        inner = (first > 0) & (first < 12)
        around = tried[np.arange(bins), first][:, np.newaxis]
        shift = around
        for step in (STEP / 2, STEP / 10):
            offsets = np.array([-step, 0.0, step])
            chi2 = self.misfit(shift + offsets)
            slope = (chi2[:, 2] - chi2[:, 0]) / (2 * step)
            bend = (chi2[:, 0] - 2 * chi2[:, 1] + chi2[:, 2]) / step**2
            bend = np.where(bend > 0, bend, np.inf)
            shift = shift + np.clip(-slope / bend, -STEP, STEP)[:, np.newaxis]
        freedom = np.maximum(np.sum(self.weight > 0, axis=1) - 4, 1)
        excess = np.maximum(chi2[:, 1] / freedom, 1.0)
        good = inner & np.isfinite(bend)
        sigma = np.hypot(np.sqrt(2 * excess / bend), GAP_ERROR / 2)
        return np.where(good, shift[:, 0], np.nan), np.where(good, sigma, np.inf)
