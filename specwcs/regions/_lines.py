"""Match heads of vectors to lines: in order along the dispersion, after a common movement."""

import numpy as np

from ._settle import NOBODY, PATTERN, Way, crowded, robust_fit, scatter_of, settle, unguided

_CAP = 15.0
_STEP = 3.0
_FARTHEST = 150.0
_LARGEST_STRETCH = 0.03
_MOST_VOTERS = 600
_MOST_STARTS = 8
_ALONE = 25.0
"""What it costs to leave a head without a line, px."""

_HEADS_A_TERM = 5
_MOST_TERMS = 4


def match_lines(heads, expected, pins):
    """Match heads to lines, each group (slit and t) by itself, all groups moved together.

    Parameters
    ----------
    heads, expected : list of ndarray
        Positions along the dispersion, from blue to red, of the heads and lines of each group.
    pins : list of dict of int to int
        Pairs of each group that are known.

    Returns
    -------
    partner : list of ndarray of int
        For each group, which of its lines each head is, or `NOBODY`.
    doubtful : list of ndarray of bool
    """
    sizes = [len(group) for group in heads]
    if not sum(sizes):
        return [np.full(n, NOBODY) for n in sizes], [np.zeros(n, dtype=bool) for n in sizes]
    middle = np.concatenate(expected).mean()
    found = [_converge(heads, expected, pins, middle, move) for move in _starts(heads, expected)]
    chosen, doubtful = settle([way for way, _ in found])
    way, moved = found[chosen]
    cuts = np.cumsum(sizes)[:-1]
    partner, doubtful = np.split(way.partner, cuts), np.split(doubtful, cuts)
    scatter = scatter_of(way.residual[way.partner != NOBODY])
    for group, head in enumerate(heads):
        distance = np.abs(head[:, None] - moved[group])
        doubtful[group] |= crowded(distance, partner[group], scatter)
        if sum(map(len, heads)) < PATTERN:
            doubtful[group] |= unguided(np.abs(head[:, None] - expected[group]), partner[group])
        doubtful[group][list(pins[group])] = False
    return partner, doubtful


