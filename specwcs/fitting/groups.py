"""Groups of points, slits say, that contradict all the others."""

import numpy as np
from scipy import linalg, stats
from scipy.linalg import lapack

from .basis import thin_qr

__all__ = [
    "changes_without",
    "common_covariance",
    "contradictory_group",
    "leave_group_out",
    "rank_of",
]

_GAIN = 0.4  # a group contradicts if the fit without it has less than this share of the chi-square
_EXACT = 1e-12  # reduced chi-square of a fit that leaves nothing
_CHANCE_ODD = 1e-3  # that a group contradicts the others by chance
_RANK_TOLERANCE = 1e-10
_UNDETERMINED = 1e-8  # squared pivot left when a group is taken out


def rank_of(r):
    """Return the rank of a matrix from its triangular factor, columns scaled alike."""
    norm = np.linalg.norm(r, axis=0)
    singular = np.linalg.svd(r / np.where(norm > 0, norm, 1.0), compute_uv=False)
    return int(np.sum(singular > _RANK_TOLERANCE * singular[0]))


def leave_group_out(q, r, values, labels):
    """Predict each group from all the others, exactly, from one QR decomposition.

    Parameters
    ----------
    q, r : ndarray, shape (n, p) and (p, p)
        Factors of the design, weighted by 1/sigma.
    values : ndarray, shape (n,)
        Weighted likewise.
    labels : ndarray of int, shape (n,)
        Groups with a negative label are never left out.

    Returns
    -------
    groups : list of ndarray of int
        Indices of the points of each group, in the order of the labels.
    errors : list of ndarray or None
        Value minus prediction by the others; None where they do not determine the model,
        and once where not even all points do.
    chi2 : float
        Of the fit to all.
    chi2_without : ndarray
        Of the fit to the others, for each group.
    """
    if rank_of(r) < len(r):
        return [], [None], np.nan, np.array([np.nan])
    residual = values - q @ (q.T @ values)
    chi2 = residual @ residual
    order = np.argsort(labels, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
    groups = [part for part in parts if labels[part[0]] >= 0]
    errors, chi2_without = [], np.full(len(groups), np.nan)
    for k, group in enumerate(groups):
        # (I - Q Qᵀ)⁻¹ r = r + Q (I - Qᵀ Q)⁻¹ Qᵀ r: small whatever the size of the group
        rows, own = q[group], residual[group]
        factor, fault = lapack.dpotrf(np.eye(q.shape[1]) - rows.T @ rows, lower=True)
        if fault or np.min(np.diag(factor)) ** 2 < _UNDETERMINED:
            errors.append(None)
            continue
        error = own + rows @ lapack.dpotrs(factor, rows.T @ own, lower=True)[0]
        errors.append(error)
        chi2_without[k] = max(chi2 - own @ error, 0.0)
    return groups, errors, chi2, chi2_without


def changes_without(design, values, groups):
    """By what the parameters change if a group is left out, and how well the others predict it.

    Parameters
    ----------
    design : ndarray, shape (n, p)
        Weighted by 1/sigma.
    values : ndarray, shape (n,)
        Weighted likewise.
    groups : sequence of ndarray
        Indices, or masks, of the points of each group; a point may be in several.

    Returns
    -------
    changes : ndarray, shape (groups, p)
        NaN where the others do not determine the parameters.
    errors : list of ndarray
        1 sigma error of the prediction of each point of the group by all the others, in units
        of its own; infinite where they do not predict it.
    """
    q, r = thin_qr(design)
    residual = values - q @ (q.T @ values)
    changes, errors = np.full((len(groups), design.shape[1]), np.nan), []
    for k, group in enumerate(groups):
        rows = q[group]
        factor, fault = lapack.dpotrf(np.eye(q.shape[1]) - rows.T @ rows, lower=True)
        if fault or np.min(np.diag(factor)) ** 2 < _UNDETERMINED:
            errors.append(np.full(len(rows), np.inf))
            continue
        change = lapack.dpotrs(factor, rows.T @ residual[group], lower=True)[0]
        changes[k] = -linalg.solve_triangular(r, change)
        errors.append(np.linalg.norm(linalg.solve_triangular(factor, rows.T, lower=True), axis=0))
    return changes, errors


def common_covariance(q, r, residuals, sigma, labels):
    """Covariance of the parameters from what the points of each group have in common.

    The wrong wavelength of a line, or the oddness of a slit, does not show in the scatter of
    single points.

    Parameters
    ----------
    q, r : ndarray, shape (n, p) and (p, p)
        Factors of the design, weighted by 1/sigma.
    residuals, sigma : ndarray, shape (n,)
        Of the fit of all points; sigma such that their chi-square is about n - p.
    labels : ndarray of int, shape (n,)
        Of no group where negative.

    Returns
    -------
    ndarray, shape (p, p)
        To be added to that of independent errors; zero where nothing is in common.

    Notes
    -----
    A group errs by a common amount of variance τ², which is estimated by moments. With
    z = 1/σ of the points of a group, r their weighted residuals, and h the leverage of their
    mean, the sum of (z·r)² / z·z over the groups is expected to be Σ (1 - h) from independent
    errors, and τ² Σ z·z (1 - h)² more. This is the analysis of variance with random effects
    (Searle, Casella & McCulloch, Variance Components, 1992, chapter 3).
    """
    weight, member = 1.0 / sigma, labels >= 0
    if not member.any():
        return np.zeros((len(r), len(r)))
    q, weight, residuals = q[member], weight[member], residuals[member]
    group = np.unique(labels[member], return_inverse=True)[1]
    size = np.bincount(group, weight**2)
    sums = np.bincount(group, residuals * weight**2)
    shared = np.array([np.bincount(group, weight * column) for column in q.T])
    free = 1 - np.sum(shared**2, axis=0) / size
    if np.sum(free) < 1:  # few groups, and the fit follows each of them
        return np.zeros((len(r), len(r)))
    excess = np.sum(sums**2 / size) - np.sum(free)
    variance = max(excess, 0.0) / max(np.sum(size * free**2), np.finfo(float).tiny)
    changes = linalg.solve_triangular(r, shared)
    return variance * changes @ changes.T


def contradictory_group(design, values, sigma, labels):
    """Find the group that contradicts the others most, if one does.

    A group does if the others are far better fitted without it. One at the end of the range
    that is merely hard to predict is not: with it, the others are fitted as well.

    Parameters
    ----------
    design : ndarray, shape (n, p)
    values, sigma : ndarray, shape (n,)
    labels : ndarray of int, shape (n,)

    Returns
    -------
    int or None
        Its label.
    """
    design, values = design / sigma[:, None], values / sigma
    n, p = design.shape
    groups, _, chi2, chi2_without = leave_group_out(*thin_qr(design), values, labels)
    if not groups:
        return None
    freedom = np.array([n - len(group) - p for group in groups])
    # Points that a fit without the group passes through exactly tell nothing against it.
    known = np.isfinite(chi2_without) & (freedom > 0)
    if not known.any():
        return None
    reduced = np.full(len(groups), np.inf)
    reduced[known] = chi2_without[known] / freedom[known]
    worst = int(np.argmin(reduced))
    whole = chi2 / max(n - p, 1)
    if not (whole > 1.0 and reduced[worst] < _GAIN * whole):
        return None
    # Of many groups of few points, one stands out by chance.
    size = len(groups[worst])
    excess = max(whole * max(n - p, 1) - chi2_without[worst], 0.0) / size
    excess /= max(reduced[worst], _EXACT)
    chance = len(groups) * stats.f.sf(excess, size, freedom[worst])
    return int(labels[groups[worst][0]]) if chance < _CHANCE_ODD else None
