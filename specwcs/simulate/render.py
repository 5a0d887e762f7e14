"""From geometry to light: pixel-integrated images of slits and lines.

The image of a slit in one wavelength is its rectangle, as the optics project it, blurred
by a Gaussian point spread function and integrated over pixels. Blurring and the rectangle
separate along the slit and across it, so that every pixel is a product of two closed
forms; of a tilted slit on pixels that are not square, whose image is no rectangle, this is
an approximation at its ends. Their building block is ``F(z) = z Phi(z) + phi(z)``, the
integral of the normal distribution function Phi; integrals over a box are differences of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev
from scipy.ndimage import gaussian_filter
from scipy.special import ndtr

__all__ = ["SlitPixels", "add_aperture", "add_lines", "projected_width"]

_REACH = 6.0  # standard deviations beyond which a Gaussian is zero (1e-9)
_NOTHING, _ALL = 40.0, 9.0  # beyond, the normal distribution function is 0 and 1 to rounding
_LINE_NODES = 10  # Chebyshev nodes along a line's image: exact to 1e-9 px
_LINES_AT_ONCE, _ROWS_AT_ONCE = 8, 256  # keep temporary arrays small
_RAYS, _CELLS = 20, 5  # per pixel, along each side of an aperture, and of its image
_SHARP = 0.01  # px; a narrower ramp is a step


def add_lines(image, truth, wavelength, strength, sigma, response):
    """Add the images of emission lines through one slit.

    Parameters
    ----------
    image : ndarray, shape (nq, np)
        Canonical frame, changed in place.
    truth : SlitTruth
    wavelength : ndarray, shape (n,)
        Angstrom.
    strength : ndarray, shape (n,)
        Electrons per pixel at the peak of the image of a wide slit; per row, a line holds
        this times the slit's projected width in px.
    sigma : tuple of float
        Standard deviation of the point spread function along rows and columns, px.
    response : callable
        Illumination of the slit as a function of t.
    """
    for first in range(0, len(wavelength), _LINES_AT_ONCE):
        part = slice(first, first + _LINES_AT_ONCE)
        lines = _LineImages(truth, wavelength[part])
        rows, columns, light, t = lines.pixels(sigma)
        light *= strength[part, np.newaxis, np.newaxis] * response(t)
        _scatter(image, rows, columns, light)


def add_aperture(image, truth, level, sigma, response):
    """Add the image of one slit with the disperser out.

    Parameters
    ----------
    image : ndarray, shape (nq, np)
        Canonical frame, changed in place.
    truth : SlitTruth
    level : float
        Electrons per pixel in a wide slit.
    sigma : tuple of float
        Standard deviation of the point spread function along rows and columns, px.
    response : callable
        Illumination of the slit as a function of t.
    """
    ends = np.array(truth.pixel(np.array([0.0, 1.0]), None))
    sides = np.array(truth.pixel(0.5, None, np.array([-0.5, 0.5])))
    # Rays on a fine grid over the aperture, caught in cells much smaller than a pixel.
    count = [int(np.ceil(_RAYS * (np.hypot(*np.ptp(e, axis=1)) + 1))) for e in (ends, sides)]
    t, offset = ((np.arange(n) + 0.5) / n for n in count)
    p, q = truth.pixel(t[:, np.newaxis], None, offset - 0.5)
    margin = int(np.ceil(_REACH * max(sigma))) + 1
    first = np.array([int(np.floor(v.min())) - margin for v in (q, p)])
    size = np.array([int(np.ceil(v.max())) + margin + 1 for v in (q, p)]) - first
    weight = np.broadcast_to(response(t)[:, np.newaxis], p.shape).ravel()
    area = abs(np.linalg.det(np.stack([ends[:, 1] - ends[:, 0], sides[:, 1] - sides[:, 0]])))
    edges = [np.arange(n * _CELLS + 1) / _CELLS + f - 0.5 for n, f in zip(size, first, strict=True)]
    cells, _, _ = np.histogram2d(q.ravel(), p.ravel(), edges, weights=weight)
    blur = [s * _CELLS for s in sigma[::-1]]
    cells = gaussian_filter(cells, blur, mode="constant", truncate=_REACH)
    light = cells.reshape(size[0], _CELLS, size[1], _CELLS).sum(axis=(1, 3))
    light *= level * area / p.size
    rows, columns = (f + np.arange(n) for f, n in zip(first, size, strict=True))
    _scatter(image, *np.meshgrid(rows, columns, indexing="ij"), light)


class _LineImages:
    """The images of a slit in n wavelengths: their centre lines, short sides and ends.

    All arrays have the shape (n, 1, 1), coefficients (n, 1, 1, nodes): the second axis is
    for the rows of an image, the third for its columns.
    """

    def __init__(self, truth, wavelength):
        wavelength = wavelength[:, np.newaxis, np.newaxis]
        t = 0.5 + 0.5 * chebyshev.chebpts2(_LINE_NODES)
        p, q = truth.pixel(t, wavelength[..., np.newaxis])
        self.left, self.right = q[..., 0], q[..., -1]
        self.centre, self.half = (self.left + self.right) / 2, (self.left - self.right) / 2
        basis = chebyshev.chebvander(
            (q - self.centre[..., np.newaxis]) / self.half[..., np.newaxis], _LINE_NODES - 1
        )
        self.p, self.t = (
            np.linalg.solve(basis, np.broadcast_to(value, q.shape)[..., np.newaxis])[..., 0]
            for value in (p, t)
        )
        low, high = (np.array(truth.pixel(0.5, wavelength, side)) for side in (-0.5, 0.5))
        self.side = (high - low) * np.sign(high - low)[0]
        lean = (p[..., -1] - p[..., 0]) / (q[..., -1] - q[..., 0])
        self.cut = self.side[0] - lean * self.side[1]  # the slit's width along a row
        self.lean = np.abs(lean).max()

    def pixels(self, sigma):
        """Find the pixels of the images and the light in them.

        Returns
        -------
        rows, columns : ndarray of int, shape (n, rows, columns)
        light : ndarray, shape (n, rows, columns)
            Share of a row's light per pixel, times the slit's projected width in px.
        t : ndarray, shape (n, rows, 1)
        """
        reach = _REACH * (max(sigma) + 0.3) * np.hypot(1, self.lean) + 2
        span = int(np.ceil(self.half.max() + np.abs(self.side[1]).max() + reach))
        rows = np.round(self.centre) + np.arange(-span, span + 1)[:, np.newaxis]
        centre, slope, t = self._centre_line(rows)
        span = int(np.ceil(self.cut.max() / 2 + reach))
        columns = np.round(centre) + np.arange(-span, span + 1)
        distance = columns - centre
        light = self._across(distance, slope, sigma) * self._along(rows, distance, slope, sigma)
        rows = np.broadcast_to(rows, columns.shape)
        return rows.astype(int), columns.astype(int), light, t

    def _centre_line(self, rows):
        """Column, slope and t of the centre lines; straight beyond the ends of the slit."""
        unit = (rows - self.centre) / self.half
        inside = np.clip(unit, -1, 1)
        basis = chebyshev.chebvander(inside, _LINE_NODES - 1)
        slope = np.sum(basis[..., :-1] * chebyshev.chebder(self.p, axis=-1), axis=-1) / self.half
        centre = np.sum(basis * self.p, axis=-1) + slope * (unit - inside) * self.half
        return centre, slope, np.sum(basis * self.t, axis=-1)

    def _across(self, distance, slope, sigma):
        """Profile across the slit, whose axis leans by `slope`; lengths are along the row."""
        sigma = np.sqrt(sigma[0] ** 2 + slope**2 * (sigma[1] ** 2 + 1 / 12))
        edges = np.concatenate([distance - 0.5, distance[..., -1:] + 0.5], axis=-1)
        low, high = (_integral((edges + side * self.cut / 2) / sigma) for side in (-1, 1))
        return sigma * np.diff(high - low)

    def _along(self, rows, distance, slope, sigma):
        """Profile along the slit: 1 inside, falling to 0 at its two ends."""
        along, across = self.side / np.hypot(*self.side)
        # The parallel to the short sides through a pixel meets the centre line here.
        foot = rows - distance * self.side[1] / self.cut
        sigma = np.sqrt(along**2 * sigma[1] ** 2 + across**2 * (sigma[0] ** 2 + 1 / 12))
        left, right = (
            _box_step((along - slope * across) * (end - foot) / sigma, along / sigma)
            for end in (self.left, self.right)
        )
        return left - right


@dataclass(frozen=True)
class SlitPixels:
    """The pixels that light of one slit reaches, in whichever wavelength.

    Attributes
    ----------
    rows : slice
        Rows of the canonical frame; the columns are all. The arrays have this shape.
    wavelength, t : ndarray
        Angstrom and position along the slit at the pixels' centres.
    angstroms : ndarray
        Angstrom per pixel along the row.
    step : ndarray
        Change of t from row to row, positive.
    share : ndarray
        How much of the slit's light the ends let through, 0 to 1, blurred by the optics.
    """

    rows: slice
    wavelength: np.ndarray
    t: np.ndarray
    angstroms: np.ndarray
    step: np.ndarray
    share: np.ndarray

    @classmethod
    def blocks(cls, truth, shape, sigma):
        """Iterate over the pixels of a slit in blocks of rows, to spare memory.

        Parameters
        ----------
        truth : SlitTruth
        shape : tuple of int
            Of the canonical frame, (nq, np).
        sigma : tuple of float
            Standard deviation of the point spread function along rows and columns, px.

        Yields
        ------
        SlitPixels
        """
        columns = np.arange(shape[1], dtype=float)
        ends = [truth.edge(columns, t) for t in (0.0, 1.0)]
        _, sigma = sigma  # a column's light ends where an edge crosses it
        # With the slit's short side askew, light fades over a ramp at its ends.
        ramps = [truth.edge(columns, t, 0.5) - truth.edge(columns, t, -0.5) for t in (0.0, 1.0)]
        margin = _REACH * (sigma + 0.3) + np.abs(ramps).max() / 2
        first = max(int(np.floor(ends[1].min() - margin)), 0)
        last = min(int(np.ceil(ends[0].max() + margin)) + 1, shape[0])
        for start in range(first, last, _ROWS_AT_ONCE):
            stop = min(start + _ROWS_AT_ONCE, last)
            rows = np.arange(start - 1.0, stop + 1)[:, np.newaxis]  # one more, for the gradient
            wavelength, t = truth.maps(columns, rows[:, 0])
            inner = rows[1:-1]
            left, right = (
                _ramp(end - inner, ramp, sigma) for end, ramp in zip(ends, ramps, strict=True)
            )
            yield cls(
                rows=slice(start, stop),
                wavelength=wavelength[1:-1],
                t=t[1:-1],
                angstroms=np.gradient(wavelength[1:-1], axis=1),
                step=-np.gradient(t, axis=0)[1:-1],
                share=left - right,
            )


def projected_width(truth):
    """Width of the slit's image along the row, px, in the middle of the spectrum."""
    low, high, first, last = (
        np.array(truth.pixel(t, truth.spectrograph.axis_wavelength, offset))
        for t, offset in ((0.5, -0.5), (0.5, 0.5), (0, 0), (1, 0))
    )
    slope = (last - first)[0] / (last - first)[1]
    return abs((high - low)[0] - (high - low)[1] * slope)


