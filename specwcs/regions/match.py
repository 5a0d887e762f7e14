"""Match shapes without our tags to the markers that the models predict, by their places.

Shapes that were drawn by hand, or by another program, may all have been moved together and
stretched; labels that name a slit or a wavelength decide. What could be more than one marker
is not used, and named in a note.
"""

from dataclasses import dataclass

import numpy as np

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.markers import Markers

from ._notes import count, where
from ._slits import match_slits
from ._spectra import match_edges, match_vectors
from .draw import SHAPE_OF, positions

__all__ = ["Matched", "match_shapes"]

_OFF = "off the frame"


@dataclass(frozen=True)
class Matched:
    """What shapes were taken for.

    Parameters
    ----------
    markers : Markers
        The expected rows where the shapes are, not used where no shape or a doubtful one is;
        for edges, a row for each point that has a trace, in the order of the shapes.
    notes : tuple of str
        Sentences on everything that is not used.
    """

    markers: Markers
    notes: tuple = ()


def match_shapes(shapes, expected, *, direction, size=None):
    """Match shapes by their places to the markers that are expected.

    Parameters
    ----------
    shapes : iterable of Shape
        Fixed ones and texts are passed over.
    expected : Markers
        Of one kind, as models predict them: a box for each slit, or the corners of polygons,
        or several points along each trace (slit and t), or lines. Boxes may be drawn as
        polygons.
    direction : Direction or str
        The dispersion direction.
    size : (int, int), optional
        Columns and rows of the frame: shapes beyond it are not used.

    Returns
    -------
    Matched

    Raises
    ------
    InputError
        If `expected` holds more than one kind of markers, or places that are not finite.
    """
    kinds = sorted(set(expected["kind"].tolist()))
    if len(kinds) > 1:
        raise InputError(f"markers of kinds {' and '.join(kinds)}", "Must be of one kind.")
    expected = expected[np.isfinite(positions(expected)).all(axis=1)]
    shapes = [shape for shape in shapes if not shape.fixed and shape.kind != "text"]
    notes = []
    if excluded := sum(shape.excluded for shape in shapes):
        notes.append(f"{count(excluded, 'shape')} with a minus sign: taken for deleted.")
    shapes = [shape for shape in shapes if not shape.excluded]
    if not len(expected):
        notes += [f"{count(len(shapes), 'shape')} not used: no marker is expected."]
        return Matched(expected, tuple(notes))
    kind = kinds[0]
    wanted = (SHAPE_OF[kind],) if kind != "box" else ("box", "polygon")
    others = [shape for shape in shapes if shape.kind not in wanted]
    if others:
        notes.append(
            f"{count(len(others), 'shape')} not used, {where(others)}: "
            f"only {' or '.join(wanted)} can stand for {kind} markers."
        )
    match = {"edge": match_edges, "line": match_vectors}.get(kind, match_slits)
    candidates = [shape for shape in shapes if shape.kind in wanted]
    markers, found = match(candidates, expected, Direction(direction))
    if size is not None:
        found += _drop_outside(markers, size)
    return Matched(markers, (*notes, *found))


def _drop_outside(markers, size):
    """Do not use what lies beyond the frame; return a sentence on it."""
    edge = np.array(size) - 0.5
    xy = positions(markers)
    outside = np.array(markers["used"]) & ~((xy > -0.5) & (xy < edge)).all(axis=1)
    if not outside.any():
        return []
    markers["used"] = np.array(markers["used"]) & ~outside
    markers["reason"] = np.where(outside, _OFF, markers["reason"])
    return [f"{count(np.count_nonzero(outside), 'marker')} beyond the frame not used."]
