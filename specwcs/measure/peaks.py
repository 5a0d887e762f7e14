"""Peaks of a one-dimensional arc spectrum: the raw material of the identification."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d, percentile_filter, uniform_filter1d
from scipy.signal import find_peaks as local_maxima

from specwcs.measure.centroid import centroid, sigma_from_fwhm

__all__ = ["Peaks", "continuum", "find_peaks", "line_width"]

# The running background: this percentile in a window of so many FWHM, then smoothed. Where it
# falls or bends, that is too low: the same of what is left is added.
_PERCENTILE = 30
_WINDOW = 20
# A peak must rise above its surroundings by this fraction of its own height, so that the
# wings of a saturated line are not taken for lines.
_PROMINENCE = 0.3
_SNR = 6.0


@dataclass(frozen=True)
class Peaks:
    """Peaks of one spectrum, in order of position; all arrays of shape (n,).

    Attributes
    ----------
    p : ndarray
        Position, px.
    sigma : ndarray
        Its error, px.
    flux : ndarray
        Height above the continuum, units of the spectrum.
    snr : ndarray
        Matched-filter signal-to-noise ratio.
    saturated : ndarray
        True where pixels of the core are missing: the position is then a rough one.
    """

    p: np.ndarray
    sigma: np.ndarray
    flux: np.ndarray
    snr: np.ndarray
    saturated: np.ndarray

    def __len__(self):
        return len(self.p)

    def take(self, index):
        """Return the peaks at `index`, which may be a mask."""
        return Peaks(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def continuum(flux, fwhm, percentile=_PERCENTILE):
    """Estimate the continuum under the lines, shape (nx,): a running low percentile."""
    size = 2 * int(0.5 * _WINDOW * fwhm) + 1
    total = np.zeros(len(flux))
    for _ in range(2):
        low = percentile_filter(flux - total, percentile, size, mode="nearest")
        for _ in range(3):  # boxes that together are as a Gaussian of a quarter of the window
            low = uniform_filter1d(low, size // 2, mode="nearest")
        total += low
    return total


def filled(flux, good):
    """Return `flux` with bad pixels interpolated from the good ones beside them."""
    if good.all() or not good.any():
        return np.where(good, flux, 0.0)
    column = np.arange(len(flux))
    return np.interp(column, column[good], flux[good])


def line_width(spectra, guess):
    """Estimate the FWHM of unblended lines, px, from the brightest peaks of all spectra.

    Blends are wider and what is not a line is narrower, so the lower third of the half-maximum
    widths is taken, and never less than 1.5 px.

    Parameters
    ----------
    spectra : iterable of ArcSpectrum
    guess : float
        Expected FWHM, px: the projected slit width with the image quality.

    Returns
    -------
    float
    """
    widths = []
    for spectrum in spectra:
        net = filled(spectrum.flux, spectrum.good)
        net = net - continuum(net, guess)
        smooth = gaussian_filter1d(net, 0.6)
        noise = np.sqrt(np.median(spectrum.variance[spectrum.good])) if spectrum.good.any() else 1.0
        index, _ = local_maxima(smooth, height=20 * noise, distance=2)
        index = index[spectrum.good[index]]
        brightest = index[np.argsort(-smooth[index])[:20]]
        widths += [_half_maximum_width(net, i) for i in brightest]
    widths = np.array(widths)
    widths = widths[np.isfinite(widths) & (widths < 4 * guess) & (widths > 1.2)]
    return max(float(np.percentile(widths, 35)), 1.5) if len(widths) >= 3 else float(guess)


def _half_maximum_width(net, i):
    """Width at half maximum of the peak at pixel `i`, by linear interpolation."""
    half = 0.5 * net[i]
    left = np.flatnonzero(net[:i] < half)
    right = np.flatnonzero(net[i:] < half)
    if not len(left) or not len(right):
        return np.nan
    a, b = left[-1], i + right[0]
    start = a + (half - net[a]) / (net[a + 1] - net[a])
    end = b - (half - net[b]) / (net[b - 1] - net[b])
    return end - start


def find_peaks(spectrum, fwhm):
    """Find the lines of one spectrum.

    Parameters
    ----------
    spectrum : ArcSpectrum
    fwhm : float
        Width of the lines, px.

    Returns
    -------
    Peaks
        In order of position.
    """
    flux = filled(spectrum.flux, spectrum.good)
    variance = filled(spectrum.variance, spectrum.good)
    net = flux - continuum(flux, fwhm)
    sigma = sigma_from_fwhm(fwhm)
    matched = gaussian_filter1d(net, sigma)
    # The variance of a weighted mean: the squared kernel has width sigma / sqrt(2).
    noise = np.sqrt(gaussian_filter1d(variance, sigma / np.sqrt(2)) / (2 * sigma * np.sqrt(np.pi)))
    index, found = local_maxima(matched, height=_SNR * noise, prominence=0.0)
    index = index[found["prominences"] > np.maximum(_PROMINENCE * matched[index], 4 * noise[index])]
    index = index[spectrum.good[index] | _between_good(spectrum.good, index, fwhm)]
    saturated = ~_core_is_good(spectrum.good, index, fwhm)
    everywhere = np.ones((1, len(net)), bool)
    line = centroid(
        net[None], variance[None], everywhere, np.zeros(len(index)), index.astype(float), fwhm=fwhm
    )
    ok = np.isfinite(line.p)
    return Peaks(
        p=line.p[ok],
        sigma=np.where(saturated, 0.3 * fwhm, line.sigma)[ok],
        flux=(matched[index] * np.sqrt(2.0))[ok],
        snr=(matched[index] / noise[index])[ok],
        saturated=saturated[ok],
    )


def _core_is_good(good, index, fwhm):
    near = np.rint(index[:, None] + np.linspace(-0.5, 0.5, 5) * fwhm).astype(int)
    return good[np.clip(near, 0, len(good) - 1)].all(axis=1)


def _between_good(good, index, fwhm):
    """Whether a bad pixel has good ones within two FWHM on both sides."""
    reach = int(np.ceil(2 * fwhm))
    count = np.concatenate([[0], np.cumsum(good)])
    left = count[index] - count[np.maximum(index - reach, 0)]
    right = count[np.minimum(index + reach + 1, len(good))] - count[index + 1]
    return (left > 0) & (right > 0)
