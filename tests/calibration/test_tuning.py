"""Nights simulated by ray trace: what moved is found, what is another set-up is refused."""

from dataclasses import replace

import calibration_cases as cases
import numpy as np
import pytest

from specwcs import Calibration, Direction, FitError, InputError, LineCatalog, calibrate, tune
from specwcs.calibration import moved
from specwcs.simulate import example, lamp, longslit, wrong

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
    assert found(cal, night) == pytest.approx(truth, abs=0.01)
    before = cases.rms(cases.wavelength_errors(night_of(direction), cal))
    assert cases.rms(cases.wavelength_errors(obs, night)) < 1.2 * before + 0.01
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


# -- small frames, in all directions: a few short slits, few lines ---------------------------


def small(direction, along=0.0, across=0.0, *, turned=0.0, **options):
    shape = (240, 960) if Direction(direction).along_x else (960, 240)
    options = {"n_slits": 6, "line_curvature": 1.0, "seed": 4, **options}
    return example(
        direction, shape, offset=(12.0 + along, -5.0 + across), rotation=0.3 + turned, **options
    )


@pytest.fixture(scope="module", params=["LR", "RL", "BU", "UB"])
def few(request):
    obs = small(request.param)
    cal = calibrate(
        wrong(obs.instrument), obs.mask, flat=obs.flat(1), arc=obs.arc(lamp(), 2), catalog=lamp()
    )
    return request.param, cal


@pytest.fixture(scope="module")
def night(few):
    """The frame turned and moved by more than a slit's edges are looked for at."""
    return small(few[0], -7.3, 4.2, turned=0.1)


WAYS = {
    "flat and arc": lambda obs: {"flat": obs.flat(3), "arc": obs.arc(lamp(), 4)},
    "arc": lambda obs: {"arc": obs.arc(lamp(), 4, level=20000.0)},
    # A star in every slit that is as bright as the brightest lines of the sky.
    "sky": lambda obs: {"sky": obs.science(5, star=3000.0, position=0.25)},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_small_frame(few, night, way):
    direction, cal = few
    tuned = tune(cal, **WAYS[way](night))
    assert cases.rms(cases.wavelength_errors(night, tuned)) < 0.05
    assert cases.rms(cases.edge_errors(night, tuned)) < (0.05 if way == "flat and arc" else 0.1)
    assert "CRV stays" not in " ".join(tuned.provenance["fits"])


@pytest.mark.parametrize("along", [-150.0, -60.0, 45.0, 200.0])
def test_another_grating_is_refused_by_a_small_frame(few, along):
    direction, cal = few
    other = small(direction, along)
    with pytest.raises(FitError, match="contradicts the calibration"):
        tune(cal, arc=other.arc(lamp(), 7))


def test_other_lamps_are_refused(few):
    direction, cal = few
    krypton = LineCatalog.read(["Kr", "Xe"]).to_medium("air")
    with pytest.raises(FitError, match="contradicts the calibration"):
        tune(cal, arc=small(direction).arc(krypton, 7))


def test_another_mask_is_refused(few):
    direction, cal = few
    with pytest.raises(FitError, match="contradicts the calibration"):
        tune(cal, flat=small(direction, seed=11).flat(8))


def test_a_frame_without_lines_tells_nothing(few):
    direction, cal = few
    with pytest.raises(FitError, match="the arc tells nothing: 0 lines are seen"):
        tune(cal, arc=small(direction).flat(8, level=0.0))


def test_what_a_frame_does_not_show_of_edges_stays():
    """The slit is longer than the frame."""
    obs = example(kind="longslit", shape=(240, 960))
    mask = longslit(obs.instrument, fill=1.3)
    obs = replace(obs, mask=mask)
    frames = {"flat": obs.flat(1), "arc": obs.arc(lamp(), 2)}
    cal = calibrate(obs.instrument, mask, **frames, catalog=lamp())
    tuned = tune(cal, **frames)
    assert tuned.crv is cal.crv
    assert "CRV stays: the flat does not show the edges of the slits." in tuned.provenance["fits"]
    assert cases.rms(cases.wavelength_errors(obs, tuned)) < 0.05


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
