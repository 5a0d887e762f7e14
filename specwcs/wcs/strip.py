"""The pixels about one slit, straightened by whole rows, and what is known of each.

Everything is in the canonical frame, see `specwcs.conventions`: wavelength grows with the
column p, and t = 0 is the end with the larger row q.
"""

from typing import NamedTuple

import numpy as np
from numpy.polynomial import chebyshev
from numpy.polynomial.polynomial import polyval, polyvander

from specwcs.errors import InputError
from specwcs.threads import product

__all__ = ["SlitStrip"]

_NODES = ((12, 5), (20, 7), (40, 10))  # along and across the strip, as many as are needed
_EXACT = 3e-6  # px at the pixels that are tried, for 1e-5 at all
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
    low, high : ndarray, shape (n,)
        Rows between which the slit's light lies.
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
        self.low, self.high = np.min(ends, axis=0), np.max(ends, axis=0)
        self.bottom = np.floor(self.low).astype(int) - 1
        self.height = int(np.ceil(np.max(self.high - self.bottom))) + 2
        self._carried = self._carry()

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
        to 1e-5 px, every pixel is solved. Rows beside a short slit may be many times its length
        away, where the geometry ends: they go on straight.
        """
        if self._carried is None:
            return _straight_on(*self._solved(self.columns[None, :], self.rows))
        return self._carried.planes(np.arange(self.height), self.bottom)

    def block(self, rows, columns):
        """Return wavelength (Angstrom) and t of a rectangle of the frame.

        Parameters
        ----------
        rows : ndarray of int, shape (h,)
            Of the canonical frame, near the slit.
        columns : slice
            Of the strip.

        Returns
        -------
        wavelength, t : ndarray, shape (h, w)
            As `world`; beyond the strip t is NaN or far outside the slit.
        """
        if self._carried is None:
            return self._solved(self.columns[None, columns], rows[:, None])[:2]
        return self._carried.planes(rows, 0, columns, count=2)

    def _solved(self, p, q):
        wavelength, t = self.geometry.world(*self.direction.detector_pixel(p, q, self.shape))
        return wavelength, t, self.middle(wavelength)

    def middle(self, wavelength):
        """Return the columns p of wavelengths (Angstrom) in the middle of the slit, t = 0.5."""
        return self._canonical(self.geometry.pixel(wavelength, 0.5))[0]

    def _carry(self):
        """Return the polynomials of the fewest nodes that are enough; None where none are."""
        if self.geometry.dispersion.rough:
            return None
        for nodes in _NODES:
            if len(self.columns) >= 2 * nodes[0]:
                carried = self._interpolated(nodes)
                if carried is not None and self._error(carried) <= _EXACT:
                    return carried
        return None

    def _interpolated(self, nodes):
        columns = self.columns
        domain = (float(columns[0]), float(columns[-1]))
        nodes_p, nodes_v = (chebyshev.chebpts1(n) for n in nodes)
        p = 0.5 * (nodes_p * (domain[1] - domain[0]) + sum(domain))
        # The strip's own middle must be a smooth function of p: its rows are steps.
        half = 0.5 * (self.height - 1)
        some = np.linspace(0, len(columns) - 1, min(len(columns), _EDGE)).astype(int)
        follow = chebyshev.Chebyshev.fit(
            columns[some], self.bottom[some] + half, _MIDDLE_DEGREE, domain=domain
        )
        values = np.array(self._solved(p[None, :], follow(p) + nodes_v[:, None] * half))
        if not np.all(np.isfinite(values)):
            return None
        across = np.linalg.inv(polyvander(nodes_v, nodes[1] - 1)) @ values
        terms = across @ np.linalg.inv(chebyshev.chebvander(nodes_p, nodes[0] - 1)).T
        unit_p = (2.0 * columns - sum(domain)) / (domain[1] - domain[0])
        series = terms @ chebyshev.chebvander(unit_p, nodes[0] - 1).T
        return _Carried(series, follow(columns), half)

    def _error(self, carried):
        """Return the largest error in px on a few pixels of the strip, inside the slit."""
        rows = np.linspace(0, self.height - 1, 9).astype(int)[:, None]
        columns = np.linspace(0, len(self.columns) - 1, 37).astype(int)
        q = self.bottom[columns] + rows
        wavelength, t = carried.points(q, columns)
        inside = (t >= 0) & (t <= 1)
        back = self._canonical(self.geometry.pixel(wavelength[inside], t[inside]))
        p = np.broadcast_to(self.columns[columns], q.shape)
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


def _straight_on(*planes):
    """Extend planes, shape (h, w) each, along the columns to the rows where they are NaN."""
    seen = np.all(np.isfinite(planes), axis=0)
    rows = np.arange(len(seen))[:, None]
    ends = seen.argmax(axis=0), len(seen) - 1 - seen[::-1].argmax(axis=0)
    whole = ends[1] > ends[0]
    for end, inward, beyond in zip(ends, (1, -1), (rows < ends[0], rows > ends[1]), strict=True):
        next_to = np.where(whole, end + inward, end)
        for plane in planes:
            last, before = (np.take_along_axis(plane, at[None], axis=0) for at in (end, next_to))
            there = np.where(whole, last + (rows - end) * inward * (before - last), np.nan)
            np.copyto(plane, there, where=beyond)
    return planes


def _ascending(a, c):
    order = np.argsort(a)
    return a[order], c[order]


class _Carried(NamedTuple):
    """What is known of the pixels of a strip, as a power series across it at each column."""

    series: np.ndarray
    """Wavelength, t and u, shape (3, terms, n), in v = (row - middle) / half."""
    middle: np.ndarray
    """Row about which the series are, shape (n,)."""
    half: float

    def planes(self, rows, start, columns=slice(None), count=3):
        """Return the first few planes at the rows `start` + `rows`, shape (h, w) each.

        `start` is one row for all columns or one for each: the series are moved there, so that
        a plane is one product of matrices.
        """
        centre = 0.5 * (rows[0] + rows[-1])
        step = (start + centre - self.middle[columns]) / self.half
        powers = polyvander((rows - centre) / self.half, self.series.shape[1] - 1)
        moved = _moved(self.series[:count, :, columns], step)
        return product(powers, moved)

    def points(self, rows, columns):
        """Return wavelength and t at some rows of some columns; they broadcast."""
        v = (rows - self.middle[columns]) / self.half
        return polyval(v, np.moveaxis(self.series[:2, :, columns], 1, 0)[:, :, None], tensor=False)


def _moved(series, step):
    """Power series in v, shape (..., terms, n), as series in v - step (a Taylor shift)."""
    moved = series.copy()
    terms = moved.shape[-2]
    for k in range(terms - 1):
        for j in range(terms - 2, k - 1, -1):
            moved[..., j, :] += step * moved[..., j + 1, :]
    return moved
