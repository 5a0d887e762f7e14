"""A calibration that is the truth: what is tested here is the resampling, not the fit."""

from types import SimpleNamespace

import pytest

from specwcs.simulate import Detector, example

IDEAL = Detector(response=0.0, saturation=1e9)


def truth_of(observation):
    """Stand in for a Calibration with the ray trace of a simulated observation."""

    def geometry(slit_id):
        return SimpleNamespace(
            pixel=lambda wavelength, t: observation.pixel(slit_id, t, wavelength),
            dispersion=SimpleNamespace(wavelength_domain=observation.passband),
        )

    return SimpleNamespace(
        instrument=observation.instrument,
        mask=observation.mask,
        medium=observation.medium,
        slits={slit_id: SimpleNamespace(flag="ok", reason="") for slit_id in observation.mask},
        geometry=geometry,
    )


@pytest.fixture(scope="session")
def small_mos():
    """Five slits on a small frame: function of the direction; each observation is made once."""
    made = {}

    def observation(direction="LR"):
        if direction not in made:
            shape = (320, 640) if direction in ("LR", "RL") else (640, 320)
            made[direction] = example(direction, shape, n_slits=5, detector=IDEAL)
        return made[direction]

    return observation


@pytest.fixture
def truth():
    """Give the calibration that is the truth about an observation."""
    return truth_of
