import numpy as np
import pytest
from scipy.interpolate import make_lsq_spline

from specwcs.extraction.bspline import BSplineFit

X = np.random.default_rng(0).uniform(0, 200, 20000)
AT = np.linspace(1, 199, 500)


def smooth(x):
    return np.sin(x / 3) + 2 * np.exp(-((x - 90) ** 2) / 4)


def fitted(values, **options):
    spline = BSplineFit(X, 0.7, **options)
    spline.add(values)
    return spline.solve()


def test_it_is_the_least_squares_spline_of_scipy():
    values = smooth(X) + np.random.default_rng(1).normal(0, 0.1, X.size)
    spline = fitted(values)
    order = np.argsort(X)
    knots = spline.low + spline.spacing * np.arange(-3, spline.n + 4)
    scipy = make_lsq_spline(X[order], values[order], knots, k=3)
    np.testing.assert_allclose(spline.at(AT), scipy(AT), atol=2e-3)


def test_evaluated_at_its_points_as_elsewhere():
    spline = fitted(smooth(X))
    np.testing.assert_allclose(spline(), smooth(X), atol=4e-3)
    np.testing.assert_allclose(spline(), spline.at(X), atol=1e-12)
    slope = (smooth(AT + 1e-4) - smooth(AT - 1e-4)) / 2e-4
    at = BSplineFit(AT, 0.7)
    at.add(smooth(AT))
    np.testing.assert_allclose(at.solve().line()[1], slope, atol=0.3)


def test_points_taken_out_are_as_never_added():
    values = smooth(X)
    odd = np.arange(X.size) % 7 == 0
    wrong = np.where(odd, values + 100, values)
    spline = BSplineFit(X, 0.7)
    spline.add(wrong)
    spline.change(wrong, np.nonzero(odd), -1.0)
    np.testing.assert_allclose(spline.solve().at(AT), smooth(AT), atol=4e-3)


def test_weights_count_as_often_as_they_say():
    values = np.where(X > 100, 1.0, 0.0) + smooth(X)
    twice, weighted = BSplineFit(X, 0.7), BSplineFit(X, 0.7)
    twice.add(values)
    twice.add(values, where=X > 50)
    weighted.add(values, np.where(X > 50, 2.0, 1.0))
    np.testing.assert_allclose(weighted.solve().at(AT), twice.solve().at(AT), atol=1e-9)


@pytest.mark.parametrize("levels", [1, 3])
def test_variance_is_that_of_many_fits(levels):
    rng = np.random.default_rng(2)
    outcomes = []
    for _ in range(80):
        spline = BSplineFit(X, 0.7, levels)
        spline.add(rng.normal(0, 1, X.size))
        outcomes.append(spline.solve(lambda value: np.ones_like(value)).at(AT))
    ratio = np.var(outcomes, axis=0) / spline.variance_factor(AT)
    assert ratio.mean() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("levels", [1, 3])
def test_variance_of_a_mean_is_that_of_many_fits(levels):
    rng, outcomes = np.random.default_rng(4), []
    within = AT + np.linspace(-0.4, 0.4, 5)[:, None]
    for _ in range(80):
        spline = BSplineFit(X, 0.35, levels)
        spline.add(rng.normal(0, 1, X.size))
        spline.solve(lambda value: np.ones_like(value))
        outcomes.append(np.mean([spline.at(x) for x in within], axis=0))
    factor = spline.variance_factor(AT, 1.0)
    assert np.mean(np.var(outcomes, axis=0) / factor) == pytest.approx(1, abs=0.08)
    if levels == 1:
        assert factor.mean() < 0.6 * spline.variance_factor(AT).mean()


def test_knots_are_fine_where_a_line_is():
    """A line of 0.8 px sigma, on knots of 0.4 to 1.6 px; elsewhere only noise."""
    line = 1000 * np.exp(-0.5 * ((X - 100) / 0.8) ** 2)
    values = line + np.random.default_rng(3).normal(0, 1, X.size)
    spline = BSplineFit(X, 0.4, levels=3)
    spline.add(values)
    spline.solve(lambda value: np.ones_like(value))
    near = np.abs(AT - 100) < 5
    truth = 1000 * np.exp(-0.5 * ((AT - 100) / 0.8) ** 2)
    assert np.abs(spline.at(AT) - truth)[near].max() < 2
    assert spline.n_coefficients < 0.4 * spline.n
    quiet = np.abs(AT - 100) > 20
    assert np.std(spline.at(AT)[quiet]) < 0.12
