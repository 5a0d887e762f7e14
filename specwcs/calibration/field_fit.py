"""Fitting one field polynomial to points of many slits, with the degrees they support."""

from dataclasses import dataclass, fields, replace

import numpy as np
from scipy import linalg, stats

from specwcs.errors import FitError, InputError
from specwcs.fitting import (
    choose_degrees,
    contradictory_group,
    fit_linear,
    held_out_rms,
    with_prior,
)
from specwcs.models.field import (
    LinearSamples,
    design_matrix,
    design_of_terms,
    field_terms,
    scale,
    term_names,
)

from .local import LocalTerms, deviations

__all__ = ["AUTO", "Points", "degree_limits", "fit_field"]

AUTO = "auto"
_MARGIN = 0.05  # of the range of the data: how far a fitted domain reaches beyond them
_CHOICE_POINTS = 1500  # enough to choose degrees by; the fit takes all
_BLOCKS = 8  # a slit is divided so where there are too few slits to leave one out
_FEW_SLITS = 4
_EXACT = 1e-12  # reduced chi-square of a fit that leaves nothing
_CHANCE = 1e-3  # that a better fit by a freer constant term is not one
_FACTORS = (0.3, 1.0, 3.0, 10.0)  # of the likely sizes of terms, to choose from
_WORTHWHILE = 0.97  # another must lower the held-out error at least to this share
_WRONG, _WRONG_LEAST = 6.0, 0.1  # robust sigma, and px: lines whose error is larger are wrong
_NONE = 1e-4  # px: of local terms that slits do not have
_ASIDE = 0.3  # share of the slits that may be set aside as contradicting the others


@dataclass(frozen=True)
class Points:
    """Measured points, arrays of shape (n,).

    Parameters
    ----------
    x, y : ndarray
        Field position: mm or px.
    u : ndarray
        The local coordinate: wavelength or distance along the dispersion.
    values, sigma : ndarray
        What was measured there and its 1 sigma error, px.
    slit : ndarray of str
    t : ndarray
        Position in the slit.
    lines : bool
        Whether equal u means the same arc line.
    """

    x: np.ndarray
    y: np.ndarray
    u: np.ndarray
    values: np.ndarray
    sigma: np.ndarray
    slit: np.ndarray
    t: np.ndarray
    lines: bool = False

    def take(self, index):
        """Return some of the points."""
        arrays = (getattr(self, f.name)[index] for f in fields(self) if f.name != "lines")
        return Points(*arrays, lines=self.lines)

    def scaled(self, domain, x_domain, y_domain):
        """Return the points with u, x and y mapped from their domains to [-1, 1]."""
        return replace(
            self, u=scale(self.u, domain), x=scale(self.x, x_domain), y=scale(self.y, y_domain)
        )

    def design(self, degrees):
        """Return the design matrix of a field polynomial; the points must be scaled."""
        return design_matrix((self.u, self.x, self.y), degrees)

    @property
    def finite(self):
        """The points of which all is known."""
        return np.all(np.isfinite([self.x, self.y, self.u, self.values, self.sigma]), axis=0)

    def families(self):
        """Return labels of the points that may err together: of a slit, and of a line."""
        slit = np.unique(self.slit, return_inverse=True)[1]
        return [slit, np.unique(self.u, return_inverse=True)[1]] if self.lines else [slit]

    def partitions(self):
        """Return labels of the parts to be left out in turn, for `choose_degrees`.

        Slits, or where there are few of them, stretches along the one coordinate in
        which the points are dense; and lines. The first and the last stretch and line stay:
        a prediction there would be an extrapolation.
        """
        names, slit = np.unique(self.slit, return_inverse=True)
        if len(names) >= _FEW_SLITS:
            parts = [slit]
        else:
            dense_in_t = len(np.unique(self.t)) > 2
            parts = [_inner(_blocks(self.t if dense_in_t else self.u))]
        if self.lines:
            parts.append(_inner(np.unique(self.u, return_inverse=True)[1]))
        return parts


