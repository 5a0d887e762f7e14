"""Wavelength, slit position and slit index of every pixel of a frame."""

from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev

__all__ = ["SlitMaps", "frame_maps"]

_NODES = (40, 10)  # along and across the strip
_EXACT = 1e-5  # px: the nodes must reproduce the exact solution this well


class SlitMaps(NamedTuple):
    """Maps of a whole frame, each of shape (ny, nx)."""

    wavelength: np.ndarray
    """Angstrom, NaN outside the slits."""
    t: np.ndarray
    """Position in the slit, NaN outside."""
    slit: np.ndarray
    """Index of the slit in the mask, -1 outside."""


def frame_maps(geometries, shape):
    """Compute the maps of a frame.

    Along each slit's strip the exact solution is taken at Chebyshev nodes and carried to
    the pixels by polynomials; where these are not good to 1e-5 px, every pixel is solved.

    Parameters
    ----------
    geometries : mapping of int to SlitGeometry
        By index of the slit in the mask. Where two slits overlap, the first has the pixel.
    shape : tuple of int
        (ny, nx).

    Returns
    -------
    SlitMaps
    """
    wavelength = np.full(shape, np.nan)
    t = np.full(shape, np.nan)
    index = np.full(shape, -1, dtype=np.int32)
    for number, geometry in geometries.items():
        strip = _strip(geometry, shape)
        if strip is None:
            continue
        along, across = strip
        x, y = geometry.trace.direction.join(along[None, :], across)
        w, s = _solve(geometry, along, across)
        low, high = geometry.dispersion.wavelength_domain
        x, y = np.broadcast_arrays(x, y)
        on = (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0])
        on &= (s >= 0) & (s <= 1) & (w >= low) & (w <= high)
        row, column, w, s = y[on], x[on], w[on], s[on]
        free = index[row, column] < 0
        row, column = row[free], column[free]
        wavelength[row, column] = w[free]
        t[row, column] = s[free]
        index[row, column] = number
    return SlitMaps(wavelength, t, index)


def _strip(geometry, shape):
    """Return the pixels about a slit: `along` (n,), and `across` (height, n), int."""
    trace = geometry.trace
    size, breadth = trace.direction.split(shape[1], shape[0])
    low, high = geometry.dispersion.wavelength_domain
    edge = np.linspace(low, high, 400)
    x, y = geometry.pixel(edge, np.array([0.0, 0.25, 0.5, 0.75, 1.0])[:, None])
    along, across = trace.direction.split(x, y)
    first, last = max(int(np.ceil(along.min())), 0), min(int(np.floor(along.max())), size - 1)
    if first > last or across.max() < 0 or across.min() > breadth - 1:
        return None
    columns = np.arange(first, last + 1)
    ends = [np.interp(columns, *_ascending(a, c)) for a, c in zip(along, across, strict=True)]
    bottom = np.floor(np.min(ends, axis=0)).astype(int) - 1
    height = int(np.ceil(np.max(np.max(ends, axis=0) - bottom))) + 2
    return columns, bottom + np.arange(height)[:, None]


def _ascending(a, c):
    order = np.argsort(a)
    return a[order], c[order]


def _solve(geometry, along, across):
    """Return wavelength and t of the pixels of a strip, shape of `across`."""
    trace = geometry.trace
    centre = 0.5 * (across[0] + across[-1]).astype(float)
    half_height, domain = 0.5 * (len(across) - 1), (float(along[0]), float(along[-1]))
    nodes_p, nodes_v = (chebyshev.chebpts1(n) for n in _NODES)
    if len(along) < 2 * _NODES[0]:
        return geometry.world(*trace.direction.join(along[None, :], across))
    p = 0.5 * (nodes_p * (domain[1] - domain[0]) + sum(domain))
    # The strip's own middle must be a smooth function of p: the pixel rows are steps.
    smooth = chebyshev.Chebyshev.fit(along, centre, 8, domain=domain)
    q = smooth(p) + nodes_v[:, None] * half_height
    w, s = geometry.world(*trace.direction.join(p[None, :], q))
    if not (np.all(np.isfinite(w)) and np.all(np.isfinite(s))):
        return geometry.world(*trace.direction.join(along[None, :], across))
    unit_p = (2.0 * along - sum(domain)) / (domain[1] - domain[0])
    carry = chebyshev.chebvander(unit_p, _NODES[0] - 1) @ np.linalg.inv(
        chebyshev.chebvander(nodes_p, _NODES[0] - 1)
    )
    to_powers = np.linalg.inv(np.polynomial.polynomial.polyvander(nodes_v, _NODES[1] - 1))
    unit_v = (across - smooth(along)) / half_height
    out = []
    for values in (w, s):
        rows = to_powers @ values @ carry.T
        total = np.broadcast_to(rows[-1], unit_v.shape).copy()
        for row in rows[-2::-1]:
            total *= unit_v
            total += row
        out.append(total)
    if _error(geometry, along, across, *out) > _EXACT:
        return geometry.world(*trace.direction.join(along[None, :], across))
    return out


def _error(geometry, along, across, w, s):
    """Return the largest error in px on a few pixels of the strip, inside the slit."""
    pick_p = np.linspace(0, len(along) - 1, 37).astype(int)
    pick_v = np.linspace(0, len(across) - 1, 9).astype(int)
    a, c = along[pick_p][None, :], across[np.ix_(pick_v, pick_p)]
    x, y = np.broadcast_arrays(*geometry.trace.direction.join(a, c))
    w, s = w[np.ix_(pick_v, pick_p)], s[np.ix_(pick_v, pick_p)]
    inside = (s >= 0) & (s <= 1)
    back = geometry.pixel(w[inside], s[inside])
    return np.max(np.hypot(back[0] - x[inside], back[1] - y[inside]), initial=0.0)
