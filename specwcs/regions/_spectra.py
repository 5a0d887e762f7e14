"""Match points to traces and vectors to lines, and say what was not matched."""

import numpy as np

from specwcs.markers import Markers

from ._lines import match_lines
from ._notes import ABSENT, DOUBT, FoundRows, count, listed, slit_label, where
from ._settle import NOBODY
from ._traces import match_traces
from .draw import positions

_SAME_WAVELENGTH = 0.01


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
    labels = enumerate(map(slit_label, shapes))
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
    reason = np.where(doubt, f"point {DOUBT} trace", "")
    markers = Markers.of("edge", slit, t, *xy[near].T, used=~doubt, reason=reason)
    notes = _trace_notes(shapes, keys, partner, doubtful, "point")
    bare = sorted({slit for slit, _ in keys} - set(slit))
    if bare:
        notes.append(f"{count(len(bare), 'slit')} without a point: {listed(bare)}.")
    return markers, notes


def _trace_notes(shapes, keys, partner, doubtful, what):
    notes = []
    for number in np.unique(partner[doubtful]):
        some = [shapes[i] for i in np.flatnonzero(doubtful & (partner == number))]
        notes.append(
            f"slit {keys[number][0]}: {count(len(some), what)} {DOUBT} trace, {where(some)}: "
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
    found = FoundRows(expected)
    for key, rows, members, line, doubt in zip(
        keys, groups.values(), heads, partner, doubtful, strict=True
    ):
        matched, reason = line != NOBODY, f"vector {DOUBT} line"
        sure, unsure = matched & ~doubt, matched & doubt
        found.put(rows[line[sure]], xy[members[sure]])
        found.put(rows[line[unsure]], xy[members[unsure]], reason)
        notes += _line_notes(key[0], shapes, members, wavelength[rows], line, unsure)
    markers = found.markers()
    if absent := np.count_nonzero(markers["reason"] == ABSENT):
        notes.append(f"{absent} of {count(len(markers), 'line')} without a vector.")
    return markers, notes


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
        "on the label is not expected there, or is twice. Correct the label."
    )


def _line_notes(slit, shapes, members, wavelengths, line, unsure):
    notes = []
    if unsure.any():
        names = listed([f"{value:.2f}" for value in wavelengths[line[unsure]]])
        some = [shapes[i] for i in members[unsure]]
        notes.append(
            f"slit {slit}: {count(len(some), 'vector')} {DOUBT} line ({names}), {where(some)}: "
            "label them with the wavelength, or delete them."
        )
    if (line == NOBODY).any():
        alone = [shapes[i] for i in members[line == NOBODY]]
        notes.append(
            f"slit {slit}: {count(len(alone), 'vector')} {where(alone)} not used: no line is "
            "near. Label them with the wavelength, or delete them."
        )
    return notes
