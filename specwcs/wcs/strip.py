"""The pixels about one slit, straightened by whole rows, and what is known of each.

Everything is in the canonical frame, see `specwcs.conventions`: wavelength grows with the
column p, and t = 0 is the end with the larger row q.
"""

import numpy as np
from numpy.polynomial import chebyshev

from specwcs.errors import InputError

__all__ = ["SlitStrip"]

_NODES = (40, 10)  # along and across the strip
_EXACT = 1e-5  # px: the nodes must reproduce the exact solution this well
_EDGE = 400  # wavelengths at which the outline of the slit is found
_MIDDLE_DEGREE = 8  # of the polynomial along the dispersion that the strip follows


class SlitStrip:
    """The pixels about a slit: a rectangle of `height` rows that follows the slit's bend.

    Column n of the rectangle is column ``columns[n]`` of the canonical frame, its row 0 the
    row ``bottom[n]`` there; a row may lie beyond the frame.

    Parameters
    ----------
    geometry : SlitGeometry
    direction : Direction
    shape : tuple of int
        Of the frame, (ny, nx).

    Attributes
    ----------
    columns, bottom : ndarray of int, shape (n,)
    height : int
    on_frame : bool
        Whether any of the slit's light may fall on the frame; without it the rest is not there.
    """

    def __init__(self, geometry, direction, shape):
        self.geometry, self.direction, self.shape = geometry, direction, shape
        self.frame = direction.canonical_image(np.empty(shape, bool)).shape
        domain = geometry.dispersion.wavelength_domain
        edge = np.linspace(*domain, _EDGE)
        p, q = self._canonical(geometry.pixel(edge, np.array([0.0, 0.25, 0.5, 0.75, 1.0])[:, None]))
        if not (np.all(np.isfinite(p)) and np.all(np.isfinite(q))):
            raise InputError("the geometry is not finite", remedy="Calibrate the slit again")
        first = max(int(np.ceil(p.min())), 0)
        last = min(int(np.floor(p.max())), self.frame[1] - 1)
        self.on_frame = first <= last and q.max() >= 0 and q.min() <= self.frame[0] - 1
        if not self.on_frame:
            return
        self.columns = np.arange(first, last + 1)
        ends = [np.interp(self.columns, *_ascending(a, b)) for a, b in zip(p, q, strict=True)]
        self.bottom = np.floor(np.min(ends, axis=0)).astype(int) - 1
        self.height = int(np.ceil(np.max(np.max(ends, axis=0) - self.bottom))) + 2

    def _canonical(self, xy):
        return self.direction.canonical_pixel(*np.broadcast_arrays(*xy), self.shape)

    @property
    def rows(self):
        """Rows q of the pixels, shape (height, n)."""
        return self.bottom + np.arange(self.height)[:, None]

    def world(self):
        """Return wavelength (Angstrom), t, and u of each pixel, shape (height, n).

        u is the column of the same wavelength in the middle of the slit, t = 0.5. They are exact
        at Chebyshev nodes and carried to the pixels by polynomials; where these are not good
        to 1e-5 px, every pixel is solved.
        """
        if len(self.columns) >= 2 * _NODES[0]:
            planes = self._carried()
            if planes is not None and self._error(*planes[:2]) <= _EXACT:
                return planes
        return self._solved(self.columns[None, :], self.rows)

    def _solved(self, p, q):
        wavelength, t = self.geometry.world(*self.direction.detector_pixel(p, q, self.shape))
        return wavelength, t, self.middle(wavelength)

    def middle(self, wavelength):
        """Return the columns p of wavelengths (Angstrom) in the middle of the slit, t = 0.5."""
        return self._canonical(self.geometry.pixel(wavelength, 0.5))[0]

    def _carried(self):
        columns, height = self.columns, self.height
        domain = (float(columns[0]), float(columns[-1]))
        nodes_p, nodes_v = (chebyshev.chebpts1(n) for n in _NODES)
        p = 0.5 * (nodes_p * (domain[1] - domain[0]) + sum(domain))
        # The strip's own middle must be a smooth function of p: its rows are steps.
        half = 0.5 * (height - 1)
        follow = chebyshev.Chebyshev.fit(columns, self.bottom + half, _MIDDLE_DEGREE, domain=domain)
        planes = self._solved(p[None, :], follow(p) + nodes_v[:, None] * half)
        if not all(np.all(np.isfinite(plane)) for plane in planes):
            return None
        unit_p = (2.0 * columns - sum(domain)) / (domain[1] - domain[0])
        carry = chebyshev.chebvander(unit_p, _NODES[0] - 1) @ np.linalg.inv(
            chebyshev.chebvander(nodes_p, _NODES[0] - 1)
        )
        to_powers = np.linalg.inv(np.polynomial.polynomial.polyvander(nodes_v, _NODES[1] - 1))
        step = (self.bottom + half - follow(columns)) / half
        rows = np.polynomial.polynomial.polyvander((np.arange(height) - half) / half, _NODES[1] - 1)
        return tuple(rows @ _moved(to_powers @ plane @ carry.T, step) for plane in planes)

    def _error(self, wavelength, t):
        """Return the largest error in px on a few pixels of the strip, inside the slit."""
        at = np.ix_(
            np.linspace(0, self.height - 1, 9).astype(int),
            np.linspace(0, len(self.columns) - 1, 37).astype(int),
        )
        p, q = self.columns[at[1]], self.rows[at]
        wavelength, t = wavelength[at], t[at]
        inside = (t >= 0) & (t <= 1)
        back = self._canonical(self.geometry.pixel(wavelength[inside], t[inside]))
        p = np.broadcast_to(p, q.shape)
        return np.max(np.hypot(back[0] - p[inside], back[1] - q[inside]), initial=0.0)

    # -- to and from frames ---------------------------------------------------------

    def cut(self, image, beyond=0):
        """Copy the strip out of a frame.

        Parameters
        ----------
        image : ndarray, shape (ny, nx)
        beyond : scalar
            The value of pixels beyond the frame.

        Returns
        -------
        ndarray, shape (height, n)
        """
        out = np.full((self.height, len(self.columns)), beyond, image.dtype)
        view = self.direction.canonical_image(image)
        for rows, columns, there in self._runs():
            out[rows, columns] = view[there]
        return out

    def paste(self, values, image, where):
        """Copy pixels of the strip into a frame, in place.

        Parameters
        ----------
        values : ndarray, shape (height, n)
        image : ndarray, shape (ny, nx)
        where : ndarray of bool, shape (height, n)
        """
        view = self.direction.canonical_image(image)
        for rows, columns, there in self._runs():
            np.copyto(view[there], values[rows, columns], where=where[rows, columns])

    def _runs(self):
        """Rectangles of the strip that are rectangles of the frame: where it makes no step."""
        steps = np.flatnonzero(np.diff(self.bottom)) + 1
        for start, stop in zip([0, *steps], [*steps, len(self.bottom)], strict=True):
            bottom = self.bottom[start]
            low, high = max(-bottom, 0), min(self.frame[0] - bottom, self.height)
            if low < high:
                there = slice(bottom + low, bottom + high)
                columns = slice(self.columns[start], self.columns[start] + stop - start)
                yield slice(low, high), slice(start, stop), (there, columns)


def _ascending(a, c):
    order = np.argsort(a)
    return a[order], c[order]


def _moved(coefficients, step):
    """Power series in v, one a column, as series in v - step (a Taylor shift)."""
    moved = coefficients.copy()
    for k in range(len(moved) - 1):
        for j in range(len(moved) - 2, k - 1, -1):
            moved[j] += step * moved[j + 1]
    return moved
