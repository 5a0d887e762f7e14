"""Slits that the frame cuts off: where their light goes on to its border, their end is beyond."""

import numpy as np

__all__ = ["BEYOND", "LAID", "PARTLY", "beyond_border", "out_of_frame"]

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

SMOOTH = 3
"""Rows that are averaged."""

CLEAR = 4.0
"""Distance from the slit's other end from which there is its full light, px."""

STEADY = 0.7
"""Least light up to the border, in units of that of the slit."""

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
    if not len(shown):
        return beyond
    place = q[shown].mean(axis=1)
    for edge, sign in ((shown[place.argmax()], 1), (shown[place.argmin()], -1)):
        if edges.sign[edge] != -sign:
            continue
        other = edge + 1 if edges.t[edge] == 0 else edge - 1
        inward, depths, least = (light[::-1], len(light) - 1 - q[edge], len(light) - 1 - q[other])
        if sign < 0:
            inward, depths, least = light, q[edge], q[other]
        for k in range(q.shape[1]):
            depth = int(min(max(depths[k], 0) + DEPTH, least[k] - CLEAR))
            beyond[edge, k] = _goes_on(inward[:depth, k] - floor[k]) if depth > 0 else False
    return beyond


def _goes_on(light):
    """Whether the light from the border inwards is that of one slit."""
    if len(light) < LEAST_DEPTH:
        return False
    typical = np.median(light[-max(LEAST_DEPTH, len(light) // 2) :])
    smooth = np.convolve(light, np.full(SMOOTH, 1 / SMOOTH), mode="valid")
    return typical > 0 and min(smooth.min(), light[0]) >= STEADY * typical


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
