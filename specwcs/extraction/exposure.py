"""The rows of a frame that a slit lies on, ready to be resampled: `Exposure`.

They are handed out in windows of some columns, so that nothing as large as the slit is copied.
"""

import numpy as np
from astropy.nddata import StdDevUncertainty, VarianceUncertainty

from specwcs.errors import InputError

__all__ = ["PAD", "Exposure", "variance_of"]

PAD = 4
"""Columns beyond the border of the frame, on either side: they repeat the last ones."""
_ROWS = 64  # that are looked at together


class Exposure:
    """Some rows of a frame in the canonical frame, padded, with bad pixels bridged.

    A bad pixel is one that is masked or not finite; it gets the value of a straight line along
    the row between the good ones.

    Parameters
    ----------
    frame : CCDData
        Uncertainty and mask are optional.
    direction : Direction
    rows : slice
        Of the canonical frame.

    Raises
    ------
    InputError
        If there is no good pixel.
    """

    def __init__(self, frame, direction, rows):
        self._frame, self._direction, self._rows = frame, direction, rows
        data = self._view(frame.data)
        bad = ~np.isfinite(data)
        if frame.uncertainty is not None:
            for first in range(0, len(bad), _ROWS):
                part = slice(first, first + _ROWS)
                bad[part] |= ~np.isfinite(self._variance(lambda view, part=part: view[part]))
        if frame.mask is not None:
            bad |= self._view(np.broadcast_to(frame.mask, frame.shape))
        if bad.all():
            raise InputError("the slit has no good pixel")
        self._n = bad.shape[1]
        where = np.flatnonzero(np.pad(bad, ((0, 0), (PAD, PAD)), mode="edge"))
        self._row, self._column = np.divmod(where, self._n + 2 * PAD)
        self._data_there = self._variance_there = np.empty(0)
        if len(where):
            bridge = self._bridge(where, bad.shape)
            self._data_there = bridge(lambda place: data[place])
            if frame.uncertainty is not None:
                self._variance_there = bridge(
                    lambda place: self._variance(lambda view: view[place])
                )

    def _view(self, image):
        return self._direction.canonical_image(np.asarray(image))[self._rows]

    def _variance(self, cut):
        return variance_of(self._frame.uncertainty, lambda a: np.array(cut(self._view(a)), float))

    def _bridge(self, where, shape):
        """Return the function that finds what bad pixels get, from one that reads good ones."""
        width, last = self._n + 2 * PAD, shape[0] * (self._n + 2 * PAD) - 1
        gap = np.flatnonzero(np.diff(where) > 1)
        start, stop = where[np.append(0, gap + 1)], where[np.append(gap, len(where) - 1)]
        length = stop - start + 1
        share = (where - np.repeat(start, length) + 1) / np.repeat(length + 1, length)
        # At the very ends of the rows there is a good one on one side only.
        before = np.where(start > 0, start - 1, np.minimum(stop + 1, last))
        after = np.where(stop < last, stop + 1, np.maximum(start - 1, 0))

        def bridge(read):
            left, right = (
                read((place // width, np.clip(place % width - PAD, 0, self._n - 1)))
                for place in (before, after)
            )
            return (1 - share) * np.repeat(left, length) + share * np.repeat(right, length)

        return bridge

    def window(self, first, last):
        """Cut out some columns.

        Parameters
        ----------
        first, last : int
            The first one, and the one after the last, counted in the padded frame.

        Returns
        -------
        data, variance : ndarray, shape (pixels,)
            Flat; the variance is None if the frame has no uncertainty.
        bad : ndarray of bool, shape (pixels,)
        where : ndarray of int
            The places of the bad pixels, ascending.
        """
        low = min(max(first - PAD, 0), self._n - 1)
        high = max(min(last - PAD, self._n), low + 1)
        inner, width = slice(low + PAD - first, high + PAD - first), last - first

        def cut(image):
            view = self._view(image)[:, low:high]
            out = np.empty((len(view), width))
            out[:, inner] = view
            out[:, : inner.start], out[:, inner.stop :] = view[:, :1], view[:, -1:]
            return out.reshape(-1)

        here = np.flatnonzero((self._column >= first) & (self._column < last))
        where = self._row[here] * width + (self._column[here] - first)
        data, variance = cut(self._frame.data), None
        data[where] = self._data_there[here]
        if self._frame.uncertainty is not None:
            variance = variance_of(self._frame.uncertainty, cut)
            variance[where] = self._variance_there[here]
        bad = np.zeros(data.shape, bool)
        bad[where] = True
        return data, variance, bad, where


def variance_of(uncertainty, cut):
    """Return the variance of part of an image.

    Parameters
    ----------
    uncertainty : astropy.nddata.NDUncertainty
    cut : callable
        Copies the part out of an array.
    """
    part = cut(uncertainty.array)
    if isinstance(uncertainty, StdDevUncertainty):
        return np.square(part, out=part)
    return type(uncertainty)(part, copy=False).represent_as(VarianceUncertainty).array
