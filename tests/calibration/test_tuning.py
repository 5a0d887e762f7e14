"""Nights simulated by ray trace: what moved is found, what is another set-up is refused."""

import numpy as np
import pytest
from calibration_cases import wavelength_errors

from specwcs import Calibration, FitError, InputError, calibrate, tune
from specwcs.calibration import moved
from specwcs.simulate import example, lamp

OFFSET = (30.0, -10.0)

pytestmark = pytest.mark.slow


def night_of(direction, along=0.0, across=0.0, **options):
    dx, dy = _direction(direction).join(along, across)
    return example(direction, n_slits=6, offset=(OFFSET[0] + dx, OFFSET[1] + dy), **options)


def _direction(name):
    from specwcs import Direction

    return Direction(name)


@pytest.fixture(scope="module", params=["LR", "UB"])
def case(request):
    obs = night_of(request.param)
    cal = calibrate(
        obs.instrument, obs.mask, flat=obs.flat(1), arc=obs.arc(lamp(), 2), catalog=lamp()
    )
    return request.param, cal


def errors(night, obs):
    return np.sqrt(np.nanmean(wavelength_errors(obs, night) ** 2))


def test_flat_and_arc(case):
    direction, cal = case
    obs = night_of(direction, 3.2, -1.4)
    night = tune(cal, flat=obs.flat(3), arc=obs.arc(lamp(), 4))
    table = moved(cal, night)
    assert np.nanmedian(table["along"].value) == pytest.approx(3.2, abs=0.03)
    assert np.nanmedian(table["across"].value) == pytest.approx(-1.4, abs=0.03)
    assert errors(night, obs) < 1.5 * errors(cal, night_of(direction)) + 0.02
    assert [row["slit"] for row in night.provenance["moved"]] == list(table["slit"])


def test_the_sky_tells_both_shifts(case):
    direction, cal = case
    obs = night_of(direction, 1.7, -0.6)
    night = tune(cal, sky=obs.science(5))
    table = moved(cal, night)
    assert np.nanmedian(table["along"].value) == pytest.approx(1.7, abs=0.03)
    assert np.nanmedian(table["across"].value) == pytest.approx(-0.6, abs=0.03)


def test_what_is_not_told_stays(case):
    direction, cal = case
    obs = night_of(direction)
    night = tune(cal, flat=obs.flat(6))
    assert night.ids is cal.ids
    assert np.nanmax(np.abs(moved(cal, night)["across"].value)) < 0.03


def test_another_grating_is_refused(case):
    direction, cal = case
    other = night_of(direction, 200.0)
    with pytest.raises(FitError, match="contradicts the calibration"):
        tune(cal, arc=other.arc(lamp(), 7))


def test_files_keep_it(case, tmp_path):
    direction, cal = case
    night = tune(cal, flat=night_of(direction, 0.0, 0.5).flat(8))
    night.write(tmp_path / "night.asdf")
    again = Calibration.read(tmp_path / "night.asdf")
    assert again.provenance["moved"] == night.provenance["moved"]


def test_frames_must_be_given(case):
    _, cal = case
    with pytest.raises(InputError, match="no frame given"):
        tune(cal)
    with pytest.raises(InputError, match="both given"):
        tune(cal, arc="a.fits", sky="b.fits")
