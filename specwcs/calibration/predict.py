"""Markers where the models expect them: what a viewer draws, and a region file is matched to."""

import numpy as np

from specwcs.errors import InputError
from specwcs.markers import Markers
from specwcs.models import SlitGeometry
from specwcs.models.slit import TraceShape

__all__ = [
    "box_outlines",
    "dispersion_at",
    "predict_boxes",
    "predict_corners",
    "predict_edges",
    "predict_lines",
]

_BEYOND = 0.1  # of the frame: how far outside of it a marker can still be dragged in
_INSIDE = 0.02  # of the frame: how far from its ends a trace is marked, where it can be seen
_CORNERS = ((0.0, -1.0), (0.0, 1.0), (1.0, 1.0), (1.0, -1.0))  # (t, side), in a ring


def predict_boxes(opt, mask, instrument):
    """Return one marker a slit, in its middle, at the reference wavelength.

    Parameters
    ----------
    opt : OpticalModel
    mask : Mask
        Oriented as it falls on the detector.
    instrument : Instrument

    Returns
    -------
    Markers
        Of kind box; also those off the detector, which a better model may bring back.
    """
    centres = np.array([slit.curve(0.5) for slit in mask.values()])
    x, y = opt(*centres.T)
    return Markers.of("box", list(mask), 0.5, x, y, wavelength=instrument.reference_lambda)


def predict_corners(opt, mask, instrument):
    """Return the four corners of each slit at the reference wavelength, in a ring."""
    corners = np.array([slit.corners() for slit in mask.values()])
    x, y = opt(corners[..., 0].ravel(), corners[..., 1].ravel())
    t, side = np.tile(_CORNERS, (len(mask), 1)).T
    return Markers.of(
        "polygon", np.repeat(list(mask), 4), t, x, y, side=side,
        wavelength=instrument.reference_lambda,
    )  # fmt: skip


def box_outlines(opt, mask):
    """Return width, height (px) and angle (degrees) of each slit's box on the detector."""
    outlines = {}
    for key, slit in mask.items():
        corners = slit.corners()
        x, y = opt(*corners.T)
        across = np.array([x[0] + x[1] - x[2] - x[3], y[0] + y[1] - y[2] - y[3]]) / 2
        side = np.array([x[1] + x[2] - x[0] - x[3], y[1] + y[2] - y[0] - y[3]]) / 2
        # The slit's sides need not be at right angles on the frame: keep the long one.
        long, short = (across, side) if np.hypot(*across) >= np.hypot(*side) else (side, across)
        angle = float(np.degrees(np.arctan2(long[1], long[0]))) % 180.0
        outlines[key] = (float(np.hypot(*long)), float(np.hypot(*short)), angle)
    return outlines


def predict_edges(opt, crv, mask, instrument, n, positions, limits):
    """Return points of the traces of all slits but reference ones.

    Parameters
    ----------
    opt : OpticalModel
    crv : CurvatureModel
    mask : Mask
    instrument : Instrument
    n : int
        Points a trace, evenly spaced along the dispersion.
    positions : sequence of float
        In the slit, from 0 (left edge) to 1.
    limits : tuple of float or None
        How far the traces reach to the blue and to the red of the reference wavelength, px;
        None: as far as the detector.

    Returns
    -------
    Markers
        Of kind edge, on the detector.
    """
    direction, tables = instrument.direction, []
    size = direction.split(instrument.xpixels, instrument.ypixels)[0]
    for key, slit in _measured(mask):
        shape = TraceShape.from_models(opt, crv, slit, direction)
        middle = direction.split(*shape.pixel_from_trace(0.0, 0.5))[0]
        ends = (_INSIDE * size, (1 - _INSIDE) * size - 1.0)
        to_ends = sorted(direction.sign * (end - middle) for end in ends)
        blue, red = to_ends if limits is None else (-limits[0], limits[1])
        d = np.linspace(blue, red, n) if n > 1 else np.array([0.5 * (blue + red)])
        t, distance = (a.ravel() for a in np.meshgrid(positions, d, indexing="ij"))
        x, y = shape.pixel_from_trace(distance, t)
        on = _near(x, y, instrument, 0.0)
        tables.append(Markers.of("edge", key, t[on], x[on], y[on]))
    return Markers.join(tables)


def predict_lines(opt, crv, ids, mask, instrument, catalog, nsplit=1):
    """Return the lines of a catalogue in all slits but reference ones.

    Parameters
    ----------
    opt, crv, ids
        The models.
    mask : Mask
    instrument : Instrument
    catalog : LineCatalog
        Its lines of flag 1 are taken.
    nsplit : int
        Into how many pieces a slit is divided; a line is marked in the middle of each.

    Returns
    -------
    Markers
        Of kind line, on the detector or near it.

    Raises
    ------
    InputError
        If no line falls there.
    """
    wavelength = catalog.wavelength[catalog.flag == 1]
    pieces = (np.arange(nsplit) + 0.5) / nsplit
    tables = []
    for key, slit in _measured(mask):
        geometry = SlitGeometry.from_models(opt, crv, ids, slit, instrument.direction)
        t, w = (a.ravel() for a in np.meshgrid(pieces, wavelength, indexing="ij"))
        x, y = geometry.pixel(w, t)
        # Far outside of what a polynomial was fitted to, it turns back.
        on = _near(x, y, instrument, _BEYOND) & (geometry.dispersion.slope(w, t) > 0)
        tables.append(Markers.of("line", key, t[on], x[on], y[on], wavelength=w[on]))
    found = Markers.join(tables)
    if not len(found):
        raise InputError(
            f"none of {len(wavelength)} lines falls on the detector",
            "",
            "Check wstart, wend, and reference_lambda and linear_dispersion of the instrument",
        )
    return found


def dispersion_at(opt, crv, ids, mask, direction, markers):
    """Return the local dispersion at markers that have a wavelength.

    Parameters
    ----------
    opt, crv, ids
        The models.
    mask : Mask
    direction : Direction
    markers : QTable
        With slit, t and wavelength.

    Returns
    -------
    ndarray, shape (n,)
        px per Angstrom.
    """
    slopes = np.full(len(markers), np.nan)
    for key in np.unique(markers["slit"]):
        mine = np.asarray(markers["slit"] == key)
        geometry = SlitGeometry.from_models(opt, crv, ids, mask[str(key)], direction)
        slopes[mine] = geometry.dispersion.slope(
            markers["wavelength"].value[mine], np.asarray(markers["t"])[mine]
        )
    return slopes


def _measured(mask):
    return [(key, slit) for key, slit in mask.items() if not slit.reference]


def _near(x, y, instrument, margin):
    """Tell which points are on the detector, or not further off it than `margin` of its size."""
    ny, nx = instrument.shape
    ok = np.isfinite(x) & np.isfinite(y)
    ok &= (x >= -0.5 - margin * nx) & (x <= nx - 0.5 + margin * nx)
    return ok & (y >= -0.5 - margin * ny) & (y <= ny - 0.5 + margin * ny)
