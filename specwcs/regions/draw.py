"""Markers to shapes: what a viewer shows and a region file holds of a table of markers.

The tags of a shape say which marker it stands for: ``slit``, ``t``, ``wavelength``, and ``n``,
the row of the table that was drawn. Viewers change the order of shapes; tags survive.
"""

from math import isfinite

import numpy as np

from specwcs.conventions import Direction
from specwcs.errors import InputError

from .shapes import Shape

__all__ = ["RING", "rings", "shapes_from_markers"]

RING = ((0.0, -1.0), (0.0, 1.0), (1.0, 1.0), (1.0, -1.0))
"""(t, side) of the corners of a slit's polygon, in the order in which they are drawn."""

SHAPE_OF = {"box": "box", "polygon": "polygon", "edge": "point", "line": "vector"}
"""The kind of shape that stands for a marker, by the marker's kind."""

_OUTLINE = (12.0, 12.0, 0.0)


def shapes_from_markers(markers, *, direction, outlines=None, shaft=20.0, color="green"):
    """Return the shapes that stand for the used markers.

    Parameters
    ----------
    markers : Markers
        Rows without finite coordinates, and polygons that lack a corner, are not drawn.
    direction : Direction or str
        The dispersion direction.
    outlines : mapping of str to (float, float, float), optional
        Width, height (px) and angle (degrees) of the boxes by slit; 12 × 12 px otherwise.
    shaft : float, optional
        Length of the vectors of lines, px: the head is the marker, the tail lies bluewards.
    color : str, optional

    Returns
    -------
    list of Shape
    """
    direction, outlines = Direction(direction), outlines or {}
    blue = direction.join(-direction.sign * shaft, 0.0)
    corners, xy = rings(markers), positions(markers)
    drawn = np.flatnonzero(drawn_rows(markers, corners))
    rows = zip(
        drawn.tolist(),
        *(markers[name][drawn].tolist() for name in ("kind", "slit", "t")),
        markers["wavelength"].value[drawn].tolist(),
        strict=True,
    )
    shapes = []
    for n, kind, slit, t, wavelength in rows:
        tags = {"slit": slit, "t": repr(t), "n": str(n)}
        if isfinite(wavelength):
            tags["wavelength"] = repr(wavelength)
        here, size, angle, text = (tuple(xy[n].tolist()),), (), 0.0, ""
        if kind == "box":
            *size, angle = outlines.get(slit, _OUTLINE)
            text = slit
        elif kind == "polygon":
            if n != corners[slit][0]:
                continue
            del tags["t"]
            here, text = tuple(map(tuple, xy[corners[slit]].tolist())), slit
        elif kind == "line":
            here = ((here[0][0] + blue[0], here[0][1] + blue[1]), *here)
            text = f"{wavelength:.2f}" if isfinite(wavelength) else ""
        shapes.append(Shape(SHAPE_OF[kind], here, tuple(size), angle, tags, text, color))
    return shapes


def rings(markers):
    """Return the rows of each slit's polygon corners in the order of `RING`.

    Parameters
    ----------
    markers : Markers

    Returns
    -------
    dict of str to ndarray, shape (4,)
        Slits that lack a corner are left out.

    Raises
    ------
    InputError
        If a slit has a corner twice.
    """
    rows = np.flatnonzero(np.asarray(markers["kind"]) == "polygon")
    corners = {}
    for row in rows.tolist():
        slit, place = str(markers["slit"][row]), (markers["t"][row], markers["side"][row])
        if corners.setdefault(slit, {}).setdefault(place, row) != row:
            allowed = "Must be four corners, t 0 or 1 and side -1 or 1."
            raise InputError("two markers of one polygon corner", allowed, slit=slit)
    return {
        slit: np.array([found[place] for place in RING])
        for slit, found in corners.items()
        if found.keys() == set(RING)
    }


def drawn_rows(markers, corners):
    """Tell which rows are drawn: used ones whose place is known.

    Parameters
    ----------
    markers : Markers
    corners : dict of str to ndarray
        Its `rings`: a polygon is drawn with all its corners or not at all.

    Returns
    -------
    ndarray of bool
    """
    drawn = np.array(markers["used"]) & np.isfinite(positions(markers)).all(axis=1)
    kind = np.asarray(markers["kind"])
    # An edge or a line that does not say where on the slit it is could not be read back.
    drawn &= np.isfinite(markers["t"]) | np.isin(kind, ("box", "polygon"))
    whole = np.zeros(len(markers), dtype=bool)
    for rows in corners.values():
        whole[rows] = drawn[rows].all()
    return np.where(kind == "polygon", whole, drawn)


def positions(markers):
    """Return x and y of markers, px: shape (n, 2)."""
    return np.column_stack([markers["x"].value, markers["y"].value])
