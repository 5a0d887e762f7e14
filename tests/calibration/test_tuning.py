"""Nights simulated by ray trace: what moved is found, what is another set-up is refused."""

import calibration_cases as cases
import numpy as np
import pytest

from specwcs import Calibration, FitError, InputError, calibrate, tune
from specwcs.calibration import moved
from specwcs.simulate import example, lamp

OFFSET = (30.0, -10.0)

pytestmark = pytest.mark.slow


def night_of(direction, along=0.0, across=0.0):
    offset = OFFSET[0] + along, OFFSET[1] + across
    return example(direction, n_slits=10, offset=offset)


def truly_moved(before, after):
    """Median displacement of light by the ray trace, px along and across the dispersion."""
    moved = []
    for key, slit in before.mask.items():
        if not slit.reference:
            wavelength = np.linspace(5500.0, 8500.0, 9)
            one, two = (
                np.array(o.pixel(key, np.full(9, 0.5), wavelength)) for o in (before, after)
            )
            moved.append(before.instrument.direction.split(*(two - one)))
    return np.median(np.hstack(moved), axis=1)


@pytest.fixture(scope="module", params=["UB"])
def case(request):
    obs = night_of(request.param)
    cal = calibrate(
        obs.instrument, obs.mask, flat=obs.flat(1), arc=obs.arc(lamp(), 2), catalog=lamp()
    )
    return request.param, cal


def found(cal, night):
    table = moved(cal, night)
    return [np.nanmedian(table[name].value) for name in ("along", "across")]


def test_flat_and_arc(case):
    direction, cal = case
    obs = night_of(direction, 3.2, -1.4)
    night = tune(cal, flat=obs.flat(3), arc=obs.arc(lamp(), 4))
    truth = truly_moved(night_of(direction), obs)
    assert np.hypot(*truth) > 3.0
    assert found(cal, night) == pytest.approx(truth, abs=0.03)
    before = cases.rms(cases.wavelength_errors(night_of(direction), cal))
    assert cases.rms(cases.wavelength_errors(obs, night)) < 1.5 * before + 0.02
    assert [row["slit"] for row in night.provenance["moved"]] == list(cal.mask)


def test_the_sky_tells_both_shifts(case):
    direction, cal = case
    obs = night_of(direction, 1.7, -0.6)
    night = tune(cal, sky=obs.science(5))
    truth = truly_moved(night_of(direction), obs)
    np.testing.assert_allclose(found(cal, night), truth, atol=0.03)


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
