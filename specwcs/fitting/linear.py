"""One robust, weighted, linear fit: the gates before it, and what is known after it."""

from dataclasses import dataclass
from itertools import count

import numpy as np
from astropy.modeling.fitting import LinearLSQFitter
from scipy import linalg

from specwcs.errors import FitError, InputError
from specwcs.models.field import LinearSamples

from .basis import thin_qr
from .groups import common_covariance, rank_of

__all__ = ["Fit", "fit_linear"]

_KEEP = 0.6  # share of the points that clipping may never go below
_MAX_CLIPS = 15


@dataclass(frozen=True)
class Fit:
    """The outcome of a linear fit.

    Parameters
    ----------
    model : LinearSamples
        The fitted model at the samples.
    covariance : ndarray, shape (n_parameters, n_parameters)
        Of all parameters; rows and columns of fixed ones are zero. From the errors of the
        points, and from those that parts of them have in common.
    residuals : ndarray, shape (n_samples,)
        Measured minus fitted, of all samples; NaN where a sample was not finite.
    used : ndarray of bool, shape (n_samples,)
        The samples that the fit kept.
    rank : int
        Rank of the weighted design matrix, equal to the number of free parameters.
    chi2 : float
        Of the samples used, with the errors given.
    error_scale : float
        By what the errors given were multiplied for the covariance: the square root of
        the reduced chi-square where that exceeds 1, else 1.
    rms : float
        Root mean square of the residuals of the samples used.
    status : str
        A sentence: what was done.
    changes : ndarray, shape (n_groups, n_parameters), optional
        By what the parameters change if a group of points is left out, where that was asked for.
    """

    model: object
    covariance: np.ndarray
    residuals: np.ndarray
    used: np.ndarray
    rank: int
    chi2: float
    error_scale: float
    rms: float
    status: str
    changes: np.ndarray | None = None

    @property
    def parameters(self):
        """The fitted parameters."""
        return self.model.parameters


def fit_linear(samples, values, sigma, *, what, exclude=None, partitions=(), clip=5.0,
               exact=False, n_prior=0):  # fmt: skip
    """Fit a linear model to measured values, rejecting outliers.

    The residuals are studentised leaving each point out, so that a wrong point at the end
    of the range, where a polynomial follows it, is found; points are rejected one part
    at a time, never below 60 % of them and never down to the number of parameters.

    Parameters
    ----------
    samples : LinearSamples
        The model at the samples, from ``model.at(...)``; its parameters are set.
    values : ndarray, shape (n_samples,)
        Measured values; samples that are not finite are left out.
    sigma : ndarray, shape (n_samples,)
        Their 1 sigma errors, > 0.
    what : str
        What is fitted, for the messages: ``"CRV (2, 1, 1)"``.
    exclude : ndarray of bool, shape (n_samples,), optional
        Samples that are not to be used; their residuals are reported all the same.
    partitions : sequence of ndarray of int, shape (n_samples,)
        Labels of parts, slits or lines, whose points may err together; what they
        have in common is added to the covariance.
    clip : float
        Reject beyond this many standard deviations.
    exact : bool, optional
        Whether as many points as parameters are enough; the covariance is NaN then.
    n_prior : int, optional
        The last so many samples are no points, but what is known of the parameters beforehand:
        they are not rejected, and their errors stay as they are.

    Returns
    -------
    Fit
        Its residuals, and what is used, are those of the points alone.

    Raises
    ------
    FitError
        If the points do not outnumber the free parameters or do not determine them all.
    InputError
        If an error is not positive.
    """
    values, sigma = np.asarray(values, float), np.asarray(sigma, float)
    design = samples.fit_deriv(np.arange(len(values)))
    if np.any(sigma <= 0):
        raise InputError(f"{what}: an error of {np.nanmin(sigma):g}", "Errors must be > 0")
    finite = np.isfinite(values) & np.isfinite(sigma) & np.all(np.isfinite(design), axis=1)
    fixed = samples.fixed  # made anew at each look
    free = np.array([not fixed[name] for name in samples.param_names])
    points = np.arange(len(values)) < len(values) - n_prior
    offered = finite if exclude is None else finite & ~exclude
    weighted = (design if free.all() else design[:, free]) / sigma[:, None]
    target = (values - design[:, ~free] @ samples.parameters[~free]) / sigma
    used, (q, r) = _clip_outliers(weighted, target, offered, points, what, clip, exact)
    fitted = _solve(samples, free, q, r, target[used])
    residuals, mine = values - design @ fitted.parameters, points[used]
    chi2 = float(np.sum((residuals[used][mine] / sigma[used][mine]) ** 2))
    freedom = int(mine.sum()) - float(np.sum(q[mine] ** 2))
    error_scale = max(1.0, np.sqrt(chi2 / freedom)) if freedom > 0 else 1.0
    if n_prior and error_scale > 1.0:
        # Points and prior knowledge are weighed against each other.
        sigma = np.where(points, sigma * error_scale, sigma)
        weight = 1.0 / np.where(mine, error_scale, 1.0)
        q, r = thin_qr(weighted[used] * weight[:, None])
        fitted = _solve(samples, free, q, r, target[used] * weight)
        residuals = values - design @ fitted.parameters
    elif error_scale > 1.0:
        sigma, r = sigma * error_scale, r / error_scale
    n, p = int(mine.sum()), len(r)
    covariance = np.zeros((len(free), len(free)))
    covariance[np.ix_(free, free)] = np.nan if used.sum() == p else _covariance(
        q, r, residuals[used], sigma[used],
        [_padded(labels, n_prior)[used] for labels in partitions],
    )  # fmt: skip
    residuals, finite, used = residuals[points], finite[points], used[points]
    rms = float(np.sqrt(np.mean(residuals[used] ** 2)))
    status = f"{what}: {n} points, {p} parameters, rms {rms:.3g} px"
    if n < len(residuals):
        dropped = int((finite & ~used).sum())
        status += f"; {dropped} rejected, {int((~finite).sum())} not finite"
    if n == p and not n_prior:
        status += "; no point to spare, so no error is known"
    if error_scale > 1.0:
        status += f"; errors rescaled by {error_scale:.2f}"
    status += "."
    return Fit(fitted, covariance, residuals, used, p, chi2, error_scale, rms, status)


