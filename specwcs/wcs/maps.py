"""Wavelength, slit position and slit index of every pixel of a frame."""

from typing import NamedTuple

import numpy as np

from .strip import SlitStrip

__all__ = ["SlitMaps", "frame_maps"]


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

    Parameters
    ----------
    geometries : mapping of int to SlitGeometry
        By index of the slit in the mask. Where two slits overlap, the first has the pixel.
    shape : tuple of int
        (ny, nx).

    Returns
    -------
    SlitMaps
        Exact to 1e-5 px, see `SlitStrip.world`.
    """
    maps = SlitMaps(np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, -1, np.int32))
    for number, geometry in geometries.items():
        strip = SlitStrip(geometry, geometry.trace.direction, shape)
        if not strip.on_frame:
            continue
        wavelength, t, _ = strip.world()
        low, high = geometry.dispersion.wavelength_domain
        free = (t >= 0) & (t <= 1) & (wavelength >= low) & (wavelength <= high)
        free &= strip.cut(maps.slit) < 0
        for values, image in zip((wavelength, t, np.int32(number)), maps, strict=True):
            strip.paste(np.broadcast_to(values, t.shape), image, free)
    return maps
