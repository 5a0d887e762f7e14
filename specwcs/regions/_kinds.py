"""Match shapes to the markers of each kind, and say what was not matched."""

import numpy as np

from specwcs.conventions import fits_from_array_pixel
from specwcs.errors import InputError
from specwcs.markers import Markers

from ._centres import match_centres
from ._lines import match_lines
from ._settle import NOBODY
from ._traces import match_traces
from .draw import positions, rings
from .edit import CROSSED, corner_fault, is_crossed, ring_area

_ABSENT = "no region"
_DOUBT = "could be more than one"
_MOST_NAMED = 8
_SAME_WAVELENGTH = 0.01
_RIVAL_ORDER = 1.5


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
    return "at " + _listed(places, len(shapes))


def _listed(words, n=None):
    n = len(words) if n is None else n
    return ", ".join(words[:_MOST_NAMED]) + (" and more" if n > _MOST_NAMED else "")


def _slit_label(shape):
    return shape.tags.get("slit", shape.text.strip())


class _Rows:
    """The expected rows, with what shapes were found for them."""

    def __init__(self, expected):
        self.expected, self.xy = expected, positions(expected)
        self.used = np.zeros(len(expected), dtype=bool)
        self.reason = np.full(len(expected), _ABSENT, dtype=object)

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


# -- boxes and polygons ---------------------------------------------------------------


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
    found, notes, alone = _Rows(expected), [], []
    for shape, centre, slit, doubt in zip(shapes, drawn, partner, doubtful, strict=True):
        if slit == NOBODY:
            alone.append(shape)
            continue
        points, fault = [centre], f"{shape.kind} {_DOUBT} slit" if doubt else ""
        if corners and not fault:
            points, fault = _corners_in_order(shape.points, xy[rows[slit]])
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
        label = _slit_label(shape)
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
    fault = corner_fault(len(points))
    if fault:
        return ring, fault
    points = np.array(points)
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
    return [f"{len(absent)} of {count(len(slits), 'slit')} without a region: {_listed(absent)}."]


# -- points and vectors ---------------------------------------------------------------


def _traces(expected, direction):
    """Return the rows of each trace (slit and t), and its points along and across."""
    groups = {}
    for row, key in enumerate(zip(expected["slit"].tolist(), expected["t"].tolist(), strict=True)):
        groups.setdefault(key, []).append(row)
    groups = {key: np.array(rows) for key, rows in groups.items()}
    along, across = direction.split(*positions(expected).T)
    return groups, [(along[rows], across[rows]) for rows in groups.values()]


def _match_to_traces(shapes, keys, traces, direction):
    """Return along and across of shapes, which trace each belongs to, and which are doubtful."""
    heads = np.array([shape.points[-1] for shape in shapes]).reshape(-1, 2)
    along, across = direction.split(*heads.T)
    by_slit = {}
    for number, (slit, _) in enumerate(keys):
        by_slit.setdefault(slit, []).append(number)
    labels = enumerate(map(_slit_label, shapes))
    pins = {number: by_slit[label] for number, label in labels if label in by_slit}
    return heads, along, *match_traces(along, across, traces, pins)


def match_edges(shapes, expected, direction):
    """Match points to traces, any number to each.

    Returns
    -------
    markers : Markers
        A row for each point that has a trace, where it was drawn.
    notes : list of str
    """
    groups, traces = _traces(expected, direction)
    keys = list(groups)
    xy, _, partner, doubtful = _match_to_traces(shapes, keys, traces, direction)
    near = np.flatnonzero(partner != NOBODY)
    slit, t = ([keys[partner[i]][k] for i in near] for k in (0, 1))
    doubt = doubtful[near]
    reason = np.where(doubt, f"point {_DOUBT} trace", "")
    markers = Markers.of("edge", slit, t, *xy[near].T, used=~doubt, reason=reason)
    notes = _trace_notes(shapes, keys, partner, doubtful, "point")
    bare = sorted({slit for slit, _ in keys} - set(slit))
    if bare:
        notes.append(f"{count(len(bare), 'slit')} without a point: {_listed(bare)}.")
    return markers, notes


