"""Light of objects that reaches the rows of sky: in short slits it was taken for sky.

The sky is what all rows beside the objects have in common, and so has the mean of their wings
in it; what is left along the slit is too low by that. How wide the wings are, the shape of the
objects tells: a Moffat profile (1969, A&A 3, 455) is fitted to it.
"""

import numpy as np
from scipy.optimize import least_squares
from scipy.special import gammaln

from .objects import collapsed, trace

__all__ = ["wings"]

_FAR = 14.0  # FWHM, of a slit that is so long: wings are of no account
_LEAST = 2e-3  # of an object's light, that is of account
_SNR = 50.0  # of the peak of an object whose shape can be told
_INNER = 2.5  # px from the ends of the slit, which are blurred
_ALPHA = (0.0, 0.6)  # 1 / beta of a Moffat profile: 0 is a Gaussian
_CORE = 1.5  # FWHM on either side, that the flux of a column is found in


def wings(pixels, near, residual, variance, used, objects):
    """Estimate the light of objects on the pixels of the sky.

    Parameters
    ----------
    pixels : SlitPixels
    near : ndarray of bool, shape (rows, columns)
        The pixels that belong to objects: sky was fitted to the others.
    residual, variance : ndarray, shape (rows, columns)
        Light without the sky.
    used : ndarray of bool, shape (rows, columns)
    objects : list of SlitObject
        Where they are along the spectrum is measured.

    Returns
    -------
    ndarray, shape (rows, columns), or None
        None if it is of no account, or cannot be told.
    """
    length = float(np.median(pixels.length))
    if not any(item.fwhm * _FAR > length for item in objects):
        return None
    for item in objects:
        trace(pixels, item, residual, variance, used)
    # As the brightest lies: the air disperses all alike.
    t = pixels.t + (objects[0].rows(pixels) - pixels.row_of(objects[0].t)) / length
    used = used & (t > 0) & (t < 1)
    profile, sigma = collapsed(t, residual, variance, used, length)
    n = len(profile)
    place = (np.arange(n) + 0.5) * (length / n)
    peaks = np.array([np.interp(item.t * length, place, profile / sigma) for item in objects])
    if not np.all(peaks > _SNR):
        return None
    bins = (t[used] * n).astype(int)
    sky = np.bincount(bins, ~near[used], n) / np.maximum(np.bincount(bins, minlength=n), 1)
    seen = np.isfinite(profile) & (np.minimum(place, length - place) > _INNER)
    sky *= seen
    if seen.sum() < 4 * (len(objects) + 1) or not sky.any():
        return None
    light = np.zeros_like(residual)
    at = [(item.t * length, item.fwhm) for item in objects]
    shapes = _fitted(place, profile, sigma, seen, sky, at)
    for item, (offset, fwhm, alpha, level) in zip(objects, shapes, strict=True):
        # What of the light is lost with the sky that is summed over the object.
        if level * 4 * fwhm < _LEAST:
            continue
        away = item.rows(pixels) - np.arange(len(residual))[:, None] - offset
        share = _moffat(away, fwhm, alpha)
        core = share * (used & (np.abs(away) < _CORE * fwhm))
        total = np.einsum("rn,rn->n", core, core)
        flux = np.einsum("rn,rn->n", core, residual)
        light += share * np.divide(flux, total, out=np.zeros_like(flux), where=total > 0)
    return light if light.any() else None


def _fitted(place, profile, sigma, seen, sky, objects):
    """Fit Moffat profiles that lack what the sky took of them.

    Returns
    -------
    list of tuple
        Offset and FWHM (px), 1 / beta, and the mean over the sky's rows, of the light.
    """
    sky = sky / sky.sum()
    weight = 1 / sigma[seen]

    def shapes(values):
        offset, fwhm, alpha = values.reshape(3, -1, 1)
        centre = np.array([[centre] for centre, _ in objects])
        return _moffat(place - centre - offset, fwhm, alpha)

    def lacking(values):
        all_rows = shapes(values)
        own = (all_rows - (all_rows @ sky)[:, None])[:, seen] * weight
        flux = np.linalg.lstsq(own.T, profile[seen] * weight, rcond=None)[0]
        return flux @ own - profile[seen] * weight

    width = np.array([fwhm for _, fwhm in objects])
    start = np.concatenate([np.zeros_like(width), width, np.full_like(width, 0.2)])
    low = np.concatenate([-np.ones_like(width), 0.6 * width, np.full_like(width, _ALPHA[0])])
    high = np.concatenate([np.ones_like(width), 1.5 * width, np.full_like(width, _ALPHA[1])])
    found = least_squares(lacking, start, bounds=(low, high), loss="soft_l1").x
    return list(zip(*found.reshape(3, -1), shapes(found) @ sky, strict=True))


def _moffat(x, fwhm, alpha):
    """Return a Moffat profile whose sum over steps of 1 px is 1, a Gaussian for alpha = 0."""
    alpha = np.maximum(alpha, 1e-6)
    half = np.log(2.0) * alpha
    shape = np.exp(-np.log1p(np.expm1(half) * (2 * x / fwhm) ** 2) / alpha)
    # The integral of (1 + x^2)^(-beta) is sqrt(pi) Gamma(beta - 1/2) / Gamma(beta).
    area = np.sqrt(np.pi) * np.exp(gammaln(1 / alpha - 0.5) - gammaln(1 / alpha))
    return shape / (area * fwhm / (2 * np.sqrt(np.expm1(half))))
