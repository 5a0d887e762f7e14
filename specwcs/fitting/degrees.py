"""The degrees that the data support, by cross-validation."""

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from specwcs.errors import FitError

from .linear import check_determined

__all__ = ["DegreeChoice", "choose_degrees"]

_UNDETERMINED = 1e-8  # smallest eigenvalue left when a part is taken out
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

    The search starts from the lowest degrees and raises one degree at a time, the one
    that most improves the prediction of the parts left out, for as long as one does.

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
            tried[degrees] = _held_out_rms(design(degrees), values, sigma, partitions)
        return tried[degrees]

    best = tuple(lowest)
    if best == tuple(highest):
        return DegreeChoice(best, tried, f"{what} {best}: as asked.")
    if not np.isfinite(score(best)):
        check_determined(design(best) / sigma[:, None], f"{what} {best}")
    while True:
        steps = [(*best[:k], best[k] + 1, *best[k + 1 :]) for k in range(len(best))]
        # Two at once as well: a term may help only together with its neighbour.
        steps += [tuple(b + 1 for b in best)]
        steps += [(*best[:k], best[k] + 2, *best[k + 1 :]) for k in range(len(best))]
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


def _held_out_rms(design, values, sigma, partitions):
    """Return the rms of leave-one-part-out residuals, in sigma, exactly, from one QR."""
    weighted = design / sigma[:, None]
    try:
        check_determined(weighted, "")
    except FitError:
        return np.inf
    q, _ = linalg.qr(weighted, mode="economic")
    scaled = values / sigma
    residual = scaled - q @ (q.T @ scaled)
    parts = []
    for labels in partitions:
        order = np.argsort(labels, kind="stable")
        bounds = np.flatnonzero(np.diff(labels[order])) + 1
        for part in np.split(order, bounds):
            if labels[part[0]] < 0:
                continue
            # (I - Q Qᵀ)⁻¹ r = r + Q (I - Qᵀ Q)⁻¹ Qᵀ r: small whatever the size of the part
            rows = q[part]
            inner = np.eye(q.shape[1]) - rows.T @ rows
            if linalg.eigvalsh(inner, subset_by_index=[0, 0])[0] < _UNDETERMINED:
                return np.inf
            error = residual[part]
            error = error + rows @ linalg.solve(inner, rows.T @ error, assume_a="pos")
            parts.append(np.mean(np.minimum(error**2, 1e6)))
    return float(np.sqrt(np.mean(parts))) if parts else np.inf
