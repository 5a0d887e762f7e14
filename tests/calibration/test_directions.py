"""The same frames, turned to another direction: the same calibration, and the same night.

What other tests of calibrations find in one direction holds in all four by this.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from specwcs import Direction, FitError, calibrate, tune
from specwcs.simulate import example, lamp, wrong

pytestmark = pytest.mark.slow
DIRECTIONS = ("LR", "RL", "BU", "UB")
NIGHT = {"along": -7.3, "across": 4.2, "rotation": 0.4}


def observed(direction, along=0.0, across=0.0, rotation=0.3):
    """A few short slits, whose light in any direction is that of LR, turned."""
    axis = Direction(direction)
    return example(
        axis, (240, 960) if axis.along_x else (960, 240), 6, seed=4, line_curvature=1.0,
        offset=(axis.sign * (12.0 + along), axis.left_sign * (-5.0 + across)), rotation=rotation,
    )  # fmt: skip


def turned(frame, direction):
    """A frame of LR as a detector that is turned sees it."""
    turn = {
        "LR": lambda a: a,
        "RL": lambda a: a[::-1, ::-1],
        "BU": lambda a: a.T[:, ::-1],
        "UB": lambda a: a.T[::-1],
    }[direction]
    data, sigma, mask = (turn(a).copy() for a in (frame.data, frame.uncertainty.array, frame.mask))
    return CCDData(data, uncertainty=StdDevUncertainty(sigma), mask=mask, unit=frame.unit)


@pytest.fixture(scope="module")
def frames():
    obs, night = observed("LR"), observed("LR", **NIGHT)
    return SimpleNamespace(
        flat=obs.flat(1), arc=obs.arc(lamp(), 2), night_flat=night.flat(3),
        night_arc=night.arc(lamp(), 4), sky=night.science(5),
        other=observed("LR", along=-150.0).arc(lamp(), 7),
    )  # fmt: skip


@pytest.fixture(scope="module")
def calibrated(frames):
    @cache
    def calibrated(direction):
        obs = observed(direction)
        flat, arc = (turned(frame, direction) for frame in (frames.flat, frames.arc))
        return calibrate(wrong(obs.instrument), obs.mask, flat=flat, arc=arc, catalog=lamp())

    return calibrated


def places(cal, key, wavelength):
    """Where light of a slit falls, as LR has it: (p, q)."""
    x, y = cal.geometry(key).pixel(wavelength, np.linspace(0, 1, 5)[:, None])
    return np.array(cal.instrument.direction.canonical_pixel(x, y, cal.instrument.shape))


PAIRS = pytest.mark.parametrize(
    ("one", "other", "px"), [("LR", "RL", 2e-3), ("BU", "UB", 2e-3), ("LR", "BU", 0.1)]
)


def assert_same(one, other, px):
    assert one.good() == other.good() == list(one.mask)
    for key, status in one.slits.items():
        assert status.n_lines == pytest.approx(other.slits[key].n_lines, rel=px)
        if one.mask[key].reference:
            continue
        known = np.array([status.known, other.slits[key].known])
        assert np.abs(np.diff(known, axis=0)).max() < 2000 * px  # Angstrom
        wavelength = np.linspace(known[:, 0].max(), known[:, 1].min(), 40)
        here, there = (places(cal, key, wavelength) for cal in (one, other))
        np.testing.assert_allclose(here, there, atol=px)
        assert np.sqrt(np.mean((here - there) ** 2)) < px / 2


@PAIRS
def test_calibrations(calibrated, one, other, px):
    assert_same(calibrated(one), calibrated(other), px)


WAYS = {
    "flat and arc": (("flat", "night_flat"), ("arc", "night_arc")),
    "sky": (("sky", "sky"),),
}


@pytest.fixture(scope="module")
def tuned(frames, calibrated):
    @cache
    def tuned(direction, way):
        given = {name: turned(getattr(frames, frame), direction) for name, frame in WAYS[way]}
        return tune(calibrated(direction), **given)

    return tuned


@PAIRS
@pytest.mark.parametrize("way", WAYS)
def test_nights(tuned, way, one, other, px):
    assert_same(tuned(one, way), tuned(other, way), px)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_another_grating_is_refused(calibrated, frames, direction):
    with pytest.raises(FitError, match="contradicts the calibration"):
        tune(calibrated(direction), arc=turned(frames.other, direction))
