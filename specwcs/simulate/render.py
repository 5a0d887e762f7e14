"""From geometry to light: pixel-integrated images of slits and lines.

The image of a slit in one wavelength is its rectangle, as the optics project it, blurred
by a Gaussian point spread function and integrated over pixels. Blurring and the rectangle
separate along the slit and across it, so that every pixel is a product of two closed
forms. Their building block is ``F(z) = z Phi(z) + phi(z)``, the integral of the normal
distribution function Phi; integrals over a box are differences of it.
"""

import numpy as np
from scipy.special import ndtr

__all__ = ["add_continuum", "add_lines", "projected_width"]

_REACH = 6.0  # standard deviations beyond which a Gaussian is zero (1e-9)
_LINE_NODES = 10  # Chebyshev nodes along a line's image: exact to 1e-9 px
_MAX_ELEMENTS = 1_000_000  # of one temporary array
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
        Electrons in each row of the line's image per pixel of the slit's projected width.
    sigma : float
        Standard deviation of the point spread function, px.
    response : callable
        Illumination of the slit as a function of t.
    """
    if len(wavelength) == 0:
        return
    lines = _LineImages(truth, np.asarray(wavelength, float), sigma)
    size = len(lines.rows) * len(lines.columns)
    step = max(1, _MAX_ELEMENTS // size)
    for first in range(0, len(wavelength), step):
        part = slice(first, first + step)
        lines.add(image, part, np.asarray(strength)[part], response)


class _LineImages:
    """Centre lines, widths and ends of the images of lines, as functions of the row."""

    def __init__(self, truth, wavelength, sigma):
        self.sigma = sigma
        nodes = np.polynomial.chebyshev.chebpts2(_LINE_NODES)
        t = 0.5 - 0.5 * nodes
        p, q = truth.pixel(t, wavelength[:, np.newaxis])
        self.middle = np.round((q[:, 0] + q[:, -1]) / 2)
        self.half = (q.max(axis=1) - q.min(axis=1)) / 2
        self.centre = (q[:, 0] + q[:, -1]) / 2
        unit = (q - self.centre[:, np.newaxis]) / self.half[:, np.newaxis]
        basis = np.polynomial.chebyshev.chebvander(unit, _LINE_NODES - 1)
        self.p = np.linalg.solve(basis, p[..., np.newaxis])[..., 0]
        self.t = np.linalg.solve(basis, np.broadcast_to(t, p.shape)[..., np.newaxis])[..., 0]
        self.ends = np.array(truth.pixel(np.array([[0.0], [1.0]]), wavelength))[1]
        low, high = (np.array(truth.pixel(0.5, wavelength, side)) for side in (-0.5, 0.5))
        self.width = (high - low) * np.sign(high[0] - low[0])
        slope = (p[:, -1] - p[:, 0]) / (q[:, -1] - q[:, 0])
        self.cut = self.width[0] - self.width[1] * slope  # width along the row
        lean = np.abs(self.width[1]).max()
        reach = _REACH * np.hypot(1, np.abs(slope).max()) * (sigma + 0.3) + 1
        rows = int(np.ceil(self.half.max() + lean + reach)) + 1
        self.rows = np.arange(-rows, rows + 1)
        columns = int(np.ceil(self.cut.max() / 2 + reach)) + 1
        self.columns = np.arange(-columns, columns + 1)

    def add(self, image, part, strength, response):
        rows = self.middle[part, np.newaxis] + self.rows
        unit = (rows - self.centre[part, np.newaxis]) / self.half[part, np.newaxis]
        inside = np.clip(unit, -1, 1)
        centre, slope = _series(self.p[part], inside)
        slope = slope / self.half[part, np.newaxis]
        centre = centre + slope * (unit - inside) * self.half[part, np.newaxis]
        weight = strength[:, np.newaxis] * response(_series(self.t[part], inside)[0])
        columns = np.round(centre)[..., np.newaxis] + self.columns
        distance = columns - centre[..., np.newaxis]
        light = self._profile(distance, slope[..., np.newaxis], part)
        light *= self._ends(rows[..., np.newaxis], distance, slope[..., np.newaxis], part)
        light *= weight[..., np.newaxis]
        _scatter(image, np.broadcast_to(rows[..., np.newaxis], columns.shape), columns, light)

    def _profile(self, distance, slope, part):
        """Share of a row's light per pixel, times the slit's projected width."""
        # Across the slit's axis; lengths are measured along the row.
        sigma = np.sqrt(self.sigma**2 * (1 + slope**2) + slope**2 / 12)
        cut = self.cut[part, np.newaxis, np.newaxis]
        return _box_step((distance + cut / 2) / sigma, 1 / sigma) - _box_step(
            (distance - cut / 2) / sigma, 1 / sigma
        )

    def _ends(self, rows, distance, slope, part):
        """Share of the slit's light left by its two ends."""
        width = self.width[:, part]
        size = np.hypot(*width)
        along, across = (component[:, np.newaxis, np.newaxis] for component in width / size)
        cut = self.cut[part, np.newaxis, np.newaxis]
        # Where the parallel to the slit's short side through the pixel meets the centre line.
        foot = rows - distance * across * size[:, np.newaxis, np.newaxis] / cut
        tilt = along - slope * across
        sigma = np.sqrt(self.sigma**2 + across**2 / 12)
        left, right = (
            _box_step(tilt * (end[part, np.newaxis, np.newaxis] - foot) / sigma, along / sigma)
            for end in self.ends
        )
        return left - right


