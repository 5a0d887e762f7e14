"""What the matchings have in common: robust fits, and a choice between ways to match.

Shapes may all have been moved together, so that more than one common shift can explain them.
Each explanation is a `Way`; `settle` takes the best, and says which shapes another one, as
good and as plausible, would give to another marker.
"""

from dataclasses import dataclass

import numpy as np

NOBODY = -1
"""The partner of a shape that fits no marker."""

_AS_GOOD = 1.5
_SLACK = 1.0
_PLAUSIBLE = 60.0
_FAR = 8.0
_CLOSE = 0.5


@dataclass(frozen=True)
class Way:
    """One way to match shapes to markers.

    Parameters
    ----------
    partner : ndarray of int, shape (n,)
        The marker of each shape, or `NOBODY`.
    residual : ndarray, shape (n,)
        How far the shape is from its marker after all have been moved, px.
    moved : float
        How far the markers were moved for it, px.
    """

    partner: np.ndarray
    residual: np.ndarray
    moved: float

    @property
    def alone(self):
        """How many shapes have no marker."""
        return np.count_nonzero(self.partner == NOBODY)

    @property
    def misfit(self):
        """The mean distance of those that have one, px."""
        matched = self.residual[self.partner != NOBODY]
        return matched.mean() if len(matched) else 0.0


def settle(ways):
    """Choose a way.

    Of those that leave the fewest shapes alone and fit as well as the best, the one that
    moves the markers least is the likeliest.

    Returns
    -------
    chosen : int
        Which of `ways`.
    doubtful : ndarray of bool, shape (n,)
        Shapes to which another way, as good and as plausible, gives another marker.
    """
    fewest = min(way.alone for way in ways)
    best = min(way.misfit for way in ways if way.alone == fewest)
    good = [
        number
        for number, way in enumerate(ways)
        if way.alone == fewest and way.misfit <= _AS_GOOD * best + _SLACK
    ]
    chosen = min(good, key=lambda number: ways[number].moved)
    least = ways[chosen].moved
    doubtful = np.zeros(len(ways[chosen].partner), dtype=bool)
    for number in good:
        moved = ways[number].moved
        if moved <= _AS_GOOD * least or moved <= min(_PLAUSIBLE, _FAR * least):
            doubtful |= ways[number].partner != ways[chosen].partner
    return chosen, doubtful


def crowded(distance, partner):
    """Tell which shapes are nearly as near to a marker that nobody clearly has.

    Parameters
    ----------
    distance : ndarray, shape (n, m)
        Of each shape from each marker.
    partner : ndarray of int, shape (n,)

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    shapes = np.flatnonzero(partner != NOBODY)
    own = distance[shapes, partner[shapes]]
    rival = distance[shapes] < _AS_GOOD * own[:, None] + _CLOSE
    rival[np.arange(len(shapes)), partner[shapes]] = False
    clear = ~rival.any(axis=1)
    taken = np.zeros(distance.shape[1], dtype=bool)
    taken[partner[shapes[clear]]] = True
    result = np.zeros(len(partner), dtype=bool)
    result[shapes] = (rival & ~taken).any(axis=1)
    return result


def robust_fit(design, values):
    """Return coefficients of a linear fit that a minority of wild values does not pull.

    Parameters
    ----------
    design : ndarray, shape (n, k)
    values : ndarray, shape (n,)
    """
    weights = np.ones(len(values))
    for _ in range(8):
        coefficients = np.linalg.lstsq(design * weights[:, None], values * weights)[0]
        residual = np.abs(values - design @ coefficients)
        scale = 2.0 * np.median(residual) + 0.1
        weights = 1.0 / (1.0 + (residual / scale) ** 2)
    return coefficients
