"""Objects in a slit: found on the profile along the slit, traced along the spectrum.

A position is given as t, since the light of an object keeps its place between the ends
of the slit; what the atmosphere bends it by is found as an offset in px.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.polynomial import chebyshev
from scipy.signal import find_peaks

from .sky import MIN_ROWS, sky_rows

__all__ = ["SlitObject", "collapsed", "find_objects", "levelled", "near_objects", "trace"]

_FAINTEST = 5.0  # standard deviations, of the light within the FWHM
_CLIP = 5.0
_SOME, _FEW = 1024, 8  # columns that tell what is usual, and that are too few to tell
_BLURRED = 2  # bins at either end of a profile
_SEEN, _BINS = 0.5, 12  # of a profile without objects, as a share and in bins: else none is taken
_ABOVE, _ROUNDS = 2.0, 20  # standard deviations from which it is an object's
_FOLLOWS = 2.0  # times the noise: a slope is off a parabola by less, off a level by more
_EDGE = 1.5  # px from the ends of the slit: there is no object to be told from the edge
_SMALLEST_FWHM = 1.5  # px
_MASKED = (2.5, 2.0, 1.5)  # FWHM on either side that count as the object's
_BESIDE = 0.02  # of a brighter object's peak: what its wings may look like
_BLOCKS = 40  # along the spectrum, that a trace is measured in
_BLOCK_SNR = 8.0
_DEGREES = ((12, 3), (6, 2), (3, 1), (1, 0))  # blocks needed for a degree of the trace
_FAR = 0.5  # FWHM: how far a block may be off the trace


@dataclass
class SlitObject:
    """An object in a slit.

    Attributes
    ----------
    t : float
        Position in the slit, 0 to 1.
    fwhm : float
        px along the slit.
    snr : float
        Signal to noise of its light within the FWHM, all wavelengths together; NaN if it was
        given and not found.
    trace : ndarray
        Chebyshev coefficients over the spectrum's columns of what its light is off t, px
        towards larger t.
    given : bool
        Whether the user said where it is.
    """

    t: float
    fwhm: float
    snr: float
    trace: np.ndarray = field(default_factory=lambda: np.zeros(1))
    given: bool = False

    def rows(self, pixels):
        """Return the row of the strip where the object is, for each column."""
        at = np.linspace(-1.0, 1.0, pixels.t.shape[1])
        return pixels.row_of(self.t) - chebyshev.chebval(at, self.trace)


def collapsed(t, residual, variance, used, length):
    """Collapse a slit along its spectrum: the mean profile, weighted by the noise.

    Parameters
    ----------
    t, residual, variance : ndarray, shape (rows, columns)
        Position, light without the sky, and its variance.
    used : ndarray of bool, likewise
    length : float
        Of the slit, px: as many bins are made.

    Returns
    -------
    profile, sigma : ndarray, shape (bins,)
        By growing t; NaN where no pixel is.
    """
    n = max(round(length), 4)
    # Cosmic rays: far off what is usual in their row, on some of the columns.
    step = max(1, residual.shape[1] // _SOME)
    some = np.where(used, residual, np.nan)[:, ::step]
    seen = np.isfinite(some).sum(axis=1) > _FEW
    middle, spread = np.zeros(len(some)), np.full(len(some), np.inf)
    middle[seen] = np.nanmedian(some[seen], axis=1)
    spread[seen] = 1.4826 * np.nanmedian(np.abs(some[seen] - middle[seen, None]), axis=1)
    used = used & (np.abs(residual - middle[:, None]) <= _CLIP * np.hypot(
        spread[:, None], np.sqrt(variance)))  # fmt: skip
    bins = np.clip((t[used] * n).astype(int), 0, n - 1)
    return _mean(bins, residual[used], 1.0 / variance[used], n)


def _mean(bins, value, weight, n):
    total = np.bincount(bins, weight, n)
    seen = total > 0
    profile, sigma = np.full(n, np.nan), np.full(n, np.nan)
    profile[seen] = np.bincount(bins, weight * value, n)[seen] / total[seen]
    sigma[seen] = 1 / np.sqrt(total[seen])
    return profile, sigma


def levelled(profile, sigma):
    """Subtract the parabola that most of a profile follows: a slit may be lit unevenly.

    Parameters
    ----------
    profile, sigma : ndarray, shape (bins,)
        From `collapsed`, of a frame whose sky is not known yet.

    Returns
    -------
    ndarray, shape (bins,)
        The profile itself where it is no parabola, or a level does as well.
    """
    x = np.linspace(-1.0, 1.0, len(profile))
    inner = np.isfinite(profile)
    inner[:_BLURRED] = inner[-_BLURRED:] = False
    used = inner
    for _ in range(_ROUNDS):
        if used.sum() < max(_SEEN * inner.sum(), _BINS):
            return profile
        level = chebyshev.chebval(x, chebyshev.chebfit(x[used], profile[used], 2))
        off = profile - level
        spread = _spread(off[used])
        before, used = used, inner & (off < _ABOVE * spread) & (off > -_CLIP * spread)
        if np.array_equal(before, used):
            break
    noise = max(float(np.median(sigma[used])), _scatter(profile, inner))
    even = _spread(profile[used] - np.median(profile[used]))
    return off if spread < _FOLLOWS * noise and spread < even / _FOLLOWS else profile


def _spread(values):
    return 1.4826 * float(np.median(np.abs(values)))


def _scatter(profile, seen):
    """Scatter of neighbouring bins of a profile, by its second differences."""
    bends = np.abs(np.diff(profile, 2)[seen[:-2] & seen[1:-1] & seen[2:]])
    return 1.4826 / 6**0.5 * float(np.median(bends)) if len(bends) else np.inf


def find_objects(profile, sigma):
    """Find the objects on a collapsed profile, the brightest first.

    Parameters
    ----------
    profile, sigma : ndarray, shape (bins,)
        From `collapsed`.

    Returns
    -------
    list of SlitObject
    """
    seen = np.isfinite(profile)
    if seen.sum() < 2 * _EDGE + 3:
        return []
    level = np.median(profile[seen])
    clean = np.where(seen, profile - level, 0.0)
    # What lies below the median holds no object: its scatter is the noise.
    low = clean[seen & (clean <= 0)]
    noise = np.maximum(np.where(seen, sigma, np.inf), 1.4826 * np.median(-low))
    # The light of an object that is not found yet is in the sky: beside it all is too dark, which
    # is no noise.
    scatter = np.maximum(np.where(seen, sigma, np.inf), _scatter(clean, seen))
    smooth = np.convolve(clean, np.full(3, 1 / 3), mode="same")
    least = 2 * min(np.min(noise), np.min(scatter))
    peaks, properties = find_peaks(smooth, prominence=least, distance=3)
    inner = (peaks >= _EDGE) & (peaks <= len(profile) - 1 - _EDGE) & seen[peaks]
    height = dict(zip(peaks[inner], properties["prominences"][inner], strict=True))
    found = []
    for peak in sorted(height, key=lambda k: -smooth[k]):
        item = _object(clean, peak, noise, seen)
        wings = any(
            abs(item.t - other.t) * len(clean) < 2 * _MASKED[0] * other.fwhm
            and smooth[peak] < _BESIDE * smooth[int(other.t * len(clean))]
            for other in found
        )
        if height[peak] >= 2 * np.min(noise) and item.snr >= _FAINTEST and not wings:
            found.append(item)
    if not found:
        return found
    brightest = found[0]
    for peak in sorted(height, key=lambda k: -smooth[k]):
        item = _object(clean - smooth[peak] + height[peak], peak, scatter, seen)
        apart = all(abs(item.t - o.t) * len(clean) > max(o.fwhm, item.fwhm) for o in found)
        stands_out = height[peak] > _BESIDE * smooth[int(brightest.t * len(clean))]
        alike = 0.5 < item.fwhm / brightest.fwhm < 2
        if apart and stands_out and alike and item.snr >= 2 * _FAINTEST:
            found.append(item)
    return found


def _object(profile, peak, noise, seen):
    """Return what is at a peak of a profile above its sky."""
    centre, fwhm = _centre_and_width(profile, peak)
    near = np.abs(np.arange(len(profile)) - centre) <= max(fwhm / 2, 1.0)
    snr = profile[near].sum() / np.sqrt(np.sum(noise[near & seen] ** 2))
    return SlitObject(float((centre + 0.5) / len(profile)), float(fwhm), float(snr))


def _centre_and_width(profile, peak):
    """Centroid (bins) and FWHM of a peak."""
    half = 0.5 * profile[peak]
    below = np.flatnonzero(profile < half)
    left = below[below < peak].max(initial=-1)
    right = below[below > peak].min(initial=len(profile))
    padded = np.pad(profile, 1)  # beyond the slit there is no light
    start = left + (half - padded[left + 1]) / (padded[left + 2] - padded[left + 1])
    end = right - (half - padded[right + 1]) / (padded[right] - padded[right + 1])
    fwhm = max(end - start, _SMALLEST_FWHM)
    near = np.arange(max(0, int(peak - fwhm)), min(len(profile), int(peak + fwhm) + 2))
    light = np.clip(profile[near], 0.0, None)
    if not light.any():  # a bump of what is darker than the sky
        return float(peak), fwhm
    return (light @ near) / light.sum(), fwhm


def near_objects(pixels, objects):
    """Return which pixels belong to objects; shape (rows, columns).

    Those within 2.5 FWHM, or less where that leaves too little sky: down to 1.5 FWHM, beyond which
    a Gaussian has 0.04 % of its light.
    """
    rows = np.arange(pixels.strip.height)[:, None]
    away = [np.abs(rows - item.rows(pixels)) / item.fwhm for item in objects]
    nearest = np.min(away, axis=0) if away else np.full(pixels.t.shape, np.inf)
    for reach in _MASKED:
        mask = nearest <= reach
        if sky_rows(pixels, mask)[1] >= MIN_ROWS:
            break
    return mask


def trace(pixels, item, residual, variance, used):
    """Measure where the light of an object is along the spectrum, and keep it with the object.

    Parameters
    ----------
    pixels : SlitPixels
    item : SlitObject
        Its `trace` is set.
    residual, variance : ndarray, shape (rows, columns)
    used : ndarray of bool, likewise
    """
    n = pixels.t.shape[1]
    edges = np.linspace(0, n, min(_BLOCKS, max(n // 8, 1)) + 1).astype(int)[:-1]
    # t grows as the row descends.
    offset = pixels.row_of(item.t) - np.arange(pixels.strip.height)[:, None]
    sigma = max(item.fwhm, _SMALLEST_FWHM) / 2.3548
    centre = np.zeros(len(edges))
    column = np.repeat(np.arange(len(edges)), np.diff(np.append(edges, n)))
    for _ in range(3):
        window = np.exp(-0.5 * ((offset - centre[column]) / sigma) ** 2) * used
        weighted = window * residual
        light = np.add.reduceat(weighted.sum(axis=0), edges)
        moment = np.add.reduceat((weighted * (offset - centre[column])).sum(axis=0), edges)
        noise = np.sqrt(np.add.reduceat((window**2 * variance).sum(axis=0), edges))
        good = light > _BLOCK_SNR * noise
        # A window as wide as the profile sees half of the shift.
        step = np.divide(2 * moment, light, out=np.zeros_like(light), where=good)
        centre = np.where(good, centre + np.clip(step, -sigma, sigma), 0.0)
    at = (edges + np.append(edges[1:], n) - 1) / (n - 1) - 1.0
    for _ in range(3):
        degree = next((d for least, d in _DEGREES if good.sum() >= least), None)
        if degree is None:
            return
        weight = np.sqrt(light[good] / noise[good])
        fitted = chebyshev.chebfit(at[good], centre[good], degree, w=weight)
        off = np.abs(centre - chebyshev.chebval(at, fitted)) > _FAR * item.fwhm
        if not np.any(good & off):
            break
        good &= ~off
    item.trace = fitted