def _integral(z):
    """F(z) = z Phi(z) + phi(z), the integral of the normal distribution function."""
    value = np.maximum(z, 0.0)  # exact to the last digit beyond a range of z
    near = (z > -_NOTHING) & (z < _ALL)
    z = z[near]
    value[near] = z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return value


def _box_step(z, box):
    """Rise from 0 to 1 at z = 0: a step, blurred by a unit Gaussian and a box."""
    return (_integral(z + box / 2) - _integral(z - box / 2)) / box


def _ramp(distance, ramp, sigma):
    """Rise from 0 to 1 over a ramp, blurred by a Gaussian and a pixel; all in px."""
    b = 1 / sigma
    z, a = np.broadcast_arrays(distance / sigma, np.maximum(np.abs(ramp), _SHARP) / sigma)
    reach = (a + b) / 2 + _REACH + 2
    low, high = (_blurred(sign * reach[:1], a[:1], b) for sign in (-1, 1))
    rise = np.where(z > 0, high, low)  # beyond reach, where most pixels are
    near = np.abs(z) < reach
    rise[near] = _blurred(z[near], a[near], b)
    return rise


def _blurred(z, a, b):
    """Rise over a ramp of width a, blurred by a unit Gaussian and a box of width b."""
    return (
        _second_integral(z + (a + b) / 2)
        - _second_integral(z + (a - b) / 2)
        - _second_integral(z - (a - b) / 2)
        + _second_integral(z - (a + b) / 2)
    ) / (a * b)


def _second_integral(z):
    """Integral of F: ((z**2 + 1) Phi(z) + z phi(z)) / 2."""
    return ((z**2 + 1) * ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)) / 2


def _scatter(image, rows, columns, light):
    """Add light to the pixels that lie on the frame."""
    ny, nx = image.shape
    inside = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    np.add.at(image, (rows[inside], columns[inside]), light[inside])