def _trace_notes(shapes, keys, partner, doubtful, what):
    notes = []
    for number in np.unique(partner[doubtful]):
        some = [shapes[i] for i in np.flatnonzero(doubtful & (partner == number))]
        notes.append(
            f"slit {keys[number][0]}: {count(len(some), what)} {_DOUBT} trace, {where(some)}: "
            "label them with the slit's id, or delete them."
        )
    alone = [shapes[i] for i in np.flatnonzero(partner == NOBODY)]
    if alone:
        notes.append(
            f"{count(len(alone), what)} {where(alone)} not used: no trace is near. "
            "Label them with the slit's id, or delete them."
        )
    return notes


def match_vectors(shapes, expected, direction):
    """Match vectors to lines, one to one and in order within each slit.

    Returns
    -------
    markers : Markers
        The expected rows.
    notes : list of str
    """
    groups, traces = _traces(expected, direction)
    keys = list(groups)
    xy, along, trace, doubtful_trace = _match_to_traces(shapes, keys, traces, direction)
    notes = _trace_notes(shapes, keys, trace, doubtful_trace, "vector")
    trace[doubtful_trace] = NOBODY
    wavelength = expected["wavelength"].value
    heads, pins = [], []
    for number, rows in enumerate(groups.values()):
        members = np.flatnonzero(trace == number)
        known, strange = _pins_of_lines(shapes, members, wavelength[rows])
        if strange:
            notes.append(_strange_note(keys[number][0], [shapes[i] for i in strange]))
            members = np.setdiff1d(members, strange)
        place = {shape: k for k, shape in enumerate(members)}
        heads.append(members)
        pins.append({place[shape]: line for shape, line in known.items()})
    blue_to_red = [direction.sign * along[members] for members in heads]
    lines = [direction.sign * u for u, _ in traces]
    partner, doubtful = match_lines(blue_to_red, lines, pins)
    found = _Rows(expected)
    for key, rows, members, line, doubt in zip(
        keys, groups.values(), heads, partner, doubtful, strict=True
    ):
        matched, reason = line != NOBODY, f"vector {_DOUBT} line"
        sure, unsure = matched & ~doubt, matched & doubt
        found.put(rows[line[sure]], xy[members[sure]])
        found.put(rows[line[unsure]], xy[members[unsure]], reason)
        notes += _line_notes(key[0], shapes, members, wavelength[rows], line, unsure)
    return found.markers(), notes


def _pins_of_lines(shapes, members, wavelengths):
    """Return the line of each vector whose tag or label is its wavelength.

    Returns
    -------
    pins : dict of int to int
    strange : list of int
        Vectors that bear another wavelength, or one that another vector bears, too.
    """
    pins, strange = {}, []
    for member in members:
        value = _wavelength_label(shapes[member])
        if value is None:
            continue
        line = int(np.argmin(np.abs(wavelengths - value)))
        if abs(wavelengths[line] - value) <= _SAME_WAVELENGTH:
            pins[int(member)] = line
        else:
            strange.append(int(member))
    lines = list(pins.values())
    twice = [member for member, line in pins.items() if lines.count(line) > 1]
    return {m: line for m, line in pins.items() if m not in twice}, strange + twice


def _wavelength_label(shape):
    text = shape.tags.get("wavelength", shape.text.strip())
    number = text.replace(".", "", 1).isdecimal() and text.isascii() and "." in text
    return float(text) if number else None


def _strange_note(slit, shapes):
    return (
        f"slit {slit}: {count(len(shapes), 'vector')} {where(shapes)} not used: the wavelength "
        "on the label is not expected there, or is there twice. Correct the label."
    )


def _line_notes(slit, shapes, members, wavelengths, line, unsure):
    notes = []
    if unsure.any():
        names = _listed([f"{value:.2f}" for value in wavelengths[line[unsure]]])
        some = [shapes[i] for i in members[unsure]]
        notes.append(
            f"slit {slit}: {count(len(some), 'vector')} {_DOUBT} line ({names}), {where(some)}: "
            "label them with the wavelength, or delete them."
        )
    if (line == NOBODY).any():
        alone = [shapes[i] for i in members[line == NOBODY]]
        notes.append(
            f"slit {slit}: {count(len(alone), 'vector')} {where(alone)} not used: no line is "
            "near. Label them with the wavelength, or delete them."
        )
    return notes
