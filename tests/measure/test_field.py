"""The smooth field of traces: what degree it takes, and what it leaves out."""

import numpy as np
import pytest

from specwcs.errors import FitError
from specwcs.measure.field import Samples, TraceField, fit_field

DOMAIN = ((-30.0, 30.0), (-80.0, 80.0), (0.0, 2000.0))


def bend(u, v, p):
    """A distortion that is no polynomial of low degree."""
    x, y = (p - 1000) / 1000, v / 80
    return 500 + 5.7 * v + 20 * np.sin(0.3 * y) * x**2 + 3 * np.cos(x + 0.5) * y + 0.01 * u


def sampled(law, n_slits=12, n_columns=32, noise=0.01, seed=1):
    rng = np.random.default_rng(seed)
    middle = np.linspace(-75, 75, n_slits)
    v = (middle[:, None] + [5.0, -5.0]).ravel()
    u = np.repeat(rng.uniform(-30, 30, n_slits), 2)
    p = np.linspace(30, 1970, n_columns)
    edge, column = np.indices((2 * n_slits, n_columns)).reshape(2, -1)
    q = law(u[edge], v[edge], p[column]) + rng.normal(0, noise, edge.size)
    sigma = np.full(edge.size, noise)
    return Samples(u[edge], v[edge], p[column], q, sigma, edge, edge // 2)


def test_recovers_a_smooth_law():
    samples = sampled(bend)
    fit = fit_field(samples, DOMAIN)
    assert fit.rms == pytest.approx(0.01, rel=0.1)
    rng = np.random.default_rng(2)
    u, v, p = (rng.uniform(low, high, 200) for low, high in DOMAIN)
    assert np.abs(fit.field(u, 0.9 * v, p) - bend(u, 0.9 * v, p)).max() < 0.02


def test_noise_is_not_fitted():
    def plane(u, v, p):
        return 500 + 5.7 * v + 0.01 * p + 0.0 * u

    assert fit_field(sampled(plane), DOMAIN).degree == (0, 1, 1)


def test_distortion_before_the_disperser():
    def law(u, v, p):
        return 500 + 5.7 * v + 0.01 * p + 1e-5 * u**2 * v

    fit = fit_field(sampled(law), DOMAIN)
    assert fit.degree[0] == 2
    assert fit.rms < 0.012


def test_outliers_are_left_out():
    samples = sampled(bend)
    wrong = np.random.default_rng(3).choice(len(samples), 60, replace=False)
    samples.q[wrong] += np.where(wrong % 2, 0.8, -2.0)
    fit = fit_field(samples, DOMAIN)
    assert not fit.used[wrong].any()
    assert fit.used.sum() > 0.98 * (len(samples) - 60)
    assert np.abs(fit.residual[fit.used]).max() < 0.08


def test_a_single_slit_gets_a_line_across_and_a_curve_along():
    samples = sampled(bend, n_slits=1)
    fit = fit_field(samples, ((0.0, 0.0), (-80.0, -70.0), DOMAIN[2]))
    assert fit.degree[:2] == (0, 1)
    assert fit.degree[2] >= 3
    assert fit.rms < 0.012


def test_linear_field():
    field = TraceField.linear(5.7, 500.0, DOMAIN, rotation=0.02)
    assert field(10.0, -20.0, 300.0) == pytest.approx(500 + 5.7 * (-20 + 0.2))


def test_no_samples():
    nothing = sampled(bend).select(np.zeros(24 * 32, dtype=bool))
    with pytest.raises(FitError, match="no slit edge was measured"):
        fit_field(nothing, DOMAIN)
