"""Edges of slits that lie closer together, or to the frame's border, than the light is blurred.

Between two lit slits there is a seam: the light of one ends, and a blur farther or less that of
the other begins. Alone neither edge can be told, or is pulled by a bright neighbour; but how far
they are apart is known from the mask, and so the dip or the step of the light tells both: of a
narrow seam mostly the place, of a wide one the gap too.
"""

import numpy as np
from scipy.special import ndtr

__all__ = ["Seams", "measure_seams"]

LEAST_GAP = 0.1
"""Narrowest gap, px, whose dip tells where it is."""

NONE = -1
"""In the place of an edge: there is only the frame's border."""

REACH = 1.5
"""Largest distance of a seam from where it is expected, px."""

STEP = 0.25
"""Step of the distances that are tried, px."""

STEPS = (0.12, 0.05, 0.02, 0.02, 0.02)
"""Steps from which slope and bend of chi squared are taken, as the best is refined: px of the place
and the opening of a seam, and half of it of the logarithm of its blur."""

WINDOW = 4.0
"""Half width of the light that is fitted, in standard deviations of the blur, and 1 px."""

SETTLED = 0.02
"""Largest last step of a fit that has found its place, px."""

NEAR_END = 2.0
"""Distance from the other end of a slit, in widths of its blur, from which it has full light."""

UNLIKE = 0.02
"""How far the light of an edge at the border may be from that of a blurred step, in units of its
height: its blur may not be that of the others."""

LEAST_BLUR = 0.1
"""Of the light on the pixels, px."""

GAP_ERROR = 0.05
"""How well the gap is known before, px: slits are cut so."""

FAR_GAP = 0.3
"""A gap that is farther from what it should be, px, is not where the mask is thought to be."""

BLUR_ERROR = 0.05
"""How well the blur of a seam is known before, in units of it: what blurs a dip may make it
deeper, too, and images have wings."""

PAIRS = ((0, 1), (0, 2), (1, 2))
"""Of place, opening and blur."""

SCATTERED = 0.05
"""How well the light between slits is known, in units of that in them: a step that moves and a
dip that fills look alike."""


class Seams:
    """Edges that are measured with what is beside them: another edge, or the frame's border.

    Parameters
    ----------
    edges : MaskEdges
    q : ndarray, shape (edges, bins)
        Expected rows, px.
    lit : ndarray of bool, shape (edges,)
    rows : int
        Of the frame.
    widest : float
        Distance of two edges, or of one to the frame's border, from which each is for itself, px.

    Attributes
    ----------
    low, high : ndarray of int, shape (seams,)
        The edges of each: where the light of the lower slit ends, and that of the upper one
        begins; `NONE` where that is not on the frame.
    at_border : ndarray of bool, shape (edges,)
    """

    def __init__(self, edges, q, lit, rows, widest):
        shown = np.flatnonzero(lit)
        order = shown[np.argsort(q[shown].mean(axis=1))]
        low, high = order[:-1], order[1:]
        gap = np.median(q[high] - q[low], axis=1)
        falls, rises = edges.sign < 0, edges.sign > 0
        pair = falls[low] & rises[high] & (gap > LEAST_GAP) & (gap < widest)
        first, last = order[:1], order[-1:]
        near = widest + REACH
        first = first[rises[first] & np.any(np.abs(q[first] + 0.5) < near, axis=1)]
        last = last[falls[last] & np.any(np.abs(rows - 0.5 - q[last]) < near, axis=1)]
        beyond = np.full(1, NONE)
        self.low = np.concatenate([low[pair], beyond[: len(first)], last])
        self.high = np.concatenate([high[pair], first, beyond[: len(last)]])
        self.at_border = np.isin(np.arange(len(q)), [*first, *last])


