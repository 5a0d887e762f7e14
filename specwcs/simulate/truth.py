"""Where the light of one slit falls, exactly: the ray trace, its inverse, and maps of both.

All pixels here are canonical (p, q), see `specwcs.conventions`; `Observation` speaks in
detector pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

__all__ = ["SlitTruth"]

_TOLERANCE = 1e-10  # px; Newton's method takes one step more from there
_ACCEPTED = 1e-6  # px; what is worse after all steps is no solution
_MAX_STEPS = 30
_NODES = (24, 14)  # Chebyshev nodes along p and q: maps agree with the ray trace to 1e-9 px


@dataclass(frozen=True)
class SlitTruth:
    """The ray trace through one slit.

    Parameters
    ----------
    spectrograph : Spectrograph
    slit : Slit
        Oriented, with t = 0 at the left edge.
    """

    spectrograph: object
    slit: object

    def pixel(self, t, wavelength, offset=0.0):
        """Trace rays through the slit.

        Parameters
        ----------
        t : ndarray
            Position along the slit, 0 to 1; beyond, the slit's curve goes on.
        wavelength : ndarray or None
            Angstrom; None with the disperser out.
        offset : float or ndarray
            Position across the slit in units of its width, -0.5 to 0.5.

        Returns
        -------
        p, q : ndarray
            Canonical pixels.
        """
        X, Y = self.slit.curve(t)
        shift = 2 * self.slit.half_width
        return self.spectrograph.trace(X + offset * shift[0], Y + offset * shift[1], wavelength)

    def wavelength_at(self, p, t, offset=0.0):
        """Solve p(t, wavelength) = p for the wavelength, Angstrom; NaN where there is none."""
        p, t = np.broadcast_arrays(np.asarray(p, float), np.asarray(t, float))
        wavelength = np.full(p.shape, self.spectrograph.axis_wavelength)
        for _ in range(_MAX_STEPS):
            here = self.pixel(t, wavelength, offset)[0]
            slope = (self.pixel(t, wavelength + 0.01, offset)[0] - here) / 0.01
            wavelength = wavelength + (p - here) / slope
            if _largest(p - here) < _TOLERANCE:
                break
        return np.where(np.abs(p - here) < _ACCEPTED, wavelength, np.nan)

    def world(self, p, q):
        """Invert `pixel` by Newton's method in two dimensions.

        Parameters
        ----------
        p, q : ndarray
            Canonical pixels.

        Returns
        -------
        wavelength, t : ndarray
            Angstrom, and the position along the slit, also outside 0 to 1. NaN where no ray
            through the slit's line meets the pixel.
        """
        p, q = np.broadcast_arrays(np.asarray(p, float), np.asarray(q, float))
        wavelength = np.full(p.shape, self.spectrograph.axis_wavelength)
        t = np.full(p.shape, 0.5)
        for _ in range(_MAX_STEPS):
            here = np.array(self.pixel(t, wavelength))
            to_t = (np.array(self.pixel(t + 1e-5, wavelength)) - here) / 1e-5
            to_wavelength = (np.array(self.pixel(t, wavelength + 0.01)) - here) / 0.01
            miss = np.array([p, q]) - here
            det = to_wavelength[0] * to_t[1] - to_wavelength[1] * to_t[0]
            wavelength = wavelength + (miss[0] * to_t[1] - miss[1] * to_t[0]) / det
            t = t + (to_wavelength[0] * miss[1] - to_wavelength[1] * miss[0]) / det
            if _largest(miss) < _TOLERANCE:
                break
        solved = np.abs(miss).max(axis=0) < _ACCEPTED
        return np.where(solved, wavelength, np.nan), np.where(solved, t, np.nan)

    def maps(self, columns, rows):
        """Wavelength and t on a grid of pixels, by Chebyshev interpolation of `world`.

        Parameters
        ----------
        columns, rows : ndarray, shapes (np,) and (nq,)
            Canonical pixels p and q, ascending.

        Returns
        -------
        wavelength, t : ndarray, shape (nq, np)
        """
        p = _Nodes(columns, _NODES[0])
        q = _Nodes(rows, _NODES[1])
        return tuple(
            q.vandermonde @ (q.inverse @ nodes @ p.inverse.T) @ p.vandermonde.T
            for nodes in self.world(p.positions[np.newaxis, :], q.positions[:, np.newaxis])
        )

    def edge(self, columns, t, offset=0.0):
        """Row q at which an end of the slit crosses each column; shape as `columns`."""
        return self.pixel(t, self.wavelength_at(columns, t, offset), offset)[1]


class _Nodes:
    """Chebyshev nodes over the span of a coordinate, and the matrices to interpolate there."""

    def __init__(self, coordinate, count):
        centre = (coordinate[-1] + coordinate[0]) / 2
        half = max((coordinate[-1] - coordinate[0]) / 2, 1.0)
        unit = chebyshev.chebpts1(count)
        self.positions = centre + half * unit
        self.inverse = np.linalg.inv(chebyshev.chebvander(unit, count - 1))
        self.vandermonde = chebyshev.chebvander((coordinate - centre) / half, count - 1)


def _largest(miss):
    """Largest distance that is a number: where a ray does not exist the answer is NaN."""
    return np.max(np.abs(miss), where=np.isfinite(miss), initial=0)
