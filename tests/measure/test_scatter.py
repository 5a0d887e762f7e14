"""Scatter beyond known errors, against drawn deviations."""

import numpy as np
import pytest

from specwcs.measure.scatter import excess


def drawn(size, unit=1.0, n=20001):
    rng = np.random.default_rng(3)
    sigma = rng.uniform(0.01, 0.03, n)
    unit = np.broadcast_to(unit, n)
    return rng.normal(0, np.hypot(sigma, size * unit)), sigma, unit


@pytest.mark.parametrize("size", [0.02, 0.05, 0.3])
def test_what_is_drawn_is_found(size):
    deviation, sigma, unit = drawn(size)
    assert excess(deviation**2, sigma**2, unit, (0.003, 1.0)) == pytest.approx(size, rel=0.03)


def test_it_may_differ_from_one_to_another():
    deviation, sigma, unit = drawn(0.1, np.linspace(0.5, 2.0, 20001))
    found = excess(deviation**2, sigma**2, unit**2, (0.0, 1.0))
    assert found == pytest.approx(0.1, rel=0.03)


def test_outliers_have_no_part_in_it():
    deviation, sigma, unit = drawn(0.05)
    deviation[::20] += 10.0
    assert excess(deviation**2, sigma**2, unit, (0.0, 1.0)) == pytest.approx(0.05, rel=0.1)


def test_the_limits_are_kept():
    deviation, sigma, unit = drawn(0.05)
    assert excess(deviation**2, (2 * sigma) ** 2, unit, (0.2, 1.0)) == 0.2
    assert excess(deviation**2, sigma**2, unit, (0.0, 0.01)) == pytest.approx(0.01)
    assert excess(np.zeros(5), np.zeros(5) + 1.0, 1.0, (0.0, 1.0)) == 0.0
