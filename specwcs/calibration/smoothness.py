"""How large the terms of the models may be: what is known of spectrographs beforehand.

A polynomial says nothing of what it leaves out: beyond the last lines its errors look far too
small, and a degree more would wander off. Terms of a likely size instead, as many as may matter,
follow the lines where there are some, and tell where there are none how little is known.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.polynomial import chebyshev

from specwcs.models.field import scale

__all__ = [
    "CURVATURE",
    "DISPERSION",
    "MOVED_ACROSS",
    "MOVED_ALONG",
    "POSITION",
    "Smoothness",
]

_ANY = 10.0  # in practice no limit
_APART = 1e-3  # of a domain: points that are nearer to each other tell no slope
_HIGHER = 0.7  # size of a term, in that of the one an order lower in the field


@dataclass(frozen=True)
class Sizes:
    """1 sigma of the Chebyshev terms of a model over a whole frame, in halves of its length.

    Terms beyond the last of a list are as large as the last.

    Parameters
    ----------
    own : tuple of float
        By degree in the local coordinate: on average over the field.
    change : tuple of float
        Their change over half the field; those of higher order are smaller, see `_HIGHER`.
    constant : tuple of float
        Of the constant, by order in the field: what OPT leaves.
    """

    own: tuple
    change: tuple
    constant: tuple


POSITION = Sizes(own=(_ANY,), change=(_ANY,), constant=(_ANY, _ANY, 0.03, 0.02, 0.005, 0.002))
"""Position at the reference wavelength, which has no local coordinate."""

DISPERSION = Sizes(
    own=(_ANY, _ANY, 0.05, 0.006, 0.002, 0.0006, 0.0002),
    change=(_ANY, 0.03, 0.01, 0.004, 0.0015, 0.0005, 0.0002),
    constant=(_ANY, _ANY, 0.003, 0.003, 0.001),
)
"""Distance along the dispersion, by wavelength."""

CURVATURE = Sizes(
    own=(_ANY, _ANY, 0.02, 0.004, 0.0015),
    change=(_ANY, 0.03, 0.008, 0.002, 0.001),
    constant=(_ANY, _ANY, 0.02, 0.02, 0.005),
)
"""Deviation across the dispersion, by distance along it."""


MOVED_ALONG = Sizes(
    own=(_ANY, 5e-4, 2e-4, 1e-4, 1e-4),
    change=(_ANY, 3e-4, 1e-4, 1e-4, 1e-4),
    constant=(_ANY, 3e-3, 3e-4, 1e-4),
)
"""By how much the distance along the dispersion changes from one night to another."""

MOVED_ACROSS = Sizes(
    own=(_ANY, 1.5e-3, 3e-4, 1e-4),
    change=(_ANY, 5e-4, 2e-4, 1e-4),
    constant=(_ANY, 3e-3, 3e-4, 1e-4),
)
"""The same of the deviation across the dispersion."""


@dataclass(frozen=True)
class Smoothness:
    """Expected sizes of the terms of a field polynomial.

    Parameters
    ----------
    sizes : Sizes
    frame, length : float
        Half the length of the frame, and of the part of it that the domain covers, px.
    reach : tuple of float
        Half the extent of the field in x and y, px.
    reference : float
        Where the constant is what OPT leaves: the local coordinate, scaled.
    side : float
        Of a pixel in the direction of the values, in units of one along the dispersion, in which
        the others are.
    factor : float
        By which all sizes are larger.
    factors : tuple of float
        From which that may be chosen, least first.
    """

    sizes: Sizes
    frame: float
    length: float
    reach: tuple
    reference: float
    side: float = 1.0
    factor: float = 1.0
    factors: tuple = (1.0, 3.0, 10.0)

    @classmethod
    def over(cls, sizes, frame, reach, side, points, domain, reference):
        """Return that of a model over the part of a frame where there are points.

        Parameters
        ----------
        sizes : Sizes
        frame : float
            Half the length of the frame along the dispersion, px.
        reach : tuple of float
            Half the extent of the field in x and y, px.
        side : float
        points : Points
            Scaled to the domains. Either their local coordinates or their values are distances.
        domain : tuple of float
            Of the local coordinate.
        reference : float
            The local coordinate of the reference wavelength.
        """
        known = points.finite
        length = frame if points.lines else 0.5 * (domain[1] - domain[0])
        if points.lines and np.ptp(points.u[known]) > _APART:
            length = abs(np.polyfit(points.u[known], points.values[known], 1)[0])
        return cls(sizes, frame, max(length, 1.0), reach, float(scale(reference, domain)), side)

    def rows(self, terms):
        """Return rows of the design matrix, whose value is 0, and their errors.

        Parameters
        ----------
        terms : ndarray of bool
            Those of the polynomial, see `~specwcs.models.field.field_terms`.

        Returns
        -------
        rows : ndarray, shape (n, n_parameters)
        sigma : ndarray, shape (n,)
            px.
        """
        powers = [_chebyshev_of_powers(size).copy() for size in terms.shape]
        powers[0][0] = self.reference ** np.arange(terms.shape[0])
        matrix = np.einsum("ai,bj,ck->abcijk", *powers)
        return matrix[terms][:, terms], self.sigma(terms.shape)[terms]

    def limited(self, terms):
        """Return which of the rows of `rows` say more than that anything goes."""
        return self._whole(terms.shape)[terms] < _ANY

    def sigma(self, shape):
        """Return the expected sizes of Chebyshev terms, px."""
        size = self._whole(shape)
        # A part of a frame shows so much less of its curvature.
        for reach, degree in zip((self.length, *self.reach), np.indices(shape), strict=True):
            size = size * (reach / self.frame) ** degree
        return np.minimum(self.factor * size, _ANY) * self.frame / self.side

    def _whole(self, shape):
        """Sizes over a whole frame, in halves of its length."""
        k, i, j = np.indices(shape)
        order = i + j
        change = np.take(self.sizes.change, k, mode="clip") * _HIGHER ** (order - 1.0)
        size = np.where(order, change, np.take(self.sizes.own, k, mode="clip"))
        size[0] = np.take(self.sizes.constant, order[0], mode="clip")
        return size


@cache
def _chebyshev_of_powers(size):
    """Coefficients of Chebyshev polynomials, rows, that give the powers, columns."""
    return np.stack(
        [np.pad(chebyshev.poly2cheb(row), (0, size))[:size] for row in np.eye(size)], axis=1
    )
