"""Scatter beyond known errors, told by medians: what is far off has no part in it."""

import numpy as np

__all__ = ["excess"]

_USUAL = 0.455  # median of the square of a standard normal deviate
_STEPS = 30


def excess(square, variance, unit, limits):
    """Find the error that deviations have besides the known one.

    Parameters
    ----------
    square : ndarray, shape (n,)
        Of deviations.
    variance : ndarray, shape (n,)
        The known one.
    unit : float or ndarray, shape (n,)
        The square of the error that is looked for, where it is 1.
    limits : tuple of float
        Between which it is looked for.

    Returns
    -------
    float
        With it half of the deviations are as small as half of normal deviates are.
    """

    def enough(size):
        return np.median(square / (variance + size**2 * unit)) <= _USUAL

    low, high = limits
    if enough(low):
        return low
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
