"""`extract`: a spectrum of the brightest object of each slit, or of the whole slit.

The plain way: rows of the rectified image are summed, and the sky is a straight line (along
the slit, in each column) through the rows on either side. Both are one weighted sum of the
bins of a column, so that the variance follows exactly, correlations included. Bright sky
lines leave residuals of a few sigma where they are sampled poorly: a resampled sky is
never quite the sky.
"""

from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.nddata import VarianceUncertainty
from specutils import Spectrum, SpectrumList

from specwcs.errors import InputError

from .rectify import for_each_slit, slit_rectifier, warn_skipped

__all__ = ["SlitSpectra", "extract"]

_MIN_SIGNAL = 5.0  # standard deviations of the profile; what is fainter is no object
_APERTURE = 2.0  # FWHM on either side: a Gaussian loses 2e-6, a Moffat profile below 1 %
_MIN_SKY_ROWS = 4
_CLIP = 4.0  # standard deviations; sky bins beyond are left out (cosmic rays)
_CLIP_ROUNDS = 3
_MAX_BAD = 0.1  # of the profile; a sum with more of it interpolated is masked


class SlitSpectra(SpectrumList):
    """Extracted spectra, one a slit.

    Attributes
    ----------
    skipped : dict of str to str
        Why there is no spectrum of a slit.
    """

    def __init__(self, spectra, skipped):
        super().__init__(spectra)
        self.skipped = skipped


def extract(cal, frame, sky=True, slits=None):
    """Sum the light of each slit into a spectrum.

    Parameters
    ----------
    cal : Calibration
    frame : CCDData
        From `specwcs.read_frame`, of the calibration's instrument.
    sky : bool
        True: find the brightest object on the profile along the slit (the median over all
        wavelengths: it is its continuum that counts), sum over 2 FWHM on either side, and
        subtract the sky beside it. False: sum all rows that lie wholly in the slit.
    slits : list of str, optional
        Ids; by default all slits but the reference ones.

    Returns
    -------
    SlitSpectra
        A `specutils.SpectrumList`: counts per bin, their variance, a mask, the spectral
        axis in Angstrom. ``meta`` holds ``"slit"``, ``"medium"``, ``"sky"``, the aperture
        ``"t_range"``, and with `sky` the object's ``"object_t"`` and ``"object_fwhm"`` (in
        rows). A bin is masked where bad pixels hold more than a tenth of the light (its
        value is then interpolated along the dispersion), and NaN where the aperture is
        partly off the detector or no sky is left.

    Raises
    ------
    InputError
        If an id is unknown, or the frame is not that of the instrument.

    Warns
    -----
    SpecwcsWarning
        If slits were skipped: those not calibrated, off the detector, without an object,
        or without sky beside it. ``skipped`` of the result holds the reasons.
    """

    def spectrum(slit_id):
        return _spectrum(cal, frame, slit_id, sky)

    spectra, skipped = for_each_slit(cal, frame, slits, spectrum)
    warn_skipped(skipped)
    return SlitSpectra(spectra.values(), skipped)


def _spectrum(cal, frame, slit_id, sky):
    rectifier = slit_rectifier(cal, slit_id)
    image = rectifier.apply(frame)
    usable = image.mask.mean(axis=1) < 0.5
    if not usable.any():
        raise InputError("no row has good pixels")
    meta = {"slit": slit_id, "medium": cal.medium, "sky": sky}
    if sky:
        found = _find_object(image, usable)
        meta["object_t"] = np.interp(found.row, np.arange(len(usable)), rectifier.t)
        meta["object_fwhm"] = found.fwhm
        aperture, profile = found.aperture & usable, found.profile
        weights = aperture[:, np.newaxis] + _sky_weights(image, found, usable)
    else:
        aperture, profile = usable, np.ones(len(usable))
        weights = np.repeat(aperture[:, np.newaxis], image.data.shape[1], axis=1).astype(float)
    rows = np.flatnonzero(aperture)
    half = 0.5 * (rectifier.t[0] - rectifier.t[1])
    meta["t_range"] = (rectifier.t[rows[-1]] - half, rectifier.t[rows[0]] + half)
    flux = np.where(weights == 0, 0.0, weights * image.data).sum(axis=0)
    variance = None
    if image.variance is not None:
        weights = np.where(np.isfinite(flux), weights, 0.0)
        variance = rectifier.variance_of_sum(frame, weights)
        variance[np.isnan(flux)] = np.nan
    light = np.clip(profile, 0.0, None) * aperture
    return Spectrum(
        flux=flux * image.unit,
        spectral_axis=rectifier.wavelength * u.AA,
        uncertainty=None if variance is None else VarianceUncertainty(variance),
        mask=np.isnan(flux) | (light @ image.mask > _MAX_BAD * light.sum()),
        meta=meta,
    )


