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
_ANYWHERE = 90.0
"""px: how far a shape may be from its marker that was moved with others by nobody knows what; a
shift like `_PLAUSIBLE`, and a stretch by 2 % of a large frame."""

PATTERN = 5
"""Fewer markers do not tell by their pattern how they were moved."""
_STEADY = 1.0
_CAP = 30.0

ODDS = 8.0
"""Doubtful is what the odds are less than e to this power for."""


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

    @property
    def cost(self):
        """The mean distance of all shapes, px, capped, and at the cap for those left alone."""
        capped = np.minimum(self.residual, _CAP)
        return np.where(self.partner == NOBODY, _CAP, capped).mean()


def settle(ways):
    """Choose a way.

    Of those that fit as well as the best, and leave no more shapes alone, the one that moves
    the markers least is the likeliest.

    Returns
    -------
    chosen : int
        Which of `ways`.
    doubtful : ndarray of bool, shape (n,)
        Shapes to which another way, as good and as plausible, gives another marker.
    """
    best = min(ways, key=lambda way: way.cost)
    good = [
        number
        for number, way in enumerate(ways)
        if way.alone <= best.alone and way.misfit <= _AS_GOOD * best.misfit + _SLACK
    ]
    chosen = min(good, key=lambda number: ways[number].moved)
    least = ways[chosen].moved
    doubtful = np.zeros(len(ways[chosen].partner), dtype=bool)
    for number in good:
        moved = ways[number].moved
        if moved <= max(_AS_GOOD * least, min(_PLAUSIBLE, _FAR * least)):
            doubtful |= ways[number].partner != ways[chosen].partner
    return chosen, doubtful


def unguided(distance, partner):
    """Tell which shapes are in doubt if there is no pattern that tells how all were moved.

    Parameters
    ----------
    distance : ndarray, shape (n, m)
        Of each shape from each marker as it is expected, px.
    partner : ndarray of int, shape (n,)

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    result = np.zeros(len(partner), dtype=bool)
    shapes = np.flatnonzero(partner != NOBODY)
    others = np.array(distance[shapes])
    own = others[np.arange(len(shapes)), partner[shapes]]
    others[np.arange(len(shapes)), partner[shapes]] = np.inf
    if len(shapes) and others.shape[1] > 1:
        result[shapes] = others.min(axis=1) < np.maximum(_ANYWHERE, _AS_GOOD * own)
    return result


def crowded(distance, partner, scatter):
    """Tell which shapes could nearly as well be another marker.

    The logarithm of the odds against that is `ODDS` or less. If the other marker has a shape
    already, the odds are those of both changing: that shape takes the marker that is left, or
    one that nobody has, or one whose shape changes in turn.

    Parameters
    ----------
    distance : ndarray, shape (n, m)
        Of each shape from each marker, px.
    partner : ndarray of int, shape (n,)
    scatter : float
        1 sigma of the places of shapes, px.

    Returns
    -------
    ndarray of bool, shape (n,)
    """
    result = np.zeros(len(partner), dtype=bool)
    shapes = np.flatnonzero(partner != NOBODY)
    if not len(shapes):
        return result
    distance, partner = distance[shapes], partner[shapes]
    rows = np.arange(len(shapes))
    own = distance[rows, partner]
    odds = odds_against(distance, own, scatter, _AS_GOOD)
    odds[rows, partner] = np.inf
    vacate = np.zeros(distance.shape[1])  # odds against a marker's shape going elsewhere
    vacate[partner] = np.inf
    for _ in range(4):
        vacate[partner] = (odds + vacate).min(axis=1)
    swap = np.full(odds.shape, np.inf)
    swap[:, partner] = odds[:, partner].T
    result[shapes] = (odds + np.minimum(vacate, swap)).min(axis=1) < ODDS
    return result


def odds_against(distance, own, scatter, ratio):
    """Return the logarithm of the odds of the own marker against the others.

    Parameters
    ----------
    distance : ndarray, shape (n, m)
    own : ndarray, shape (n,)
        Distance of each shape from its own marker.
    scatter : float
    ratio : float
        A shape that is far from its own marker is in doubt if another is not farther by this
        ratio.
    """
    doubt = scatter**2 + own**2 * (ratio**2 - 1) / (2 * ODDS)
    return (distance**2 - own[:, None] ** 2) / (2 * doubt[:, None])


def scatter_of(residual, quantile=0.6745):
    """Return 1 sigma of the places of shapes: robust, and never below what a hand achieves.

    Parameters
    ----------
    residual : ndarray
        Distances from their markers, px.
    quantile : float, optional
        The median of such distances for 1 sigma.
    """
    return max(_STEADY, np.median(residual) / quantile) if len(residual) else _STEADY


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
