"""Where a slit is on the sky: a tangent plane for each slit, and its fit to a mask's design.

A design states the coordinates of single points, mostly one a slit. How the sky lies on the
mask (its turn, its scale, whether it is mirrored) follows from all of them together: a linear
map of the mask onto the tangent plane. No sign convention of any program is needed, and what
does not fit is found.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["SlitSky", "fit_sky"]

_LARGEST_MISS = 0.02
"""Of the mask's size on the sky: what distortion may take a place from a linear map."""

_SCALE_TOLERANCE = 0.1
"""Relative; by how much the scale on the sky may differ from that of the slits' sizes."""

_STEP = 1e-2  # mm; the map is all but linear on such a step


class SlitSky(NamedTuple):
    """The sky about the centre of a slit, as the keywords of a FITS tangent plane.

    Attributes
    ----------
    ra, dec : float
        Of the slit's centre, degrees (ICRS).
    cd1_1, cd1_2, cd2_1, cd2_2 : float
        How the tangent plane (east, north) changes with X and Y on the mask, degrees per mm.
    """

    ra: float
    dec: float
    cd1_1: float
    cd1_2: float
    cd2_1: float
    cd2_2: float


def tangent_from_sky(ra, dec, pole):
    """Project the sky onto the plane that touches it at `pole` (RA, Dec): all in degrees.

    Gnomonic projection (TAN; Calabretta & Greisen 2002), east and north positive. NaN for
    the other half of the sky.
    """
    ra, dec = np.radians(ra), np.radians(dec)
    ra0, dec0 = np.radians(pole)
    height = np.sin(dec) * np.sin(dec0) + np.cos(dec) * np.cos(dec0) * np.cos(ra - ra0)
    height = np.where(height > 0, height, np.nan)
    east = np.cos(dec) * np.sin(ra - ra0) / height
    north = np.sin(dec) * np.cos(dec0) - np.cos(dec) * np.sin(dec0) * np.cos(ra - ra0)
    return np.degrees(east), np.degrees(north / height)


def sky_from_tangent(east, north, pole):
    """Return (RA, Dec) of a point of the tangent plane: the inverse of `tangent_from_sky`."""
    x, y = np.radians(east), np.radians(north)
    ra0, dec0 = np.radians(pole)
    along = np.cos(dec0) - y * np.sin(dec0)
    ra = ra0 + np.arctan2(x, along)
    dec = np.arctan2(np.sin(dec0) + y * np.cos(dec0), np.hypot(x, along))
    return np.degrees(ra) % 360, np.degrees(dec)


def fit_sky(rows, places):
    """Give slits their place on the sky, from the points of the mask whose coordinates are known.

    Parameters
    ----------
    rows : list of dict
        Slits as of `rows_from_mdf`; ``SKY`` is set in place.
    places : dict of str to tuple of float
        By slit id: X and Y of a point in mm, and its RA and Dec in degrees.

    Returns
    -------
    list of str
        What was found, or why the mask has no sky coordinates.
    """
    places = _usable(places)
    if len(places) < 3:
        return [f"no sky coordinates: {len(places) or 'no'} slits have usable ones, 3 are needed"]
    x, y, ra, dec = np.array(list(places.values())).T
    pole = _middle(ra, dec)
    east, north = tangent_from_sky(ra, dec, pole)
    if not np.isfinite(east + north).all():
        return ["no sky coordinates: those of the design are spread over the whole sky"]
    centre = np.array([x.mean(), y.mean()])
    offsets = np.column_stack([x, y]) - centre
    _, spread, _ = np.linalg.svd(offsets)
    if spread[1] < 1e-3 * spread[0]:
        return ["no sky coordinates: the slits lie on one line, which does not tell the other axis"]
    design = np.column_stack([np.ones(len(x)), offsets])
    terms, *_ = np.linalg.lstsq(design, np.column_stack([east, north]), rcond=None)
    miss = 3600 * np.hypot(*(design @ terms - np.column_stack([east, north])).T)
    size = 3600 * max(np.ptp(east), np.ptp(north))
    worst = int(np.argmax(miss))
    if miss[worst] > _LARGEST_MISS * size:
        return [
            f"no sky coordinates: those of slit {list(places)[worst]} are {miss[worst]:.3g} arcsec "
            f"from where the other slits put them on a mask of {size:.3g} arcsec"
        ]
    if reason := _wrong_scale(rows, terms[1:]):
        return [reason]
    for row in rows:
        row["SKY"] = _sky_of(row, places.get(row["ID"]), pole, centre, terms)
    checked = f"{np.sqrt(np.mean(miss**2)):.2g} arcsec rms about" if len(places) > 3 else "from"
    return [f"sky coordinates: of {len(places)} slits, {checked} a linear map of the mask"]


def _usable(places):
    """Leave out what cannot be coordinates: not finite, off range, the same for two slits."""
    good = {
        key: place
        for key, place in places.items()
        if np.isfinite(place).all() and 0 <= place[2] <= 360 and abs(place[3]) <= 90
    }
    seen = [tuple(place[2:]) for place in good.values()]
    return {
        key: place
        for key, place in good.items()
        if seen.count(tuple(place[2:])) == 1 and tuple(place[2:]) != (0, 0)
    }


def _middle(ra, dec):
    """Return RA and Dec of the mean direction, degrees."""
    ra, dec = np.radians(ra), np.radians(dec)
    x, y, z = (v.mean() for v in (np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)))
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _wrong_scale(rows, matrix):
    """Compare the scale of the map with arcsec per mm of the slits; say what is wrong."""
    scales = [row["LEN"] / max(row["DIMX"], row["DIMY"]) for row in rows if row["LEN"] > 0]
    if not scales:
        return ""
    on_sky, of_slits = 3600 * np.sqrt(abs(np.linalg.det(matrix))), np.median(scales)
    if abs(on_sky / of_slits - 1) <= _SCALE_TOLERANCE:
        return ""
    return (
        f"no sky coordinates: they make {on_sky:.4g} arcsec per mm, the sizes of the slits "
        f"{of_slits:.4g}"
    )


def _sky_of(row, place, pole, centre, terms):
    """Return the tangent plane at the centre of a slit, from the map of the whole mask."""
    at = np.array([row["X"], row["Y"]])
    shift = np.zeros(2)
    if place is not None:  # its own coordinates count more than the map
        own = np.array(tangent_from_sky(*place[2:], pole))
        shift = own - (terms[0] + (np.array(place[:2]) - centre) @ terms[1:])

    def sky(point):
        return sky_from_tangent(*(terms[0] + (point - centre) @ terms[1:] + shift), pole)

    here = sky(at)
    columns = [
        np.subtract(
            tangent_from_sky(*sky(at + step), here), tangent_from_sky(*sky(at - step), here)
        )
        / (2 * _STEP)
        for step in _STEP * np.eye(2)
    ]
    (cd1_1, cd2_1), (cd1_2, cd2_2) = columns
    return SlitSky(*(float(v) for v in (*here, cd1_1, cd1_2, cd2_1, cd2_2)))