@dataclass(frozen=True)
class _Object:
    """What the profile along the slit shows: positions in rows, counted from 0.

    `empty` are the rows without any object.
    """

    row: float
    fwhm: float
    profile: np.ndarray
    aperture: np.ndarray
    empty: np.ndarray


def _find_object(image, usable):
    """Find the brightest object on the median profile."""
    good = np.where(image.mask, np.nan, image.data)[usable]
    columns = np.isfinite(good).sum(axis=0) > len(good) // 2
    if not columns.any():
        raise InputError("no wavelength has good pixels along most of the slit")
    good = good[:, columns] - np.nanmedian(good[:, columns], axis=0)
    profile = np.full(len(usable), np.nan)
    profile[usable] = np.nanmedian(good, axis=1)
    level = np.nanmedian(profile)
    # What lies below the median holds no object: its scatter is the noise.
    noise = 1.4826 * np.median(level - profile[profile <= level])
    profile = np.where(usable, profile - level, 0.0)
    peak = int(np.argmax(np.convolve(profile, np.full(3, 1 / 3), mode="same")))
    if not profile[peak] > _MIN_SIGNAL * noise:
        raise InputError(
            "no object stands out on the profile along the slit",
            remedy="Extract the slit without sky subtraction, or rectify it",
        )
    fwhm, row = _width_and_centre(profile, peak)
    rows = np.arange(len(profile))
    empty = usable & (np.abs(profile) < _MIN_SIGNAL * noise)
    return _Object(row, fwhm, profile, np.abs(rows - row) <= _APERTURE * fwhm, empty)


def _width_and_centre(profile, peak):
    """FWHM and centroid of the peak, rows."""
    half = 0.5 * profile[peak]
    below = np.flatnonzero(profile < half)
    left = below[below < peak].max(initial=-1)
    right = below[below > peak].min(initial=len(profile))
    padded = np.pad(profile, 1)  # beyond the slit there is no light
    start = left + (half - padded[left + 1]) / (padded[left + 2] - padded[left + 1])
    end = right - (half - padded[right + 1]) / (padded[right] - padded[right + 1])
    fwhm = end - start
    near = np.arange(max(0, int(peak - fwhm)), min(len(profile), int(peak + fwhm) + 2))
    light = np.clip(profile[near], 0.0, None)
    return fwhm, (light @ near) / light.sum()


def _sky_weights(image, found, usable):
    """Weights of the bins of each column that subtract the sky under the aperture.

    The sky is a least-squares line along the slit through the bins outside the aperture,
    or a constant where they lie on one side only; a line fitted to bins is a weighted sum
    of them. NaN where too few bins are left.
    """
    rows = np.arange(len(usable))
    outside = found.empty & ~found.aperture
    both_sides = outside[rows < found.row].sum() >= 2 and outside[rows > found.row].sum() >= 2
    if outside.sum() < _MIN_SKY_ROWS:
        raise InputError(
            f"only {outside.sum()} rows of sky beside the object",
            f"Must be at least {_MIN_SKY_ROWS}",
            "Extract the slit without sky subtraction, or rectify it",
        )
    x = (rows - found.row)[:, np.newaxis]
    data = np.where(image.mask, 0.0, image.data)
    used = outside[:, np.newaxis] & ~image.mask
    for _ in range(_CLIP_ROUNDS):
        line = _Line.through(x, used, both_sides)
        enough = np.isfinite(line.count)
        miss = np.where(used, np.abs(data - line.value(x, data)), np.nan)
        scatter = 1.4826 * np.nanmedian(miss[:, enough], axis=0)
        used[:, enough] &= miss[:, enough] <= _CLIP * scatter
    line = _Line.through(x, used, both_sides)
    inside = found.aperture & usable
    return -line.weights(x, inside.sum(), x[inside].sum())


@dataclass(frozen=True)
class _Line:
    """A straight line (or a constant) through the used bins of each column."""

    used: np.ndarray
    count: np.ndarray
    mean: np.ndarray
    square: np.ndarray

    @classmethod
    def through(cls, x, used, sloped):
        count = np.where(used.sum(axis=0) >= _MIN_SKY_ROWS, used.sum(axis=0), np.nan)
        mean = (x * used).sum(axis=0) / count
        square = (used * (x - mean) ** 2).sum(axis=0) if sloped else np.full(len(count), np.inf)
        return cls(used, count, mean, square)

    def weights(self, x, number, total):
        """Weights of the bins in the sum of the line over `number` rows, whose x sum to `total`.

        NaN in columns with too few bins.
        """
        lever = (total - number * self.mean) / self.square
        weights = np.where(self.used, number / self.count + lever * (x - self.mean), 0.0)
        weights[:, np.isnan(self.count)] = np.nan
        return weights

    def value(self, x, data):
        """Return the line at all rows."""
        mean = (self.used * data).sum(axis=0) / self.count
        slope = (self.used * (x - self.mean) * data).sum(axis=0) / self.square
        return mean + slope * (x - self.mean)
