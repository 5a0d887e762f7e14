"""What groups of points deviate by."""

from types import SimpleNamespace

import numpy as np
import pytest

from specwcs.calibration.local import deviations
from specwcs.calibration.points import Points


def test_a_group_that_is_far_off_does_not_make_the_others_uncertain():
    rng = np.random.default_rng(3)
    groups, each = 24, 20
    label = np.repeat(np.arange(groups), each)
    off = rng.normal(0.0, 0.02, groups)
    off[5] = 0.3
    x = np.linspace(-1, 1, groups)[label]
    design = np.stack([np.ones_like(x), x], axis=1)
    sigma = np.full(len(x), 0.01)
    values = 1.0 + 2.0 * x + off[label] + rng.normal(0.0, sigma)
    member = (label[:, None] == np.arange(groups)).astype(float)
    prior = (np.eye(2), np.full(2, 100.0))
    (spread,), (own,) = deviations(design, [member], values, sigma, prior)
    assert 0.012 < spread < 0.035
    assert own[5] > 0.1
    assert np.all(np.delete(own, 5) < 0.05)


def test_what_is_expected_of_some_groups_is_not_taken_for_what_all_deviate_by():
    """Half of the groups err by ten times what the others do, which is known beforehand."""
    rng = np.random.default_rng(4)
    groups, each = 40, 10
    label = np.repeat(np.arange(groups), each)
    expected = np.where(np.arange(groups) % 2, 0.2, 0.0)
    off = rng.normal(0.0, np.hypot(0.02, expected))
    x = np.linspace(-1, 1, groups)[label]
    design = np.stack([np.ones_like(x), x], axis=1)
    sigma = np.full(len(x), 0.01)
    values = 1.0 + 2.0 * x + off[label] + rng.normal(0.0, sigma)
    member = (label[:, None] == np.arange(groups)).astype(float)
    prior = (np.eye(2), np.full(2, 100.0))
    (told,), (own,) = deviations(design, [member], values, sigma, prior, [expected])
    assert 0.012 < told < 0.035
    assert np.all(own[1::2] > 0.2)
    assert np.median(own[::2]) < 0.035
    (mixed,), _ = deviations(design, [member], values, sigma, prior)
    assert mixed > 0.05
    # Where less of it is there than was expected, the groups tell.
    (told,), (own,) = deviations(design, [member], values, sigma, prior, [5 * expected])
    assert told < 0.035
    assert 0.2 < np.median(own[1::2]) < 0.5


def test_too_few_groups_tell_nothing():
    member = np.repeat(np.eye(3), 4, axis=0)
    (spread,), (own,) = deviations(
        np.ones((12, 1)), [member], np.zeros(12), np.ones(12), (np.eye(1), np.ones(1))
    )
    assert spread == 0
    assert own.tolist() == [0, 0, 0]
    _, (own,) = deviations(
        np.ones((12, 1)), [member], np.zeros(12), np.ones(12), (np.eye(1), np.ones(1)),
        [np.full(3, 0.1)],
    )  # fmt: skip
    assert own.tolist() == [0.1, 0.1, 0.1]


@pytest.mark.parametrize(("part", "told"), [(0.0, 0.2), (0.1, 0.2), (0.25, 0.3), (0.6, 0.5)])
def test_how_much_of_a_blend_is_a_slits_own_is_told_by_residuals(part, told):
    rng = np.random.default_rng(5)
    line, slit, place = (a.ravel() for a in np.indices((40, 6, 5)))
    own, shared = 0.005, np.where(line % 2, 0.0, 0.05)
    points = Points(
        place, slit, line.astype(float), np.zeros(line.size), np.hypot(own, shared),
        np.array(list("abcdef"))[slit], place / 4, shared, lines=True,
    )  # fmt: skip
    single = rng.normal(0, 1, (40, 6))[line, slit]
    residuals = part * shared * single + rng.normal(0, own, line.size)
    used = rng.uniform(size=line.size) > 0.1
    fit = SimpleNamespace(residuals=residuals, used=used)
    assert points.told_of_slit(fit) == told
    # A few blends do not tell; nor do lines that share nothing.
    few = points.take(line < 5)
    fit = SimpleNamespace(residuals=residuals[line < 5], used=used[line < 5])
    assert few.told_of_slit(fit) == 0.5
