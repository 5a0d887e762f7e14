"""What the matchings say: numbers, places and labels of shapes, and what became of markers."""

import numpy as np

from specwcs.conventions import fits_from_array_pixel

from .draw import positions

DOUBT = "could be more than one"
ABSENT = "no region"
_MOST_NAMED = 8


def count(n, what):
    """Return a number with its noun."""
    plural = f"{what}es" if what.endswith("x") else f"{what}s"
    return f"{n} {what if n == 1 else plural}"


def where(shapes):
    """Say where shapes are, as a viewer shows it (from 1) and with the line of the file."""
    places = []
    for shape in shapes[:_MOST_NAMED]:
        x, y = fits_from_array_pixel(shape.points[-1])
        line = f" (line {shape.line})" if shape.line is not None else ""
        places.append(f"({x:.1f}, {y:.1f}){line}")
    return "at " + listed(places, len(shapes))


def listed(words, n=None):
    """Return words with commas; not all, where there are many."""
    n = len(words) if n is None else n
    return ", ".join(words[:_MOST_NAMED]) + (" and more" if n > _MOST_NAMED else "")


def slit_label(shape):
    """Return what may be the id of a slit: the tag, or the label."""
    return shape.tags.get("slit", shape.text.strip())


class FoundRows:
    """The expected rows, with what shapes were found for them."""

    def __init__(self, expected):
        self.expected, self.xy = expected, positions(expected)
        self.used = np.zeros(len(expected), dtype=bool)
        self.reason = np.full(len(expected), ABSENT, dtype=object)

    def put(self, rows, points, reason=""):
        self.xy[rows] = points
        self.used[rows] = not reason
        self.reason[rows] = reason

    def markers(self):
        markers = self.expected.copy()
        markers["x"], markers["y"] = self.xy.T * markers["x"].unit
        markers["used"] = self.used
        markers["reason"] = self.reason.astype(str)
        return markers
