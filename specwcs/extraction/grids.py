"""Grids of wavelengths and of positions in a slit, as edges of bins."""

from typing import NamedTuple

import numpy as np
from astropy import units as u

from specwcs.errors import InputError
from specwcs.inputs.catalog import MEDIA, air_from_vacuum, vacuum_from_air

__all__ = [
    "Grid",
    "check_grid",
    "check_row",
    "known_bins",
    "known_places",
    "native_edges",
    "position_edges",
    "slit_grid",
    "wavelength_edges",
]

_SAMPLES = 1024  # of a slit's dispersion, where its grid is chosen
_ROUNDING = 1e-6  # Angstrom; of a conversion to the other medium and back


class Grid(NamedTuple):
    """Bins of wavelength, in the medium of the product and in that of the calibration.

    Attributes
    ----------
    edges : ndarray, shape (n + 1,)
        Angstrom, in `medium`.
    calibrated : ndarray, shape (n + 1,)
        The same in the medium of the calibration.
    medium : str
    """

    edges: np.ndarray
    calibrated: np.ndarray
    medium: str

    @property
    def centres(self):
        """Middles of the bins, Angstrom."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    def part(self, bins):
        """Return the grid of some adjoining bins, a slice."""
        ends = slice(bins.start, bins.stop + 1)
        return Grid(self.edges[ends], self.calibrated[ends], self.medium)


def check_grid(wavelength, medium):
    """Refuse wavelengths or a medium that no slit can have; see `slit_grid`.

    Raises
    ------
    InputError
        If the grid or the medium cannot be used.
    """
    if medium is not None and medium not in MEDIA:
        raise InputError(f"medium is {medium!r}", f"Must be {' or '.join(MEDIA)}.")
    if isinstance(wavelength, str):
        if wavelength != "log":
            raise InputError(f"wavelength is {wavelength!r}", "Must be 'log', or a Quantity")
    elif wavelength is not None:
        wavelength_edges(wavelength)


def slit_grid(cal, slit_id, wavelength=None, medium=None):
    """Choose the bins for a slit.

    Parameters
    ----------
    cal : Calibration
    slit_id : str
    wavelength : ``"log"`` or Quantity, shape (n,), optional
        Centres, in `medium`; by default the slit's own, evenly spaced or evenly in the
        logarithm, see `native_edges`.
    medium : {"air", "vacuum"}, optional
        By default that of the calibration.

    Returns
    -------
    Grid

    Raises
    ------
    InputError
        If the grid or the medium cannot be used.
    """
    check_grid(wavelength, medium)
    medium = medium or cal.medium
    if wavelength is not None and not isinstance(wavelength, str):
        edges = wavelength_edges(wavelength)
        return Grid(edges, _converted(edges, medium, cal.medium), medium)
    log, instrument = wavelength == "log", cal.instrument
    edges = native_edges(cal.geometry(slit_id), instrument.direction, instrument.shape, log)
    if medium == cal.medium:
        return Grid(edges, edges, medium)
    ends = _converted(edges[[0, -1]], cal.medium, medium)
    edges = (np.geomspace if log else np.linspace)(*ends, len(edges))
    return Grid(edges, _converted(edges, medium, cal.medium), medium)


def _converted(wavelength, medium, to):
    if medium == to:
        return wavelength
    return (vacuum_from_air if to == "vacuum" else air_from_vacuum)(wavelength)


def native_edges(geometry, direction, shape, log=False):
    """Edges over what falls on the detector, a bin being at most a raw pixel wide.

    Parameters
    ----------
    geometry : SlitGeometry
    direction : Direction
    shape : tuple of int
        (ny, nx).
    log : bool, optional
        Even in the logarithm of the wavelength, not in the wavelength.

    Returns
    -------
    ndarray, shape (n + 1,)
        Angstrom, ascending.

    Raises
    ------
    InputError
        If no wavelength is on the detector, or pixels do not grow with it.
    """
    wavelength = np.linspace(*geometry.dispersion.wavelength_domain, _SAMPLES)
    ends = np.array([[0.0], [0.5], [1.0]])
    p, _ = direction.canonical_pixel(*geometry.pixel(wavelength, ends), shape)
    n_columns = direction.canonical_image(np.empty(shape, bool)).shape[1]
    # The kernel looks one pixel beyond a bin: leave the first and the last one to it.
    inside = np.any((p >= 0.5) & (p <= n_columns - 1.5), axis=0)
    if not inside.any():
        raise InputError("the slit's spectrum falls off the detector, or is not finite")
    even = np.log(wavelength) if log else wavelength
    slope = np.gradient(p, even, axis=1)[:, inside]
    if not np.all(slope > 0):
        raise InputError("the slit's dispersion is not monotonic")
    first, last = even[inside][[0, -1]]
    edges = np.linspace(first, last, int(np.ceil((last - first) * slope.max())) + 1)
    return np.exp(edges) if log else edges


def wavelength_edges(wavelength):
    """Edges of bins around given wavelengths, half way between them.

    Parameters
    ----------
    wavelength : Quantity, shape (n,)
        Ascending.

    Returns
    -------
    ndarray, shape (n + 1,)
        Angstrom.

    Raises
    ------
    InputError
        If it is no ascending series of at least two lengths.
    """
    try:
        centres = u.Quantity(wavelength).to_value(u.AA)
    except (TypeError, u.UnitConversionError) as error:
        msg = f"wavelength is {wavelength!r}"
        raise InputError(msg, "Must be 'log', or a Quantity in units of length") from error
    ascending = centres.ndim == 1 and len(centres) > 1 and np.all(np.isfinite(centres))
    if not (ascending and np.all(np.diff(centres) > 0)):
        raise InputError(
            f"wavelength is {wavelength}", "Must be ascending, in one dimension, two at least"
        )
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def known_places(grid, geometry, columns):
    """Return where edges of bins fall, evenly on beyond the wavelengths that are known of a slit.

    There the models may turn, and a bin would read the light of others.

    Parameters
    ----------
    grid : Grid
    geometry : SlitGeometry
    columns : callable
        ``columns(wavelength)`` gives places along the dispersion, px, for Angstrom.

    Returns
    -------
    ndarray, shape (n + 1,)

    Raises
    ------
    InputError
        If no bin reaches into the known wavelengths.
    """
    low, high = geometry.dispersion.wavelength_domain
    edges = grid.calibrated
    if edges[-1] <= low or edges[0] >= high:
        raise _unknown(low, high)
    step = 1e-3 * (high - low)
    inner = np.clip(edges, low, high)
    ends = columns(np.array([low, low + step, high - step, high]))
    slope = np.where(edges < low, ends[1] - ends[0], ends[3] - ends[2]) / step
    return columns(inner) + slope * (edges - inner)


def _unknown(low, high):
    return InputError(
        "no bin of the grid is within the wavelengths of the slit",
        f"They are known from {low:.0f} to {high:.0f} Å",
    )


def known_bins(grid, geometry):
    """Return the bins of a grid that lie within the wavelengths that are known of a slit.

    Parameters
    ----------
    grid : Grid
    geometry : SlitGeometry

    Returns
    -------
    slice

    Raises
    ------
    InputError
        If there is none.
    """
    low, high = geometry.dispersion.wavelength_domain
    first, last = np.searchsorted(grid.calibrated, [low - _ROUNDING, high + _ROUNDING])
    if last - first < 2:
        raise _unknown(low, high)
    return slice(int(first), int(last) - 1)


def check_row(row):
    """Return the height of a row as a Quantity, if a slit can have rows of it.

    Raises
    ------
    InputError
        If it is not one height above 0, in px, in arcsec, or as a share of the slit.
    """
    allowed = "Must be one height above 0: in px, in arcsec, or a share of the slit"
    try:
        height = u.Quantity(row)
    except (TypeError, ValueError) as error:
        raise InputError(f"row is {row!r}", allowed) from error
    known = any(height.unit.is_equivalent(unit) for unit in (u.pix, u.arcsec, u.one))
    if not (known and height.shape == () and 0 < height.value < np.inf):
        raise InputError(f"row is {row}", allowed)
    return height


def position_edges(row, length, arcsec):
    """Edges of rows of a given height: as many whole ones as the slit holds, about its middle.

    Parameters
    ----------
    row : Quantity
        Height of a row: px, arcsec, or a share of the slit.
    length : float
        Of the slit, px.
    arcsec : float
        Of the slit.

    Returns
    -------
    ndarray, shape (n + 1,)
        t, descending.

    Raises
    ------
    InputError
        If it is none of these, or no row of this height is in the slit.
    """
    row = check_row(row)
    whole = {u.pix: length * u.pix, u.arcsec: arcsec * u.arcsec, u.one: u.Quantity(1.0)}
    unit = next(unit for unit in whole if row.unit.is_equivalent(unit))
    number = (whole[unit] / row).to_value(u.one)
    if not 1 <= number <= _SAMPLES * 64:
        raise InputError(
            f"row is {row}", f"Must be positive, and less than the slit's {whole[unit]:.4g}"
        )
    n = int(number + 1e-9)
    return 0.5 + (0.5 * n - np.arange(n + 1)) / number
