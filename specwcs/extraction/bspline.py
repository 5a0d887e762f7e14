"""Least-squares cubic B-splines on even knots, by the moments of the points in each interval.

With so many points an interval (a spectrum seen in a hundred rows) sorting them into
intervals is the whole cost; the equations are banded. Knots may be finer where that pays.
"""

from functools import cached_property, lru_cache
from math import comb

import numpy as np
from scipy.linalg import LinAlgError, lapack
from scipy.ndimage import maximum_filter1d

from specwcs.threads import product

__all__ = ["BSplineFit"]

# Powers of the place in the interval, 0 to 1, of the four splines that are not zero there.
_BASIS = np.array([[1, -3, 3, -1], [4, 0, -6, 3], [1, 3, 3, -3], [0, 0, 0, 1]]) / 6.0
_PAIRS = [(a, b) for a in range(4) for b in range(a, 4)]
_PRODUCTS = np.array([np.convolve(_BASIS[a], _BASIS[b]) for a, b in _PAIRS])
_PARTS = 16  # of the finest interval: points count at the middle of theirs
_MIDDLES = (np.arange(_PARTS) + 0.5) / _PARTS
_POWERS = _MIDDLES[:, None] ** np.arange(7)
_START, _POWER = np.arange(_PARTS) / _PARTS, np.arange(4)[:, None]
_FIRST, _SECOND = (  # derivatives of the powers at the start of each part
    factor * _START ** np.maximum(_POWER - k, 0) / _PARTS**k
    for k, factor in ((1, _POWER), (2, _POWER * (_POWER - 1)))
)
# The straight line that does in a part: its start and its slope.
_LINES = (_START**_POWER - _SECOND / 16, _FIRST + _SECOND / 2)
_FEW = 8  # intervals a point: with more points straight lines are made for all parts
_SMOOTH = 1e-4  # weight of the second differences, relative to a point an interval
_SAMPLES = (np.arange(4)[:, None] - 1.5) / 4  # of a width, that stand for all of it
_REACH = 12  # coefficients: those farther apart are not correlated
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
    ends : tuple of float, optional
        Where the spline begins and ends; by default at the outermost points.
    """

    def __init__(self, x, spacing, levels=1, ends=None):
        self.levels = levels
        self.low, high = (float(end) for end in ends or (x.min(), x.max()))
        coarsest = 2 ** (levels - 1)
        self.n = coarsest * max(int(np.ceil((high - self.low) / (spacing * coarsest))), 1)
        self.spacing = max((high - self.low) / self.n, np.finfo(float).tiny)
        self._part, self._place = self._at(x)
        self.clear()

    def clear(self):
        """Take all points out."""
        # Sums over the points of an interval, times powers of their place in it.
        self._moments, self._sums = np.zeros((self.n, 7)), np.zeros((self.n, 4))
        self._power = np.zeros((self.n, 4))

    def add(self, values, weights=None, where=...):
        """Add points.

        Parameters
        ----------
        values : ndarray
            Of the shape of x.
        weights : ndarray, optional
            Likewise; by default 1.
        where : ndarray of bool, optional
            Only these points.
        """
        part, values = self._part[where].ravel(), values[where].ravel()
        if weights is None and where is ...:
            self._moments += self._whole
        else:
            if weights is not None:
                weights = weights[where].ravel()
                values = values * weights
            self._moments += self._summed(part, weights, 7)
        self._sums += self._summed(part, values, 4)

    def _summed(self, part, sizes, powers):
        """Sum sizes over the points of each interval, times powers of their place in it."""
        total = np.bincount(part, sizes, self.n * _PARTS).astype(float, copy=False)
        return product(total.reshape(self.n, _PARTS), _POWERS[:, :powers])

    @cached_property
    def _whole(self):
        """The moments of all points, each once."""
        return self._summed(self._part.ravel(), None, 7)

    def change(self, values, where, sign):
        """Add a few points of weight 1, or take them out again.

        Parameters
        ----------
        values : ndarray
            Of the shape of x.
        where : index
            The points.
        sign : float
            -1 takes them out.
        """
        interval, part = np.divmod(self._part[where], _PARTS)
        power = sign * _POWERS[part]
        np.add.at(self._moments, interval, power)
        np.add.at(self._sums, interval, power[:, :4] * values[where][:, None])

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
        self._tables, self._factors = None, {}
        self._chosen = np.full(self.n, self.levels - 1, np.int8)
        self._power = self._fitted(self.levels - 1)
        finer = range(self.levels - 2, -1, -1) if variance else ()
        for level in finer:
            power = self._fitted(level)
            better = self._finer_pays(power, level, variance)
            self._power[better] = power[better]
            self._chosen[better] = level
        return self

    def _finer_pays(self, power, level, variance):
        """Where the knots of a level fit so much better than what there is, for each interval."""
        less, more = (self._power - power).T.copy(), (self._power + power).T.copy()
        squares = np.zeros((7, self.n))
        for k in range(4):
            squares[k : k + 4] += less[k] * more
        gain = np.einsum("kn,nk->n", squares, self._moments)
        gain -= 2 * np.einsum("kn,nk->n", less, self._sums)
        middle = 0.5 ** np.arange(4)
        gain /= variance(np.maximum(self._power @ middle, power @ middle))
        size = _BLOCK * 2 ** (self.levels - 1)
        starts = np.arange(0, self.n, size)
        further = _BLOCK * 2 ** (self.levels - 1 - level) / 2
        pays = np.add.reduceat(gain, starts) > _WORTH * further
        pays = maximum_filter1d(pays, 3, mode="nearest")
        return np.repeat(pays, np.diff(np.append(starts, self.n)))

    def _fitted(self, level):
        """Fit the spline of a level: powers of the place in each of the finest intervals."""
        bands, right = self._equations(level)
        self._factors[level], coefficients, failed = lapack.dpbsv(
            bands.T, right, lower=True, overwrite_ab=True, overwrite_b=True
        )
        if failed:
            raise LinAlgError("the points do not determine the spline")
        n = len(coefficients) - 3
        own = np.stack([coefficients[k : k + n] for k in range(4)], axis=1)
        return product(own, _powers(2**level)).reshape(self.n, 4)

    def _equations(self, level):
        """Lower bands of the normal matrix, shape (coefficients, 4), and the right hand side."""
        n = self.n // 2**level
        pairs, splines = _sums(2**level)
        products = product(self._moments.reshape(n, -1), pairs)
        values = product(self._sums.reshape(n, -1), splines)
        bands = _stiffness(n + 3) * (_SMOOTH * max(self.count.sum() / n, 1e-30))
        right = np.zeros(n + 3)
        for k, (a, b) in enumerate(_PAIRS):
            bands[a : a + n, b - a] += products[:, k]
        for a in range(4):
            right[a : a + n] += values[:, a]
        return bands, right

    def __call__(self, where=...):
        """Evaluate the spline at its points, or some of them."""
        return self._line(self._part[where], self._place[where])[0]

    def line(self, where=...):
        """Return value and slope of the spline at its points, or some of them."""
        value, slope = self._line(self._part[where], self._place[where])
        slope *= _PARTS / self.spacing
        return value, slope

    def _line(self, part, place):
        """Value, and slope a short part, of places in short parts."""
        if part.size < self.n // _FEW:  # these are looked at one by one
            interval, own = np.divmod(part, _PARTS)
            power = self._power.take(interval, axis=0)
            value, slope = (
                np.einsum("...k,...k", power, line.T.take(own, axis=0)) for line in _LINES
            )
        else:
            value, slope = (table.take(part) for table in self._in_parts())
        value += slope * place
        return value, slope

    def _in_parts(self):
        """Value at the start, and slope, of the straight line that does in each short part."""
        if self._tables is None:
            self._tables = [product(self._power, line).ravel() for line in _LINES]
        return self._tables

    def interval(self, where):
        """Return which of the finest intervals points of the flat array are in."""
        return self._part.reshape(-1)[where] // _PARTS

    @property
    def count(self):
        """Sum of the weights of the points in each of the finest intervals."""
        return self._moments[:, 0]

    @property
    def mixed(self):
        """Whether the last solution may have finer knots than the coarsest."""
        return len(self._factors) > 1

    @property
    def n_coefficients(self):
        """Number of coefficients that the spline has."""
        return float(np.sum(0.5**self._chosen))

    def at(self, x):
        """Evaluate the spline at other places; beyond its range at its ends."""
        return self.line_at(x)[0]

    def line_at(self, x):
        """Return value and slope of the spline at other places."""
        value, slope = self._line(*self._at(x))
        slope *= _PARTS / self.spacing
        return value, slope

    def _at(self, x):
        place = (x - self.low) * (_PARTS / self.spacing)
        np.clip(place, 0, self.n * _PARTS, out=place)
        # By way of shorter integers, which processors make several of at a time.
        part = np.minimum(place, self.n * _PARTS - 1).astype(np.int32).astype(np.intp)
        place -= part
        return part, place

    def variance_factor(self, x, width=0.0):
        """Return the variance of the spline at x in units of that of a point of weight 1.

        Parameters
        ----------
        x : ndarray, shape (m,)
        width : float, optional
            That of the mean over so much of x about each.
        """
        # With L the factor of the normal matrix and b the basis at x, it is the square of b / L.
        level = self._chosen[self._at(x)[0] // _PARTS].astype(np.intp)
        number = self.n // 2**level
        samples = _SAMPLES if width else np.zeros((1, 1))
        place = (x + width * samples - self.low) / (self.spacing * 2**level)
        np.clip(place, 0, number, out=place)
        interval = np.minimum(place, number - 1).astype(np.intp)
        place -= interval
        square = place * place
        powers = np.stack([np.ones_like(place), place, square, place * square])
        parts = np.tensordot(_BASIS, powers, 1)
        first, columns = interval[0], np.arange(len(x))
        basis = np.zeros((_REACH, len(x)))
        for sample, ahead in enumerate(interval - first):
            for k in range(4):
                basis[ahead + k, columns] += parts[k, sample] / len(samples)
        sizes = [factor.shape[1] + 3 + _REACH for factor in self._factors.values()]
        starts = dict(zip(self._factors, np.cumsum([0, *sizes]), strict=False))
        factors = np.zeros((4, sum(sizes)))
        factors[0] = 1.0
        for k, factor in self._factors.items():
            factors[:, starts[k] + 3 : starts[k] + 3 + factor.shape[1]] = factor
        first = np.array([starts.get(k, 0) for k in range(self.levels)])[level] + first + 3
        factors = factors.take(first + np.arange(_REACH)[:, None], axis=1)
        solved = []
        for k in range(_REACH):  # what is farther away has no part in it
            row = basis[k]
            for m in range(1, min(k, 3) + 1):
                row = row - factors[m, k - m] * solved[k - m]
            solved.append(row / factors[0, k])
        return np.sum(np.square(solved), axis=0)


@lru_cache
def _within(child, number):
    """Matrix that takes powers of the place in a part of an interval to those in the whole.

    The interval has so many equal parts: its place is (child + place in the part) / number.
    """
    powers = range(7)
    return np.array(
        [[comb(k, j) * child ** max(k - j, 0) / number**k for j in powers] for k in powers]
    )


@lru_cache
def _sums(number):
    """Matrices from sums of powers in the parts of an interval to what its points give in all.

    To sums of the products of pairs of splines, and to sums of the values times each spline.
    """
    parts = [_within(child, number) for child in range(number)]
    pairs = np.vstack([(_PRODUCTS @ part).T for part in parts])
    return pairs, np.vstack([(_BASIS @ part[:4, :4]).T for part in parts])


@lru_cache
def _powers(number):
    """Matrix from the coefficients of the splines in an interval to the powers in its parts."""
    return np.hstack([_BASIS @ _within(child, number)[:4, :4] for child in range(number)])


@lru_cache
def _stiffness(size):
    """Lower bands of the matrix of squared second differences, made regular by a trifle."""
    bands = np.zeros((size, 4))
    for k, own in enumerate((1.0, -2.0, 1.0)):
        for m, other in enumerate((1.0, -2.0, 1.0)):
            if m >= k:
                bands[k : size - 2 + k, m - k] += own * other
    bands[:, 0] += 1e-9
    return bands
