"""Spectra of objects straight from the raw pixels: boxcar and optimal (Horne 1986, PASP 98, 609).

Each pixel is an estimate of the flux at its own wavelength. Bins of the spectrum take it by
the share of the pixel that lies in them, so that tilted and curved lines are followed
exactly, and nothing is resampled.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.ndimage import median_filter

from .bspline import BSplineFit
from .pixels import grown
from .sky import MISPLACED

__all__ = ["Bins", "Extracted", "ObjectPixels", "extracted"]

_REACH = 3.0  # FWHM on either side that the profile is followed to
_APERTURE = 2.0  # FWHM on either side for boxcar: a Gaussian loses 2e-6, a Moffat below 1 %
_CLIP = 5.0  # standard deviations off the profile: a cosmic ray
_SHARPEST = 3.0  # times what is beside it: a line of 2 px FWHM reaches 2
_SMOOTH_OVER = 9  # columns
_OFF = 0.1  # of the object's light: poorly sampled lines are off the smooth profile by less
_WINGS = 0.02  # of the peak
_ROUNDS = 8
_KNOTS = 0.8  # px along the slit
_FREE = 40.0  # signal to noise from which the profile follows the data, not a Gaussian
_TOLD = 0.1  # of the columns, in which it must be seen
_CHANGING = 300.0  # and from which it may change along the spectrum
_BLOCKS = 48  # that the flux is smoothed over for the profile
_BEYOND = 50.0  # bins
_MAX_BAD = 0.1  # of the profile; a bin with more of it missing is masked


@dataclass(frozen=True)
class Extracted:
    """A spectrum in bins of wavelength.

    Attributes
    ----------
    flux, variance : ndarray, shape (n,)
        Counts per bin; NaN where nothing was seen.
    sky : ndarray, shape (n,)
        The sky that was subtracted, under the profile or in the aperture.
    mask : ndarray of bool, shape (n,)
        Where more than a tenth of the light was not seen.
    correlation : float
        Of the noise of neighbouring bins, on average: they share pixels.
    """

    flux: np.ndarray
    variance: np.ndarray
    sky: np.ndarray
    mask: np.ndarray
    correlation: float


class ObjectPixels:
    """The pixels around one object, its profile, and its spectra.

    Parameters
    ----------
    pixels : SlitPixels
    item : SlitObject
    sky : Sky or None
        None if no sky is to be subtracted.
    others : ndarray of bool, shape (rows, columns)
        Pixels that are nearer to another object.

    Attributes
    ----------
    profile : ndarray, shape (height, columns)
        Share of the object's light in each pixel of a column; the sum of a column is 1.
    cosmics : ndarray of bool
        Pixels that were rejected.
    """

    def __init__(self, pixels, item, sky, others):
        self.pixels, self.item = pixels, item
        centre = item.rows(pixels)
        self.half = int(_REACH * item.fwhm + 0.5)  # of a pixel that the centre is off its own
        n = pixels.t.shape[1]
        first = np.rint(centre).astype(int) - self.half
        self.place = (first + np.arange(2 * self.half + 1)[:, None], np.arange(n))
        self.beyond = (self.place[0] < 0) | (self.place[0] >= pixels.strip.height)
        self.place = (np.clip(self.place[0], 0, pixels.strip.height - 1), self.place[1])
        self._flat = self.place[0] * n + self.place[1]
        self.offset = first + np.arange(2 * self.half + 1)[:, None] - centre
        self.model_sky = self._take(sky.model) if sky else np.zeros(self.offset.shape)
        self.sky_variance = sky.variance if sky else np.zeros(n)
        self.data = self._take(pixels.data) - self.model_sky
        self.u = self._take(pixels.u)
        self.u_trace, self.width = pixels.along(centre)
        self._own = np.clip(np.arange(n) + self.u - self.u_trace, 0, n - 1)
        self._low = np.minimum(self._own.astype(np.intp), n - 2)
        self._own -= self._low
        # Where known wavelengths end within a column, the rest of its light is there, but not seen.
        self.in_slit = self._take(pixels.in_slit) & ~self.beyond
        self.good = self._take(pixels.inside) & self.in_slit
        self.good &= ~self._take(pixels.bad) & ~self._take(others)
        # Pixels that are not to be looked at are off by nothing, in units of an infinite error.
        self.misplaced = np.where(self.good, 0.0, np.inf)
        if sky:
            self.misplaced += (MISPLACED * self._take(sky.slope)) ** 2
        self._noise = pixels.noise.take(self._flat)
        self._take_variance(0.0)
        self._window = self._fading()
        self._wings = _WINGS * (self._window < 1)
        self.cosmics = np.zeros_like(self.good)
        self.profile = self._gaussian()
        self._fit_profile()
        self._reject()

    def _take(self, plane):
        return plane.take(self._flat)

    def _take_variance(self, model):
        signal = np.maximum(model, 0.0)
        signal += self.model_sky
        self.variance = self._noise(signal)

    # -- the profile ----------------------------------------------------------------

    def _gaussian(self):
        sigma = self.item.fwhm / 2.3548
        return self._normalised(np.exp(-0.5 * (self.offset / sigma) ** 2))

    def _normalised(self, profile):
        profile = profile * self.in_slit
        # Negative noise counts here: left out, the noise of the wings would add up.
        total = profile.sum(axis=0)
        profile *= _over(1.0, total)
        return np.maximum(profile, 0.0, out=profile)

    def _weighted(self, used):
        """Return flux and weight of each column, by the profile."""
        weight = self.profile * used
        weight /= self.variance
        total = np.einsum("rn,rn->n", weight, self.profile)
        flux = np.einsum("rn,rn->n", weight, self.data)
        return _over(flux, total), total

    def _fit_profile(self):
        """Let the profile follow the data, as far as these tell."""
        flux, weight = self._weighted(self.good)
        self.snr = float(np.sqrt(max(np.sum(flux * np.abs(flux) * weight), 0.0)))
        if not self.snr > _FREE:
            return
        spline, expected = BSplineFit(self.offset, _KNOTS), self.profile
        knots = ((self.offset - self.offset.min()) / _KNOTS).astype(np.intp)
        enough = _TOLD * np.bincount(knots.ravel())
        for changing in (False, self.snr > _CHANGING):
            self._reject()
            flux = np.maximum(_smooth(self._weighted(self.good & ~self.cosmics)), 0.0)
            used = self.good & ~self.cosmics & (flux > 0)
            weight = flux**2 * used / self.variance
            ratio = self.data * _over(1.0, flux)
            shape = _fitted(spline, ratio, weight)
            if changing:
                u = np.linspace(-1, 1, flux.size)
                slope = (ratio - shape) * np.sign(u) * _over(1.0, np.abs(u))
                shape += u * _fitted(spline, slope, weight * u**2)
            # Where another object is, or the frame has no good pixel, a spline is anything.
            told = np.bincount(knots.ravel(), used.ravel()) > enough
            shape = np.where(told[knots], shape, expected)
            self.profile = self._normalised(shape * self._window)

    def _fading(self):
        """Fade out at the ends of what is followed, where there is only noise."""
        reach = _REACH * self.item.fwhm
        return np.clip((reach - np.abs(self.offset)) / max(0.25 * reach, 1.0), 0.0, 1.0)

    # -- cosmic rays ------------------------------------------------------------------

    def _reject(self):
        """Find pixels that do not fit the profile, the worst of a column at a time."""
        self.cosmics = self._sharp()
        for _ in range(_ROUNDS):
            deviation = self._deviation(self._weighted(self.good & ~self.cosmics)[0])
            deviation[self.cosmics] = 0.0
            off = np.abs(deviation)
            columns = np.flatnonzero(off.max(axis=0) > _CLIP)
            if not len(columns):
                break
            self.cosmics[off[:, columns].argmax(axis=0), columns] = True
        if self.cosmics.any():
            self.cosmics = grown(self.cosmics, deviation)

    def _deviation(self, flux):
        """How far pixels are off the profile for a flux, standard deviations."""
        model = self._at_pixels(flux) * self.profile
        self._take_variance(model)
        error = self.variance + self.misplaced
        np.sqrt(error, out=error)
        # In the far wings the profile is not known: they may hold a little of the light.
        error += self._wings * np.maximum(model.max(axis=0), 0.0)
        deviation = self.data - model
        np.abs(model, out=model)
        model *= _OFF
        error += model
        deviation /= error
        return deviation

    def _sharp(self):
        """Pixels that stand out more sharply along the spectrum than any line does.

        A cosmic ray along the slit looks like the profile; but it is a single pixel wide.
        """
        flux = median_filter(self._weighted(self.good)[0], _SMOOTH_OVER)
        deviation = self._deviation(flux)
        sharp = deviation > _CLIP
        row, column = np.divmod(np.flatnonzero(sharp), sharp.shape[1])
        own, last = deviation[row, column], sharp.shape[1] - 1
        for step, border in ((-1, 0), (1, last)):
            beside = deviation[row, np.clip(column + step, 0, last)]
            beside[column == border] = 0.0
            sharp[row, column] &= own > _SHARPEST * np.maximum(beside, 1.0)
        return sharp

    def _at_pixels(self, flux):
        """Flux at the pixels' own u, from that of columns."""
        result = np.diff(flux).take(self._low)
        result *= self._own
        result += flux.take(self._low)
        return result

    # -- spectra --------------------------------------------------------------------------

    def optimal(self, edges):
        """Weigh each pixel by the profile and its noise.

        Parameters
        ----------
        edges : ndarray, shape (n + 1,)
            Of the bins, as columns u.

        Returns
        -------
        Extracted
        """
        used = self.good & ~self.cosmics
        light = self.profile * used
        weight = light / self.variance
        own = weight * self.profile  # which is the square of the weight times the variance, too
        bins = Bins(self.u, self.width, edges)
        norm, flux, sky, total, seen = bins.sum(
            own, weight * self.data, weight * self.model_sky, weight, light
        )
        flux, sky = _over(flux, norm), _over(sky, norm)
        own, correlation = bins.variance(own)
        variance = _over(own, norm**2)
        # The error of the sky is common to the pixels of a bin.
        common, width = self._in_bins(edges)
        variance += common * _over(total, norm) ** 2
        seen = _over(seen, width)
        return extracted(flux * width, variance * width**2, sky * width, seen, correlation)

    def boxcar(self, edges):
        """Sum the pixels of the aperture, fractions at its ends; bad ones by the profile.

        Parameters
        ----------
        edges : ndarray, shape (n + 1,)
            Of the bins, as columns u.

        Returns
        -------
        Extracted
        """
        reach = _APERTURE * self.item.fwhm
        share = np.clip(reach + 0.5 - np.abs(self.offset), 0.0, 1.0) * self.in_slit
        used = self.good & ~self.cosmics
        expected = self._at_pixels(self._weighted(used)[0]) * self.profile
        data = np.where(used, self.data, expected)
        bins = Bins(self.u, self.width, edges)
        common, width = self._in_bins(edges)
        noise = share**2 * self.variance
        variance, correlation = bins.variance(noise)
        light = share * self.profile
        total, flux, sky, seen = bins.sum(share, share * data, share * self.model_sky, light * used)
        variance += common * total**2
        seen = _over(seen, width * light.sum() / self.profile.sum())
        return extracted(flux, variance, sky, seen, correlation)

    def _in_bins(self, edges):
        """Variance of the sky in each bin, and the width of the bins in columns of the object."""
        u = self.u_trace
        width = np.diff(np.interp(edges, *_continued(u, np.arange(len(u)))))
        return np.interp(0.5 * (edges[1:] + edges[:-1]), u, self.sky_variance), width


