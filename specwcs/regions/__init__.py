"""Regions: the shapes that stand for markers on a frame, as DS9 draws and writes them."""

from .shapes import Shape

__all__ = ["Shape"]
