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
from .pixels import grown

__all__ = ["MISPLACED", "Sky", "fit_sky", "rough_sky"]

_FINEST, _LEVELS = 0.35, 3  # px, of the knots where lines need it; else 0.7 or 1.4
_CLIP = 5.0  # standard deviations
MISPLACED = 0.05
"""px that a pixel may be off its place on the steep side of a line without being a cosmic ray."""
_ROUNDS = 10
_MOVED = 0.02  # standard deviations of a pixel: by less the sky has not changed
_SAMPLE = 3  # every so many rows and columns tell the scatter
_MOST = 0.5  # of the rows: so many are not hit by cosmic rays at one wavelength
_NEAR = 4  # knots: what a cosmic ray takes the spline along by
_END = 2.5  # px: the ends of a slit are blurred
_END_KNOTS = np.arange(0.0, _END + 0.5, 0.5)  # px
_STEEP = 0.1
_ROUGH = 0.15  # of the light, and px: what the sky may be off before its shape is known
_COARSE = 0.03  # likewise, with its shape known
_SHORT = 0.2  # of the length: in short slits no more than this is left out at each end
_MIN_ROWS = 4  # of sky, on average
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
    inside = pixels.inside & ~pixels.bad
    sky = inside & ~objects
    sky &= pixels.from_ends() > np.minimum(_END, _SHORT * pixels.length)
    rows = sky.sum() / max(np.count_nonzero(inside.any(axis=0)), 1)
    if rows < _MIN_ROWS:
        raise InputError(
            f"only {rows:.1f} rows of sky beside the objects",
            f"Must be at least {_MIN_ROWS}",
            "Extract the slit without sky subtraction, or rectify it",
        )
    u = np.where(pixels.inside, pixels.u, pixels.u[pixels.inside].min())
    fit = _Fit(pixels, u, sky, objects)
    fit.run()
    return fit.result()


