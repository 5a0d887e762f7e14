"""Least-squares cubic B-splines on even knots, by the moments of the points in each interval.

With so many points an interval (a spectrum seen in a hundred rows) the moments are the
whole cost; the equations are banded.
"""

import numpy as np
from scipy.linalg import solveh_banded

__all__ = ["BSplineFit"]

# Powers of the place in the interval, 0 to 1, of the four splines that are not zero there.
_BASIS = np.array([[1, -3, 3, -1], [4, 0, -6, 3], [1, 3, 3, -3], [0, 0, 0, 1]]) / 6.0
_PARTS = 32  # of an interval; points count at the middle of their part, and are read off exactly
_SMOOTH = 1e-4  # weight of the second differences, relative to a point an interval
_CHUNK, _OVERLAP = 48, 12  # coefficients: those farther apart are not correlated


class BSplineFit:
    """A spline being fitted: points may be taken out again.

    Parameters
    ----------
    x : ndarray
        Where the points are, of any shape, finite.
    spacing : float
        Of the knots, about.
    """

    def __init__(self, x, spacing):
        self.low, high = float(x.min()), float(x.max())
        self.n = max(int(np.ceil((high - self.low) / spacing)), 1)
        self.spacing = max((high - self.low) / self.n, np.finfo(float).tiny)
        self._place = (x - self.low) * (_PARTS / self.spacing)
        self._part = np.minimum(self._place, self.n * _PARTS - 1).astype(np.int32)
        self._place -= self._part
        self.weights = np.zeros(self.n * _PARTS)
        self.sums = np.zeros(self.n * _PARTS)

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
        size = len(self.weights)
        if weights is None:
            self.weights += sign * np.bincount(part, minlength=size)
        else:
            weights = weights[where].ravel()
            self.weights += sign * np.bincount(part, weights, size)
            values = values * weights
        self.sums += sign * np.bincount(part, values, size)

    def solve(self):
        """Fit the spline, and keep its coefficients.

        Returns
        -------
        BSplineFit
            itself.
        """
        bands, right = self._equations()
        coefficients = solveh_banded(bands, right, lower=True)
        power = _BASIS.T @ np.stack([coefficients[a : a + self.n] for a in range(4)])
        place = (np.arange(_PARTS) / _PARTS)[:, None]
        value = power[3] * place**3 + power[2] * place**2 + power[1] * place + power[0]
        slope = 3 * power[3] * place**2 + 2 * power[2] * place + power[1]
        bend = 6 * power[3] * place + 2 * power[2]
        # Each part of an interval is so short that the straight line through its middle does.
        slope, bend = slope.T.ravel() / _PARTS, bend.T.ravel() / _PARTS**2
        self._value, self._slope = value.T.ravel() - bend / 16, slope + bend / 2
        return self

    def _equations(self):
        """Lower bands of the normal matrix, and the right hand side."""
        size = self.n + 3
        bands, right = np.zeros((4, size)), np.zeros(size)
        powers = ((np.arange(_PARTS) + 0.5) / _PARTS) ** np.arange(7)[:, None]
        moments = powers @ self.weights.reshape(self.n, _PARTS).T
        sums = powers[:4] @ self.sums.reshape(self.n, _PARTS).T
        for a in range(4):
            right[a : a + self.n] += _BASIS[a] @ sums
            for b in range(a, 4):
                product = np.convolve(_BASIS[a], _BASIS[b])
                bands[b - a, a : a + self.n] += product @ moments
        smooth = _SMOOTH * max(np.mean(moments[0]), 1e-30)
        ends = np.zeros((3, size))  # bands of the second differences' squares
        for k, own in enumerate((1.0, -2.0, 1.0)):
            for m, other in enumerate((1.0, -2.0, 1.0)):
                if m >= k:
                    ends[m - k, k : size - 2 + k] += own * other
        bands[:3] += smooth * ends
        bands[0] += 1e-9 * smooth
        return bands, right

    def __call__(self):
        """Evaluate the spline at its points."""
        value = self._slope.take(self._part)
        value *= self._place
        value += self._value.take(self._part)
        return value

    def slope(self):
        """Return the derivative of the spline at its points."""
        return self._slope.take(self._part) * (_PARTS / self.spacing)

    def at(self, x):
        """Evaluate the spline at other places; beyond its range at its ends."""
        place = np.clip((np.asarray(x) - self.low) * (_PARTS / self.spacing), 0, len(self.sums))
        part = np.minimum(place, len(self.sums) - 1).astype(np.int32)
        return self._value[part] + self._slope[part] * (place - part)

    def variance_factor(self, x):
        """Return the variance of the spline at x in units of that of a point of weight 1.

        Parameters
        ----------
        x : ndarray, shape (m,)

        Notes
        -----
        The inverse of the banded matrix, a diagonal block at a time: what is a dozen knots away
        has no part in it.
        """
        bands, _ = self._equations()
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
        place = np.clip((np.asarray(x, float) - self.low) / self.spacing, 0, self.n)
        interval = np.minimum(place, self.n - 1).astype(np.int32)
        place -= interval
        basis = (_BASIS @ np.power(place, np.arange(4)[:, None])).T
        first = interval + _OVERLAP
        block = np.minimum(interval // _CHUNK, number - 1)
        local = first - block * _CHUNK
        index = local[:, None] + np.arange(4)
        part = inverse[block[:, None, None], index[:, :, None], index[:, None, :]]
        return np.einsum("ma,mab,mb->m", basis, part, basis)
