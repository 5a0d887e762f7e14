"""A frame at every zoom: means over blocks of pixels, made when they are first looked at."""

from typing import NamedTuple

import numpy as np

__all__ = ["Pyramid", "Tile"]

_MARGIN = 0.25  # of the view on either side: small pans show no empty border


class Tile(NamedTuple):
    """A part of a frame, decimated."""

    values: np.ndarray
    """Shape (ny, nx); NaN where no pixel is good."""
    x: float
    """Left edge, px: -0.5 is that of the first pixel."""
    y: float
    """Lower edge, px."""
    width: float
    """px of the frame."""
    height: float


class Pyramid:
    """A frame, decimated along x and along y by powers of two, each on its own.

    A slit of 8192 x 140 px fills a screen with one column of eight, but every row.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)
        NaN where a pixel is bad.
    """

    def __init__(self, image):
        self._levels = {(0, 0): np.asarray(image, dtype=np.float32)}

    @property
    def image(self):
        """The frame itself, shape (ny, nx)."""
        return self._levels[0, 0]

    def tile(self, x, y, screen):
        """Return what a screen shows of a rectangle, and a little beside it.

        Parameters
        ----------
        x, y : (float, float)
            From, to; px. What lies off the frame is left out.
        screen : (int, int)
            Width and height in screen pixels: a tile has at most this many and a margin, and
            at least one.

        Returns
        -------
        Tile
        """
        size = self.image.shape[::-1]
        level, first, last = [], [], []
        for (low, high), whole, pixels in zip((x, y), size, screen, strict=True):
            low, high = sorted((low, high))
            share = max(high - low, 1.0) / max(pixels, 1)
            depth = min(max(int(np.floor(np.log2(max(share, 1.0)))), 0), int(np.log2(whole)))
            step, margin = 2**depth, _MARGIN * (high - low)
            n = -(-whole // step)
            start = int(np.clip(np.floor((low - margin + 0.5) / step), 0, n - 1))
            stop = int(np.clip(np.ceil((high + margin + 0.5) / step), start + 1, n))
            level.append(depth)
            first.append(start)
            last.append(stop)
        values = self._level(*level)[first[1] : last[1], first[0] : last[0]]
        steps = [2**depth for depth in level]
        corner = [n * step - 0.5 for n, step in zip(first, steps, strict=True)]
        extent = [
            (b - a) * step for a, b, step in zip(first, last, steps, strict=True)
        ]  # fmt: skip
        return Tile(values, *corner, *extent)

    def _level(self, i, j):
        """Return the frame decimated by 2**i along x and 2**j along y."""
        if (i, j) not in self._levels:
            # From the next finer one: along x first, then along y.
            finer = self._level(i, j - 1) if j else self._level(i - 1, 0)
            self._levels[i, j] = _halved(finer, axis=0 if j else 1)
        return self._levels[i, j]


def _halved(image, axis):
    """Return means of pairs of rows or columns; a single one at the end stays as it is."""
    image = image if axis == 0 else image.T
    n = len(image) // 2
    even, odd = image[: 2 * n : 2], image[1 : 2 * n : 2]
    pairs = 0.5 * (even + odd)
    lost = np.isnan(pairs)
    if lost.any():
        pairs[lost] = np.where(np.isnan(even), odd, even)[lost]
    if len(image) % 2:
        pairs = np.concatenate([pairs, image[-1:]])
    return np.ascontiguousarray(pairs if axis == 0 else pairs.T)
