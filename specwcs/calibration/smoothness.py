"""How large the terms of a dispersion may be: what is known of spectrographs beforehand.

A polynomial says nothing of what it leaves out: beyond the last lines its errors look far too
small, and a degree more would wander off. Terms of a likely size instead, as many as may matter,
follow the lines where there are some, and tell where there are none how little is known.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

__all__ = ["Smoothness"]

# 1 sigma of the Chebyshev terms of the distance along the dispersion, over a whole frame, as
# fractions of half its length: on average over the field, and their change over half of it;
# those of higher order in the field are smaller by a factor each.
_OWN = (np.inf, np.inf, 0.05, 0.006, 0.002, 0.0006, 0.0002)
_CHANGE = (np.inf, 0.03, 0.01, 0.004, 0.0015, 0.0005, 0.0002)
_HIGHER = 0.7
# Of the constant beyond the field degrees that the data ask for: what OPT leaves.
_CONSTANT = 0.0003


@dataclass(frozen=True)
class Smoothness:
    """Expected sizes of the terms of a field polynomial.

    Parameters
    ----------
    frame, length : float
        Half the length of the frame, and of the part of it that the domain covers, px.
    """

    frame: float
    length: float

    def rows(self, terms, core):
        """Return rows of the design matrix, whose value is 0, and their errors.

        Parameters
        ----------
        terms, core : ndarray of bool
            The terms of the polynomial, and those that are there without a doubt, see
            `~specwcs.models.field.field_terms`.

        Returns
        -------
        rows : ndarray, shape (n, n_parameters)
        sigma : ndarray, shape (n,)
            px.
        """
        powers = [_chebyshev_of_powers(size) for size in terms.shape]
        matrix = np.einsum("ai,bj,ck->abcijk", *powers)
        sigma = self.sigma(terms.shape)
        known = np.zeros(terms.shape, bool)
        known[tuple(slice(size) for size in core.shape)] = core
        sigma[0][~known[0]] = _CONSTANT * self.frame
        wanted = terms & np.isfinite(sigma)
        return matrix[wanted][:, terms], sigma[wanted]

    def sigma(self, shape):
        """Return the expected sizes of Chebyshev terms, px; infinite where nothing is known."""
        k, i, j = np.indices(shape)
        order = i + j
        size = np.where(order, np.take(_CHANGE, k) * _HIGHER ** (order - 1.0), np.take(_OWN, k))
        # A part of a frame shows so much less of its curvature.
        return size * self.frame * (self.length / self.frame) ** k


def _chebyshev_of_powers(size):
    """Coefficients of Chebyshev polynomials, rows, that give the powers, columns."""
    return np.stack(
        [np.pad(chebyshev.poly2cheb(row), (0, size))[:size] for row in np.eye(size)], axis=1
    )