def _starts(heads, expected):
    """Return the common shifts and stretches that bring most heads near a line, best first."""
    groups = np.concatenate([np.full(len(head), g) for g, head in enumerate(heads)])
    step = -(-len(groups) // _MOST_VOTERS)
    groups, head = groups[::step], np.concatenate(heads)[::step]
    lines = np.concatenate(expected)
    middle, reach = lines.mean(), np.ptp(lines) / 2
    low = lines.min() - 2 * _FARTHEST
    near = _nearest_table(expected, low, lines.max() + 2 * _FARTHEST)
    shifts = np.arange(-_FARTHEST, _FARTHEST + 1, _STEP)
    n = 2 * int(np.ceil(_LARGEST_STRETCH * reach / _STEP)) + 1
    stretches = np.linspace(-_LARGEST_STRETCH, _LARGEST_STRETCH, n) if n > 1 else np.zeros(1)
    ranked = []
    for stretch in stretches:
        places = (head[:, None] - middle - shifts) / (1 + stretch) + middle - low
        places = np.clip(np.rint(places).astype(int), 0, near.shape[1] - 1)
        misfit = near[groups[:, None], places].mean(axis=0)
        ranked += zip(misfit, np.abs(shifts), shifts, np.full(len(shifts), stretch), strict=True)
    starts = [np.zeros(2)]
    worst = 2 * min(ranked)[0] + 2.0
    for misfit, _, shift, stretch in sorted(ranked):
        new = np.array([shift, stretch])
        moves = [np.abs(new - start) @ (1.0, reach) for start in starts[1:]]
        if all(move > 3 * _STEP for move in moves):
            starts.append(new)
        if len(starts) > _MOST_STARTS or misfit > worst:
            break
    return starts


def _nearest_table(expected, low, high):
    """Return the capped distance to the nearest line of each group at each pixel."""
    places = np.arange(low, high + 1)
    table = np.full((len(expected), len(places)), _CAP)
    for row, lines in zip(table, expected, strict=True):
        if len(lines):
            end = np.searchsorted(lines, places).clip(1, max(1, len(lines) - 1))
            ends = lines[np.stack([end - 1, np.minimum(end, len(lines) - 1)])]
            row[:] = np.minimum(np.abs(places - ends).min(axis=0), _CAP)
    return table


def _converge(heads, expected, pins, middle, move):
    moved = [lines + move[0] + move[1] * (lines - middle) for lines in expected]
    for terms in (0, 2, _MOST_TERMS, _MOST_TERMS):
        partner = [_in_order(*group) for group in zip(heads, moved, pins, strict=True)]
        if terms == 0:
            moved = _move_together(heads, expected, partner, middle) or moved
        else:
            moved = [_bend(*group, terms) for group in zip(heads, moved, partner, strict=True)]
    partner = [_in_order(*group) for group in zip(heads, moved, pins, strict=True)]
    residual = [
        np.abs(head - lines[each]) if len(lines) else np.zeros(len(head))
        for head, lines, each in zip(heads, moved, partner, strict=True)
    ]
    far = np.abs(np.concatenate(moved) - np.concatenate(expected)).mean()
    return Way(np.concatenate(partner), np.concatenate(residual), far), moved


def _move_together(heads, expected, partner, middle):
    """Move all lines by one shift and stretch, as their partners are."""
    pairs = [
        (lines[each[each != NOBODY]], head[each != NOBODY])
        for head, lines, each in zip(heads, expected, partner, strict=True)
    ]
    lines, head = (np.concatenate(column) for column in zip(*pairs, strict=True))
    if len(lines) < 4:
        return None
    design = np.column_stack([np.ones(len(lines)), lines - middle])
    move = robust_fit(design, head - lines)
    if abs(move[1]) > 2 * _LARGEST_STRETCH:
        return None
    return [lines + move[0] + move[1] * (lines - middle) for lines in expected]


def _bend(head, lines, partner, terms):
    """Move the lines of a group along a smooth curve through the shifts of its heads."""
    matched = partner != NOBODY
    terms = min(terms, np.count_nonzero(matched) // _HEADS_A_TERM)
    if terms < 1:
        return lines
    low, high = lines.min(), lines.max()

    def design(places):
        return np.vander((places - low) / max(high - low, 1.0) * 2 - 1, terms, increasing=True)

    here = lines[partner[matched]]
    return lines + design(lines) @ robust_fit(design(here), head[matched] - here)


def _in_order(head, lines, pins):
    """Match heads to lines in order, at the least total distance; known pairs stand aside."""
    partner = np.full(len(head), NOBODY)
    free_heads = np.setdiff1d(np.arange(len(head)), list(pins))
    free_lines = np.setdiff1d(np.arange(len(lines)), list(pins.values()))
    for shape, line in pins.items():
        partner[shape] = line
    if len(free_heads) and len(free_lines):
        order = free_heads[np.argsort(head[free_heads], kind="stable")]
        free_lines = free_lines[np.argsort(lines[free_lines], kind="stable")]
        found = _least_in_order(np.abs(head[order, None] - lines[free_lines]))
        partner[order] = np.where(found == NOBODY, NOBODY, free_lines[found])
    return partner


def _least_in_order(cost):
    """Return the column of each row, increasing, at the least total cost; rows may be left.

    Parameters
    ----------
    cost : ndarray, shape (n, m)
    """
    n, m = cost.shape
    total = np.zeros((n + 1, m + 1))  # of the first rows, within the first columns
    for row in range(n):
        match = total[row, :-1] + cost[row]
        total[row + 1] = total[row] + _ALONE
        total[row + 1, 1:] = np.minimum(total[row + 1, 1:], match)
        total[row + 1] = np.minimum.accumulate(total[row + 1])
    found = np.full(n, NOBODY)
    column = m
    for row in range(n - 1, -1, -1):
        while column and total[row + 1, column - 1] == total[row + 1, column]:
            column -= 1
        if column and total[row, column - 1] + cost[row, column - 1] == total[row + 1, column]:
            column -= 1
            found[row] = column
    return found
