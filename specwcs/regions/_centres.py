"""Match the centres of boxes or polygons to slits: one to one, after a common movement."""

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from ._settle import NOBODY, PATTERN, Way, crowded, robust_fit, scatter_of, settle, unguided

_MOST_STARTS = 12
_VOTE_RADIUS = 20.0
_LEAST_REACH = 60.0
_LARGEST_STRETCH = 0.05
_FORBIDDEN = 1e12
_MEDIAN_DISTANCE = 1.177
"""In the plane, for 1 sigma of either coordinate."""


def match_centres(drawn, expected, pins):
    """Match points of the plane one to one.

    Parameters
    ----------
    drawn : ndarray, shape (n, 2)
    expected : ndarray, shape (m, 2)
    pins : dict of int to int
        Pairs that are known.

    Returns
    -------
    partner : ndarray of int, shape (n,)
        Which of `expected`, or `NOBODY`.
    doubtful : ndarray of bool, shape (n,)
    """
    if not len(drawn) or not len(expected):
        return np.full(len(drawn), NOBODY), np.zeros(len(drawn), dtype=bool)
    found = [_converge(drawn, expected, pins, start) for start in _starts(drawn, expected, pins)]
    chosen, doubtful = settle([way for way, _ in found])
    way, moved = found[chosen]
    scatter = scatter_of(way.residual[way.partner != NOBODY], _MEDIAN_DISTANCE)
    doubtful |= crowded(_distances(drawn, moved), way.partner, scatter)
    if np.count_nonzero(way.partner != NOBODY) < PATTERN:
        doubtful |= unguided(_distances(drawn, expected), way.partner)
    doubtful[list(pins)] = False
    return way.partner, doubtful


def _starts(drawn, expected, pins):
    """Return shifts to start from: those that many pairs have in common, small ones first."""
    if pins:
        shifts = drawn[list(pins)] - expected[list(pins.values())]
        return [np.median(shifts, axis=0)]
    shifts = (drawn[:, None] - expected[None]).reshape(-1, 2)
    tree = cKDTree(shifts)
    votes = tree.query_ball_point(shifts, _VOTE_RADIUS, return_length=True)
    order = np.lexsort((np.hypot(*shifts.T), -votes))
    starts = [np.zeros(2)]
    for shift in shifts[order]:
        if len(starts) > _MOST_STARTS:
            break
        if all(np.hypot(*(shift - start)) > _VOTE_RADIUS for start in starts[1:]):
            starts.append(shift)
    return starts


def _converge(drawn, expected, pins, shift):
    """Match, move the expected points to their partners as a whole, match again."""
    reach = _reach(expected)
    moved, partner = expected + shift, None
    for _ in range(12):
        distance = _distances(drawn, moved)
        before, partner = partner, _assign(distance, reach, pins)
        if before is not None and np.array_equal(before, partner):
            break
        pairs = np.flatnonzero(partner != NOBODY)
        if len(pairs):
            moved = _move(expected, expected[partner[pairs]], drawn[pairs])
    distance = _distances(drawn, moved)
    residual = distance[np.arange(len(drawn)), partner]
    return Way(partner, residual, np.hypot(*(moved - expected).T).mean()), moved


def _reach(expected):
    """Return the distance beyond which a shape is not taken for a slit's, px."""
    if len(expected) < 2:
        return np.inf
    nearest = cKDTree(expected).query(expected, k=2)[0][:, 1]
    return max(_LEAST_REACH, float(np.median(nearest)) / 2)


def _distances(drawn, moved):
    return np.hypot(*np.moveaxis(drawn[:, None] - moved[None], -1, 0))


def _assign(distance, reach, pins):
    cost = np.minimum(distance, reach if np.isfinite(reach) else _FORBIDDEN)
    for shape, marker in pins.items():
        cost[shape, :] = cost[:, marker] = _FORBIDDEN
    for shape, marker in pins.items():
        cost[shape, marker] = 0.0
    partner = np.full(len(distance), NOBODY)
    rows, columns = linear_sum_assignment(cost)
    close = (cost[rows, columns] == 0.0) | (distance[rows, columns] < reach)
    close &= cost[rows, columns] < _FORBIDDEN
    partner[rows[close]] = columns[close]
    return partner


def _move(expected, partners, drawn):
    """Move the expected points as their partners are, more freely the more there are."""
    shift = np.median(drawn - partners, axis=0)
    if len(drawn) < 3:
        return expected + shift
    design, values = _design(partners, partners), (drawn - partners).T.ravel()
    fit = robust_fit(design, values)
    if np.abs(fit[2:]).max() > _LARGEST_STRETCH:
        return expected + shift
    return expected + (_design(expected, partners) @ fit).reshape(2, -1).T


def _design(places, partners):
    """Return what shifts (of x, then of y) depend on: two terms of shift, then of stretch."""
    x, y = (places - partners.mean(axis=0)).T
    one, zero = np.ones(len(places)), np.zeros(len(places))
    columns = [(one, zero), (zero, one)]
    if len(partners) < 6:
        columns += [(x, y)]
    else:
        columns += [(x, zero), (y, zero), (zero, x), (zero, y)]
    return np.column_stack([np.concatenate(column) for column in columns])
