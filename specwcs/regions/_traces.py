"""Match points to traces: the nearest across the dispersion, after a common movement."""

import numpy as np

from ._settle import (
    NOBODY,
    ODDS,
    PATTERN,
    Way,
    odds_against,
    robust_fit,
    scatter_of,
    settle,
    unguided,
)

_SHIFTS = np.arange(-300.0, 301.0, 3.0)
_STRETCHES = np.linspace(-0.025, 0.025, 11)
_MOST_STARTS = 16
_MOST_VOTERS = 1000
_OUTLIER = 15.0
_LARGEST_STRETCH = 0.05
_RATIO, _MARGIN = 2.0, 1.0


def predict_across(along, traces):
    """Return where traces are across the dispersion.

    Parameters
    ----------
    along : ndarray, shape (n,)
    traces : list of (ndarray, ndarray)
        Along and across of points of each trace; between and beyond them it is straight.

    Returns
    -------
    ndarray, shape (n, number of traces)
    """
    across = np.empty((len(along), len(traces)))
    for column, (u, v) in zip(across.T, traces, strict=True):
        order = np.argsort(u)
        u, v = u[order], v[order]
        if u[0] == u[-1]:
            column[:] = v.mean()
            continue
        end = np.clip(np.searchsorted(u, along), 1, len(u) - 1)
        step = u[end] - u[end - 1]
        slope = np.divide(v[end] - v[end - 1], step, out=np.zeros(len(step)), where=step > 0)
        column[:] = v[end - 1] + slope * (along - u[end - 1])
    return across


def match_traces(along, across, traces, pins):
    """Match points to traces; any number may belong to one.

    Parameters
    ----------
    along, across : ndarray, shape (n,)
    traces : list of (ndarray, ndarray)
    pins : dict of int to list of int
        The traces that a point can belong to, where that is known.

    Returns
    -------
    partner : ndarray of int, shape (n,)
        Which of `traces`, or `NOBODY`.
    doubtful : ndarray of bool, shape (n,)
    """
    if not len(along) or not traces:
        return np.full(len(along), NOBODY), np.zeros(len(along), dtype=bool)
    predicted = predict_across(along, traces)
    allowed = np.ones(predicted.shape, dtype=bool)
    for point, possible in pins.items():
        allowed[point] = False
        allowed[point, possible] = True
    found = [_converge(across, predicted, allowed, *s) for s in _starts(across, predicted, allowed)]
    chosen, doubtful = settle([way for way, _ in found])
    way, distance = found[chosen]
    if len(traces) > 1:
        first, second = np.partition(distance, 1, axis=1)[:, :2].T
        scatter = scatter_of(first[way.partner != NOBODY])
        odds = odds_against(second[:, None], first, scatter, _RATIO)[:, 0]
        doubtful |= (odds < ODDS) | (second < _RATIO * first + _MARGIN)
    if len(np.unique(way.partner)) < PATTERN:
        doubtful |= unguided(
            np.where(allowed, np.abs(across[:, None] - predicted), np.inf), way.partner
        )
    doubtful &= way.partner != NOBODY
    return way.partner, doubtful


def _starts(across, predicted, allowed):
    """Return the shifts and stretches that bring many points near a trace, small first."""
    step = -(-len(across) // _MOST_VOTERS)
    across, predicted, allowed = across[::step], predicted[::step], allowed[::step]
    middle = predicted.mean()
    width = _SHIFTS[1] - _SHIFTS[0]
    edges = np.append(_SHIFTS - width / 2, _SHIFTS[-1] + width / 2)
    ranked = []
    for stretch in _STRETCHES:
        shifts = across[:, None] - predicted - stretch * (predicted - middle)
        votes = np.histogram(shifts[allowed], edges)[0]
        votes = np.convolve(votes, [0.5, 1.0, 0.5], "same")
        ranked += zip(-votes, np.abs(_SHIFTS), _SHIFTS, np.full(len(votes), stretch), strict=True)
    least = min(ranked)[0] / 2
    peaks = []
    for votes, distance, shift, stretch in sorted(ranked):
        if votes > least:
            break
        if all(abs(shift - other[1]) > 3 * width for other in peaks):
            peaks.append((distance, shift, stretch))
    return [(0.0, 0.0)] + [peak[1:] for peak in sorted(peaks)[:_MOST_STARTS]]


def _converge(across, predicted, allowed, shift, stretch):
    middle = predicted.mean()
    move = np.array([shift, stretch])
    partner = None
    for _ in range(8):
        moved = predicted + move[0] + move[1] * (predicted - middle)
        distance = np.where(allowed, np.abs(across[:, None] - moved), np.inf)
        before, partner = partner, distance.argmin(axis=1)
        if before is not None and np.array_equal(before, partner):
            break
        reference = predicted[np.arange(len(across)), partner]
        move = _fit(reference - middle, across - reference)
    residual = distance.min(axis=1)
    far = residual > _OUTLIER + 3.0 * np.median(residual)
    way = Way(np.where(far, NOBODY, partner), residual, np.abs(moved - predicted).mean())
    return way, distance


def _fit(position, shift):
    """Fit shift and stretch; a shift alone where points of few traces do not tell a stretch."""
    design = np.column_stack([np.ones(len(position)), position])
    if np.ptp(position) > 1.0 and len(position) > 3:
        move = robust_fit(design, shift)
        if abs(move[1]) < _LARGEST_STRETCH:
            return move
    return np.array([np.median(shift), 0.0])