def _blocks(values):
    low, high = values.min(), values.max()
    width = (high - low) / _BLOCKS
    return np.clip((values - low) // (width or 1.0), 0, _BLOCKS - 1).astype(int)


def _inner(labels):
    """Set the first and the last label to -1: never left out."""
    return np.where((labels == labels.min()) | (labels == labels.max()), -1, labels)


def degree_limits(what, wanted, highest):
    """Return the lowest and the highest degrees to be tried.

    Parameters
    ----------
    what : str
        ``"OPT"``, ``"CRV"`` or ``"IDS"``, for messages.
    wanted : tuple of int or "auto"
    highest : tuple of int
        Where ``"auto"`` ends.

    Raises
    ------
    InputError
        If `wanted` is neither.
    """
    if isinstance(wanted, str) and wanted == AUTO:
        return (1,) * (len(highest) - 2) + (0, 0), highest
    try:
        degrees = tuple(int(v) for v in wanted)
        valid = len(degrees) == len(highest) and min(degrees) >= 0
        valid = valid and all(a == b for a, b in zip(degrees, wanted, strict=True))
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise InputError(
            f"invalid degrees of {what} {wanted!r}",
            f"Must be 'auto' or {len(highest)} integers >= 0",
        )
    return degrees, degrees


def fit_field(cls, points, limits, *, what, include=(), domain=None, constant_degrees=None,
              exact=False, likely=None, **domains):  # fmt: skip
    """Fit a field polynomial.

    Parameters
    ----------
    cls : type
        `FieldPolynomial` or a subclass.
    points : Points
    limits : tuple
        Lowest and highest degrees; equal where the degrees are given.
    what : str
        For messages.
    include : sequence of float
        Values of u that the domain must contain.
    domain : tuple of float, optional
        Of u; by default as far as the points and `include` reach, and a little further.
    constant_degrees : tuple of int, optional
        Field degrees that the constant term is given where that improves the fit beyond
        chance: those of OPT, whose errors it then takes up.
    exact : bool, optional
        Whether as many points as parameters are enough.
    likely : callable, optional
        ``likely(points, domain)`` gives the likely sizes of the terms, a `Smoothness`: they,
        not the degrees, are chosen then, unless the degrees are given.
    **domains
        ``x_domain``, ``y_domain``.

    Returns
    -------
    model : FieldPolynomial
        Of class `cls`.
    fit : Fit
        Its parameters, and their covariance, are those of the model, then the local terms:
        first the offsets, then the stretches of the slits.
    local : LocalTerms
    notes : list of str
        Sentences for the provenance.

    Raises
    ------
    FitError
        If the points do not determine the model; says which degrees they allow.
    """
    finite = points.finite
    if not finite.any():
        msg = f"{what}: no point to fit. Measure lines and edges first."
        raise FitError(msg)
    if domain is None:
        u = np.append(points.u[finite], include)
        margin = _MARGIN * max(np.ptp(u), 1.0)
        domain = (u.min() - margin, u.max() + margin)

    unscaled, points = points, points.scaled(domain, domains["x_domain"], domains["y_domain"])
    if likely is not None and limits[0] != limits[1]:
        prior = likely(unscaled, domain)
        degrees, outcome, local, notes = _fit_likely(points, limits[1], what, prior)
        return _model(cls, degrees, None, outcome, domain, domains), outcome, local, notes
    try:
        degrees, constant, outcome, notes = _fit(points, limits, what, constant_degrees, exact)
    except FitError as error:
        lowest = (min(1, limits[1][0]), 0, 0)
        if limits[0] == lowest:
            raise
        try:
            allowed = _choose(points, finite, (lowest, limits[1]), what).degrees
        except FitError:  # too few to leave any out
            raise error from None
        msg = f"{error} The data allow {what} {allowed}."
        raise FitError(msg) from None
    return _model(cls, degrees, constant, outcome, domain, domains), outcome, LocalTerms(), notes


def _model(cls, degrees, constant, outcome, domain, domains):
    model = cls(*degrees, constant_degrees=constant, domain=domain, **domains)
    model.parameters = outcome.parameters[: len(model.parameters)]
    return model


def _fit(points, limits, what, constant_degrees, exact):
    """Choose degrees, set slits aside that contradict the others, fit, and look again."""
    names, slit = np.unique(points.slit, return_inverse=True)
    aside, notes = [], []
    usable = points.finite
    while True:
        choice = _choose(points, usable, limits, what)
        constant = _freer_constant(points, choice.degrees, usable, what, constant_degrees)
        odd = _odd_slit(points, field_terms(choice.degrees, constant), usable, slit)
        if odd is None or len(aside) >= _ASIDE * len(names):
            break
        aside.append(odd)
        usable = usable & (slit != odd)
        notes.append(f"{what}: slit {names[odd]} contradicts the others and is set aside.")
    outcome = _robust(points, choice.degrees, usable, what, constant, exact)
    if limits[0] != limits[1] and not np.array_equal(outcome.used, usable):
        # Single outliers had their say in the choice.
        choice = _choose(points, outcome.used, limits, what)
        constant = _freer_constant(points, choice.degrees, usable, what, constant_degrees)
        outcome = _robust(points, choice.degrees, usable, what, constant)
    degrees = choice.degrees
    notes += [choice.reason, outcome.status]
    if constant:
        notes.append(f"{what}: its constant term, {constant} as OPT, takes up the errors of OPT.")
    if limits[0] == limits[1]:
        notes += _advice(points, degrees, constant, outcome, what)
    return degrees, constant, outcome, notes


def _fit_likely(points, degrees, what, prior):
    """Fit all terms up to the highest degrees, as large as cross-validation finds them likely.

    Low degrees err where they leave something out, and do not know it; here what points do not
    tell stays open within its likely size.
    """
    names, slit = np.unique(points.slit, return_inverse=True)
    aside, notes, usable = [], [], points.finite
    while True:
        kept = _robust(points, degrees, usable, what, prior=prior).used
        chosen, said = _likeliest(points, degrees, kept, what, prior)
        odd = _odd_slit(points, field_terms(degrees), kept, slit, chosen)
        if odd is None or len(aside) >= _ASIDE * len(names):
            break
        aside.append(odd)
        usable = usable & (slit != odd)
        notes.append(f"{what}: slit {names[odd]} contradicts the others and is set aside.")
    notes.append(said)
    if points.lines:
        outcome, local, said = _with_local(points, degrees, usable, what, chosen)
        notes += said
    else:
        outcome, local = _robust(points, degrees, usable, what, prior=chosen), LocalTerms()
    return degrees, outcome, local, [*notes, outcome.status]


def _likeliest(points, degrees, usable, what, prior):
    """Choose how large the terms are, by predicting what is left out."""
    chosen, terms = _some(points, usable), field_terms(degrees)
    design, partitions = chosen.design(degrees), chosen.partitions()

    def score(factor):
        known = replace(prior, factor=factor).rows(terms)
        return held_out_rms(*with_prior(design, chosen.values, chosen.sigma, partitions, known))

    scores = {factor: score(factor) for factor in _FACTORS}
    best = min(scores, key=scores.get)
    if not scores[best] < _WORTHWHILE * scores[1.0]:
        best = 1.0
    tried = ", ".join(f"{factor:g}: {value:.2f}" for factor, value in scores.items())
    said = (
        f"{what} {degrees}: terms of {best:g} times their likely size predict best what is left "
        f"out (sigma rms by size {tried})."
    )
    return replace(prior, factor=best), said


def _with_local(points, degrees, usable, what, prior):
    """Fit, with offset and stretch of each slit as far as slits deviate from the field.

    A line whose wavelength is wrong, or that hides another, errs alike in all slits: its
    error has a part in the fit as well, but none in the model.
    """
    terms = field_terms(degrees)
    slits = tuple(np.unique(points.slit[usable]).tolist())
    local, names = LocalTerms(slits, np.zeros((len(slits), 2))), np.unique(points.u[usable])
    lines = (points.u[:, None] == names).astype(float)
    kinds = [*local.columns(points.slit, points.u), lines]
    n = int(terms.sum())
    while True:
        chosen = points.take(usable)
        spread = deviations(
            design_of_terms((chosen.u, chosen.x, chosen.y), terms),
            [columns[usable] for columns in kinds], chosen.values, chosen.sigma,
            prior.rows(terms),
        )  # fmt: skip
        outcome = _robust(
            points, degrees, usable, what, prior=prior, extra=(kinds, spread)
        )
        errors = outcome.parameters[n + 2 * len(slits) :]
        size = np.abs(errors[np.isin(names, points.u[usable])])
        wrong = np.abs(errors) > max(_WRONG * 1.4826 * np.median(size), _WRONG_LEAST)
        out = usable & (lines @ wrong > 0)
        # A line that is another one errs by far more than lines do: it goes.
        if not out.any() or wrong.sum() > _ASIDE * len(size):
            break
        usable = usable & ~out
    own = 2 * len(slits) if spread[0] or spread[1] else 0
    outcome = replace(
        outcome,
        residuals=outcome.residuals + lines @ errors,
        covariance=outcome.covariance[: n + own, : n + own],
    )
    values = outcome.parameters[n : n + 2 * len(slits)].reshape(2, -1).T
    said = [f"{what}: lines err by {spread[2]:.3f} px (1 sigma) in all slits alike."]
    if not own:
        return outcome, LocalTerms(), [*said, f"{what}: slits do not deviate from the field."]
    said.append(
        f"{what}: slits deviate by offsets of {spread[0]:.3f} px and stretches of "
        f"{spread[1]:.3f} px (1 sigma), each as far as its own lines say."
    )
    return outcome, LocalTerms(slits, values), said


def _freer_constant(points, degrees, usable, what, wanted):
    """Return the field degrees of a freer constant term if that is better beyond chance."""
    if wanted is None or not np.any(np.greater(wanted, degrees[1:])):
        return None
    constant = tuple(np.maximum(wanted, degrees[1:]).tolist())
    try:
        plain = _robust(points, degrees, usable, what)
        freer = _robust(points, degrees, usable, what, constant)
    except FitError:  # the points do not tell
        return None
    common = plain.used & freer.used
    before, after = (
        np.sum((fit.residuals[common] / points.sigma[common]) ** 2) for fit in (plain, freer)
    )
    added, freedom = freer.rank - plain.rank, int(common.sum()) - freer.rank
    gain = (before - after) / added / max(after / freedom, _EXACT)
    return constant if stats.f.sf(gain, added, freedom) < _CHANCE else None


def _advice(points, degrees, constant, outcome, what):
    """Say which degree, one higher than asked, fits better beyond chance; if one does."""
    found = []
    for axis in range(len(degrees)):
        if not len(np.unique((points.u, points.x, points.y)[axis])) > degrees[axis] + 1:
            continue
        higher = tuple(d + (k == axis) for k, d in enumerate(degrees))
        wider = constant and tuple(np.maximum(constant, higher[1:]).tolist())
        try:
            fit = _robust(points, higher, points.finite, what, wider)
        except FitError:  # the points do not allow it
            continue
        limit = 5.0 * max(_spread(fit.residuals[fit.used]), np.median(points.sigma))
        before, after = (
            np.nansum(np.minimum(one.residuals**2, limit**2)) for one in (outcome, fit)
        )
        added, freedom = fit.rank - outcome.rank, int(points.finite.sum()) - fit.rank
        if added < 1:
            continue
        gain = max(before - after, 0.0) / added / max(after / freedom, _EXACT)
        if stats.f.sf(gain, added, freedom) < _CHANCE:
            found.append((after, higher, fit.rms))
    if not found:
        return []
    _, higher, rms = min(found)
    return [f"{what} {higher} would fit better beyond chance: {rms:.3f} px rms."]


def _spread(values):
    return 1.4826 * np.median(np.abs(values))


def _some(points, usable):
    index = np.flatnonzero(usable)
    return points.take(index[:: -(-len(index) // _CHOICE_POINTS)])


def _choose(points, usable, limits, what):
    chosen = _some(points, usable)
    return choose_degrees(
        chosen.design,
        chosen.values,
        chosen.sigma,
        chosen.partitions(),
        lowest=limits[0],
        highest=limits[1],
        what=what,
    )


def _odd_slit(points, terms, usable, slit, prior=None):
    if len(np.unique(slit[usable])) < _FEW_SLITS:
        return None
    index = np.flatnonzero(usable)
    chosen = points.take(index)
    design = design_of_terms((chosen.u, chosen.x, chosen.y), terms)
    known = prior and prior.rows(terms)
    design, values, sigma, (labels,) = with_prior(
        design, chosen.values, chosen.sigma, [slit[index]], known
    )
    return contradictory_group(design, values, sigma, labels)


def _robust(points, degrees, usable, what, constant=None, exact=False, prior=None,
            extra=None):  # fmt: skip
    terms = field_terms(degrees, constant)
    names = term_names(terms)
    design = design_of_terms((points.u, points.x, points.y), terms)
    known = prior and prior.rows(terms)
    families = points.families()
    if extra is not None:
        kinds, spread = extra
        sizes, families = [columns.shape[1] for columns in kinds], ()
        names = (*names, *(f"own{k}" for k in range(sum(sizes))))
        design = np.hstack([design, *kinds])
        known = (
            linalg.block_diag(known[0], np.eye(sum(sizes))),
            np.concatenate([known[1], np.repeat(np.maximum(spread, _NONE), sizes)]),
        )
    design, values, sigma, (unused,) = with_prior(
        design, points.values, points.sigma, [np.where(usable, 0, 1)], known
    )
    samples = LinearSamples(design, names, np.zeros(len(names)))
    label = f"{what} {degrees}"
    return fit_linear(
        samples,
        values,
        sigma,
        what=label,
        exclude=unused == 1,
        partitions=families,
        exact=exact,
        n_prior=len(values) - len(points.values),
    )
