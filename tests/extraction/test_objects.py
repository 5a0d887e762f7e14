"""Objects on the profile along a slit."""

import numpy as np
import pytest

from specwcs.extraction.objects import find_objects, levelled


def bump(centre, fwhm, height):
    return height * np.exp(-4 * np.log(2) * ((np.arange(40) - centre) / fwhm) ** 2)


def profile(*bumps, noise=0.3, seed=1):
    return sum(bumps) + np.random.default_rng(seed).normal(0, noise, 40), np.full(40, noise)


@pytest.mark.parametrize("height", [30.0, 15.0])
def test_an_object_that_the_sky_was_fitted_to_is_found_beside_a_brighter_one(height):
    """The sky took its light for its own: it is too bright between the two."""
    taken = (bump(9, 12, -0.6 * height), bump(26, 14, -12.0), bump(18, 14, -12.0))
    found = find_objects(*profile(bump(26, 4.5, 150.0), bump(9, 4.0, height), *taken))
    assert [round(40 * item.t - 0.5) for item in found] == [26, 9]
    assert found[1].fwhm == pytest.approx(4.0, rel=0.35)
    assert found[1].snr > 10


def test_what_is_no_object_is_not_found():
    star = bump(26, 4.5, 150.0)
    assert len(find_objects(*profile(star))) == 1
    assert len(find_objects(*profile(star, bump(9, 4.0, 2.0)))) == 1  # as bright as sky may be off
    assert len(find_objects(*profile(star, bump(9, 16.0, 10.0)))) == 1  # not as sharp
    assert find_objects(*profile()) == []


def test_a_bump_that_is_darker_than_the_sky_divides_by_nothing():
    """It has no light that its place could be told from."""
    row = np.arange(160)
    profile = 100 * np.exp(-0.5 * ((row - 40) / 2.0) ** 2)
    profile += np.where((row > 80) & (row < 110), -30.0, 0.0) + 0.1 * (-1.0) ** row
    profile += 15 * np.exp(-0.5 * ((row - 95) / 1.5) ** 2)
    with np.errstate(all="raise", under="ignore"):
        item = find_objects(profile, np.ones(160))[0]
    assert abs(item.t - 40.5 / 160) < 0.002


@pytest.mark.parametrize("slope", [6.0, -12.0])
def test_a_slope_is_no_object(slope):
    star, sigma = profile(bump(14, 4.0, 20.0))
    uneven = star + slope * np.linspace(-1, 1, 40)
    assert [round(40 * item.t - 0.5) for item in find_objects(levelled(uneven, sigma), sigma)] == [
        14
    ]


def test_stars_all_over_a_slit_are_no_slope():
    """Nor is an even slit levelled, nor one of a few bins."""
    for height, fwhm in ((200.0, 30.0), (200.0, 16.0), (50.0, 4.0)):
        star, sigma = profile(bump(12, fwhm, height))
        assert levelled(star, sigma) is star
    few = np.arange(9.0)
    assert levelled(few, np.full(9, 0.3)) is few
