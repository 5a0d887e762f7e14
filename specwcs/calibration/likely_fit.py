"""Fits of all the terms that may matter, each of a likely size, and of what slits deviate by.

Low degrees err where they leave something out, and do not know it; high ones wander off where
there are no points. Here what the points do not tell stays open within its likely size, so that
errors are honest between the points and beyond them.
"""

from copy import copy
from dataclasses import replace

import numpy as np
from scipy import linalg

from specwcs.fitting import (
    changes_without,
    contradictory_group,
    fit_linear,
    held_out_rms,
    thin_qr,
    with_prior,
)
from specwcs.models.field import LinearSamples, design_of_terms, field_terms, term_names

from .local import LocalTerms, deviations

__all__ = ["FAR", "fit_likely"]

_ROUNDS, _TOLD = 6, 3.0  # in which they are estimated; terms that must be known for that
_WORTHWHILE = 0.97  # another must lower the held-out error at least to this share
_FEW_SLITS = 4
_ASIDE = 0.3  # share of the slits, or lines, or edges, that may be set aside
_WRONG, _WRONG_LEAST = 6.0, 0.1  # robust sigma, and px: lines and edges that err by more are wrong
_NONE = 1e-4  # px: of local terms that slits do not have
FAR = 0.5
"""px: a slit that deviates by more from the field is mistaken for another, or its lines are."""

_CONTRADICTS = 5.0  # sigma of the prediction by the others, and FAR: a slit farther off is odd
_GAP = 0.05  # between lines, of half the range: others nearer predict them well enough
_APART = 0.5  # px, 1 sigma: lines that others predict no better may be mistaken together
_EDGE = 0.02  # px, 1 sigma: by no less an edge errs alike over its length
_LINE = 0.005  # px, 1 sigma: by so much a line errs in all slits alike, if lines do not tell


def fit_likely(points, degrees, what, prior, doubt=0, rough=None):
    """Fit all terms up to the highest degrees, as large as cross-validation finds them likely.

    Parameters
    ----------
    points : Points
        Scaled to the domains of the model.
    degrees : tuple of int
    what : str
        For messages.
    prior : Smoothness
    doubt : int, optional
        To tell what single lines or edges, that may be others, decide, and what groups of fewer
        lines than so many beyond a gap.
    rough : dict of str to int, optional
        Slits that are rough, and at how many t.

    Returns
    -------
    fit : Fit
        Of the parameters of the model, then the local terms.
    local : LocalTerms
    notes : list of str

    Raises
    ------
    FitError
        If the points do not determine the model.
    """
    names, slit = np.unique(points.slit, return_inverse=True)
    system, aside, notes, usable = _System(points, degrees, what, prior), [], [], points.finite
    while True:
        kept = system.fit(usable).used
        system, said = _likeliest(system, kept)
        odd = _odd_slit(system, kept, slit)
        if odd is None or len(aside) >= _ASIDE * len(names):
            break
        aside.append(odd)
        usable = usable & (slit != odd)
        notes.append(f"{what}: slit {names[odd]} contradicts the others and is set aside.")
    notes.append(said)
    if degrees[0]:
        fit, local, said = _with_local(system, usable, doubt, rough or {})
        notes += said
    else:  # positions at the reference wavelength: what slits deviate by is the others' matter
        fit, local = system.fit(usable), LocalTerms()
    return fit, local, [*notes, fit.status]


