"""Flux-conserving resampling along one axis, as a sparse matrix.

A pixel's value is the flux between its two edges, so the running sum of a row of pixels
is the cumulative flux, known exactly at each edge. `overlap_matrix` interpolates it by
polynomials through the nearest edges; the flux in any bin is a difference of two such
values. What one bin gives away the next one gets: the sum of adjoining bins is exact,
whatever the interpolation does.
"""

from functools import lru_cache

import numpy as np
from numpy.polynomial import Polynomial
from scipy import sparse

__all__ = ["overlap_matrix"]


def overlap_matrix(edges, axis, start, stride, n_pixels, points):
    """Build the matrix that sums pixels into bins.

    Parameters
    ----------
    edges : ndarray, two-dimensional
        Edges of the bins, ascending along `axis`, in pixels counted from the outer edge of
        the first: pixel m reaches from m to m + 1. None below ``points / 2 - 1``.
    axis : int
        Along which bins adjoin.
    start : ndarray of int, broadcastable to the shape of the bins
        Where in the flat image the pixel m = 0 of each bin's line of pixels lies.
    stride : int
        Distance in the flat image from one pixel m to the next.
    n_pixels : int
        Size of the flat image.
    points : int
        Number of pixel edges that the cumulative flux is interpolated through, even: 2 is
        the plain overlap, 4 a cubic, 6 a quintic. A bin reads ``points / 2 - 1`` pixels
        on either side of those that it overlaps.

    Returns
    -------
    scipy.sparse.csr_array, shape (bins, n_pixels)
        Each row holds the same number of entries, as many as the widest bin needs.
    """
    pixel = edges.astype(np.int32)
    before, after = ((slice(None),) * axis + (cut,) for cut in (slice(-1), slice(1, None)))
    reach = pixel[after] - pixel[before]
    share = _shares(_running_sum(edges - pixel, points), reach, before, after)
    origin = np.asarray(start - stride * (points // 2 - 1), np.int32) + stride * pixel[before]
    width, origin = len(share), origin.ravel()
    weights = np.empty((origin.size, width))
    indices = np.empty((origin.size, width), np.int32)
    for m in range(width):  # three times as fast as one broadcast over so short an axis
        weights[:, m] = share[m].ravel()
        # A narrow bin has no use for its last entries; at the border they must stay inside.
        np.minimum(origin + stride * m, n_pixels - 1, out=indices[:, m])
    pointers = np.arange(0, indices.size + 1, width, dtype=np.int32)
    return sparse.csr_array(
        (weights.ravel(), indices.ravel(), pointers), shape=(origin.size, n_pixels)
    )


def _shares(terms, reach, before, after):
    """Weights of the pixels in each bin: the running sum at its end less that at its start."""
    span = int(reach.max())
    share = np.zeros((span + len(terms), *reach.shape))
    for n in range(span + 1):
        here = (reach == n).astype(float)
        share[:n] += here
        for row, term in zip(share[n:], terms, strict=False):
            row += here * term[after]
    for row, term in zip(share, terms, strict=False):
        row -= term[before]
    return share


def _running_sum(u, points):
    """Weights of the pixels k - points/2 + 1 … k + points/2 - 1 in the flux up to k + u."""
    powers = np.empty((points, *u.shape))
    powers[0] = 1.0
    for n in range(1, points):
        np.multiply(powers[n - 1], u, out=powers[n])
    return np.tensordot(_running_sum_table(points), powers, axes=1)


@lru_cache
def _running_sum_table(points):
    """Coefficients of powers of u of each pixel's weight, shape (points - 1, points).

    The Lagrange polynomial of node n multiplies the cumulative flux there, which is the sum
    of all pixels below n; so a pixel's weight is the sum of the polynomials of the nodes
    above it. For the pixels before k the sum up to k, whose weights are 1, is in it.
    """
    nodes = np.arange(points) - (points // 2 - 1)
    basis = np.array([_lagrange(nodes, n) for n in range(points)])
    return np.cumsum(basis[::-1], axis=0)[-2::-1]


def _lagrange(nodes, n):
    others = np.delete(nodes, n)
    return (Polynomial.fromroots(others) / np.prod(nodes[n] - others)).coef