def add_continuum(image, truth, spectrum, sigma):
    """Add a smooth spectrum through one slit.

    Parameters
    ----------
    image : ndarray, shape (nq, np)
        Canonical frame, changed in place.
    truth : SlitTruth
    spectrum : callable
        Electrons per Angstrom, per row and per pixel of the slit's projected width, as a
        function of wavelength (Angstrom) and t; arrays of shape (rows, np).
    sigma : float
        Standard deviation of the point spread function, px.
    """
    columns = np.arange(image.shape[1], dtype=float)
    left, right = truth.edge(columns, 0.0), truth.edge(columns, 1.0)
    ramps = [truth.edge(columns, t, 0.5) - truth.edge(columns, t, -0.5) for t in (0.0, 1.0)]
    margin = _REACH * (sigma + 0.3) + np.abs(ramps).max() / 2
    first = max(int(np.floor(right.min() - margin)), 0)
    last = min(int(np.ceil(left.max() + margin)) + 1, image.shape[0])
    if first >= last:
        return
    rows = np.arange(first, last, dtype=float)
    wavelength, t = truth.maps(columns, rows)
    row = rows[:, np.newaxis]
    share = _ramp(left - row, ramps[0], sigma) - _ramp(right - row, ramps[1], sigma)
    per_pixel = np.gradient(wavelength, axis=1)
    light = spectrum(wavelength, np.clip(t, 0, 1)) * per_pixel
    image[first:last] += light * share * projected_width(truth)


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
    return z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def _box_step(z, box):
    """Rise from 0 to 1 at z = 0: a step, blurred by a unit Gaussian and a box."""
    return (_integral(z + box / 2) - _integral(z - box / 2)) / box


def _ramp(distance, ramp, sigma):
    """Rise from 0 to 1 over a ramp, blurred by a Gaussian and a pixel; all in px."""
    a, b = np.maximum(np.abs(ramp), _SHARP) / sigma, 1 / sigma
    reach = (a + b) / 2 + _REACH + 2
    z = np.clip(distance / sigma, -reach, reach)
    return (
        _second_integral(z + (a + b) / 2)
        - _second_integral(z + (a - b) / 2)
        - _second_integral(z - (a - b) / 2)
        + _second_integral(z - (a + b) / 2)
    ) / (a * b)


def _second_integral(z):
    """Integral of F: ((z**2 + 1) Phi(z) + z phi(z)) / 2."""
    return ((z**2 + 1) * ndtr(z) + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)) / 2


def _series(coefficients, unit):
    """Value and derivative of one Chebyshev series per line; shapes (n, m), (n, rows)."""
    basis = np.polynomial.chebyshev.chebvander(unit, coefficients.shape[1] - 1)
    slope = np.polynomial.chebyshev.chebder(coefficients, axis=1)
    return (
        np.einsum("lrk,lk->lr", basis, coefficients),
        np.einsum("lrk,lk->lr", basis[..., :-1], slope),
    )


def _scatter(image, rows, columns, light):
    """Add light to the pixels that lie on the frame."""
    ny, nx = image.shape
    keep = (rows >= 0) & (rows < ny) & (columns >= 0) & (columns < nx)
    index = (rows[keep] * nx + columns[keep]).astype(np.intp)
    np.add.at(image.reshape(-1), index, light[keep])
