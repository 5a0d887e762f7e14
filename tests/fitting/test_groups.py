"""Groups that contradict the others, and what leaving one out would change."""

import numpy as np
import pytest

from specwcs.fitting.basis import thin_qr
from specwcs.fitting.groups import contradictory_group, leave_group_out

LABELS = np.repeat(np.arange(8), 12)


def line(off=0.0, odd=3, noise=0.1):
    """Points of a straight line in groups, one of them off."""
    rng = np.random.default_rng(4)
    x = np.linspace(-1, 1, LABELS.size)
    values = 2.0 + 3.0 * x + rng.normal(0, noise, x.size) + off * (odd == LABELS)
    return np.stack([np.ones_like(x), x], axis=1), values, np.full(x.size, noise)


@pytest.mark.parametrize("odd", [0, 3, 7])
@pytest.mark.parametrize("off", [-1.0, 3.0, 50.0])
def test_the_group_that_is_off_is_found(odd, off):
    assert contradictory_group(*line(off, odd), LABELS) == odd


@pytest.mark.parametrize("off", [0.0, 0.05])
def test_groups_that_agree_are_left_in_peace(off):
    assert contradictory_group(*line(off), LABELS) is None


def test_a_common_misfit_is_nobody_s_fault():
    design, values, sigma = line()
    assert contradictory_group(design, values, sigma / 5, LABELS) is None


def test_leaving_out_is_as_fitting_again():
    design, values, sigma = line(1.0)
    design, values = design / sigma[:, None], values / sigma
    labels = np.where(LABELS == 5, -1, LABELS)  # never left out
    groups, errors, chi2, without = leave_group_out(*thin_qr(design), values, labels)
    assert [labels[g[0]] for g in groups] == [0, 1, 2, 3, 4, 6, 7]
    whole = np.linalg.lstsq(design, values, rcond=None)
    assert chi2 == pytest.approx(whole[1][0])
    for group, error, left in zip(groups, errors, without, strict=True):
        rest = np.setdiff1d(np.arange(len(values)), group)
        fitted, squares, *_ = np.linalg.lstsq(design[rest], values[rest], rcond=None)
        np.testing.assert_allclose(error, values[group] - design[group] @ fitted, atol=1e-9)
        assert left == pytest.approx(squares[0])
