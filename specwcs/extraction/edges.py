"""Where the edges of a slit's output pixels fall on the detector.

The geometry of a slit is smooth, but for its roughness, which is a table: it is sampled once, on
few Chebyshev nodes in wavelength and in t, and everything that the two passes of the resampling
need follows by small matrix products. All pixels here are canonical (p, q), see
`specwcs.conventions`.
"""

from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev

from specwcs.errors import InputError
from specwcs.models.slit import table_at

__all__ = ["SampledTrace"]

_NODES = (24, 12)  # along wavelength and t
_TOLERANCE = 1e-4  # px: what the highest terms of the series may amount to
_NOISE = 1e-8  # px: lower terms are left out, lest they grow on rows far from the slit
_MIN_LENGTH = 2  # px; in a shorter one no row is whole
_MARGIN = 6.0  # px that the resampling looks beyond the ends of the slit


class SampledTrace:
    """A slit's geometry, sampled over a range of wavelengths and a little more than the slit.

    Parameters
    ----------
    pixel : callable
        ``pixel(wavelength, t)`` gives detector (x, y); Angstrom and px.
    direction : Direction
    shape : tuple of int
        The frame, (ny, nx).
    wavelength_range : tuple of float
        First and last wavelength, Angstrom.
    roughness : ndarray, shape (m,), optional
        By what light falls farther to the red, see `~specwcs.models.slit.TraceDispersion`, px.

    Raises
    ------
    InputError
        If the geometry is not finite, folds, or varies too fast to be sampled.
    """

    def __init__(self, pixel, direction, shape, wavelength_range, roughness=None):
        self._wavelength_range, self._roughness = wavelength_range, roughness

        def canonical(wavelength, t):
            x, y = pixel(wavelength[:, np.newaxis], t[np.newaxis, :])
            pixels = direction.canonical_pixel(np.asarray(x), np.asarray(y), shape)
            return np.broadcast_arrays(*pixels)

        nodes = chebyshev.chebpts1(_NODES[0])
        wavelength = _from_unit(nodes, wavelength_range)
        _, ends = canonical(wavelength, np.array([0.0, 1.0]))
        length = ends[:, 0] - ends[:, 1]
        self._check_length(length)
        self.length = length.max()
        margin = _MARGIN / length.min()
        self._t_range = (-margin, 1.0 + margin)
        t = _from_unit(chebyshev.chebpts1(_NODES[1]), self._t_range)
        p, q = canonical(wavelength, t)
        self._check(p, q)
        self._rows = _coefficients(q)
        middle = q.mean(axis=1)
        self._middle = _from_nodes(_NODES[0]) @ middle
        # The wavelength lines as p(q - middle), so that no row far from the slit counts.
        offset = q - middle[:, np.newaxis]
        self._half = np.abs(offset).max()
        basis = _vander(offset / self._half, _NODES[1])
        self._lines = self._across(basis, p)
        if roughness is not None:
            self._places = self._across(basis, np.broadcast_to(t, p.shape))

    @staticmethod
    def _across(basis, values):
        """Coefficients of values at the nodes in the wavelength, and the place in `basis`."""
        lines = np.linalg.solve(basis, values[..., np.newaxis])[..., 0]
        lines[:, np.abs(lines).max(axis=0) < _NOISE] = 0.0
        return _from_nodes(_NODES[0]) @ lines

    @staticmethod
    def _check_length(length):
        if not np.all(np.isfinite(length)):
            raise InputError("the geometry is not finite", remedy="Calibrate the slit again")
        if np.any(length < 0):
            raise InputError("the geometry folds: left and right end change places")
        if length.min() < _MIN_LENGTH:
            raise InputError(
                f"the slit is {length.min():.3g} px long on the frame",
                f"Must be at least {_MIN_LENGTH} px.",
            )

    @staticmethod
    def _check(p, q):
        if not (np.all(np.isfinite(p)) and np.all(np.isfinite(q))):
            raise InputError("the geometry is not finite", remedy="Calibrate the slit again")
        if not (np.all(np.diff(p[::-1], axis=0) < 0) and np.all(np.diff(q, axis=1) < 0)):
            raise InputError("the geometry folds: pixels and (wavelength, t) do not correspond")
        for plane in (p, q):
            terms = np.abs(_coefficients(plane))
            if max(terms[-2:].max(), terms[:, -2:].max()) > _TOLERANCE:
                raise InputError("the geometry varies too fast along the slit to be resampled")

    def rows(self, wavelength, t):
        """Rows q of the positions t at each wavelength, shape (t, wavelength)."""
        along = _vander(_to_unit(wavelength, self._wavelength_range), _NODES[0])
        across = _vander(_to_unit(t, self._t_range), _NODES[1])
        return across @ (along @ self._rows).T

    def steepness(self, wavelength):
        """By how many rows the slit drifts from a wavelength to the next, at most."""
        rows = self.rows(wavelength, np.array([0.0, 1.0]))
        return np.abs(np.diff(rows, axis=1)).max()

    def columns(self, wavelength, first_row, n_rows):
        """Columns p at which wavelengths cross detector rows.

        Parameters
        ----------
        wavelength : ndarray, shape (n,)
        first_row, n_rows : int
            The rows wanted; beyond the ends of the slit and 6 px the columns are no use, and
            those within suffer where the rows reach farther than that.

        Returns
        -------
        ndarray, shape (n_rows, n)
        """
        along = _vander(_to_unit(wavelength, self._wavelength_range), _NODES[0])
        span = (first_row, first_row + n_rows - 1.0)
        offset = (
            _from_unit(chebyshev.chebpts1(_NODES[1]), span)[:, np.newaxis] - along @ self._middle
        )
        unit = np.clip(offset / self._half, -1.0, 1.0)
        basis, to_rows = _vander(unit, _NODES[1]), _to_rows(n_rows, _NODES[1])
        columns = to_rows @ np.einsum("rnk,nk->rn", basis, along @ self._lines)
        if self._roughness is not None:
            t = to_rows @ np.einsum("rnk,nk->rn", basis, along @ self._places)
            columns += table_at(self._roughness, t)
        return columns


def _vander(unit, n):
    return chebyshev.chebvander(unit, n - 1)


@lru_cache
def _from_nodes(n):
    """Matrix from values at the n nodes to Chebyshev coefficients."""
    return np.linalg.inv(_vander(chebyshev.chebpts1(n), n))


@lru_cache
def _to_rows(n_rows, n):
    """Matrix from values at the n nodes to as many even places as there are rows."""
    return _vander(np.linspace(-1.0, 1.0, n_rows), n) @ _from_nodes(n)


def _coefficients(values):
    """Chebyshev coefficients of values at the nodes, shape _NODES."""
    return _from_nodes(_NODES[0]) @ values @ _from_nodes(_NODES[1]).T


def _from_unit(unit, span):
    return 0.5 * (span[0] + span[1] + unit * (span[1] - span[0]))


def _to_unit(value, span):
    return (2.0 * np.asarray(value) - span[0] - span[1]) / (span[1] - span[0])
