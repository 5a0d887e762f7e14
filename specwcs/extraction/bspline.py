"""Least-squares cubic B-splines on even knots, by the moments of the points in each interval.

With so many points an interval (a spectrum seen in a hundred rows) sorting them into
intervals is the whole cost; the equations are banded. Knots may be finer where that pays.
"""

import numpy as np
from scipy.linalg import solveh_banded
from scipy.ndimage import maximum_filter1d

__all__ = ["BSplineFit"]

# Powers of the place in the interval, 0 to 1, of the four splines that are not zero there.
_BASIS = np.array([[1, -3, 3, -1], [4, 0, -6, 3], [1, 3, 3, -3], [0, 0, 0, 1]]) / 6.0
_PARTS = 16  # of the finest interval: points count at the middle of theirs
_SMOOTH = 1e-4  # weight of the second differences, relative to a point an interval
_CHUNK, _OVERLAP = 12, 6  # coefficients: those farther apart are not correlated
_BLOCK = 4  # of the coarsest intervals, that finer knots are chosen for together
_WORTH = 4.0  # chi-square that a further coefficient must bring


class BSplineFit:
    """A spline being fitted: points may be taken out again.

    Parameters
    ----------
    x : ndarray
        Where the points are, of any shape, finite.
    spacing : float
        Of the finest knots, about.
    levels : int
        How many spacings there are to choose from, each twice as coarse as the one before.
    """

    def __init__(self, x, spacing, levels=1):
        self.levels = levels
        self.low, high = float(x.min()), float(x.max())
        coarsest = 2 ** (levels - 1)
        self.n = coarsest * max(int(np.ceil((high - self.low) / (spacing * coarsest))), 1)
        self.spacing = max((high - self.low) / self.n, np.finfo(float).tiny)
        self._place = (x - self.low) * (_PARTS / self.spacing)
        self._part = np.minimum(self._place, self.n * _PARTS - 1).astype(np.int32)
        self._place -= self._part
        self.clear()

    def clear(self):
        """Take all points out."""
        self._weights = np.zeros(self.n * _PARTS)
        self._sums = np.zeros(self.n * _PARTS)
        self._value = np.zeros(self.n * _PARTS)

    def add(self, values, weights=None, where=..., sign=1.0):
        """Add points.

        Parameters
        ----------
        values : ndarray
            Of the shape of x.
        weights : ndarray, optional
            Likewise; by default 1.
        where : ndarray of bool or int, optional
            Only these points.
        sign : float
            -1 takes them out again.
        """
        part, values = self._part[where].ravel(), values[where].ravel()
        size = len(self._weights)
        if weights is None:
            self._weights += sign * np.bincount(part, minlength=size)
        else:
            weights = weights[where].ravel()
            self._weights += sign * np.bincount(part, weights, size)
            values = values * weights
        self._sums += sign * np.bincount(part, values, size)

    def solve(self, variance=None):
        """Fit the spline.

        Parameters
        ----------
        variance : callable, optional
            ``variance(value)``: of a point of this value, by which the knots are chosen; without
            it the coarsest are.

        Returns
        -------
        BSplineFit
            itself.
        """
        self._before, self._chosen = self._value, np.full(len(self._sums), self.levels - 1, np.int8)
        self._value, self._slope = self._table(self.levels - 1)
        finer = range(self.levels - 2, -1, -1) if variance else ()
        for level in finer:
            value, slope = self._table(level)
            better = self._finer_pays(value, level, variance)
            self._value[better], self._slope[better] = value[better], slope[better]
            self._chosen[better] = level
        return self

    def _finer_pays(self, value, level, variance):
        """Where the knots of a level fit so much better than what there is, for each part."""
        gain = (self._value - value) * (self._weights * (self._value + value) - 2 * self._sums)
        gain /= variance(np.maximum(self._value, value))
        size = _BLOCK * 2 ** (self.levels - 1) * _PARTS
        starts = np.arange(0, len(gain), size)
        further = _BLOCK * 2 ** (self.levels - 1 - level) / 2
        pays = np.add.reduceat(gain, starts) > _WORTH * further
        pays = maximum_filter1d(pays, 3, mode="nearest")
        return np.repeat(pays, np.diff(np.append(starts, len(gain))))

    def _table(self, level):
        """Value and slope of the spline of a level in each part, per part."""
        bands, right = self._equations(level)
        coefficients = solveh_banded(bands, right, lower=True, check_finite=False)
        parts = _PARTS * 2**level
        power = _BASIS.T @ np.stack([coefficients[a : a + self.n // 2**level] for a in range(4)])
        place = (np.arange(parts) / parts)[:, None] ** np.arange(4)
        value = place @ power
        slope = place[:, :3] @ (power[1:] * np.array([[1], [2], [3]]))
        bend = place[:, :2] @ (power[2:] * np.array([[2], [6]]))
        # A part is so short that a straight line through it does.
        slope, bend = slope.T.ravel() / parts, bend.T.ravel() / parts**2
        return value.T.ravel() - bend / 16, slope + bend / 2

    def _equations(self, level):
        """Lower bands of the normal matrix, and the right hand side."""
        n, parts = self.n // 2**level, _PARTS * 2**level
        size = n + 3
        bands, right = np.zeros((4, size)), np.zeros(size)
        powers = ((np.arange(parts) + 0.5) / parts) ** np.arange(7)[:, None]
        moments = powers @ self._weights.reshape(n, parts).T
        sums = powers[:4] @ self._sums.reshape(n, parts).T
        for a in range(4):
            right[a : a + n] += _BASIS[a] @ sums
            for b in range(a, 4):
                product = np.convolve(_BASIS[a], _BASIS[b])
                bands[b - a, a : a + n] += product @ moments
        smooth = _SMOOTH * max(np.mean(moments[0]), 1e-30)
        ends = np.zeros((3, size))  # bands of the second differences' squares
        for k, own in enumerate((1.0, -2.0, 1.0)):
            for m, other in enumerate((1.0, -2.0, 1.0)):
                if m >= k:
                    ends[m - k, k : size - 2 + k] += own * other
        bands[:3] += smooth * ends
        bands[0] += 1e-9 * smooth
        return bands, right

    def __call__(self, where=...):
        """Evaluate the spline at its points, or some of them."""
        part = self._part[where]
        value = self._slope.take(part)
        value *= self._place[where]
        value += self._value.take(part)
        return value

    def moved(self, variance, share):
        """Find the points at which the last solution differs from the one before.

        Parameters
        ----------
        variance : callable
            As for `solve`.
        share : float
            Of the standard deviation of a point: less does not count.

        Returns
        -------
        tuple of ndarray of int
        """
        change = np.abs(self._value - self._before)
        return np.nonzero((change > share * np.sqrt(variance(self._value))).take(self._part))

    def interval(self, where):
        """Return which of the finest intervals points are in."""
        return self._part[where] // _PARTS

    @property
    def count(self):
        """Sum of the weights of the points in each of the finest intervals."""
        return self._weights.reshape(self.n, _PARTS).sum(axis=1)

    def slope(self, where=...):
        """Return the derivative of the spline at its points, or some of them."""
        return (self._slope * (_PARTS / self.spacing)).take(self._part[where])

    @property
    def n_coefficients(self):
        """Number of coefficients that the spline has."""
        return float(np.sum(0.5**self._chosen) / _PARTS)

    def at(self, x):
        """Evaluate the spline at other places; beyond its range at its ends."""
        part, place = self._at(x)
        return self._value[part] + self._slope[part] * place

    def _at(self, x):
        place = np.clip((np.asarray(x) - self.low) * (_PARTS / self.spacing), 0, len(self._sums))
        part = np.minimum(place, len(self._sums) - 1).astype(np.int32)
        return part, place - part

    def variance_factor(self, x):
        """Return the variance of the spline at x in units of that of a point of weight 1.

        Parameters
        ----------
        x : ndarray, shape (m,)
        """
        chosen = self._chosen[self._at(x)[0]]
        factor = np.empty(len(x))
        for level in np.unique(chosen):
            factor[chosen == level] = self._variance_factor(x[chosen == level], int(level))
        return factor

    def _variance_factor(self, x, level):
        """From the inverse of the banded matrix, a diagonal block at a time.

        What is farther away has no part in it.
        """
        bands, _ = self._equations(level)
        size, reach = bands.shape[1], _CHUNK + 2 * _OVERLAP
        number = -(-size // _CHUNK)
        padded = np.zeros((4, number * _CHUNK + 2 * _OVERLAP))
        padded[0] = 1.0
        padded[:, _OVERLAP : _OVERLAP + size] = bands
        at = np.arange(number)[:, None] * _CHUNK + np.arange(reach)
        blocks = np.zeros((number, reach, reach))
        rows = np.arange(reach)
        for k in range(4):
            own = rows[: reach - k]
            blocks[:, own + k, own] = blocks[:, own, own + k] = padded[k][at[:, : reach - k]]
        inverse = np.linalg.inv(blocks)
        n = self.n // 2**level
        place = np.clip((np.asarray(x, float) - self.low) / (self.spacing * 2**level), 0, n)
        interval = np.minimum(place, n - 1).astype(np.int32)
        basis = (_BASIS @ np.power(place - interval, np.arange(4)[:, None])).T
        block = np.minimum(interval // _CHUNK, number - 1)
        index = (interval + _OVERLAP - block * _CHUNK)[:, None] + np.arange(4)
        part = inverse[block[:, None, None], index[:, :, None], index[:, None, :]]
        return np.einsum("ma,mab,mb->m", basis, part, basis)
