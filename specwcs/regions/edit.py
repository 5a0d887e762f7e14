"""Shapes to markers: what was drawn comes back moved, deleted, copied or untouched."""

import difflib
from dataclasses import dataclass
from math import isnan

import numpy as np

from specwcs.errors import InputError
from specwcs.inputs._text import parse_number
from specwcs.markers import Markers

from .draw import RING, SHAPE_OF, drawn_rows, positions, rings

__all__ = ["Edited", "check_slits", "markers_from_shapes"]

_MARKER_OF = {shape: marker for marker, shape in SHAPE_OF.items()}
_STILL = 1e-4
_DIGITS = 6e-8
"""Viewers keep eight digits: what moved by less than either (px, relative) was not moved."""

CROSSED = "corners of the polygon have changed places: put them back, or delete the polygon"


@dataclass(frozen=True)
class Edited:
    """What came back from a viewer or a file.

    Parameters
    ----------
    markers : Markers
        The rows that were drawn, edited, and behind them those that were added.
    untagged : tuple of Shape
        Shapes whose tags do not say which marker they are; see `match_shapes`.
    notes : tuple of str
        Sentences about what the user should know.
    """

    markers: Markers
    untagged: tuple = ()
    notes: tuple = ()


def markers_from_shapes(shapes, drawn=None):
    """Return the markers that tagged shapes stand for.

    Parameters
    ----------
    shapes : iterable of Shape
        Fixed ones are passed over; excluded ones count as deleted.
    drawn : Markers, optional
        The table that the shapes were made from. Its rows come first: moved, or, if their
        shape is gone, not used (reason "deleted"); copies of edges and lines are added behind
        it. Rows that were not drawn stay as they are. Without it, rows stand in the order of
        the shapes.

    Returns
    -------
    Edited

    Raises
    ------
    InputError
        If a slit has two boxes or two polygons, or a tag is no number.
    """
    shapes = [shape for shape in shapes if not shape.fixed]
    excluded = sum(shape.excluded for shape in shapes)
    notes = [f"{excluded} of {len(shapes)} shapes bear a minus sign: they count as deleted."]
    notes = notes if excluded else []
    kept = [shape for shape in shapes if not shape.excluded]
    claims = [_Claim.of(shape) for shape in kept if _is_tagged(shape)]
    untagged = tuple(shape for shape in kept if not _is_tagged(shape))
    _check_single(claims)
    if drawn is None:
        markers = _table(claims)
        notes += [f"slit {claim.slit}: {claim.fault}." for claim in claims if claim.fault]
        return Edited(markers, untagged, tuple(notes))
    markers, faults = _edit(drawn, claims)
    notes += faults
    if not np.any(markers["used"]) and np.any(drawn["used"]):
        n = np.count_nonzero(drawn["used"])
        notes.append(f"0 of {n} markers are left: there is nothing to fit, undo the deletion.")
    return Edited(markers, untagged, tuple(notes))


def check_slits(shapes, known_ids, source=None):
    """Raise an error if a shape is tagged with a slit that the mask does not have.

    Parameters
    ----------
    shapes : iterable of Shape
    known_ids : iterable of str
    source : str or path-like, optional
        Where the shapes come from, for the error.

    Raises
    ------
    InputError
        The nearest ids are named.
    """
    known = [str(known) for known in known_ids]
    for shape in shapes:
        slit = shape.tags.get("slit")
        if slit is None or shape.fixed or slit in known:
            continue
        near = difflib.get_close_matches(slit, known, n=3, cutoff=0.3)
        nearest = f"The nearest ids of the mask are {', '.join(near)}." if near else ""
        remedy = "Correct the tag, or load the mask that the regions belong to."
        raise InputError(f"unknown slit id '{slit}'", nearest, remedy, file=source, line=shape.line)


def _is_tagged(shape):
    """Tell whether tags say all that a marker must know besides its place."""
    if "slit" not in shape.tags or shape.kind not in _MARKER_OF:
        return False
    if shape.kind in ("box", "polygon"):
        return True
    known = shape.kind == "point" or "wavelength" in shape.tags or "n" in shape.tags
    return known and "t" in shape.tags


@dataclass(frozen=True)
class _Claim:
    """What a tagged shape says: I am this marker, and I stand here."""

    kind: str
    slit: str
    t: float
    wavelength: float
    n: int | None
    points: tuple
    line: int | None

    @classmethod
    def of(cls, shape):
        tags, place = shape.tags, {"line": shape.line, "slit": shape.tags["slit"]}
        numbers = [
            parse_number(tags[key], f"tag {key}", **place) if key in tags else np.nan
            for key in ("t", "wavelength")
        ]
        n = parse_number(tags["n"], "tag n", integer=True, **place) if "n" in tags else None
        points = shape.points[-1:] if shape.kind == "vector" else shape.points
        kind = _MARKER_OF[shape.kind]
        return cls(kind, tags["slit"], *numbers, n, points, shape.line)

    @property
    def key(self):
        """What makes it the same marker, wherever it stands."""
        return _key(self.kind, self.slit, self.t, self.wavelength)

    @property
    def fault(self):
        """What is wrong with it, or nothing."""
        return corner_fault(len(self.points)) if self.kind == "polygon" else ""