class _System:
    """The linear system of a field polynomial with terms of likely sizes.

    Parameters
    ----------
    points : Points
    degrees : tuple of int
    what : str
    prior : Smoothness
    """

    def __init__(self, points, degrees, what, prior):
        self.points, self.degrees, self.what, self.prior = points, degrees, what, prior
        self.terms = field_terms(degrees)
        self.design = design_of_terms((points.u, points.x, points.y), self.terms)

    def with_points(self, points):
        """Return the same system with other errors of its points."""
        other = copy(self)
        other.points = points
        return other

    def resized(self, factor):
        """Return the same system with terms of so many times their likely size."""
        other = copy(self)
        other.prior = replace(self.prior, factor=factor)
        return other

    def fit(self, usable, kinds=(), spread=()):
        """Fit it to some of the points, with deviations of groups of points besides.

        Parameters
        ----------
        usable : ndarray of bool, shape (n,)
        kinds : sequence of ndarray, shape (n, m)
            One column a group.
        spread : sequence of ndarray, shape (m,)
            1 sigma of the deviations of each group, px.

        Returns
        -------
        Fit
        """
        design, values, sigma, unused = self._rows(usable, kinds, spread)
        names = (
            *term_names(self.terms),
            *(f"own{k}" for k in range(design.shape[1] - self.design.shape[1])),
        )
        return fit_linear(
            LinearSamples(design, names, np.zeros(len(names))),
            values,
            sigma,
            what=f"{self.what} {self.degrees}",
            exclude=unused == 1,
            partitions=() if kinds else self.points.families(),
            n_prior=len(values) - len(self.points.values),
        )

    def without(self, groups, fit, kinds, spread):
        """By what the parameters of a fit change without groups of points.

        Parameters
        ----------
        groups : sequence of ndarray of bool, shape (n,)
        fit : Fit
            Made by `fit` with these `kinds` and `spread`.

        Returns
        -------
        changes : ndarray, shape (groups, p)
        predicted : ndarray, shape (groups,)
            How well the others predict a group: the least 1 sigma error of its points, px.
        """
        design, values, sigma, unused = self._rows(fit.used, kinds, spread)
        sigma[: len(fit.used)] *= fit.error_scale
        kept = unused != 1
        members = [np.flatnonzero(group[fit.used]) for group in groups]
        design, values, sigma = design[kept], values[kept], sigma[kept]
        changes, errors = changes_without(design / sigma[:, None], values / sigma, members)
        least = [np.min(e * sigma[m], initial=np.inf) for e, m in zip(errors, members, strict=True)]
        return changes, np.array(least)

    def _rows(self, usable, kinds, spread):
        """Return design, values, errors, and 1 where a row is not used, prior knowledge last."""
        sizes = [columns.shape[1] for columns in kinds]
        rows, error = self.prior.rows(self.terms)
        known = (
            linalg.block_diag(rows, np.eye(sum(sizes))) if kinds else rows,
            np.maximum(np.concatenate([error, *spread]), _NONE),
        )
        design, values, sigma, (unused,) = with_prior(
            np.hstack([self.design, *kinds]), self.points.values, self.points.sigma,
            [np.where(usable, 0, 1)], known,
        )  # fmt: skip
        return design, values, sigma, unused


def _likeliest(system, usable):
    """Choose how large the terms are, by predicting what is left out."""
    if len(system.prior.factors) == 1:
        return system, f"{system.what} {system.degrees}: terms of their likely sizes."
    points, some = system.points, system.points.some(usable)
    partitions = points.take(some).partitions()

    def score(factor):
        known = system.resized(factor).prior.rows(system.terms)
        sample = system.design[some], points.values[some], points.sigma[some]
        return held_out_rms(*with_prior(*sample, partitions, known))

    least = _evident_factor(system, some)
    factors = sorted({max(factor, least) for factor in system.prior.factors})
    scores = {factor: score(factor) for factor in factors}
    best = min(scores, key=scores.get)
    if not scores[best] < _WORTHWHILE * scores[least]:
        best = least
    tried = ", ".join(f"{factor:.2g}: {value:.2f}" for factor, value in scores.items())
    said = (
        f"{system.what} {system.degrees}: terms of {best:.2g} times their likely size predict best "
        f"what is left out (sigma rms by size {tried})."
    )
    return system.resized(best), said


