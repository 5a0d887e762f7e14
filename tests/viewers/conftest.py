"""Fixtures of the tests with a real DS9."""

from viewers.ds9_hand import _lasting_ds9, display, ds9, warm_ds9, x_server

__all__ = ["_lasting_ds9", "display", "ds9", "warm_ds9", "x_server"]
