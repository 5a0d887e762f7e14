"""The linear fit: its gates, its rejection, and whether its errors are honest."""

import numpy as np
import pytest
from astropy.modeling.models import Polynomial1D
from field_cases import DOMAINS, field

from specwcs import FitError
from specwcs.fitting import choose_degrees, fit_linear
from specwcs.fitting.basis import thin_qr
from specwcs.fitting.linear import studentise
from specwcs.models import CurvatureModel, FieldPolynomial


def test_outliers_are_rejected_and_nothing_else():
    model, _, inputs = field()
    rng = np.random.default_rng(1)
    values = model(*inputs) + 0.03 * rng.normal(size=400)
    wrong = rng.choice(400, 40, replace=False)
    values[wrong] += rng.choice([-1, 1], 40) * rng.uniform(0.5, 5, 40)
    fit = fit_linear(model.at(*inputs), values, np.full(400, 0.03), what="CRV")
    assert not fit.used[wrong].any()
    assert fit.used.sum() >= 358
    assert "40 rejected" in fit.status


def test_a_wrong_point_at_the_end_of_the_range_does_not_win():
    """An end line off by 20 px: ordinary clipping accepts it, for the fit follows it."""
    u = np.sort(np.append(np.random.default_rng(0).uniform(-60, 60, 20), 100.0))
    poly = FieldPolynomial(3, 0, 0, **DOMAINS)
    poly.coefficients = np.array([3.0, 90.0, 4.0, -2.0]).reshape(4, 1, 1)
    zero = np.zeros(len(u))
    values = poly(zero, zero, u) + 0.02 * np.random.default_rng(1).normal(size=len(u))
    values[-1] += 20
    fit = fit_linear(poly.at(zero, zero, u), values, np.full(len(u), 0.02), what="IDS")
    assert not fit.used[-1]
    assert fit.used[:-1].all()


@pytest.mark.parametrize(("points", "exact"), [(3, False), (3, True), (4, False)])
def test_as_many_points_as_parameters_are_too_few_unless_that_is_meant(points, exact):
    u = np.linspace(-50.0, 90.0, points)
    poly = FieldPolynomial(3, 0, 0, **DOMAINS)
    zero, sigma = np.zeros(points), np.full(points, 0.02)
    with pytest.raises(FitError, match=rf"IDS: {points} points for 4 parameters"):
        fit_linear(poly.at(zero, zero, u), u**2, sigma, what="IDS", exact=exact)


def test_a_fit_through_all_points_knows_no_error():
    u, zero = np.linspace(-50.0, 90.0, 4), np.zeros(4)
    poly = FieldPolynomial(3, 0, 0, **DOMAINS)
    fit = fit_linear(poly.at(zero, zero, u), u**3, zero + 0.02, what="IDS", exact=True)
    np.testing.assert_allclose(fit.residuals, 0.0, atol=1e-6)
    assert np.isnan(fit.covariance).all()
    assert "no point to spare" in fit.status


def test_covariance_covers_the_truth():
    """Of many fits, 68 % of the predictions lie within one stated sigma."""
    model, _, inputs = field()
    probe = model.fit_deriv(*(v[:40] for v in inputs))
    inside = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        sigma = rng.uniform(0.01, 0.1, 400)
        values = model(*inputs) + sigma * rng.normal(size=400)
        fit = fit_linear(model.at(*inputs), values, sigma, what="CRV")
        error = probe @ (fit.parameters - model.parameters)
        stated = np.sqrt(np.einsum("np,pq,nq->n", probe, fit.covariance, probe))
        inside.append(np.mean(np.abs(error) < stated))
    assert abs(np.mean(inside) - 0.683) < 0.03


def test_errors_given_too_small_are_rescaled_and_said():
    model, _, inputs = field()
    values = model(*inputs) + 0.3 * np.random.default_rng(3).normal(size=400)
    fit = fit_linear(model.at(*inputs), values, np.full(400, 0.1), what="CRV")
    assert fit.error_scale == pytest.approx(3.0, rel=0.1)
    assert "errors rescaled by" in fit.status


def test_fixed_parameters_stay_and_carry_no_error():
    model, _, inputs = field()
    start = model.copy()
    start.c0_0_0.fixed = True
    fit = fit_linear(start.at(*inputs), model(*inputs), np.full(400, 0.1), what="CRV")
    assert fit.parameters[0] == model.parameters[0]
    assert np.all(fit.covariance[0] == 0)
    assert np.all(np.diag(fit.covariance)[1:] > 0)