def corner_fault(n):
    """Say what is wrong with a slit's polygon of `n` corners, or nothing."""
    if n == len(RING):
        return ""
    remedy = "delete the added corner" if n > len(RING) else "put the missing corner back"
    return f"polygon with {n} corners: {remedy}, or delete the polygon"


def _key(kind, slit, t, wavelength):
    """Return what makes a marker the same, wherever it stands; NaN is not equal to itself."""
    if kind in ("box", "polygon"):
        return kind, slit
    return kind, slit, t, None if kind == "edge" or isnan(wavelength) else wavelength


def _check_single(claims):
    """Raise an error if a slit has two boxes or two polygons."""
    first = {}
    for claim in claims:
        if claim.kind in ("box", "polygon") and first.setdefault(claim.key, claim) is not claim:
            lines = (first[claim.key].line, claim.line)
            where = f", in lines {lines[0]} and {lines[1]}" if None not in lines else ""
            plural = {"box": "boxes", "polygon": "polygons"}[claim.kind]
            allowed, remedy = f"Must be one {claim.kind}.", "Delete the copy."
            raise InputError(f"two {plural}{where}", allowed, remedy, slit=claim.slit)


def _table(claims):
    """Return the markers of claims, in their order."""
    rows = []
    for claim in claims:
        places = RING if claim.kind == "polygon" else ((claim.t, 0.0),)
        points = claim.points if not claim.fault else ((np.nan, np.nan),) * len(RING)
        for (t, side), (x, y) in zip(places, points, strict=True):
            rows.append((claim.kind, claim.slit, t, side, claim.wavelength, x, y, claim.fault))
    if not rows:
        return Markers.join([])
    kind, slit, t, side, wavelength, x, y, fault = (
        list(column) for column in zip(*rows, strict=True)
    )
    used = [not reason for reason in fault]
    return Markers.of(
        kind, slit, t, x, y, side=side, wavelength=wavelength, used=used, reason=fault
    )


def _edit(drawn, claims):
    """Return the table after the edits, and sentences on polygons that cannot be used."""
    corners = rings(drawn)
    owners, extra = _assign(drawn, claims, corners)
    edited = drawn.copy()
    xy, used, reason = positions(drawn), np.array(drawn["used"]), drawn["reason"].tolist()
    left = drawn_rows(drawn, corners)
    notes = []
    for row, claim in owners.items():
        rows = corners[claim.slit] if claim.kind == "polygon" else [row]
        left[rows] = False
        fault = claim.fault or (claim.kind == "polygon" and _crossing(xy[rows], claim.points))
        used[rows] = not fault
        for each, point in zip(rows, claim.points if not fault else xy[rows], strict=True):
            reason[each] = fault or ""
            still = np.abs(xy[each] - point) <= np.maximum(_STILL, _DIGITS * np.abs(point))
            if not still.all():  # or not known before
                xy[each] = point
        if fault:
            notes.append(f"slit {claim.slit}: {fault}.")
    used[left] = False
    for row in np.flatnonzero(left):
        reason[row] = "deleted"
    edited["x"], edited["y"] = xy.T * drawn["x"].unit
    edited["used"] = used
    edited["reason"] = np.array(reason, dtype=str)
    notes += [f"slit {claim.slit}: {claim.fault}." for claim in extra if claim.fault]
    return Markers.join([edited, _table(extra)]), notes


def _assign(drawn, claims, corners):
    """Find the drawn row of each claim; of copies, the nearest to the drawn place has it.

    Returns
    -------
    owners : dict of int to _Claim
    extra : list of _Claim
        Those that no row is left for.
    """
    keys = _row_keys(drawn, corners)
    by_key = {key: row for row, key in reversed(keys.items()) if key[0] != "edge"}
    candidates, extra = {}, []
    for claim in claims:
        row = claim.n if keys.get(claim.n) == claim.key else by_key.get(claim.key)
        if row is None:
            extra.append(claim)
        else:
            candidates.setdefault(row, []).append(claim)
    xy, owners = positions(drawn), {}
    for row, rivals in candidates.items():
        if len(rivals) > 1:
            rivals.sort(key=lambda claim: np.hypot(*(xy[row] - claim.points[0])))
        owners[row] = rivals[0]
        extra += rivals[1:]
    return owners, extra


def _row_keys(drawn, corners):
    """Return what makes each row the marker it is; a polygon is known by its first corner."""
    columns = [drawn[name].tolist() for name in ("kind", "slit", "t")]
    keys = map(_key, *columns, drawn["wavelength"].value.tolist())
    first = {int(rows[0]) for rows in corners.values()}
    return {row: key for row, key in enumerate(keys) if key[0] != "polygon" or row in first}


def _crossing(before, after):
    """Say whether corners of a ring have changed places, or nothing."""
    after = np.array(after)
    return CROSSED if is_crossed(after) or ring_area(before) * ring_area(after) <= 0 else ""


def is_crossed(ring):
    """Tell whether two sides of a ring of four corners cut each other."""
    x, y = (np.roll(ring, -1, axis=0) - ring).T
    turns = np.sign(x * np.roll(y, -1) - y * np.roll(x, -1))
    return bool(turns.sum() == 0)


def ring_area(ring):
    """Return twice the area of a ring of corners, positive counter-clockwise."""
    x, y = (ring - ring[0]).T
    return np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))
