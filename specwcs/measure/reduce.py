"""A frame prepared for tracing: canonical, without faulty pixels, averaged along p.

Traces change slowly along the dispersion, so a few hundred averaged columns hold all that
can be known of edges, with less noise. What could imitate an edge is taken out before:
cosmic rays, hot and dead pixels, and dead detector lines along the dispersion, which look
like the gap between two slits.
"""

from dataclasses import dataclass

import numpy as np
from astropy.nddata import StdDevUncertainty, VarianceUncertainty
from scipy import ndimage

from specwcs.errors import FitError, InputError

__all__ = ["Reduced", "canonical_data", "dead_columns", "reduce_frame"]

COLUMNS = 512
"""Number of averaged columns, about."""

STRIP = 128
"""Rows that are worked on at a time: they fit in a processor's cache."""

SPIKE = 8.0
"""Standard deviations by which a spike stands out."""

DEAD, BESIDE = 0.5, 3
"""Response of a dead column, in that of those so many px beside it: no fringe is so dark."""

ROWS, LIT, MOST = 256, 8.0, 0.9
"""Rows that tell of dead columns at most, where they are lit, in standard deviations, and the
share of them that must be dark."""


@dataclass(frozen=True)
class Reduced:
    """Averages of a few columns each, in the canonical frame.

    Attributes
    ----------
    data, variance : ndarray, shape (rows, n)
        Finite everywhere.
    bad : ndarray of bool, shape (rows, n)
        Where no pixel was good, and data are interpolated.
    p : ndarray, shape (n,)
        Canonical column of each average, px.
    shape : tuple of int
        Of the canonical frame.
    """

    data: np.ndarray
    variance: np.ndarray
    bad: np.ndarray
    p: np.ndarray
    shape: tuple[int, int]

    def profiles(self, size):
        """Average groups of `size` columns.

        Returns
        -------
        profile, variance : ndarray, shape (n, rows)
        p : ndarray, shape (n,)
        """
        starts = np.arange(0, len(self.p), size)
        count = np.diff(np.append(starts, len(self.p)))
        profile = np.add.reduceat(self.data, starts, axis=1) / count
        variance = np.add.reduceat(self.variance, starts, axis=1) / count**2
        return profile.T, variance.T, np.add.reduceat(self.p, starts) / count


def canonical_data(image, instrument):
    """Return data, variance and the bad pixels of a frame, in canonical orientation.

    Parameters
    ----------
    image : CCDData or tuple of ndarray
        ``(data, variance, mask)``; variance and mask may be None.
    instrument : Instrument

    Returns
    -------
    data, variance : ndarray
    bad : ndarray of bool

    Raises
    ------
    InputError
        If the frame has not the instrument's shape.
    """
    if isinstance(image, tuple):
        data, variance, mask = image
    else:
        data, mask = image.data, image.mask
        variance = image.uncertainty
        variance = variance and variance.represent_as(VarianceUncertainty).array
    data = np.asarray(data, dtype=float)
    if data.shape != instrument.shape:
        raise InputError(
            f"the frame has {data.shape[1]}×{data.shape[0]} pixels",
            f"Must have xpixels × ypixels, {instrument.xpixels}×{instrument.ypixels}.",
        )
    view = instrument.direction.canonical_image
    data = np.ascontiguousarray(view(data))
    bad = ~np.isfinite(data)
    if mask is not None:
        bad |= view(np.broadcast_to(mask, instrument.shape))
    variance = _estimated_variance(data, bad) if variance is None else view(np.asarray(variance))
    hollow = ~np.isfinite(data)
    if hollow.any():  # what interpolates between pixels must not spread them
        data = _bridge(data, hollow)
    return data, np.where(bad, 0.0, variance), bad