def test_studentised_residuals_are_those_of_refits_without_the_point():
    rng = np.random.default_rng(4)
    x = rng.uniform(-1, 1, 25)
    design = np.vander(x, 4)
    sigma = rng.uniform(0.5, 2, 25)
    values = rng.normal(size=25)
    found, chi2 = studentise(thin_qr(design / sigma[:, None])[0], values / sigma)
    for i in range(25):
        rest = np.arange(25) != i
        weighted = design[rest] / sigma[rest, None]
        c, *_ = np.linalg.lstsq(weighted, values[rest] / sigma[rest])
        spread = design[i] @ np.linalg.inv(weighted.T @ weighted) @ design[i]
        expected = (values[i] - design[i] @ c) / np.sqrt(sigma[i] ** 2 + spread)
        assert found[i] == pytest.approx(expected, rel=1e-9)
        rms = np.sum((values[rest] / sigma[rest] - weighted @ c) ** 2)
        assert chi2[i] == pytest.approx(rms, rel=1e-9)


def test_the_degrees_of_the_truth_are_found():
    for degrees in [(1, 0, 0), (2, 1, 2), (3, 2, 1)]:
        model, slit, inputs = field(600, seed=sum(degrees), degrees=degrees, slits=20)
        values = model(*inputs) + 0.02 * np.random.default_rng(5).normal(size=600)
        choice = choose_degrees(
            lambda g, u=inputs: CurvatureModel(*g, **DOMAINS).fit_deriv(*u),
            values, np.full(600, 0.02), [slit],
            lowest=(1, 0, 0), highest=(5, 3, 3), what="CRV",
        )  # fmt: skip
        assert choice.degrees == degrees
        assert f"CRV {degrees}" in choice.reason


def test_held_out_error_is_that_of_refits():
    model, slit, inputs = field(200, slits=6)
    rng = np.random.default_rng(6)
    values = model(*inputs) + 0.1 * rng.normal(size=200)
    sigma = rng.uniform(0.05, 0.2, 200)

    def design(degrees):
        return CurvatureModel(*degrees, **DOMAINS).fit_deriv(*inputs)

    limits = {"lowest": (1, 0, 0), "highest": (1, 1, 0)}
    choice = choose_degrees(design, values, sigma, [slit], what="CRV", **limits)
    a = design((1, 0, 0)) / sigma[:, None]
    squares = []
    for label in range(6):
        out = slit == label
        c, *_ = np.linalg.lstsq(a[~out], (values / sigma)[~out])
        squares.append(np.mean(((values / sigma)[out] - a[out] @ c) ** 2))
    assert choice.tried[1, 0, 0] == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-9)


def test_points_in_one_part_cannot_choose():
    with pytest.raises(FitError, match="no degrees are determined"):
        choose_degrees(
            lambda g: np.vander(np.linspace(0, 1, 9), g[0] + 1), np.ones(9), np.ones(9),
            [np.zeros(9, int)], lowest=(1,), highest=(3,), what="OPT",
        )  # fmt: skip


def test_the_polynomial_is_the_one_of_astropy():
    """The same fit by a model of astropy's own."""
    from astropy.modeling.fitting import LinearLSQFitter

    u = np.linspace(-100, 100, 50)
    values = np.sin(u / 40)
    other = LinearLSQFitter()(Polynomial1D(4, domain=(-100, 100)), u, values)
    zero = np.zeros(50)
    samples = FieldPolynomial(4, 0, 0, **DOMAINS).at(zero, zero, u)
    fit = fit_linear(samples, values, np.ones(50), what="x")
    assert np.allclose(fit.parameters, other.parameters, atol=1e-10)


def test_what_the_points_of_a_line_have_in_common_counts():
    """Lines off by 0.1 px each, in all slits alike: the stated errors cover the truth.

    Errors by single points alone, 0.01 px, would be ten times too small.
    """
    rng = np.random.default_rng(7)
    lines = np.linspace(-90, 90, 24)
    u = np.tile(lines, 40)
    label = np.tile(np.arange(24), 40)
    truth = FieldPolynomial(2, 0, 0, **DOMAINS)
    truth.coefficients = np.array([1.0, 80.0, 3.0]).reshape(3, 1, 1)
    zero = np.zeros(len(u))
    probe = truth.fit_deriv(zero[:24], zero[:24], lines)
    inside, alone = [], []
    for _ in range(120):
        values = truth(zero, zero, u) + 0.1 * rng.normal(size=24)[label]
        values += 0.01 * rng.normal(size=len(u))
        for partitions, found in (([label], inside), ((), alone)):
            sigma = np.full(len(u), 0.1)
            fit = fit_linear(
                truth.at(zero, zero, u), values, sigma, what="IDS", partitions=partitions
            )
            stated = np.sqrt(np.einsum("np,pq,nq->n", probe, fit.covariance, probe))
            found.append(np.abs(probe @ (fit.parameters - truth.parameters)) < stated)
    assert 0.62 < np.mean(inside) < 0.8
    assert np.mean(alone) < 0.3