class Bins:
    """How pixels share their light out to bins: each by what of it lies in them.

    Parameters
    ----------
    u : ndarray, shape (rows, columns)
        Of the pixels' centres.
    width : ndarray, shape (columns,)
        Of the pixels, in u.
    edges : ndarray, shape (n + 1,)
        Of the bins, in u, ascending.
    """

    def __init__(self, u, width, edges):
        self.n = len(edges) - 1
        # A pixel on the first or last edge reaches beyond, as if bins went on.
        number = _continued(edges, np.arange(self.n + 1))
        low, high = (np.interp(u + side * width, *number) for side in (-0.5, 0.5))
        size = np.maximum(high - low, 1e-12)
        first = np.floor(low)
        low -= first
        high -= first
        parts = int(np.ceil(size.max())) + 1
        # One bin more on either side takes what lies beyond.
        first = np.clip(first, -parts, self.n).astype(np.int32) + 1
        shares, bins = np.empty((u.size, parts)), np.empty((u.size, parts), np.int32)
        for m in range(parts):
            share = np.clip(high - m, 0.0, 1.0)
            if m == 0:
                share -= low
            share /= size
            shares[:, m] = share.ravel()
            bins[:, m] = np.clip(first + m, 0, self.n + 1).ravel()
        pointers = np.arange(0, bins.size + 1, parts, dtype=np.int32)
        shape = (self.n + 2, u.size)
        self._matrix = sparse.csc_array((shares.ravel(), bins.ravel(), pointers), shape=shape)
        self._shares = shares

    def _sums(self, shares, planes):
        """Sum planes of pixels into bins, by some shares; shape (planes, n)."""
        self._matrix.data = shares.reshape(-1)
        stacked = np.stack([plane.ravel() for plane in planes], axis=1)
        return (self._matrix @ stacked)[1:-1].T

    def sum(self, *planes):
        """Sum planes of pixels into bins, by the shares of these; shape (planes, n)."""
        return self._sums(self._shares, planes)

    def variance(self, variance):
        """Return the variance of bins, shape (n,), and the mean correlation of neighbours.

        Parameters
        ----------
        variance : ndarray, shape (rows, columns)
            Of the pixels.
        """
        (own,) = self._sums(self._shares**2, [variance])
        common = np.zeros_like(self._shares)  # to a bin and the one after it
        np.multiply(self._shares[:, :-1], self._shares[:, 1:], out=common[:, :-1])
        (together,) = self._sums(common, [variance])
        size = np.sqrt(own[1:] * own[:-1])
        known = size > 0
        if not known.any():
            return own, 0.0
        return own, float(np.mean(together[:-1][known] / size[known]))


