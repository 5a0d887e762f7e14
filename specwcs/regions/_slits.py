"""Match boxes and polygons to slits, and say what was not matched."""

import numpy as np

from specwcs.errors import InputError

from ._centres import match_centres
from ._notes import DOUBT, FoundRows, count, listed, slit_label, where
from ._settle import NOBODY
from .draw import positions, rings
from .edit import CROSSED, corner_fault, is_crossed, ring_area

_RIVAL_ORDER = 1.5


def match_slits(shapes, expected, _direction):
    """Match boxes or polygons to slits, one to one.

    Returns
    -------
    markers : Markers
        The expected rows.
    notes : list of str
    """
    corners = expected["kind"][0] == "polygon"
    rows = list(rings(expected).values()) if corners else np.arange(len(expected))[:, None]
    slits = [str(expected["slit"][each[0]]) for each in rows]
    pins = _pins_of_slits(shapes, slits)
    xy = positions(expected)
    centres = np.array([xy[each].mean(axis=0) for each in rows]).reshape(-1, 2)
    drawn = np.array([np.mean(shape.points, axis=0) for shape in shapes]).reshape(-1, 2)
    partner, doubtful = match_centres(drawn, centres, pins)
    found, notes, alone = FoundRows(expected), [], []
    for shape, centre, slit, doubt in zip(shapes, drawn, partner, doubtful, strict=True):
        if slit == NOBODY:
            alone.append(shape)
            continue
        points, fault = [centre], f"{shape.kind} {DOUBT} slit" if doubt else ""
        if shape.kind == "polygon":
            fault = fault or corner_fault(len(shape.points))
        if corners and not fault:
            points, fault = _corners_in_order(np.array(shape.points), xy[rows[slit]])
        found.put(rows[slit], points if not fault else xy[rows[slit]], fault)
        if fault:
            remedy = ": label it with the slit's id, or delete it" if doubt else ""
            notes.append(f"slit {slits[slit]}: {fault}{remedy}, {where([shape])}.")
    if alone:
        notes.append(
            f"{count(len(alone), 'shape')} {where(alone)} not used: no slit is near. "
            "Label them with the slit's id, or delete them."
        )
    return found.markers(), notes + _absent_slits(np.array(slits), partner)


def _pins_of_slits(shapes, slits):
    """Return the slit of each shape whose tag or label names one."""
    pins = {}
    for number, shape in enumerate(shapes):
        label = slit_label(shape)
        if slits.count(label) != 1:
            continue
        slit = slits.index(label)
        if slit in pins.values():
            found = f"two shapes are labelled {label}"
            raise InputError(found, "Must be one.", "Delete the copy.", line=shape.line, slit=label)
        pins[number] = slit
    return pins


def _corners_in_order(points, ring):
    """Return the corners of a polygon in the order of a ring, and what is wrong with them."""
    orders = [np.roll(np.arange(4)[::way], start) for way in (1, -1) for start in range(4)]
    # Seen from the same side, a ring runs the same way round.
    orders = [order for order in orders if ring_area(points[order]) * ring_area(ring) > 0]
    if not orders or is_crossed(points):
        return ring, CROSSED
    moved = points - points.mean(axis=0) + ring.mean(axis=0)
    misfit = [np.hypot(*(moved[order] - ring).T).mean() for order in orders]
    best, second = np.argsort(misfit)[:2]
    if misfit[second] < _RIVAL_ORDER * misfit[best]:
        return ring, "it is not clear which corner of the polygon is which: correct it"
    return points[orders[best]], ""


def _absent_slits(slits, partner):
    absent = np.delete(slits, partner[partner != NOBODY])
    if not len(absent):
        return []
    return [f"{len(absent)} of {count(len(slits), 'slit')} without a region: {listed(absent)}."]