def reduce_frame(data, variance, bad):
    """Average a canonical frame along p, without its faulty pixels.

    Parameters
    ----------
    data, variance : ndarray, shape (rows, columns)
    bad : ndarray of bool

    Returns
    -------
    Reduced

    Raises
    ------
    FitError
        If no pixel is good.
    """
    if bad.all():
        raise FitError("no finite, unmasked pixel in the frame. Give another frame.")
    size = max(1, data.shape[1] // COLUMNS)
    starts = np.arange(0, data.shape[1], size)
    strips = [
        _strip_sums(data, variance, bad, row, min(row + STRIP, len(data)), starts)
        for row in range(0, len(data), STRIP)
    ]
    count, light, noise = (np.concatenate(parts) for parts in zip(*strips, strict=True))
    mean, noise = light / np.maximum(count, 1), noise / np.maximum(count, 1) ** 2
    p = np.add.reduceat(np.arange(data.shape[1]), starts) / np.diff([*starts, data.shape[1]])
    hidden = count == 0
    hidden |= _odd_rows(mean)[:, np.newaxis]
    return Reduced(_bridge(mean, hidden), _bridge(noise, hidden), hidden, p, data.shape)


def dead_columns(image, instrument):
    """Find the columns across the dispersion that the light of a flat shows to be dead.

    Parameters
    ----------
    image : CCDData
        A flat.
    instrument : Instrument

    Returns
    -------
    ndarray of bool, shape (columns,)
        Canonical. None is found where the flat has no errors.
    """
    direction = instrument.direction
    rows = image.shape[0 if direction.along_x else 1]
    step = slice(None, None, -(-rows // ROWS))
    some = image[step] if direction.along_x else image[:, step]
    light = direction.canonical_image(some.data)
    if some.uncertainty is None:
        return np.zeros(light.shape[1], bool)
    noise = direction.canonical_image(some.uncertainty.represent_as(StdDevUncertainty).array)
    if some.mask is not None:
        light = np.where(direction.canonical_image(some.mask), 0.0, light)
    before, after = slice(None, -2 * BESIDE), slice(2 * BESIDE, None)
    least = np.minimum(light[:, before], light[:, after])
    lit = least > LIT * np.maximum(noise[:, before], noise[:, after])
    dark = lit & (light[:, BESIDE:-BESIDE] < DEAD * least)
    return np.pad(lit.any(axis=0) & (dark.sum(axis=0) > MOST * lit.sum(axis=0)), BESIDE)


def _estimated_variance(data, bad):
    """Variance of every pixel from the second differences along p around it."""
    kernel = np.array([[1.0, -2.0, 1.0]])
    rough = ndimage.correlate(np.where(bad, 0.0, data), kernel) ** 2 / 6
    rough[ndimage.binary_dilation(bad, np.ones((1, 3)))] = np.nan
    size = max(1, data.shape[1] // 16)
    starts = np.arange(0, data.shape[1], size)
    blocks = [rough[:, i : i + size] for i in starts]
    with np.errstate(invalid="ignore"):
        level = [np.where(np.isfinite(b), b, 0).sum(1) / np.maximum(np.isfinite(b).sum(1), 1)
                 for b in blocks]  # fmt: skip
    return np.repeat(np.array(level).T, size, axis=1)[:, : data.shape[1]]


def _strip_sums(data, variance, bad, first, last, starts):
    """Sum the good pixels of some rows over groups of columns: their count, light, variance."""
    low, high = max(first - 2, 0), min(last + 2, len(data))
    light = np.where(bad[low:high], 0.0, data[low:high])
    good = ~bad[low:high]
    good &= ~_spikes(light, variance[low:high])
    inner = slice(first - low, last - low)
    sums = (good, np.where(good, light, 0.0), np.where(good, variance[low:high], 0.0))
    return tuple(np.add.reduceat(part[inner].astype(float), starts, axis=1) for part in sums)


def _spikes(data, variance):
    """Find what is sharper than any edge: bright across p or dark along it."""
    limit = SPIKE**2 * variance
    found = np.zeros(data.shape, dtype=bool)
    excess = data[2:-2] - 1.5 * np.maximum(data[:-4], data[4:])
    found[2:-2] = (excess > 0) & (excess**2 > limit[2:-2])
    lack = 0.5 * np.minimum(data[:, :-4], data[:, 4:]) - data[:, 2:-2]
    found[:, 2:-2] |= (lack > 0) & (lack**2 > limit[:, 2:-2])
    return found


def _odd_rows(mean):
    """Find rows, single or in pairs, that are dead or hot over most of the frame.

    The rows beside them are as bright as the next ones: beside a gap between slits they are
    not, for its edges are blurred. In the ramp of an edge they are not either, but no gap is as
    dark between rows that are half as bright as a slit.
    """
    odd = np.zeros(len(mean), dtype=bool)
    faint = 0.1 * np.median(np.maximum(mean, 0), axis=0)
    for width in (1, 2):
        count = len(mean) - width - 3
        far_low, low, high, far_high = (mean[n : n + count] for n in (0, 1, width + 2, width + 3))
        inner = [mean[n : n + count] for n in range(2, width + 2)]
        lit = (low > faint) & (high > faint)
        plain = lit & _alike(low, far_low) & _alike(high, far_high)
        dead = np.all([row < 0.3 * np.minimum(low, high) for row in inner], axis=0)
        hot = np.all([row > 3.0 * np.maximum(low, high) for row in inner], axis=0)
        least, most = np.minimum(low, high), np.max([far_low, low, high, far_high], axis=0)
        bright = lit & (least > 0.5 * most)
        black = bright & np.all([row < 0.1 * least for row in inner], axis=0)
        for kind, shown, part in (
            (dead & plain, lit, 0.2), (hot & plain, lit, 0.2), (black, bright, 0.05),
        ):  # fmt: skip
            share = np.sum(kind, axis=1) / np.maximum(shown.sum(axis=1), 1)
            found = (share > 0.6) & (shown.sum(axis=1) > part * mean.shape[1])
            for n in range(2, width + 2):
                odd[np.flatnonzero(found) + n] = True
    return odd


def _alike(a, b):
    """Whether two lights agree within a fifth."""
    return np.abs(a - b) < 0.2 * np.maximum(np.abs(a), np.abs(b))


def _bridge(values, hidden):
    """Interpolate across hidden pixels, along q, from the nearest that are seen."""
    values = values.copy()
    rows = np.arange(len(values))
    for column in np.flatnonzero(hidden.any(axis=0)):
        seen = ~hidden[:, column]
        values[~seen, column] = (
            np.interp(rows[~seen], rows[seen], values[seen, column]) if seen.any() else 0.0
        )
    return values