def measure_seams(seams, profiles, width, floor):
    """Find the edges of each seam.

    Parameters
    ----------
    seams : Seams
    profiles : EdgeProfiles
    width : ndarray, shape (edges, bins)
        Standard deviation of the blur of each edge, px.
    floor : ndarray, shape (bins,)
        Light beside the slits.

    Returns
    -------
    q, sigma, common : ndarray, shape (edges, bins)
        Rows of the edges of seams and their errors, px; NaN and infinite where they are not
        found. The last is the part of the error that is common to all bins.
    apart : ndarray, shape (edges, bins)
        What the light says of the gap, px, also where the edges are not found: minus infinity where
        it says nothing; infinite for edges without a seam to another slit.
    """
    q, sigma, common = np.multiply.outer([np.nan, np.inf, 0.0], np.ones(profiles.q.shape))
    apart = np.full(q.shape, np.inf)
    for pair in zip(seams.low, seams.high, strict=True):
        *found, opening = _Fit(profiles, *pair, width, floor).best()
        for edge, shift, error, part in zip(pair, *found, strict=True):
            if edge != NONE:
                q[edge], sigma[edge], common[edge] = profiles.q[edge] + shift, error, part
                if NONE not in pair:
                    apart[edge] = profiles.q[pair[1]] - profiles.q[pair[0]] + opening
    return q, sigma, common, apart


def _step(distance, width):
    """Light of a pixel at a distance behind a blurred step, whose blur holds that by pixels."""
    blur = np.sqrt(np.maximum(width**2 - 1 / 12, LEAST_BLUR**2))
    upper, lower = (distance + 0.5) / blur, (distance - 0.5) / blur
    bell = (np.exp(-0.5 * upper**2) - np.exp(-0.5 * lower**2)) / np.sqrt(2 * np.pi)
    return blur * (upper * ndtr(upper) - lower * ndtr(lower) + bell)


