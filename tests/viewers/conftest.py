"""Fixtures of the tests with a real DS9."""

from viewers.ds9_hand import display, ds9, x_server

__all__ = ["display", "ds9", "x_server"]
