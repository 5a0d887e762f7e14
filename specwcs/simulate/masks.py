"""Slit masks that fit on a frame."""

import numpy as np

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.inputs import Mask, Slit

__all__ = ["longslit", "pinholes", "random_mask"]

_DIGITS = 4  # of millimetres, as in a mask file

# The direction whose turn of the mask undoes that of another.
_BACK = {Direction.BU: Direction.UB, Direction.UB: Direction.BU}


def random_mask(
    n_slits,
    instrument,
    seed,
    *,
    tilted=2,
    reference=1,
    arcsec_per_mm=1.7,
    width=0.9,
    spread=0.1,
    gaps=(4.0, 12.0),
    half_off=False,
):
    """Design a mask whose spectra fill the frame without overlap.

    The slits are packed across the dispersion with random gaps, in random order, with
    random lengths and random positions along the dispersion.

    Parameters
    ----------
    n_slits : int
        Number of slits, with the tilted and the reference ones.
    instrument : Instrument
        Gives the frame, the direction and the pixel scales.
    seed : int
    tilted : int
        How many slits are rotated, by 25 to 40 degrees to either side.
    reference : int
        How many are square reference holes, 4 arcsec wide.
    arcsec_per_mm : float
        Plate scale at the mask.
    width : float
        Width of the slits, arcsec.
    spread : float
        Largest distance of a slit from the field's centre along the dispersion, as a
        fraction of the frame.
    gaps : tuple of float
        Smallest and largest distance between neighbouring slits, px; negative: they overlap.
    half_off : bool
        Whether the first slit (the one of largest v) is half off the frame.

    Returns
    -------
    Mask
        Oriented for the instrument's direction, without flips.

    Raises
    ------
    InputError
        If so many slits do not fit.
    """
    if n_slits < tilted + reference:
        raise InputError(
            f"{n_slits} slits, of which {tilted} tilted and {reference} a reference hole",
            f"Must be at least {tilted + reference}.",
        )
    rng = np.random.default_rng(seed)
    scale_along, scale = (arcsec_per_mm / side for side in instrument.scales)  # px per mm
    along, across = instrument.direction.split(instrument.xpixels, instrument.ypixels)
    kind = rng.permutation(np.repeat([2, 1, 0], [reference, tilted, n_slits - reference - tilted]))
    if half_off:
        kind = np.sort(kind)  # the slit at the border is an ordinary one
    rot = np.where(kind == 1, rng.uniform(25, 40, n_slits) * rng.choice([-1, 1], n_slits), 0.0)
    box = 4.0 / instrument.scales[1]  # px
    gaps = rng.uniform(*gaps, n_slits)
    share = np.where(kind == 2, 0.0, rng.uniform(0.7, 1.3, n_slits))
    room = 0.94 * across - gaps.sum() - box * reference
    extent = np.where(kind == 2, box, share * room / share.sum())  # px across the dispersion
    slit_px = width / instrument.scales[1]
    if extent.min() < 3 * slit_px:
        raise InputError(
            f"{n_slits} slits do not fit across {across} pixels", "", "Ask for fewer slits."
        )
    end = 0.47 * across - np.cumsum(extent + gaps) + gaps
    if half_off:
        end += 0.03 * across + extent[0] / 2
    v = (end + extent / 2) / scale
    u = rng.uniform(-spread, spread, n_slits) * along / scale_along
    angle = np.radians(np.abs(rot))
    length = np.where(kind == 2, box, (extent - slit_px * np.sin(angle)) / np.cos(angle)) / scale
    side = np.where(kind == 2, box, slit_px) / scale
    return Mask(
        _slit(
            f"{i + 1:02d}", instrument.direction, u[i], v[i], side[i], length[i], rot[i],
            arcsec_per_mm, kind[i] == 2,
        )
        for i in range(n_slits)
    ).oriented(instrument.direction)  # fmt: skip


def longslit(instrument, *, arcsec_per_mm=1.7, width=0.9, fill=0.92):
    """One slit through the field's centre.

    Parameters
    ----------
    instrument : Instrument
        Gives the frame, the direction and the pixel scales.
    arcsec_per_mm : float
        Plate scale at the mask.
    width : float
        Width of the slit, arcsec.
    fill : float
        Length of the slit as a fraction of the frame; above 1 its ends are off the frame.

    Returns
    -------
    Mask
        Oriented for the instrument's direction, without flips.
    """
    across = instrument.direction.split(instrument.xpixels, instrument.ypixels)[1]
    length = fill * across * instrument.scales[1] / arcsec_per_mm
    slit = _slit(
        "1",
        instrument.direction,
        0.0,
        0.0,
        width / arcsec_per_mm,
        length,
        0.0,
        arcsec_per_mm,
        False,
    )
    return Mask([slit]).oriented(instrument.direction)


def pinholes(instrument, *, rows=9, columns=13, size=0.8, arcsec_per_mm=1.7, fill=0.9):
    """Design a mask of square holes on a regular grid, to map the optics with the disperser out.

    Parameters
    ----------
    instrument : Instrument
        Gives the frame, the direction and the pixel scales.
    rows, columns : int
        Holes across and along the dispersion.
    size : float
        Side of the holes, arcsec.
    arcsec_per_mm : float
        Plate scale at the mask.
    fill : float
        How much of the frame the grid takes.

    Returns
    -------
    Mask
        Oriented for the instrument's direction, without flips.
    """
    along, across = instrument.direction.split(instrument.xpixels, instrument.ypixels)
    u, v = (
        0.5 * fill * n * side / arcsec_per_mm * np.linspace(-1, 1, count)
        for n, side, count in zip((along, across), instrument.scales, (columns, rows), strict=True)
    )
    side = size / arcsec_per_mm
    holes = [
        _slit(f"{i + 1:02d}-{j + 1:02d}", instrument.direction, u[j], v[i], side, side, 0.0,
              arcsec_per_mm, False)
        for i in range(rows) for j in range(columns)
    ]  # fmt: skip
    return Mask(holes).oriented(instrument.direction)


def _slit(name, direction, u, v, side, length, rot, arcsec_per_mm, reference):
    """Make a slit from its canonical centre (u, v) and its sides along and across u, mm."""
    x, y = _BACK.get(direction, direction).canonical_mask(u, v)
    dimx, dimy = direction.join(side, length)
    x, y, dimx, dimy = (round(float(value), _DIGITS) for value in (x, y, dimx, dimy))
    return Slit(
        name,
        x,
        y,
        dimx,
        dimy,
        round(float(rot), 2),
        round(float(side) * arcsec_per_mm, 2),
        round(float(length) * arcsec_per_mm, 2),
        bool(reference),
        control=np.array([[x, y], [x, y]]),  # the two ends, set when the mask is oriented
    )