def _evident_factor(system, some):
    """Return by how much the terms that are known exceed their likely sizes, 1 or more.

    What is left out may predict as well with less, where others lie near; but what is not known
    of an instrument that bends so much is more than of another. The evidence is maximised as in
    `~specwcs.calibration.local.deviations`.
    """
    points, factors = system.points, system.prior.factors
    factor = factors[0]
    told, noise = system.prior.limited(system.terms), 1.0
    n = len(points.values[some])
    for _ in range(_ROUNDS):
        rows, error = system.resized(factor).prior.rows(system.terms)
        sample = system.design[some], points.values[some], noise * points.sigma[some]
        design, values, sigma, _ = with_prior(*sample, [], (rows, error))
        q, r = thin_qr(design / sigma[:, None])
        found = linalg.solve_triangular(r, q.T @ (values / sigma))
        of = rows[told] / error[told, None]
        determined = np.sum(1 - np.sum(linalg.solve_triangular(r, of.T, trans="T") ** 2, axis=0))
        if determined < _TOLD:
            return factors[0]
        size = factor * np.sqrt(np.sum((of @ found) ** 2) / determined)
        factor = float(np.clip(size, factors[0], factors[-1]))
        chi2 = np.sum(((values - design @ found) / sigma)[:n] ** 2)
        noise *= np.sqrt(max(chi2 / max(n - np.sum(q[:n] ** 2), 1.0), noise**-2))
    return factor


def _odd_slit(system, usable, slit):
    """Return the index of the slit that contradicts the others most, None if none does.

    It must be farther off than the others, with what is not known of the terms, can predict it.
    """
    if len(np.unique(slit[usable])) < _FEW_SLITS:
        return None
    points = system.points
    design, values, sigma, (labels,) = with_prior(
        system.design[usable], points.values[usable], points.sigma[usable], [slit[usable]],
        system.prior.rows(system.terms),
    )  # fmt: skip
    odd = contradictory_group(design, values, sigma, labels)
    if odd is None:
        return None
    mine = np.flatnonzero(labels == odd)
    weighted, target = design / sigma[:, None], values / sigma
    change, (error,) = changes_without(weighted, target, [mine])
    others = np.linalg.lstsq(weighted, target, rcond=None)[0] + change[0]
    miss = np.abs(values[mine] - design[mine] @ others)
    expected = sigma[mine] * np.hypot(error, 1.0)
    far = np.median(miss) > FAR and np.median(miss / expected) > _CONTRADICTS
    return odd if far else None


