"""What moved between two calibrations of one set-up: from night to night, or by a tune."""

import numpy as np
from astropy import units as u
from astropy.table import QTable, Table

from specwcs.errors import InputError

__all__ = ["moved"]

_WAVELENGTHS = 41  # of the grid on which two calibrations are compared
_T = np.linspace(0, 1, 9)[:, np.newaxis]
_NUMBERS = ("x", "y", "along", "across", "along_max", "across_max", "stretch", "shear", "growth")
_NAMED = 5  # slits that an error names


def moved(before, after):
    """Compare where light falls by two calibrations.

    The same light, a grid of wavelengths (in both fitted ranges) and of positions t in the
    slit, is sent through both; what falls on the detector in both counts.

    Parameters
    ----------
    before, after : Calibration
        Of the same detector, dispersion direction, medium and mask.

    Returns
    -------
    QTable
        One row a slit that both have, in the order of the mask of `before`. NaN where no
        light falls on the detector in both.

        - ``slit``, ``good``: id, and whether it is calibrated in both;
        - ``x``, ``y``: where the middle of what counts fell before, px;
        - ``along``, ``across``: mean displacement, after minus before, px along and across the
          dispersion axis, positive to larger pixel numbers;
        - ``along_max``, ``across_max``: the displacement of the largest size, with its sign, px;
        - ``stretch``: mean relative change of the dispersion in px per Angstrom;
        - ``shear``: how much more the right edge (t = 1) moved along than the left, px: a
          change of the tilt of lines;
        - ``growth``: change of the distance between the edges, px.

    Raises
    ------
    InputError
        If the calibrations cannot be compared: other frame, direction, medium or mask, or no
        wavelength in common.

    Examples
    --------
    >>> from specwcs.calibration import moved
    >>> table = moved(last_night, tonight)  # doctest: +SKIP
    >>> table["slit"][np.nanargmax(np.abs(table["across"]))]  # doctest: +SKIP
    """
    _check_comparable(before, after)
    keys = _common_slits(before, after)
    wavelength = _common_wavelengths(before, after)
    good = set(before.good()) & set(after.good())
    rows = [
        {"slit": key, "good": key in good, **_displacement(before, after, key, wavelength)}
        for key in keys
    ]
    table = Table(rows=rows)
    for name in set(_NUMBERS) - {"stretch"}:
        table[name].unit = u.pix
    return QTable(table)


def _check_comparable(before, after):
    facts = (
        ("frames of shape", lambda cal: cal.instrument.shape),
        ("dispersion direction", lambda cal: str(cal.instrument.direction)),
        ("wavelengths in", lambda cal: cal.medium),
    )
    for what, fact in facts:
        if fact(before) != fact(after):
            raise InputError(
                f"the calibrations differ: {what} {fact(before)} before, {fact(after)} after",
                "Must be the same in both",
                "Compare calibrations of one instrument and set-up",
            )


def _common_slits(before, after):
    """Return the ids of the slits of both; they must be the same slits."""
    common = [key for key in before.mask if key in after.mask]
    if not common:
        raise InputError(
            f"the calibrations have no slit in common: {_some(before.mask)} before, "
            f"{_some(after.mask)} after",
            "Must be of the same mask",
        )
    elsewhere = [key for key in common if not _same_place(before.mask[key], after.mask[key])]
    if elsewhere:
        raise InputError(
            f"the masks differ: slits of the same id lie elsewhere ({_some(elsewhere)})",
            "Must be of the same mask",
        )
    return common


def _some(keys):
    keys = list(keys)
    return ", ".join(keys[:_NAMED]) + (" …" if len(keys) > _NAMED else "")


def _same_place(one, other):
    apart = np.hypot(*np.subtract(one.curve(0.5), other.curve(0.5)))
    return apart <= 0.5 * max(one.dimx, one.dimy)


def _common_wavelengths(before, after):
    domains = np.array([before.ids.domain, after.ids.domain])
    low, high = domains[:, 0].max(), domains[:, 1].min()
    if not low < high:
        ranges = " and ".join("{:.0f} to {:.0f}".format(*domain) for domain in domains)
        raise InputError(
            f"the calibrations have no wavelength in common: {ranges} Angstrom",
            "Must be of the same set-up",
        )
    return np.linspace(low, high, _WAVELENGTHS)


def _displacement(before, after, key, wavelength):
    """Return the numbers of the row of a slit."""
    direction, (ny, nx) = before.instrument.direction, before.instrument.shape
    try:
        geometries = [cal.geometry(key) for cal in (before, after)]
    except InputError:  # so far off the detector that the models mean nothing there
        return dict.fromkeys(_NUMBERS, np.nan)
    places = np.array([g.pixel(wavelength, _T) for g in geometries])  # (2, xy, t, λ)
    slopes = np.array([g.dispersion.slope(wavelength, _T) for g in geometries])
    x, y = places[:, 0], places[:, 1]
    on = (x > -0.5) & (x < nx - 0.5) & (y > -0.5) & (y < ny - 0.5) & (slopes > 0)
    on = on.all(axis=0)
    along, across = direction.split(*np.where(on, places[1] - places[0], np.nan))
    stretch = np.where(on, slopes[1] / np.where(on, slopes[0], 1.0) - 1.0, np.nan)
    # Sides of the slit, where the light of both of them counts.
    (left_along, right_along), (left_across, right_across) = along[[0, -1]], across[[0, -1]]
    numbers = (
        _middle(np.where(on, x[0], np.nan)),
        _middle(np.where(on, y[0], np.nan)),
        _mean(along),
        _mean(across),
        _largest(along),
        _largest(across),
        _mean(stretch),
        _mean(right_along - left_along),
        -direction.left_sign * _mean(right_across - left_across),
    )
    return dict(zip(_NUMBERS, numbers, strict=True))


def _finite(values):
    return values[np.isfinite(values)]


def _mean(values):
    values = _finite(values)
    return float(values.mean()) if values.size else np.nan


def _middle(values):
    values = _finite(values)
    return float(0.5 * (values.min() + values.max())) if values.size else np.nan


def _largest(values):
    values = _finite(values)
    return float(values[np.argmax(np.abs(values))]) if values.size else np.nan