def _padded(labels, n_prior):
    """Give prior knowledge a negative label: it is no part."""
    return np.concatenate([labels, np.full(n_prior, -1)])


def _covariance(q, r, residuals, sigma, partitions):
    """Return the covariance by independent errors, and by those that parts have in common.

    Q and R are the factors of the weighted design.
    """
    inverse = linalg.solve_triangular(r, np.eye(len(r)))
    common = (common_covariance(q, r, residuals, sigma, labels) for labels in partitions)
    return sum(common, inverse @ inverse.T)


def check_determined(design, what, exact=False):
    """Raise FitError unless the rows of `design` outnumber and determine its columns.

    With `exact`, as many rows as columns are enough.
    """
    n, p = design.shape
    remedy = "Lower the degrees, or measure more slits, lines or edges"
    if n < p or (n == p and not exact):
        msg = f"{what}: {n} points for {p} parameters. {remedy}."
        raise FitError(msg)
    rank = rank_of(linalg.qr(design, mode="r")[0][:p])
    if rank < p:
        msg = (
            f"{what}: the points determine only {rank} of {p} parameters "
            f"(all on a line, or too few positions on an axis). {remedy}."
        )
        raise FitError(msg)


def studentise(q, values):
    """Leave-one-out residuals in units of their own error.

    Parameters
    ----------
    q : ndarray, shape (n, p)
        Orthonormal basis of the columns of the design, weighted by 1/sigma.
    values : ndarray, shape (n,)
        Weighted likewise.

    Returns
    -------
    deviation : ndarray, shape (n,)
        ``(value - prediction without it) / error of that difference``.
    chi2_without : ndarray, shape (n,)
        Chi-square of the fit to all the others.
    """
    leverage = np.minimum(np.sum(q**2, axis=1), 1 - 1e-9)
    residual = values - q @ (q.T @ values)
    deviation = residual / np.sqrt(1 - leverage)
    return deviation, np.maximum(np.sum(residual**2) - deviation**2, 0.0)


def _clip_outliers(design, values, finite, points, what, clip, exact):
    """Return the samples to be used, and the factors Q, R of their part of the design.

    Design and values are weighted by 1/sigma.
    """
    used, n_parameters = finite.copy(), design.shape[1]
    n_prior = int((~points).sum())
    # What is known of every parameter beforehand determines it.
    known = n_prior >= n_parameters
    if not known:
        check_determined(design[used], what, exact)
    floor = max(int(np.ceil(_KEEP * finite[points].sum())), n_parameters + 2 - n_prior)
    for k in count():
        freedom = max(used.sum() - n_parameters - 1, 1)
        factors = thin_qr(design if used.all() else design[used])
        deviation, others = np.full((2, len(values)), np.nan)
        deviation[used], others[used] = studentise(factors[0], values[used])
        deviation = np.abs(deviation)
        # The spread of the others: robust, or exact with this one point left out, since a
        # single point that the fit follows spoils the residuals of all.
        robust = 1.4826 * np.median(deviation[used & points])
        spread = np.maximum(1.0, np.minimum(robust, np.sqrt(others / freedom)))
        bad = used & points & (deviation > clip * spread)
        # The worst distort the others' residuals: go back for the rest in the next round.
        bad &= deviation > 0.5 * np.nanmax(deviation[points])
        if k == _MAX_CLIPS or not bad.any() or used[points].sum() - bad.sum() < floor:
            break
        used = used & ~bad
        if not known:
            check_determined(design[used], what)
    return used, factors


def _solve(samples, free, q, r, target):
    """Return the samples with the parameters that fit best.

    The orthogonal factor takes nothing from the sum of squares but what no parameter reaches:
    what is left for the fitter are as many equations as parameters.
    """
    rows = np.zeros((len(r), len(free)))
    rows[:, free] = r
    factored = LinearSamples(rows, samples.param_names, samples.parameters, fixed=samples.fixed)
    # In place: a copy of a model of hundreds of parameters takes longer than the fit.
    LinearLSQFitter()(factored, np.arange(len(r)), q.T @ target, inplace=True)
    samples.parameters = factored.parameters
    return samples
