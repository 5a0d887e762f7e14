"""The sky of one slit, on the raw pixels (Kelson 2003, PASP 115, 688).

Along a tilted, curved slit each row samples a sky line at another place; all rows together
know its shape far better than one does. So the sky is a spline in the column u of the same
wavelength in the middle of the slit, times a slit function that varies slowly along slit
and spectrum. It is fitted before any resampling, to pixels that no object lies on.
"""

from dataclasses import dataclass

import numpy as np

from specwcs.errors import InputError

from .bspline import BSplineFit

__all__ = ["MISPLACED", "Sky", "fit_sky", "rough_sky"]

_SPACINGS = (1.0, 0.6)  # px, of the knots: coarse, and for lines that are sampled poorly
_BETTER = 0.97  # of the chi-square per degree of freedom: what finer knots must reach
_CLIP = 5.0  # standard deviations
MISPLACED = 0.05
"""px that a pixel may be off its place on the steep side of a line without being a cosmic ray."""
_ROUNDS = 4
_END = 2.5  # px: the ends of a slit are blurred
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
        Sky pixels that were not: cosmic rays.
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
    coarse, fine = (_Fit(pixels, u, sky, spacing) for spacing in _SPACINGS)
    best = coarse
    for fit in (coarse, fine):
        fit.run()
        if fit.score < _BETTER * best.score:
            best = fit
    return best.result()


class _Fit:
    """One fit of the sky, with knots of one spacing."""

    def __init__(self, pixels, u, sky, spacing):
        self.pixels, self.sky = pixels, sky
        self.spline = BSplineFit(u, spacing)
        self.shape = np.ones(1)
        self.used = sky.copy()
        self.first = None

    def run(self):
        """Fit, leave out what is far off, find the slit function, and fit again."""
        data, spline = self.pixels.data, self.spline
        spline.add(data, where=self.used)
        for round_ in range(_ROUNDS):
            level = spline.solve()()
            self.model = level * self.shape
            variance = self.pixels.variance_for(self.model)
            miss = (data - self.model) ** 2 / variance
            error = variance + (MISPLACED * spline.slope()) ** 2
            scatter = max(1.0, 2.2 * float(np.median(miss[self.used])))
            out = self.used & ((data - self.model) ** 2 > _CLIP**2 * scatter * error)
            settled = not out.any()
            if not settled:
                spline.add(data / self.shape, where=out, sign=-1.0)
                self.used &= ~out
            if round_ == 1:
                self._find_shape(level)
                settled = False
            if settled and round_ > 1:
                break
        self.chi2 = float(np.mean(miss[self.used]))
        n, p = np.count_nonzero(self.used), spline.n
        self.score = self.chi2 / max(1 - p / n, 0.01) ** 2

    def _find_shape(self, level):
        """Find how the light varies along the slit, slowly: by cells of rows and columns."""
        pixels = self.pixels
        columns = np.linspace(0, level.shape[1], _CELLS + 1).astype(int)[:-1]
        weight = self.used * level
        cells = [
            np.add.reduceat(weight * part, columns, axis=1) for part in (level, pixels.data)
        ]
        middle = np.add.reduceat(np.where(self.used, pixels.t, 0.0), columns, axis=1)
        count = np.add.reduceat(self.used.astype(float), columns, axis=1)
        known = (count > 0) & (cells[0] > 0)
        t = 2 * middle[known] / count[known] - 1
        at = np.broadcast_to(np.linspace(-1, 1, _CELLS), known.shape)[known]
        # What is common to all t is the sky's own: it is fitted, and left to the spline.
        terms = _terms(at, t)
        root = np.sqrt(cells[0][known])
        excess = cells[1][known] / cells[0][known] - 1
        fitted = np.linalg.lstsq(terms.T * root[:, None], excess * root, rcond=None)[0]
        u = np.linspace(-1, 1, level.shape[1])
        self.shape, power = np.ones_like(level), np.ones_like(level)
        for along in fitted.reshape(-1, _ORDER_U)[1:]:
            power *= 2 * pixels.t - 1
            self.shape += np.polynomial.chebyshev.chebval(u, along) * power
        np.clip(self.shape, 0.5, 2.0, out=self.shape)
        self.spline.weights[:] = self.spline.sums[:] = 0.0
        self.spline.add(pixels.data / self.shape, where=self.used)

    def result(self):
        """Return the sky."""
        pixels = self.pixels
        columns = pixels.strip.columns
        known = self.used.sum(axis=0)
        per_pixel = np.where(self.used, pixels.variance_for(self.model), 0.0).sum(axis=0)
        per_pixel = np.divide(per_pixel, known, out=np.zeros(len(columns)), where=known > 0)
        variance = per_pixel * self.spline.variance_factor(columns)
        chi2 = self.chi2 if pixels.known_noise else np.nan
        return Sky(self.model, self.spline.slope(), variance, self.used, self.sky & ~self.used, chi2)


def _terms(u, t):
    """Terms of the slit function: Chebyshev polynomials of u times powers of t."""
    along = np.polynomial.chebyshev.chebvander(u, _ORDER_U - 1).T
    return np.vstack([along * t**k for k in range(_ORDER_T + 1)])