class _Fit:
    """The light about one seam in every bin: a level, and the light of either slit.

    The slit beyond the border has no light, and its edge is held by what is known of the gap.
    """

    def __init__(self, profiles, low, high, width, floor):
        place = high if low == NONE else low
        self.real = np.array([low != NONE, high != NONE])
        self.gap = (profiles.q[high] - profiles.q[low])[:, np.newaxis] * self.real.all()
        self.widths = [width[edge][:, np.newaxis, np.newaxis] for edge in (low, high)]
        x, middle = profiles.offset, 0.5 * np.median(self.gap)
        reach = WINDOW * max(width[place].max(), width[high].max()) + 1.0 + middle
        near = np.abs(x - middle) < reach
        self.x = x[near]
        self.light, variance, self.hits = (
            part[place][:, near] for part in (profiles.light, profiles.variance, profiles.hits)
        )
        seen = (variance > 0) & (self.hits > 0)
        # Beyond its other end a slit has no light.
        for edge, sign in ((low, -1), (high, 1)):
            if edge != NONE:
                end = (profiles.q[edge ^ 1] - profiles.q[place])[:, np.newaxis]
                seen &= sign * (end - self.x) > NEAR_END * width[edge][:, np.newaxis]
        level = np.max(np.where(seen, self.light / np.where(seen, self.hits, 1.0), 0.0), axis=1)
        if not self.real.all():
            # Else the dark foot of the edge decides, which knows its blur, not its place.
            variance = variance + (UNLIKE * level[:, np.newaxis] * self.hits) ** 2
        self.weight = np.where(seen, 1.0 / np.where(seen, variance, 1.0), 0.0)
        self.freedom = np.maximum(np.sum(self.weight > 0, axis=1) - 5, 1)
        self.floor = floor
        self.certain = 1.0 / (SCATTERED * np.maximum(level - floor, 1e-9)) ** 2

    def misfit(self, low, high, blur):
        """Return chi squared of shifts of both edges, shape (bins, trials); levels are the best.

        `blur`, shape (trials,), is the logarithm of a factor by which all is blurred.
        """
        x, low, high = self.x, low[..., np.newaxis], high[..., np.newaxis]
        widths = [width * np.exp(blur)[:, np.newaxis] for width in self.widths]
        columns = np.stack(
            np.broadcast_arrays(
                np.ones(1), _step(low - x, widths[0]),
                _step(x - self.gap[:, np.newaxis] - high, widths[1]),
            ), axis=-1,
        )  # fmt: skip
        columns = columns * self.hits[:, np.newaxis, :, np.newaxis] * [1, *self.real]
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
        """Return the best shifts of each bin, their errors, the common part of these, the opening.

        The first three are of shape (2, bins). All bins have one error of the gap and one of the
        blur, which bend chi squared of each together with its place: that is eliminated bin by bin.
        """
        bins = len(self.gap)
        tried = np.broadcast_to(np.arange(-REACH, REACH + STEP / 2, STEP), (bins, 13))
        chi2 = self.misfit(tried, tried, np.zeros(13))
        first = np.argmin(chi2, axis=1)
        good = (first > 0) & (first < 12)
        place, shared = tried[np.arange(bins), first], np.zeros(2)
        known = np.diag(2 / np.array([GAP_ERROR, BLUR_ERROR]) ** 2)
        excess = np.maximum(chi2.min(axis=1) / self.freedom, 1.0)
        for step in STEPS:
            slope, bend, chi2 = self._derivatives(place, shared, step, excess)
            excess = np.maximum(chi2 / self.freedom, 1.0)
            good &= (bend[:, 0, 0] > 0) & (np.abs(place) <= REACH)
            own = np.where(good, bend[:, 0, 0], np.inf)
            follow = bend[:, 0, 1:] / own[:, np.newaxis]
            told = bend[:, 1:, 1:] - bend[:, 1:, :1] * follow[:, np.newaxis]
            size, axes = np.linalg.eigh(np.sum(told[good], axis=0))
            stiff = known + (axes * np.maximum(size, 0.0)) @ axes.T
            pull = np.sum((slope[:, 1:] - slope[:, :1] * follow)[good], axis=0) + known @ shared
            change = np.clip(-np.linalg.solve(stiff, pull), -STEP, STEP)
            move = np.clip(-slope[:, 0] / own - follow @ change, -STEP, STEP)
            shared, place = shared + change, place + move
        good &= np.hypot(move, np.hypot(*change)) < SETTLED
        opening = shared[0] if good.any() else -np.inf
        good &= np.abs(opening) < FAR_GAP
        half = np.array([-0.5, 0.5])
        shift = place + half[:, np.newaxis] * shared[0]
        # How the two edges go with the opening and the blur.
        by = np.stack([half[:, np.newaxis] - follow[:, 0], np.tile(-follow[:, 1], (2, 1))], axis=-1)
        common = np.sqrt(2 * np.einsum("ebi,ij,ebj->eb", by, np.linalg.inv(stiff), by))
        sigma = np.sqrt(2 / own + common**2)
        return np.where(good, shift, np.nan), np.where(good, sigma, np.inf), common, opening

    def _derivatives(self, place, shared, step, excess):
        """Return slopes and bends of chi squared with place, opening and blur, and its value there.

        The light is as good as it is fitted. Shapes (bins, 3), (bins, 3, 3), (bins,).
        """
        size = step * np.array([1.0, 1.0, 0.5])
        one, two = np.eye(3), [np.eye(3)[i] + np.eye(3)[j] for i, j in PAIRS]
        tried = size * np.vstack([np.zeros(3), one, two, -one, np.negative(two)])
        apart = 0.5 * (shared[0] + tried[:, 1])
        middle = place[:, np.newaxis] + tried[:, 0]
        chi2 = self.misfit(middle - apart, middle + apart, shared[1] + tried[:, 2])
        f = chi2 / excess[:, np.newaxis]
        slope = (f[:, 1:4] - f[:, 7:10]) / (2 * size)
        # By both ways along an axis, or the diagonal between two.
        curved = f[:, 1:7] + f[:, 7:] - 2 * f[:, :1]
        bend = np.empty((len(f), 3, 3))
        bend[:, range(3), range(3)] = curved[:, :3] / size**2
        for k, (i, j) in enumerate(PAIRS, start=3):
            mixed = (curved[:, k] - curved[:, i] - curved[:, j]) / (2 * size[i] * size[j])
            bend[:, i, j] = bend[:, j, i] = mixed
        return slope, bend, chi2[:, 0]
