"""The spectrum along one slit of a raw frame, for the eye."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import map_coordinates

__all__ = ["Cut", "slit_cut"]

_ROWS = np.linspace(0.3, 0.7, 21)  # positions in the slit that are averaged
_ENOUGH = 0.5  # share of them that must be on the frame


class Cut(NamedTuple):
    """A one-dimensional cut; arrays of shape (n,)."""

    pixel: np.ndarray
    """Along the dispersion, from 0."""
    flux: np.ndarray
    """The median over the middle of the slit, in the unit of the frame; NaN off it."""
    wavelength: np.ndarray
    """Angstrom; NaN where the models do not tell."""


def slit_cut(frame, geometry, direction):
    """Cut a frame along the middle of a slit, following its curvature and tilt.

    Parameters
    ----------
    frame : CCDData
    geometry : SlitGeometry
    direction : Direction

    Returns
    -------
    Cut
    """
    ny, nx = frame.shape
    size = direction.split(nx, ny)[0]
    pixel = np.arange(float(size))
    trace, dispersion = geometry.trace, geometry.dispersion
    middle = direction.split(*trace.pixel_from_trace(0.0, 0.5))[0]
    d = direction.sign * (pixel - middle)
    # The same light at other t: the lines are tilted and bent along the slit.
    wavelength = dispersion.wavelength_from_distance(d, np.full(size, 0.5))
    known = np.where(np.isfinite(wavelength), wavelength, np.nan)
    at = dispersion.distance_from_wavelength(known, _ROWS[:, None])
    at = np.where(np.isfinite(at), at, d)
    x, y = trace.pixel_from_trace(at, _ROWS[:, None])
    data = np.where(np.zeros(frame.shape, bool) if frame.mask is None else frame.mask, np.nan,
                    frame.data)  # fmt: skip
    values = map_coordinates(data, [y, x], order=1, cval=np.nan)
    count = np.isfinite(values).sum(axis=0)
    flux = np.full(size, np.nan)
    enough = count >= _ENOUGH * len(_ROWS)
    flux[enough] = np.nanmedian(values[:, enough], axis=0)
    low, high = dispersion.wavelength_domain
    wavelength = np.where((wavelength >= low) & (wavelength <= high), wavelength, np.nan)
    return Cut(pixel, flux, wavelength)
