"""World coordinates of slits: GWCS objects, exact or portable, and maps of a frame."""

from .exact import slit_wcs
from .maps import SlitMaps, frame_maps
from .portable import portable_slit_wcs

__all__ = ["SlitMaps", "frame_maps", "portable_slit_wcs", "slit_wcs"]