class _Fit:
    """The fit of the sky of one slit."""

    def __init__(self, pixels, u, sky, objects):
        self.pixels, self.sky, self.objects = pixels, sky, objects
        self.spline = BSplineFit(u, _FINEST, _LEVELS)
        self.floor = float(np.median(pixels.floor[sky]))
        self.per_count = float(np.median(pixels.slope))
        self.shape = np.ones(1)
        self.used = sky.copy()
        self.model, self.miss, self.deviation = np.zeros((3, *sky.shape))

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
        self.used = self.sky.copy()
        self._take_all()
        hit = np.zeros_like(self.sky)
        hit[self._worst(self.deviation**2)] = True
        self.used = self.sky & ~grown(hit, self.deviation)
        self._take_all()
        self._find_shape()
        self._take_all()
        self._reject(self._variance, 0.0)
        self.spline.solve(self._variance)
        self._evaluate(0.0)
        self.chi2 = float(np.mean(self.miss[self.used]))
        self._follow_ends(self.spline())

    def _take_all(self):
        """Give the spline the pixels that are used, the slit function divided out."""
        self.spline.clear()
        self.light = self.pixels.data / self.shape
        self.spline.add(self.light, where=self.used)

    def _evaluate(self, rough, where=...):
        """Find model and deviation of pixels from the spline; `rough` is as for `_reject`."""
        level, pixels = self.spline(where), self.pixels
        self.model[where] = model = level * self._shape_at(where)
        variance = pixels.variance_for(model, where)
        miss = pixels.data[where] - model
        self.miss[where] = miss**2 / variance
        variance += ((MISPLACED + rough) * self.spline.slope(where)) ** 2 + (rough * level) ** 2
        self.deviation[where] = miss / np.sqrt(variance)

    def _shape_at(self, where):
        return self.shape[where] if self.shape.ndim > 1 else 1.0

    def _reject(self, knots, rough):
        """Leave out what is far off, the worst first, until nothing is.

        After the first round only where the spline has moved is looked at again.
        """
        for k in range(_ROUNDS):
            self.spline.solve(knots)
            self._evaluate(rough, self.spline.moved(self._variance, _MOVED) if k else ...)
            sample = np.s_[::_SAMPLE, ::_SAMPLE]
            some = self.miss[sample][self.used[sample]]
            scatter = max(1.0, 2.2 * float(np.median(some))) if some.size else 1.0
            out = self._worst(self.deviation**2 / scatter)
            if not len(out[0]):
                break
            self.spline.add(self.light, where=out, sign=-1.0)
            self.used[out] = False
        self.deviation /= np.sqrt(scatter)

    def _variance(self, value):
        """Variance of a pixel of the slit, about, with so much sky."""
        return self.floor + self.per_count * np.maximum(value, 0.0)

    def _worst(self, square):
        """Pixels that are far off: of neighbours, which a cosmic ray takes along, the worst."""
        rows, columns = np.nonzero(self.used & (square > _CLIP**2))
        at = self.spline.interval((rows, columns))
        # Where most of the rows are off, it is the spline that is.
        some = np.bincount(at, minlength=self.spline.n) < _MOST * self.spline.count
        rows, columns, at = rows[some[at]], columns[some[at]], at[some[at]]
        largest = np.zeros(self.spline.n)
        np.maximum.at(largest, at, square[rows, columns])
        largest = maximum_filter1d(largest, 2 * _NEAR + 1, mode="nearest")
        worst = square[rows, columns] > largest[at] / 4
        return rows[worst], columns[worst]

    def _follow_ends(self, level):
        """Let the model fall off as the light does at both ends of the slit, and past them."""
        pixels = self.pixels
        inside = pixels.inside & ~pixels.bad & ~self.sky
        self.hit = grown(self.sky & ~self.used, self.deviation) & self.sky
        slope = MISPLACED * self.spline.slope()
        reach = np.minimum(_END, _SHORT * pixels.length)
        weight = np.maximum(level, 0.0) ** 2 / pixels.variance_for(self.model)
        for t in (pixels.t, 1.0 - pixels.t):
            distance = t * pixels.length
            end = pixels.inside & (distance <= reach)
            used = inside & end & (level > 0)
            if np.count_nonzero(used) < 4 * len(_END_KNOTS):
                continue
            ratio = np.clip(pixels.data[used] / level[used], 0.0, 2.0)
            share = _tent(distance[used])
            matrix = (share * weight[used]) @ share.T + 1e-9 * np.eye(len(_END_KNOTS))
            fitted = np.linalg.solve(matrix, (share * weight[used]) @ ratio)
            self.model[end] = level[end] * (fitted @ _tent(distance[end]))
            # The light falls off steeply there: what a tenth more would do is no cosmic ray.
            model, free = self.model[end], inside[end] & ~self.objects[end]
            error = np.sqrt(pixels.variance_for(model, end) + slope[end] ** 2) + _STEEP * model
            self.hit[end] |= free & (np.abs(pixels.data[end] - model) > _CLIP * error)

    def _find_shape(self):
        """Find how the light varies along the slit, slowly: by cells of rows and columns.

        Against a spline with coarse knots: fine ones see few rows each, and take their part.
        """
        pixels = self.pixels
        data, level = pixels.data / self.shape, self.spline.solve()()
        columns = np.linspace(0, level.shape[1], _CELLS + 1).astype(int)[:-1]
        weight = self.used * level / pixels.variance_for(level)
        own, seen, t, count = (
            np.add.reduceat(plane, columns, axis=1)
            for plane in (weight * level, weight * data, self.used * pixels.t, self.used * 1.0)
        )
        known = (count > 0) & (own > 0)
        if known.sum() < 3 * _ORDER_U * (_ORDER_T + 1):  # too dark to tell
            return
        along = np.broadcast_to(np.linspace(-1, 1, _CELLS), known.shape)[known]
        # What is common to all t is the sky's own: it is fitted, and left to the spline.
        terms = _terms(along, 2 * t[known] / count[known] - 1)
        excess, root = seen[known] / own[known] - 1, np.sqrt(own[known])
        for _ in range(_ROUNDS):
            design = terms.T * root[:, None]
            fitted = np.linalg.lstsq(design, excess * root, rcond=None)[0]
            miss = np.abs(excess - fitted @ terms) * root
            far = miss > _CLIP * max(1.0, 1.4826 * np.median(miss[root > 0]))
            if not far.any():
                break
            root[far] = 0.0
        fitted = fitted[_ORDER_U:]
        covariance = np.linalg.pinv(design.T @ design)[_ORDER_U:, _ORDER_U:]
        # As far as it is more than noise (the estimator of James and Stein).
        gain = fitted @ np.linalg.pinv(covariance) @ fitted
        fitted *= max(0.0, 1.0 - len(fitted) / max(gain, 1e-12))
        u = np.linspace(-1, 1, level.shape[1])
        change, power = np.ones_like(level), np.ones_like(level)
        for part in fitted.reshape(-1, _ORDER_U):
            power *= 2 * pixels.t - 1
            change += np.polynomial.chebyshev.chebval(u, part) * power
        self.shape = np.clip(self.shape * change, 0.5, 2.0)

    def result(self):
        """Return the sky."""
        pixels = self.pixels
        columns = pixels.strip.columns
        known = self.used.sum(axis=0)
        per_pixel = np.where(self.used, pixels.variance_for(self.model), 0.0).sum(axis=0)
        per_pixel = np.divide(per_pixel, known, out=np.zeros(len(columns)), where=known > 0)
        variance = per_pixel * self.spline.variance_factor(columns)
        chi2 = self.chi2 if pixels.known_noise else np.nan
        return Sky(self.model, self.spline.slope(), variance, self.used, self.hit, chi2)


def _tent(distance):
    """Straight lines between the knots at the end of a slit, shape (knots, points)."""
    step = _END_KNOTS[1] - _END_KNOTS[0]
    return np.clip(1 - np.abs(distance - _END_KNOTS[:, None]) / step, 0.0, None)


def _terms(u, t):
    """Terms of the slit function: Chebyshev polynomials of u times powers of t."""
    along = np.polynomial.chebyshev.chebvander(u, _ORDER_U - 1).T
    return np.vstack([along * t**k for k in range(_ORDER_T + 1)])
