"""Directions, edges, units, and the canonical frame: the one place where they are defined.

Wavelengths are in Angstrom. Arrays and WCS are 0-based; x is the column, y the row; the
centre of the first pixel is (0, 0). The dispersion direction is named from blue to red on the
frame: ``LR`` (left to right), ``RL``, ``BU`` (bottom to up), ``UB``.

Measurements are made in the *canonical* frame: the detector rotated, by a multiple of
90 degrees, so that wavelength grows with the column ``p`` and the left edge of a slit
(t = 0: on your left hand when you walk from blue to red) is at the largest row ``q``.
All four directions are the same there. The mask is rotated likewise: (X, Y) becomes
(u, v), u along the dispersion.
"""

from enum import StrEnum

import numpy as np

from specwcs.errors import InputError

__all__ = ["Direction", "array_from_fits_pixel", "fits_from_array_pixel", "without_units"]

_UNITS = {
    **dict.fromkeys(("wavelength", "wavelength_edges", "wstart", "wend", "fwhm"), "Angstrom"),
    **dict.fromkeys(("x", "y", "d", "sigma", "shared"), "pix"),
    "t": "",
}
"""What numbers of each name are in."""


class Direction(StrEnum):
    """The dispersion direction on the frame, blue to red.

    Raises
    ------
    InputError
        If it is made of anything but one of the four names.

    Examples
    --------
    >>> from specwcs.conventions import Direction
    >>> Direction("BU").along_x, Direction("BU").sign
    (False, 1)
    """

    LR = "LR"
    RL = "RL"
    BU = "BU"
    UB = "UB"

    @classmethod
    def _missing_(cls, value):
        raise InputError(f"invalid direction {value!r}", f"Must be one of {', '.join(cls)}.")

    @property
    def along_x(self):
        """Whether the dispersion runs along x (columns)."""
        return self in (Direction.LR, Direction.RL)

    @property
    def sign(self):
        """+1 where wavelength grows with the pixel coordinate, -1 otherwise."""
        return 1 if self in (Direction.LR, Direction.BU) else -1

    @property
    def left_sign(self):
        """+1 where the left edge (t = 0) is at the larger cross-dispersion coordinate."""
        return 1 if self in (Direction.LR, Direction.UB) else -1

    def split(self, x, y):
        """Return (along, across) of a pair given in (x, y) order."""
        return (x, y) if self.along_x else (y, x)

    def join(self, along, across):
        """Return (x, y) of a pair given in (along, across) order."""
        return (along, across) if self.along_x else (across, along)

    # -- the canonical frame ----------------------------------------------

    def canonical_image(self, image):
        """View an image in the canonical frame.

        Parameters
        ----------
        image : ndarray, shape (ny, nx)

        Returns
        -------
        ndarray
            A view, shape (ny, nx) for LR and RL, (nx, ny) for BU and UB.
        """
        if self is Direction.LR:
            return image
        if self is Direction.RL:
            return image[::-1, ::-1]
        return image.T[::-1, :] if self is Direction.BU else image.T[:, ::-1]

    def canonical_pixel(self, x, y, shape):
        """Detector (x, y) to canonical (p, q) for a frame of `shape` (ny, nx)."""
        ny, nx = shape
        if self is Direction.LR:
            return x, y
        if self is Direction.RL:
            return nx - 1 - x, ny - 1 - y
        return (y, nx - 1 - x) if self is Direction.BU else (ny - 1 - y, x)

    def detector_pixel(self, p, q, shape):
        """Canonical (p, q) to detector (x, y) for a frame of `shape` (ny, nx)."""
        ny, nx = shape
        if self is Direction.LR:
            return p, q
        if self is Direction.RL:
            return nx - 1 - p, ny - 1 - q
        return (nx - 1 - q, p) if self is Direction.BU else (q, ny - 1 - p)

    def canonical_mask(self, X, Y):
        """Mask (X, Y) mm to (u, v) mm, u along the dispersion."""
        if self is Direction.LR:
            return X, Y
        if self is Direction.RL:
            return -X, -Y
        return (Y, -X) if self is Direction.BU else (-Y, X)

    def mask_from_canonical(self, u, v):
        """Mask (u, v) mm to (X, Y) mm: the inverse of `canonical_mask`."""
        if self is Direction.LR:
            return u, v
        if self is Direction.RL:
            return -u, -v
        return (-v, u) if self is Direction.BU else (v, -u)


def fits_from_array_pixel(x):
    """Convert a 0-based array coordinate to the 1-based one of FITS and DS9."""
    return np.add(x, 1.0)


def array_from_fits_pixel(x):
    """Convert a 1-based coordinate of FITS or DS9 to the 0-based one of arrays."""
    return np.subtract(x, 1.0)


def without_units(**values):
    """Return quantities as bare numbers in the units of specwcs; anything else as it is.

    Arrays drop units in silence: what may be given with them passes through here first.

    Parameters
    ----------
    **values : float, array-like or Quantity
        Wavelengths (Angstrom), pixels, and positions in the slit, by their name.

    Returns
    -------
    list
        In the order of the values.

    Raises
    ------
    InputError
        If a unit is not one of what the name says.

    Examples
    --------
    >>> from astropy import units as u
    >>> from specwcs.conventions import without_units
    >>> wavelength, t = without_units(wavelength=700 * u.nm, t=0.5)
    >>> print(f"{wavelength:.6f} {t}")
    7000.000000 0.5
    """
    return [
        value if getattr(value, "unit", None) is None else _converted(name, value)
        for name, value in values.items()
    ]


def _converted(name, value):
    from astropy import units as u

    try:
        return u.Quantity(value).to_value(_UNITS[name])
    except (TypeError, u.UnitConversionError) as error:
        raise InputError(
            f"{name} is a quantity in '{value.unit}'",
            f"Must be a plain number, or convert to {_UNITS[name] or 'one'}",
        ) from error