def _with_local(system, usable, doubt, rough):
    """Fit, with offset, stretch and roughness of each slit as far as slits deviate from the field.

    A line whose wavelength is wrong, or that hides another, errs alike in all slits: its
    error has a part in the fit as well, but none in the model.
    """
    points, what, n = system.points, system.what, int(system.terms.sum())
    slits = tuple(np.unique(points.slit[usable]).tolist())
    rough = {key: np.zeros(size) for key, size in rough.items() if key in slits}
    local = LocalTerms(slits, np.zeros((len(slits), 2)), rough)
    own, terms = local.size, local.columns(points.slit, points.lever, points.t)
    group = points.groups()
    member = (group[:, None] == np.arange(group.max() + 1)).astype(float)
    kinds = [*terms, *([member] if points.lines else [])]
    none = [np.zeros(k.shape[1]) for k in terms]
    usual = [*np.zeros(len(terms)), *([_LINE] if points.lines else [])]
    while True:
        own_errors, shared = points.apart()
        system = system.with_points(own_errors)
        expected = [*none, shared] if points.lines else none
        spread, each = deviations(
            system.design[usable], [columns[usable] for columns in kinds], points.values[usable],
            own_errors.sigma[usable], system.prior.rows(system.terms), expected, usual,
        )  # fmt: skip
        fit = system.fit(usable, kinds, each)
        values, errors = np.split(fit.parameters[n:], [own])
        common = errors
        if not points.lines:
            common = np.hstack(kinds) @ values @ member / member.sum(axis=0)
        size = np.abs(common[np.unique(group[usable])])
        wrong = np.abs(common) > max(_WRONG * 1.4826 * np.median(size), _WRONG_LEAST)
        out = usable & wrong[group]
        # What is another line, or the edge of something else, errs by far more: it goes.
        if wrong.sum() > _ASIDE * len(size):
            out[:] = False
        # So does a slit whose lines are others.
        far = _far_slits(values[: 2 * len(slits)], len(slits))
        if points.lines and far.sum() <= _ASIDE * len(slits):
            out |= usable & np.isin(points.slit, np.array(slits)[far])
        part = points.of_slit if out.any() else points.told_of_slit(fit)
        if not out.any() and part == points.of_slit:
            break
        usable, points = usable & ~out, replace(points, of_slit=part)
    values, nicks = np.split(values, [2 * len(slits)])
    tables = np.split(nicks, np.cumsum([len(table) for table in rough.values()])[:-1])
    local = LocalTerms(slits, values.reshape(2, -1).T, dict(zip(rough, tables, strict=False)))
    changes = _in_doubt(system, fit, kinds, each, doubt) if doubt else None
    if points.lines:
        said = [f"{what}: lines err by {spread[-1]:.3f} px (1 sigma) in all slits alike."]
        fit = replace(fit, residuals=fit.residuals + member @ errors)
    else:
        # What looks like a slit off its place may as well be the error of its edges, which is at
        # least that of most slits: one that is off by far does not make others so.
        size = np.abs(values).reshape(2, -1)
        least = np.maximum(1.4826 * np.median(size, axis=1), _EDGE / np.sqrt(2))[:, np.newaxis]
        error = np.clip(size, least, np.maximum(np.reshape(spread, (2, 1)), least))
        fit.covariance[n:, n:] += np.diag(error.ravel() ** 2)
        said = []
    if not any(spread[:2]):
        said.append(f"{what}: slits do not deviate from the field.")
    else:
        said.append(
            f"{what}: slits deviate by offsets of {spread[0]:.3f} px and stretches of "
            f"{spread[1]:.3f} px (1 sigma), each as far as what is seen of it says."
        )
    if rough:
        said.append(f"{what}: {len(rough)} slits are rough, by {spread[2]:.3f} px (1 sigma).")
    changes = None if changes is None else changes[:, : n + own]
    fit = replace(fit, covariance=fit.covariance[: n + own, : n + own], changes=changes)
    return fit, local, said


def _far_slits(values, n):
    """Whether each of n slits deviates by far more than slits do."""
    values = values.reshape(2, n)
    # One that is far off takes the field along: relative to the others it is off still.
    size = np.abs(values - np.median(values, axis=1, keepdims=True)).max(axis=0)
    return size > max(_WRONG * 1.4826 * np.median(size), FAR)


def _in_doubt(system, fit, kinds, spread, confirm):
    """By what the parameters change without lines, or edges, that may be others: rows of changes.

    These are each single line, and the lines beyond a gap, at either end, that the others do not
    predict well enough to tell one line from another: few confirm nobody, not even each other.
    """
    u, group = system.points.u, system.points.groups()
    if not system.points.lines:
        edges = [group == edge for edge in np.unique(group[fit.used])]
        return system.without(edges, fit, kinds, spread)[0]
    lines = np.unique(u[fit.used])
    singles = [u == line for line in lines]
    gap = np.flatnonzero(np.diff(lines) > _GAP)
    low, high = gap[gap < confirm - 1], gap[len(lines) - 1 - gap < confirm]
    ends = [*(u <= lines[k] for k in low), *(u >= lines[k + 1] for k in high)]
    changes, predicted = system.without([*singles, *ends], fit, kinds, spread)
    alone = np.append(np.ones(len(singles), bool), predicted[len(singles) :] > _APART)
    return changes[alone]
