"""Check that markers stand in the order that the models expect: neighbours may be swapped."""

import numpy as np

from specwcs.conventions import Direction

from ._traces import predict_across
from .draw import positions

__all__ = ["check_order"]

_APART = 3.0
"""Slits that are expected nearer to each other, px, have no order across the dispersion."""

_MOST_NAMED = 6


def check_order(markers, expected, direction):
    """Find markers that have changed places.

    The lines of a slit must follow each other in wavelength along the dispersion. Boxes,
    polygons and edges of different slits must follow each other across it as expected; the
    boxes of a mask that is mirrored as a whole are in order, too.

    Parameters
    ----------
    markers : Markers
        Rows that are not used are passed over.
    expected : Markers
        What the models predict.
    direction : Direction or str
        The dispersion direction.

    Returns
    -------
    list of (ndarray of int, str)
        Rows of `markers` and a sentence that names them, for each group of rows that
        contradict each other.
    """
    direction = Direction(direction)
    used = np.array(markers["used"]) & np.isfinite(positions(markers)).all(axis=1)
    known = expected[np.isfinite(positions(expected)).all(axis=1)]
    found = []
    for kind, check in (
        ("box", _slits_in_order),
        ("polygon", _slits_in_order),
        ("edge", _edges_in_order),
        ("line", _lines_in_order),
    ):
        rows = np.flatnonzero(used & (np.asarray(markers["kind"]) == kind))
        if len(rows):
            found += check(markers, rows, known.select(kind), direction)
    return found


def _passed(key, place, apart):
    """Find markers that stand beyond others that should come after them.

    Parameters
    ----------
    key : ndarray, shape (n,)
        Where they are expected.
    place : ndarray, shape (n,)
        Where they are.
    apart : float
        Keys that differ by no more have no order.

    Returns
    -------
    dict of int to list of int
        Those that each one has passed.
    """
    order = np.argsort(key, kind="stable")
    key, place = key[order], place[order]
    ahead = np.maximum.accumulate(place)
    new = np.concatenate([[True], place[1:] > ahead[:-1]])
    leader = np.maximum.accumulate(np.where(new, np.arange(len(key)), 0))
    before = np.searchsorted(key, key - apart, side="left") - 1  # the last one well before
    passed = {}
    for j in np.flatnonzero(before >= 0):
        if place[j] < ahead[before[j]]:
            passed.setdefault(int(order[leader[before[j]]]), []).append(int(order[j]))
    return passed


def _lines_in_order(markers, rows, _expected, direction):
    along = direction.sign * direction.split(*positions(markers)[rows].T)[0]
    wavelength = markers["wavelength"].value[rows]
    found = []
    for slit, t, members in _groups(markers, rows):
        members = members[np.isfinite(wavelength[members])]
        order = members[np.argsort(wavelength[members], kind="stable")]
        if len(order) > 2 and np.mean(np.diff(along[order]) < 0) > 0.5:
            found.append((rows[members], _backwards(slit, t, direction)))
            continue
        for one, others in _passed(wavelength[members], along[members], 0.0).items():
            names = [f"{wavelength[members[other]]:.2f}" for other in others]
            found.append(
                (
                    rows[members[[one, *others]]],
                    f"slit {slit}: line {wavelength[members[one]]:.2f} stands redwards of "
                    f"{_listed(names)} (t = {t:g}). Put them in order, or delete the wrong one.",
                )
            )
    return found


def _backwards(slit, t, direction):
    return (
        f"slit {slit}: most lines stand in reversed order (t = {t:g}). Check that the "
        f"dispersion direction is {direction}."
    )


def _groups(markers, rows):
    """Yield slit, t, and which of `rows` they have."""
    groups = {}
    slits, ts = markers["slit"][rows].tolist(), markers["t"][rows].tolist()
    for number, key in enumerate(zip(slits, ts, strict=True)):
        groups.setdefault(key, []).append(number)
    for (slit, t), members in groups.items():
        yield slit, t, np.array(members)


def _centres(markers, rows, direction):
    """Return the rows and the mean place across of each slit's markers."""
    across = direction.split(*positions(markers).T)[1]
    groups = {}
    for row, slit in zip(rows.tolist(), markers["slit"][rows].tolist(), strict=True):
        groups.setdefault(slit, []).append(row)
    return {slit: (found, across[found].mean()) for slit, found in groups.items()}


def _slits_in_order(markers, rows, expected, direction):
    actual = _centres(markers, rows, direction)
    model = _centres(expected, np.arange(len(expected)), direction)
    slits = [slit for slit in actual if slit in model]
    key = np.array([model[slit][1] for slit in slits])
    place = np.array([actual[slit][1] for slit in slits])
    if len(slits) > 2 and np.mean(np.diff(place[np.argsort(key, kind="stable")]) < 0) > 0.5:
        place = -place  # the mask is mirrored
    found = []
    for one, others in _passed(key, place, _APART).items():
        members = [row for slit in (one, *others) for row in actual[slits[slit]][0]]
        found.append((np.array(members), _swapped(slits[one], [slits[o] for o in others])))
    return found


def _swapped(slit, others):
    many = f"slits {_listed(others)}" if len(others) > 1 else f"slit {others[0]}"
    return (
        f"slit {slit} and {many} are not in the expected order across the dispersion. "
        "Put their markers in place, or delete them."
    )


def _edges_in_order(markers, rows, expected, direction):
    """Compare edges that stand at nearly the same place along the dispersion."""
    along, across = direction.split(*positions(markers)[rows].T)
    traces = {(slit, t): each for slit, t, each in _groups(expected, np.arange(len(expected)))}
    model = direction.split(*positions(expected).T)
    groups = [group for group in _groups(markers, rows) if group[:2] in traces]
    width = max(np.ptp(along) / max(1.0, np.sqrt(len(along))), 1.0)
    found = {}
    for shift in (0.0, 0.5):  # two neighbours share a window in one of the two tilings
        windows = np.floor(along / width + shift)
        middle, off = np.full(len(rows), np.nan), np.zeros(len(rows))
        for slit, t, members in groups:
            points = tuple(values[traces[slit, t]] for values in model)
            # Traces are tilted: what counts is how far the marker is from its own.
            centre = (windows[members] + 0.5 - shift) * width
            predicted = predict_across(np.append(along[members], centre), [points])[:, 0]
            here, middle[members] = np.split(predicted, 2)
            off[members] = across[members] - here
        for pair, members in _swapped_in_windows(markers, rows, windows, middle, off):
            found.setdefault(pair, []).extend(members)
    return [
        (rows[np.unique(members)], _swapped(slit, [other]) if slit != other else _turned(slit))
        for (slit, other), members in found.items()
    ]


def _swapped_in_windows(markers, rows, windows, middle, off):
    """Yield pairs of slits in a wrong order, and which of `rows` say so."""
    order = np.argsort(windows, kind="stable")
    cuts = np.flatnonzero(np.diff(windows[order])) + 1
    for members in np.split(order, cuts):
        members = members[np.isfinite(middle[members])]
        if not len(members):
            continue
        place = middle[members] + off[members]
        for one, others in _passed(middle[members], place, _APART).items():
            slit = str(markers["slit"][rows[members[one]]])
            for other in others:
                name = str(markers["slit"][rows[members[other]]])
                yield (slit, name), members[[one, other]].tolist()


def _turned(slit):
    return (
        f"slit {slit}: its left and right edges have changed places. "
        "Put their markers in place, or delete them."
    )


def _listed(words):
    words = list(dict.fromkeys(words))
    return ", ".join(words[:_MOST_NAMED]) + (" and more" if len(words) > _MOST_NAMED else "")
