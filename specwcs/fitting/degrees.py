"""The degrees that the data support, by cross-validation."""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from specwcs.errors import FitError

from .basis import thin_qr
from .groups import leave_group_out
from .linear import check_determined

__all__ = ["DegreeChoice", "choose_degrees", "held_out_rms", "with_prior"]

_LARGEST = 1e3  # sigma: a prediction that fails altogether does not count for more
_WORTHWHILE = 0.97  # a higher degree must lower the held-out error at least to this share


@dataclass(frozen=True)
class DegreeChoice:
    """The degrees chosen, and why.

    Parameters
    ----------
    degrees : tuple of int
    tried : dict of tuple to float
        Held-out rms in units of the errors, for each combination tried; infinite where
        the data do not determine the model with a part left out.
    reason : str
        A sentence.
    """

    degrees: tuple
    tried: dict
    reason: str


def choose_degrees(design, values, sigma, partitions, *, lowest, highest, what):
    """Choose polynomial degrees by predicting what was left out.

    The search starts from the lowest degrees and takes, of the raises of one degree by 1 or
    2, of any two or of all by 1, the one that most improves the prediction of the parts left
    out, for as long as one does; then it drops the degrees that are not missed.

    Parameters
    ----------
    design : callable
        ``design(degrees)`` gives the design matrix, shape (n, p).
    values, sigma : ndarray, shape (n,)
        Measured values and their 1 sigma errors, all finite.
    partitions : list of ndarray, shape (n,)
        Labels that divide the samples: slits, lines. Each label is left out in turn;
        a negative label is never left out.
    lowest, highest : tuple of int
        Where the search starts and ends.
    what : str
        What is fitted, for the messages.

    Returns
    -------
    DegreeChoice

    Raises
    ------
    FitError
        If even the lowest degrees are not determined by the data.
    """
    tried = {}

    def score(degrees):
        if degrees not in tried:
            tried[degrees] = held_out_rms(design(degrees), values, sigma, partitions)
        return tried[degrees]

    best = tuple(lowest)
    if best == tuple(highest):
        return DegreeChoice(best, tried, f"{what} {best}: as asked.")
    if not np.isfinite(score(best)):
        check_determined(design(best) / sigma[:, None], f"{what} {best}")
    while True:
        steps = [tuple(np.add(best, step).tolist()) for step in _steps(len(best))]
        steps = [s for s in steps if all(a <= b for a, b in zip(s, highest, strict=True))]
        better = min(steps, key=score, default=best)
        if not score(better) < _WORTHWHILE * score(best):
            break
        best = better
    while True:  # what a step of two degrees brought along needlessly goes again
        lower = [(*best[:k], best[k] - 1, *best[k + 1 :]) for k in range(len(best))]
        lower = [s for s in lower if all(a >= b for a, b in zip(s, lowest, strict=True))]
        leaner = min(lower, key=score, default=best)
        if leaner == best or not _WORTHWHILE * score(leaner) <= score(best) < np.inf:
            break
        best = leaner
    if not np.isfinite(score(best)):
        msg = f"{what}: no degrees are determined by the data with any one part left out."
        raise FitError(msg)
    reason = (
        f"{what} {best}: predicts what is left out to {score(best):.2f} sigma rms, "
        f"the best of {len(tried)} combinations by more than 3 % a degree."
    )
    return DegreeChoice(best, tried, reason)


def with_prior(design, values, sigma, partitions, prior):
    """Append what is known beforehand, rows and their errors, to points; it is no part."""
    rows, error = prior
    return (
        np.concatenate([design, rows]),
        np.concatenate([values, np.zeros(len(rows))]),
        np.concatenate([sigma, error]),
        [np.concatenate([labels, np.full(len(rows), -1)]) for labels in partitions],
    )


def _steps(n):
    """Return the raises to be tried: one degree by 1 or 2, any two or all by 1.

    Together, because a term may help only with its neighbour.
    """
    singles = np.eye(n, dtype=int)
    pairs = [a + b for a, b in combinations(singles, 2)]
    return [*singles, *(2 * singles), *pairs, *([np.ones(n, dtype=int)] if n > 2 else [])]


def held_out_rms(design, values, sigma, partitions):
    """Return the rms of leave-one-part-out residuals, in sigma, exactly, from one QR."""
    weighted = design / sigma[:, None]
    if len(weighted) <= weighted.shape[1]:
        return np.inf
    factors, parts = thin_qr(weighted), []
    for labels in partitions:
        _, errors, *_ = leave_group_out(*factors, values / sigma, labels)
        if any(error is None for error in errors):
            return np.inf
        parts += [np.mean(np.minimum(error**2, _LARGEST**2)) for error in errors]
    return float(np.sqrt(np.mean(parts))) if parts else np.inf
