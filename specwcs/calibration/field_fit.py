"""Fitting one field polynomial to points of many slits, with the degrees they support."""

import numpy as np
from scipy import stats

from specwcs.errors import FitError, InputError
from specwcs.fitting import choose_degrees, contradictory_group, fit_linear
from specwcs.models.field import LinearSamples, design_of_terms, field_terms, term_names

from .likely_fit import fit_likely
from .local import LocalTerms

__all__ = ["AUTO", "check_degrees", "degree_limits", "fit_field"]

AUTO = "auto"
_LARGEST = 9  # degree: no optics need more, and the terms grow as its cube
_MARGIN = 0.05  # of the range of the data: how far a fitted domain reaches beyond them
_FEW_SLITS = 4
_EXACT = 1e-12  # reduced chi-square of a fit that leaves nothing
_CHANCE = 1e-3  # that a better fit by a freer constant term is not one
_MOST = 0.75  # of the points of a slit that is not at fault for a few others
_ASIDE = 0.3  # share of the slits that may be set aside as contradicting the others


def check_degrees(**wanted):
    """Check the degrees of models, before anything is measured.

    Parameters
    ----------
    **wanted : tuple of int or "auto"
        Of ``opt``, ``crv`` and ``ids``.

    Returns
    -------
    dict of str to tuple of int or "auto"

    Raises
    ------
    InputError
        If they are neither, one is above 9, or they leave IDS without a dispersion.
    """
    return {name: _checked(name, degrees) for name, degrees in wanted.items()}


def _checked(name, wanted):
    if isinstance(wanted, str) and wanted == AUTO:
        return wanted
    number = 2 if name == "opt" else 3
    try:
        degrees = tuple(int(v) for v in wanted)
        valid = len(degrees) == number and min(degrees) >= 0 and max(degrees) <= _LARGEST
        valid = valid and all(a == b for a, b in zip(degrees, wanted, strict=True))
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise InputError(
            f"invalid degrees of {name.upper()} {wanted!r}",
            f"Must be 'auto' or {number} integers from 0 to {_LARGEST}",
        )
    if name == "ids" and degrees[0] == 0:  # without a dispersion there are no wavelengths
        raise InputError("IDS of degree 0 in wavelength", "Must be at least 1")
    return degrees


def degree_limits(name, wanted, highest):
    """Return the lowest and the highest degrees to be tried.

    Parameters
    ----------
    name : {"opt", "crv", "ids"}
    wanted : tuple of int or "auto"
    highest : tuple of int
        Where ``"auto"`` ends.

    Raises
    ------
    InputError
        As for `check_degrees`.
    """
    degrees = check_degrees(**{name: wanted})[name]
    if degrees == AUTO:
        return (1,) * (len(highest) - 2) + (0, 0), highest
    return degrees, degrees


def fit_field(cls, points, limits, *, what, include=(), domain=None, constant_degrees=None,
              exact=False, likely=None, doubt=0, rough=None, **domains):  # fmt: skip
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
        ``likely(points, domain, reference)`` gives the likely sizes of the terms, a
        `Smoothness`, for the one value of `include`: they, not the degrees, are chosen then,
        unless the degrees are given.
    doubt : int, optional
        To tell, with `likely`, what single lines or edges decide, and fewer lines than so many
        beyond a gap: ``changes`` of the fit.
    rough : dict of str to int, optional
        With `likely`, slits that are rough, and at how many t.
    **domains
        ``x_domain``, ``y_domain``.

    Returns
    -------
    model : FieldPolynomial
        Of class `cls`.
    fit : Fit
        Its parameters, and their covariance, are those of the model, then the local terms:
        first the offsets, then the stretches of the slits, then their roughness.
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

    points = points.scaled(domain, domains["x_domain"], domains["y_domain"])
    if likely is not None and limits[0] != limits[1]:
        # Both axes of OPT have the same degrees, whatever each of them knows.
        degrees = points.spanned(limits[1]) if limits[1][0] else limits[1]
        prior = likely(points, domain, *include)
        outcome, local, notes = fit_likely(points, degrees, what, prior, doubt, rough)
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
        if _by_few(points, choice.degrees, usable, slit, odd, what, constant):
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


def _choose(points, usable, limits, what):
    chosen = points.take(points.some(usable))
    return choose_degrees(
        chosen.design,
        chosen.values,
        chosen.sigma,
        chosen.partitions(),
        lowest=limits[0],
        highest=limits[1],
        what=what,
    )


def _odd_slit(points, terms, usable, slit):
    if len(np.unique(slit[usable])) < _FEW_SLITS:
        return None
    index = np.flatnonzero(usable)
    chosen = points.take(index)
    design = design_of_terms((chosen.u, chosen.x, chosen.y), terms)
    return contradictory_group(design, chosen.values, chosen.sigma, slit[index])


def _by_few(points, degrees, usable, slit, odd, what, constant):
    """Whether a slit contradicts the others by a few of its points alone, which a fit drops."""
    kept, mine = _robust(points, degrees, usable, what, constant).used, slit == odd
    if np.sum(kept & mine) < _MOST * np.sum(usable & mine):
        return False
    return _odd_slit(points, field_terms(degrees, constant), kept, slit) != odd


def _robust(points, degrees, usable, what, constant=None, exact=False):
    terms = field_terms(degrees, constant)
    names = term_names(terms)
    samples = LinearSamples(
        design_of_terms((points.u, points.x, points.y), terms), names, np.zeros(len(names))
    )
    return fit_linear(
        samples,
        points.values,
        points.sigma,
        what=f"{what} {degrees}",
        exclude=~usable,
        partitions=points.families(),
        exact=exact,
    )
