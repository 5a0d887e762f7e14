"""Flux-conserving resampling along one axis, as a sparse matrix.

A pixel's value is the flux between its two edges, so the running sum of a row of pixels
is the cumulative flux, known exactly at each edge. `overlap_matrix` interpolates it with
cubics through the four nearest edges; the flux in any bin is a difference of two such
values. What one bin gives away the next one gets: the sum of adjoining bins is exact,
whatever the interpolation does.
"""

import numpy as np
from scipy import sparse

__all__ = ["overlap_matrix"]

_BLOCK = 16384  # bins worked on together, so that the work stays in the cache
_WINGS = 3  # pixels that the cumulative flux at one edge depends on, beside the running sum


def overlap_matrix(left, right, start, stride, n_pixels):
    """Build the matrix that sums pixels into bins.

    Parameters
    ----------
    left, right : ndarray, shape (rows, columns)
        Edges of the bins, left <= right, in pixels counted from the outer edge of the
        first: pixel m reaches from m to m + 1.
    start : ndarray, broadcastable to (rows, columns)
        Where in the flat image the pixel m = 0 of each bin's row lies.
    stride : int
        Distance in the flat image from one pixel m to the next.
    n_pixels : int
        Size of the flat image.

    Returns
    -------
    scipy.sparse.csr_array, shape (rows * columns, n_pixels)
        Each row holds the same number of entries, as many as the widest bin needs.

    Notes
    -----
    With u the place of an edge in its pixel k, the Lagrange polynomial through the
    cumulative flux at k - 1, k, k + 1, k + 2 gives that at the edge as the sum of the
    pixels up to k - 1, plus ``a f[k-1] + b f[k] + c f[k+1]``,
    ``a = u (u - 1)(u - 2) / 6``, ``c = u (u - 1)(u + 1) / 6``, ``b = u - a - c``.
    A bin reads one pixel on either side of the pixels that it overlaps.
    """
    span = int(np.floor((right - left).max())) + 1  # pixels from left to right edge, at most
    width = span + _WINGS
    start = np.broadcast_to(start, left.shape)
    weights = np.empty((left.size, width))
    indices = np.empty((left.size, width), np.int32 if n_pixels < 2**31 else np.int64)
    steps = stride * np.arange(width, dtype=indices.dtype)
    rows = max(1, _BLOCK // left.shape[1])
    for first in range(0, left.shape[0], rows):
        block = slice(first, first + rows)
        flat = slice(first * left.shape[1], (first + rows) * left.shape[1])
        pixel, share = _shares(left[block].ravel(), right[block].ravel(), span)
        weights[flat] = share.T
        origin = start[block].ravel() + stride * pixel
        np.add(origin[:, np.newaxis], steps, out=indices[flat], casting="same_kind")
    pointers = np.arange(0, weights.size + 1, width, dtype=indices.dtype)
    return sparse.csr_array(
        (weights.ravel(), indices.ravel(), pointers), shape=(left.size, n_pixels)
    )


def _shares(left, right, span):
    """First pixel of each bin, and the weights of the pixels from there on, shape (n, bins)."""
    first, low = _split(left)
    last, high = _split(right)
    share = np.zeros((span + _WINGS, left.size))
    reach = last - first
    for n in range(span + 1):
        here = (reach == n).astype(float)
        share[:n] += here
        for row, term in zip(share[n : n + _WINGS], high, strict=True):
            row += here * term
    for row, term in zip(share, low, strict=False):
        row -= term
    return first.astype(np.intp) - 1, share


def _split(edge):
    """Pixel of an edge, and what the pixels before, at and after it give to the running sum."""
    pixel = np.floor(edge)
    u = edge - pixel
    both = u * (u - 1.0) / 6.0
    before, after = both * (u - 2.0), both * (u + 1.0)
    return pixel, (1.0 + before, u - before - after, after)
