"""Slits that the frame cuts off: where their light goes on to its border, their end is beyond."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

__all__ = ["BEYOND", "LAID", "PARTLY", "beyond_border", "goes_on", "out_of_frame"]

BEYOND = "beyond the frame"
"""Why there is no edge where the light of its slit goes on to the border."""

LAID = "not seen: laid out by the nominal values"
"""What is said of an edge that no light shows."""

PARTLY = "not seen here: laid out by the rest of it"
"""The same where its light shows it elsewhere."""

DEPTH = 24
"""Rows before an expected end whose light is compared with that up to the border."""

LEAST_DEPTH = 8
"""So many rows at least tell that the light goes on."""

CLEAR = 4.0
"""Distance from the slit's other end from which there is its full light, px."""

STEADY = 0.7
"""Least light up to the border, in units of that of the slit."""

STEP, DROP = 8, 0.1
"""From so many rows to the next the light of a slit does not fall by more than this part: that
would be its end, before a background."""

ASTRAY, STRETCHED = 6.0, 0.08
"""How far an expected end may be off, px, and that of a single slit in units of its length too."""

OUTSIDE = 1.5
"""Distance from the border's pixel at which an end is laid that is known to be beyond, px."""


def beyond_border(light, floor, q, edges, lit):
    """Find the ends of slits that are beyond the frame, by the light at its border.

    Parameters
    ----------
    light : ndarray, shape (rows, bins)
    floor : ndarray, shape (bins,)
        Light beside the slits.
    q : ndarray, shape (edges, bins)
        Expected rows of the ends, px.
    edges : MaskEdges
    lit : ndarray of bool, shape (edges,)

    Returns
    -------
    ndarray of bool, shape (edges, bins)
    """
    beyond = np.zeros(q.shape, bool)
    shown = np.flatnonzero(lit)
    place = q[shown].mean(axis=1)
    for edge, upper in ((shown[place.argmax()], True), (shown[place.argmin()], False)):
        if (edges.sign[edge] < 0) != upper:
            continue
        other, rows = edge ^ 1, len(light) - 1
        inward = light[::-1] if upper else light
        depth, end = (rows - q[e] if upper else q[e] for e in (edge, other))
        astray = ASTRAY + STRETCHED * (end - depth) * (len(edges) == 2)
        depth = np.minimum(np.maximum(depth, 0) + DEPTH, end - CLEAR).astype(int)
        for k in np.flatnonzero((depth >= LEAST_DEPTH) & (depth - DEPTH <= astray)):
            beyond[edge, k] = goes_on(inward[: depth[k], k] - floor[k])
    return beyond


def goes_on(light):
    """Tell whether the light of rows, from the border inwards, is that of one slit."""
    if len(light) < STEP:
        return False
    typical = np.median(light[-max(LEAST_DEPTH, len(light) // 2) :])
    level = np.median(sliding_window_view(light, STEP), axis=1)  # hot and dead lines do not count
    fall = np.max(level[STEP:] - level[:-STEP], initial=0.0)
    return typical > 0 and min(level.min(), light[0]) >= STEADY * typical and fall < DROP * typical


def out_of_frame(q, t, rows):
    """Return the rows nearest to the expected ones of an end that are beyond the frame.

    Parameters
    ----------
    q : ndarray
    t : float
        0 of the end at the larger q, else 1.
    rows : int
        Of the frame.

    Returns
    -------
    ndarray
    """
    return np.maximum(q, rows - 1 + OUTSIDE) if t == 0 else np.minimum(q, -OUTSIDE)
