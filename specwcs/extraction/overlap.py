"""Flux-conserving resampling along one axis, as a sparse matrix.

A pixel's value is the flux between its two edges, so the running sum of a row of pixels
is the cumulative flux, known exactly at each edge. `overlap_matrix` interpolates it by
polynomials through the nearest edges; the flux in any bin is a difference of two such
values. What one bin gives away the next one gets: the sum of adjoining bins is exact,
whatever the interpolation does.
"""

import numpy as np
from scipy import sparse

__all__ = ["WING", "overlap_matrix"]

WING = {"linear": 0, "cubic": 1}
"""Pixels that a bin reads on either side of those that it overlaps, for each kernel."""


def overlap_matrix(edges, axis, start, stride, n_pixels, kernel):
    """Build the matrix that sums pixels into bins.

    Parameters
    ----------
    edges : ndarray, two-dimensional
        Edges of the bins, ascending along `axis`, in pixels counted from the outer edge of
        the first: pixel m reaches from m to m + 1. None below the wing of the kernel.
    axis : int
        Along which bins adjoin.
    start : ndarray of int, broadcastable to the shape of the bins
        Where in the flat image the pixel m = 0 of each bin's line of pixels lies.
    stride : int
        Distance in the flat image from one pixel m to the next.
    n_pixels : int
        Size of the flat image.
    kernel : {"linear", "cubic"}
        How the cumulative flux is interpolated: linearly (each pixel is spread evenly over its
        area), or by a cubic through the four nearest edges.

    Returns
    -------
    scipy.sparse.csr_array, shape (bins, n_pixels)
        Each row holds the same number of entries, as many as the widest bin needs.
    """
    whole = np.floor(edges)
    terms = [term.ravel() for term in _TERMS[kernel](edges - whole)]
    pixel = whole.astype(np.int32)
    bins = np.s_[:, :-1] if axis else np.s_[:-1]
    weights = _weights(terms, pixel, 1 if axis else edges.shape[1], bins)
    width = weights.shape[-1]
    origin = stride * pixel[bins]
    origin += np.asarray(start - stride * WING[kernel], np.int32)
    indices = np.empty(weights.shape, np.int32)
    for m in range(width):  # three times as fast as one broadcast over so short an axis
        np.add(origin, stride * m, out=indices[..., m])
    if origin.max() + stride * (width - 1) >= n_pixels:
        # A narrow bin has no use for its last entries; at the border they must stay inside.
        np.minimum(indices, n_pixels - 1, out=indices)
    pointers = np.arange(0, indices.size + 1, width, dtype=np.int32)
    return sparse.csr_array(
        (weights.ravel(), indices.ravel(), pointers), shape=(origin.size, n_pixels)
    )


def _weights(terms, pixel, step, bins):
    """Find the weights of the pixels in each bin.

    That is the running sum at the end of the bin less that at its start: what lies below the
    pixels of the interpolation counts in full, what lies above does not count. The arrays are
    flat, with the end of a bin `step` on from its start: that is fast along both axes, and
    what it gives between the last edge of a line and the first of the next is left out.
    """
    share, reach = np.empty(pixel.shape), np.empty(pixel.shape, np.int32)
    inner = slice(pixel.size - step)
    flat_share, flat_reach = share.reshape(-1)[inner], reach.reshape(-1)[inner]
    np.subtract(pixel.reshape(-1)[step:], pixel.reshape(-1)[inner], out=flat_reach)
    span = int(reach[bins].max())
    groups = [flat_reach == n for n in range(span + 1)]
    usual = int(np.argmax([np.count_nonzero(group) for group in groups]))
    others = [(n, np.flatnonzero(group)) for n, group in enumerate(groups) if n != usual]
    others = [(n, few) for n, few in others if few.size]

    def term(m, where):
        return 1.0 if m < 0 else terms[m][where] if m < len(terms) else 0.0

    weights = np.empty((*reach[bins].shape, span + len(terms)))
    for m in range(span + len(terms)):
        np.subtract(term(m - usual, slice(step, None)), term(m, inner), out=flat_share)
        for n, few in others:
            flat_share[few] = term(m - n, few + step) - term(m, few)
        weights[..., m] = share[bins]
    return weights


def _linear(u):
    """Weight of pixel k in the flux up to k + u."""
    return [u]


def _cubic(u):
    """Weights of the pixels k - 1, k and k + 1 in the flux up to k + u.

    The polynomial of Lagrange through the edges k - 1 to k + 2: that of an edge multiplies the
    cumulative flux there, so a pixel's weight is the sum of those of the edges above it. With
    a = (u^3 - u) / 6 and b = (u^2 - u) / 2 they are 1 + a - b, b + u - 2 a, and a.
    """
    b = u * u
    a = b * u
    a -= u
    a /= 6.0
    b -= u
    b *= 0.5
    first = a - b
    first += 1.0
    b += u
    b -= a
    b -= a
    return [first, b, a]


_TERMS = {"linear": _linear, "cubic": _cubic}