def extracted(flux, variance, sky, seen, correlation):
    """Make an `Extracted` of sums, and of the share of the light that was seen."""
    nothing = ~((seen > 0) & (variance > 0))  # light without weight is none either
    flux, variance, sky = (np.where(nothing, np.nan, plane) for plane in (flux, variance, sky))
    return Extracted(flux, variance, sky, nothing | (seen < 1 - _MAX_BAD), correlation)


def _continued(x, number):
    """Continue the straight lines at both ends of x(number), for `numpy.interp`."""
    first, last = _BEYOND * (x[1] - x[0]), _BEYOND * (x[-1] - x[-2])
    x = np.concatenate([[x[0] - first], x, [x[-1] + last]])
    return x, np.concatenate([[-_BEYOND], number, [number[-1] + _BEYOND]])


def _fitted(spline, values, weight):
    """Fit a spline anew to values, and evaluate it."""
    spline.clear()
    spline.add(values, weight)
    return spline.solve()()


def _over(a, b):
    return np.divide(a, b, out=np.zeros_like(b), where=b > 0)


def _smooth(weighted):
    """Smooth the flux of columns, weighted by what is known of it, in blocks."""
    flux, weight = weighted
    n = len(flux)
    width = max(n // _BLOCKS, 1)
    kernel = np.ones(2 * width + 1)
    total = np.convolve(weight, kernel, mode="same")
    return _over(np.convolve(flux * weight, kernel, mode="same"), total)
