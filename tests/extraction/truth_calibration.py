"""A calibration that is the truth: what is tested here is the resampling, not the fit."""

from functools import cache
from types import SimpleNamespace

from specwcs import Calibration
from specwcs.simulate import Detector, example

IDEAL = Detector(response=0.0, saturation=1e9)


class Truth(SimpleNamespace, Calibration):
    """A calibration by name, whatever it is made of."""


def truth(observation):
    """Stand in for a Calibration with the ray trace of a simulated observation."""

    def geometry(slit_id):
        return SimpleNamespace(
            pixel=lambda wavelength, t: observation.pixel(slit_id, t, wavelength),
            world=lambda x, y: observation.world(slit_id, x, y),
            dispersion=SimpleNamespace(wavelength_domain=observation.passband, rough=False),
        )

    return Truth(
        instrument=observation.instrument,
        mask=observation.mask,
        medium=observation.medium,
        slits={slit_id: SimpleNamespace(flag="ok", reason="") for slit_id in observation.mask},
        geometry=geometry,
        provenance={},
    )


@cache
def small_mos(direction="LR"):
    """Observe five slits (two are tilted, one is a hole) on a small frame."""
    shape = (320, 640) if direction in ("LR", "RL") else (640, 320)
    return example(direction, shape, n_slits=5, detector=IDEAL)
