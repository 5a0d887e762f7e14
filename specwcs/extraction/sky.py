"""The sky of one slit, on the raw pixels (Kelson 2003, PASP 115, 688).

Along a tilted, curved slit each row samples a sky line at another place; all rows together
know its shape far better than one does. So the sky is a spline in the column u of the same
wavelength in the middle of the slit, times a slit function that varies slowly along slit
and spectrum. It is fitted before any resampling, to pixels that no object lies on.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import maximum_filter1d

from specwcs.errors import InputError

from .bspline import BSplineFit
from .pixels import NEIGHBOUR, beside

__all__ = ["MIN_ROWS", "MISPLACED", "Sky", "fit_sky", "rough_sky", "sky_rows"]

_FINEST, _LEVELS = 0.35, 3  # px, of the knots where lines need it; else 0.7 or 1.4
_CLIP = 5.0  # standard deviations
MISPLACED = 0.05
"""px that a pixel may be off its place on the steep side of a line without being a cosmic ray."""
MIN_ROWS = 4
"""Rows of sky that a slit must have, on average."""
_ROUNDS = 10
_SAMPLE = 4_000  # pixels that tell the scatter
_TOGETHER = 2**17  # pixels that are worked on: memory holds what there is between of no more
_MOST = 0.5  # of the rows: so many are not hit by cosmic rays at one wavelength
_NEAR = 4  # knots: what a cosmic ray takes the spline along by
_END = 2.5  # px: the ends of a slit are blurred
_END_KNOTS = np.arange(0.0, _END + 0.5, 0.5)  # px
_STEEP = 0.1
_ROUGH = 0.15  # of the light, and px: what the sky may be off before its shape is known
_COARSE = 0.03  # likewise, with its shape known
_SHORT = 0.2  # of the length: in short slits no more than this is left out at each end
_CELLS = 24  # along the spectrum, that the slit function is found on
_ORDER_U, _ORDER_T = 3, 2  # terms along the spectrum; powers of t
_ROUGH_COLUMNS = 1024


@dataclass
class Sky:
    """The sky that was fitted to a slit.

    Attributes
    ----------
    model : ndarray, shape (rows, columns)
        Of the slit's pixels, in the unit of the frame.
    slope : ndarray, shape (rows, columns)
        By how much the model changes in a px.
    variance : ndarray, shape (columns,)
        Of the model, in the middle of the slit.
    used : ndarray of bool, shape (rows, columns)
        The pixels that it was fitted to.
    rejected : ndarray of bool, shape (rows, columns)
        Pixels that no object lies on, and that are far off: cosmic rays.
    chi2 : float
        Mean of the squared residuals of the pixels used, in units of their variance; NaN where
        that is not known.
    """

    model: np.ndarray
    slope: np.ndarray
    variance: np.ndarray
    used: np.ndarray
    rejected: np.ndarray
    chi2: float


def rough_sky(pixels):
    """Median along the slit, on some of the columns: good enough to find objects.

    Parameters
    ----------
    pixels : SlitPixels

    Returns
    -------
    residual, variance : ndarray, shape (rows, some columns)
        NaN where there is no pixel.
    t : ndarray, likewise
    """
    columns = pixels.strip.columns
    step = max(1, len(columns) // _ROUGH_COLUMNS)
    good = pixels.inside & ~pixels.bad
    shift = np.rint(np.where(good, pixels.u, 0)).astype(int) - columns[0]
    rows = np.broadcast_to(np.arange(len(good))[:, None], good.shape)
    kept = good & (shift >= 0) & (shift < len(columns)) & (shift % step == 0)
    size = (len(good), (len(columns) - 1) // step + 1)
    place = (rows[kept], shift[kept] // step)
    data, variance, t = np.full((3, *size), np.nan)
    data[place], t[place] = pixels.data[kept], pixels.t[kept]
    seen = np.isfinite(data).sum(axis=0) > 0
    middle = np.full(size[1], np.nan)
    middle[seen] = np.nanmedian(data[:, seen], axis=0)
    variance[place] = pixels.variance_for(middle[place[1]], kept)
    return data - middle, variance, t


def sky_rows(pixels, objects):
    """Return the pixels of the sky, off objects and blurred ends, and how many rows these are.

    Parameters
    ----------
    pixels : SlitPixels
    objects : ndarray of bool, shape (rows, columns)

    Returns
    -------
    sky : ndarray of bool, shape (rows, columns)
    rows : float
        On average over the columns.
    """
    inside, end = pixels.inside & ~pixels.bad, _end(pixels)
    sky = inside & ~objects & (pixels.t > end) & (pixels.t < 1.0 - end)
    return sky, sky.sum() / max(np.count_nonzero(inside.any(axis=0)), 1)


def fit_sky(pixels, objects):
    """Fit the sky of a slit.

    Parameters
    ----------
    pixels : SlitPixels
        Divided by the slit's illumination, if that is known.
    objects : ndarray of bool, shape (rows, columns)
        Pixels that objects lie on.

    Returns
    -------
    Sky

    Raises
    ------
    InputError
        If too few rows are free of objects.
    """
    sky, rows = sky_rows(pixels, objects)
    if rows < MIN_ROWS:
        raise InputError(
            f"only {rows:.1f} rows of sky beside the objects",
            f"Must be at least {MIN_ROWS}",
            "Extract the slit without sky subtraction, or rectify it",
        )
    fit = _Fit(pixels, sky, objects)
    fit.run()
    return fit.result()


class _Fit:
    """The fit of the sky of one slit.

    Arrays are one-dimensional: the pixels of the sky, row by row.
    """

    def __init__(self, pixels, sky, objects):
        self.pixels, self.sky, self.objects = pixels, sky, objects
        self._where = np.flatnonzero(sky)
        self.data, self.noise = pixels.data.take(self._where), pixels.noise.take(self._where)
        self._place = 2 * pixels.t.take(self._where) - 1
        inner = pixels.u.take(np.flatnonzero(pixels.inside))
        ends = (inner.min(), inner.max())
        self.spline = BSplineFit(pixels.u.take(self._where), _FINEST, _LEVELS, ends)
        columns = np.arange(sky.shape[1])
        self._column = np.broadcast_to(columns, sky.shape)[sky]
        self._some = np.s_[:: max(1, self.data.size // _SAMPLE)]
        noise = self.noise[self._some]
        self.floor, self.per_count = _median(noise.floor), _median(np.ravel(noise.slope))
        # The cells that the slit function is found on are runs of pixels; empty ones are not there.
        edges = np.linspace(0, len(columns), _CELLS + 1).astype(int)[:-1]
        edges = np.arange(0, sky.size, len(columns))[:, None] + edges
        starts = np.searchsorted(self._where, edges.ravel())
        number = np.diff(starts, append=self._where.size)
        self._cell = np.flatnonzero(number)
        number, self._starts = number[self._cell], starts[self._cell]
        self._cell_place = np.add.reduceat(self._place, self._starts) / number
        self._shapes, self.shape = [], np.ones(self.data.shape)
        self.used = np.ones(self.data.shape, bool)
        self.light = self.data

    def run(self):
        """Fit, leave out what is far off, find the slit function, and fit again."""
        self._take_all()
        # What is bright beyond what coarse knots and an unknown shape may do, then the shape.
        self._reject(None, _ROUGH)
        self._find_shape()
        self._take_all()
        # Fine knots follow a cosmic ray: before, what coarse ones show.
        self._reject(None, _COARSE)
        self._reject(self._variance, 0.0)
        # Once more, with what was left out in vain, without all that belongs to cosmic rays.
        self._use(np.flatnonzero(~self.used), True)
        hit = np.zeros_like(self.used)
        hit[self._outliers(0.0)[0]] = True
        self._use(np.flatnonzero(self._grown(hit, self.scatter)), False)
        self._find_shape()
        self._take_all()
        while self._reject(self._variance, 0.0):
            pass

    def _blocks(self):
        """Yield parts of the pixels: most slits are one."""
        for first in range(0, self.data.size, _TOGETHER):
            yield np.s_[first : first + _TOGETHER]

    def _take_all(self):
        """Give the spline the pixels that are used, the slit function divided out."""
        self.spline.clear()
        self.light = self.data / self.shape
        self.spline.add(self.light)
        self.spline.change(self.light, np.flatnonzero(~self.used), -1.0)

    def _use(self, where, use):
        """Use a few more pixels, or leave them out."""
        self.spline.change(self.light, where, 1.0 if use else -1.0)
        self.used[where] = use

    def _off(self, rough, where):
        """Return how far pixels are off the spline, and two variances.

        That of the pixel, and that of what it may be off by in all; `rough` is as for `_reject`.
        """
        level, slope = self.spline.line(where)
        model = level * self.shape[where]
        variance = self.noise[where](model)
        miss = np.subtract(self.data[where], model, out=model)
        slope *= MISPLACED + rough
        error = np.square(slope, out=slope)
        error += variance
        if rough:
            level *= rough
            error += np.square(level, out=level)
        return miss, variance, error

    def _far_off(self, rough):
        """Find the pixels that are far off the spline."""
        far, limit = [], self.scatter * _CLIP**2
        for part in self._blocks():
            miss = self.spline(part)
            miss *= self.shape[part]
            miss -= self.data[part]
            # No pixel's variance is less than without light: the others need no closer look.
            near = np.flatnonzero(np.square(miss, out=miss) > limit * self.noise.floor[part])
            miss, _, error = self._off(rough, near + part.start)
            far.append(part.start + near[miss**2 > limit * error])
        return np.concatenate(far)

    def _reject(self, knots, rough):
        """Leave out what is far off, the worst first, and return whether anything was.

        Parameters
        ----------
        knots : callable or None
            As for `BSplineFit.solve`.
        rough : float
            Of the light, and px: what the sky may be off besides.
        """
        self.spline.solve(knots)
        miss, variance, _ = self._off(rough, self._some)
        self.scatter = max(1.0, 2.2 * _median(miss**2 / variance))
        self.far, before = self._far_off(rough), np.count_nonzero(self.used)
        for _ in range(_ROUNDS):
            out = self._worst(rough)
            if not len(out):
                break
            self._use(out, False)
            self.spline.solve(knots)
        return np.count_nonzero(self.used) < before

    def _variance(self, value):
        """Variance of a pixel of the slit, about, with so much sky."""
        return self.floor + self.per_count * np.maximum(value, 0.0)

    def _outliers(self, rough):
        """Find used pixels that are far off, and how far: squared, in units of what is allowed."""
        far = self.far[self.used[self.far]]
        miss, _, error = self._off(rough, far)
        error *= self.scatter * _CLIP**2
        still = miss**2 > error
        far, miss, error = far[still], miss[still], error[still]
        at = self.spline.interval(far)
        number = np.bincount(at, minlength=self.spline.n)
        most = number > _MOST * self.spline.count
        if most.any():  # it is the spline that is off: what do the rows agree on?
            place = np.cumsum(number) - number + number // 4
            low = miss[np.lexsort((miss, at))].take(place, mode="clip")
            miss -= np.where(most, low, 0.0)[at]
        square = miss**2 / error
        return far[square > 1], square[square > 1]

    def _worst(self, rough):
        """Of outliers that are neighbours, which a cosmic ray takes along, find the worst."""
        far, square = self._outliers(rough)
        at = self.spline.interval(far)
        largest = np.zeros(self.spline.n)
        np.maximum.at(largest, at, square)
        largest = maximum_filter1d(largest, 2 * _NEAR + 1, mode="nearest")
        return far[square > largest[at] / 4]

    def _grown(self, hit, scatter):
        """Add to cosmic rays the pixels beside them that are bright too, as `grown` does."""
        near = np.flatnonzero(beside(self._plane(hit)).take(self._where))
        miss, _, error = self._off(0.0, near)
        hit = hit.copy()
        hit[near] |= miss * np.abs(miss) > NEIGHBOUR**2 * scatter * error
        return hit

    def _plane(self, mask):
        """Return a mask of all pixels of the slit."""
        plane = np.zeros(self.sky.shape, bool)
        plane[self.sky] = mask
        return plane

    def _find_shape(self):
        """Find how the light varies along the slit, slowly: by cells of rows and columns.

        Against a spline with coarse knots: fine ones see few rows each, and take their part.
        """
        if self.spline.mixed:
            self.spline.solve()
        level = self.spline()
        weight = level * self.used
        weight /= self.noise(level)
        own, seen = (np.add.reduceat(weight * plane, self._starts) for plane in (level, self.light))
        known = own > 0
        if known.sum() < 3 * _ORDER_U * (_ORDER_T + 1):  # too dark to tell
            return
        along = np.linspace(-1, 1, _CELLS)[self._cell[known] % _CELLS]
        # What is common to all t is the sky's own: it is fitted, and left to the spline.
        terms = _terms(along, self._cell_place[known])
        excess, root = seen[known] / own[known] - 1, np.sqrt(own[known])
        for _ in range(_ROUNDS):
            weighted = terms * root
            matrix = weighted @ weighted.T
            fitted = np.linalg.lstsq(matrix, weighted @ (excess * root), rcond=None)[0]
            miss = np.abs(excess - fitted @ terms) * root
            far = miss > _CLIP * max(1.0, 1.4826 * _median(miss[root > 0]))
            if not far.any():
                break
            root[far] = 0.0
        fitted = fitted[_ORDER_U:]
        # The inverse of its covariance, whatever the common terms are.
        common, rest = np.s_[:_ORDER_U], np.s_[_ORDER_U:]
        shared = matrix[rest, common] @ np.linalg.pinv(matrix[common, common])
        inverse = matrix[rest, rest] - shared @ matrix[common, rest]
        # As far as it is more than noise (the estimator of James and Stein).
        gain = fitted @ inverse @ fitted
        fitted *= max(0.0, 1.0 - len(fitted) / max(gain, 1e-12))
        u = np.linspace(-1, 1, self.sky.shape[1])
        powers = np.polynomial.chebyshev.chebval(u, fitted.reshape(-1, _ORDER_U).T)
        self._shapes.append(powers)
        for part in self._blocks():
            here = powers.take(self._column[part], axis=1)
            self.shape[part] = _shaped(self.shape[part], here, self._place[part])

    def result(self):
        """Return the sky."""
        pixels, spline, used = self.pixels, self.spline, self.used
        self._evaluate()
        level = self.model.take(self._where)
        variance = self.noise(level)
        sizes = np.bincount(self._column, variance, self.sky.shape[1])
        sizes /= np.maximum(np.bincount(self._column, minlength=len(sizes)), 1)
        # What a bin takes of tilted lines lies all over a column: fine knots err unlike there.
        sizes *= spline.variance_factor(pixels.strip.columns, 1.0)
        level -= self.data
        square = np.square(level, out=level)
        square /= variance
        chi2 = float(np.mean(square[used])) if pixels.known_noise else np.nan
        hit = self._plane(self._grown(~used, 1.0))
        self._follow_ends(hit)
        return Sky(self.model, self.slope, sizes, self._plane(used), hit, chi2)

    def _evaluate(self):
        """Evaluate the model in all of the slit: under the objects and at the ends as well."""
        pixels = self.pixels
        self.model, self.slope = self.spline.line_at(pixels.u)
        # Beyond the sky that is seen, beside an object at an end of the slit, it is as at the last.
        place = np.clip(2 * pixels.t - 1, self._place.min(), self._place.max())
        shape = np.ones(place.shape)
        for powers in self._shapes:
            shape = _shaped(shape, powers[:, None], place)
        shape *= pixels.inside
        self.model *= shape
        self.slope *= pixels.inside

    def _follow_ends(self, hit):
        """Let the model fall off as the light does at both ends of the slit, and past them.

        Parameters
        ----------
        hit : ndarray of bool, shape (rows, columns)
            The pixels that cosmic rays have hit: those of the ends are added.
        """
        pixels, end = self.pixels, _end(self.pixels)
        for side, near in ((0.0, pixels.t <= end), (1.0, pixels.t >= 1.0 - end)):
            end = np.flatnonzero(pixels.inside & near)
            level, slope = self.model.take(end), self.slope.take(end)
            length = pixels.length.take(end % self.sky.shape[1])
            share = _tent(np.abs(pixels.t.take(end) - side) * length)
            data, noise = pixels.data.take(end), pixels.noise.take(end)
            free = ~(pixels.bad | self.sky).take(end)
            used = free & (level > 0)
            if np.count_nonzero(used) < 4 * len(_END_KNOTS):
                continue
            ratio = np.divide(data, level, out=np.zeros_like(data), where=used)
            np.clip(ratio, 0.0, 2.0, out=ratio)
            weighted = share * (used * level**2 / noise(self.model.take(end)))
            matrix = weighted @ share.T + 1e-9 * np.eye(len(_END_KNOTS))
            model = level * (np.linalg.solve(matrix, weighted @ ratio) @ share)
            self.model.flat[end] = model
            # The light falls off steeply there: what a tenth more would do is no cosmic ray.
            error = np.sqrt(noise(model) + (MISPLACED * slope) ** 2)
            far = np.abs(data - model) > _CLIP * (error + _STEEP * model)
            hit.flat[end[far & free & ~self.objects.take(end)]] = True


def _end(pixels):
    """By how much of the slit, in each column, an end is blurred."""
    return np.minimum(_END / pixels.length, _SHORT)


def _shaped(shape, powers, place):
    """Refine a slit function by a polynomial of the place along the slit, from the first power."""
    change = powers[-1] * place
    for power in powers[-2::-1]:
        change += power
        change *= place
    change += 1.0
    change *= shape
    return np.clip(change, 0.5, 2.0, out=change)


def _median(values):
    """Return the median, 0 of nothing: in half the time of `numpy.median`, which looks for NaN."""
    half = len(values) // 2
    if not half:
        return float(values.sum())
    part = np.partition(values, half)
    low = part[half] if len(values) % 2 else part[:half].max()
    return 0.5 * float(low + part[half])


def _tent(distance):
    """Straight lines between the knots at the end of a slit, shape (knots, points)."""
    step = _END_KNOTS[1] - _END_KNOTS[0]
    return np.clip(1 - np.abs(distance - _END_KNOTS[:, None]) / step, 0.0, None)


def _terms(u, t):
    """Terms of the slit function: Chebyshev polynomials of u times powers of t."""
    along = np.polynomial.chebyshev.chebvander(u, _ORDER_U - 1).T
    return np.vstack([along * t**k for k in range(_ORDER_T + 1)])
