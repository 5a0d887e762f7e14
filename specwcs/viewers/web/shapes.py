"""Shapes as columns that a page draws."""

from math import cos, radians, sin

import numpy as np

__all__ = ["drawn"]

_COLORS = {"green": "#39ff14", "blue": "#4aa8ff", "cyan": "#00e5ff", "red": "#ff4040"}
"""DS9's names, where a page's own colours of these names are too dark on a frame."""
_MARKERS = {"box": ("circle_cross", 12), "polygon": ("circle_cross", 10), "point": ("x", 11),
            "vector": ("circle", 9)}  # fmt: skip
_CORNER = ("square", 9)


def drawn(shapes, stamp):
    """Return columns of handles, outlines, shafts, and names.

    Parameters
    ----------
    shapes : list of Shape or None
        None: deleted.
    stamp : int
        Written to every row, so that equal columns of a later drawing count as new.

    Returns
    -------
    places, outlines, shafts, names : dict
    """
    places = {name: [] for name in ("x", "y", "shape", "corner", "marker", "size", "color")}
    outlines = {name: [] for name in ("xs", "ys", "shape", "color")}
    shafts = {name: [] for name in ("x0", "y0", "x1", "y1", "shape", "color")}
    names = {name: [] for name in ("x", "y", "text", "color")}
    for number, shape in enumerate(shapes):
        if shape is None:
            continue
        color = _COLORS.get(shape.color, shape.color)
        corners = _outline(shape)
        if corners is not None:
            _add(outlines, *(list(v) for v in zip(*corners, strict=True)), number, color)
        if shape.kind == "vector":
            (x0, y0), (x1, y1) = shape.points
            _add(shafts, x0, y0, x1, y1, number, color)
        at = _handle(shape)
        if shape.text:
            _add(names, *at, shape.text, color)
        if shape.fixed or shape.kind == "text":
            continue
        _add(places, *at, number, -1, *_MARKERS[shape.kind], color)
        if shape.kind == "polygon":
            for corner, xy in enumerate(shape.points):
                _add(places, *xy, number, corner, *_CORNER, color)
    for columns in (places, outlines, shafts):
        columns["stamp"] = [stamp] * len(columns["shape"])
        columns["shape"] = np.array(columns["shape"], dtype=np.int32)
    for columns, numbers in ((places, ("x", "y")), (shafts, ("x0", "y0", "x1", "y1"))):
        for name in numbers:
            columns[name] = np.array(columns[name], dtype=float)
    places["corner"] = np.array(places["corner"], dtype=np.int32)
    return places, outlines, shafts, names


def _add(columns, *values):
    for column, value in zip(columns.values(), values, strict=True):
        column.append(value)


def _handle(shape):
    """Return the point by which a shape is held."""
    if shape.kind == "polygon":
        return tuple(np.mean(shape.points, axis=0).tolist())
    return shape.points[-1]


def _outline(shape):
    """Return the corners of what is drawn as a closed line; None for others."""
    if shape.kind == "polygon":
        return shape.points
    if shape.kind != "box":
        return None
    (x, y), (width, height) = shape.points[0], shape.size
    c, s = cos(radians(shape.angle)), sin(radians(shape.angle))
    return [
        (x + c * a * width / 2 - s * b * height / 2, y + s * a * width / 2 + c * b * height / 2)
        for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))
    ]
