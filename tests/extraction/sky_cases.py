"""Frames with noise, and the truth about sky, star and cosmic rays in each pixel of a slit."""

from dataclasses import dataclass, fields, replace
from functools import cache
from types import SimpleNamespace

import numpy as np
from truth_calibration import truth

from specwcs.simulate import Detector, Observation, example
from specwcs.simulate.detector import add_cosmic_rays

STAR = {"star": 100.0, "position": 0.35}


@cache
def night(direction="LR", response=0.0, slit_function=0.0):
    """An observation of seven slits, four of them straight; expectations of what is seen."""
    shape = (400, 1200) if direction in ("LR", "RL") else (1200, 400)
    detector = Detector(response=response)
    observation = example(direction, shape, n_slits=7, detector=detector)
    observation = replace(observation, slit_function=slit_function)
    ideal = replace(observation, detector=Detector(response=0.0, saturation=1e9))
    total = observation.science(None, **STAR).data
    star = ideal.science(None, lines=0.0, continuum=0.0, **STAR).data
    wavelength, t, slit = observation.maps()
    return SimpleNamespace(
        observation=observation,
        cal=truth(observation),
        total=total,
        star=star,
        sky=ideal.science(None, **STAR).data - star,
        variance=np.maximum(total, 0) / detector.gain + (detector.read_noise / detector.gain) ** 2,
        wavelength=wavelength,
        t=t,
        slit=slit,
        slits=[k for k, s in observation.mask.items() if not s.reference and abs(s.rot) < 1],
    )


@dataclass(frozen=True)
class Uneven(Observation):
    """Slits are lit by a slope from end to end, and through dust, 3 px wide, at t = 0.7."""

    slope: float = 0.0
    dust: float = 0.0

    def _illumination(self, slit_id, t):
        ends = self.pixel(slit_id, np.array([0.0, 1.0]), 7000.0)
        off = (t - 0.7) * max(np.ptp(ends[0]), np.ptp(ends[1]))
        return (1 + self.slope * (t - 0.5)) * (
            1 - self.dust * np.exp(-4 * np.log(2) * (off / 3.0) ** 2)
        )


def unevenly_lit(observation, **how):
    """Return an observation through slits that are lit so."""
    own = {item.name: getattr(observation, item.name) for item in fields(observation)}
    return Uneven(**own, **how)


def pixels_of(case, slit_id):
    """Mask of the pixels of a slit, and the distance of all pixels from the star, px."""
    inside = case.slit == list(case.observation.mask).index(slit_id)
    ends = case.observation.pixel(slit_id, np.array([0.0, 1.0]), 7000.0)
    length = max(np.ptp(ends[0]), np.ptp(ends[1]))
    return inside, (case.t - STAR["position"]) * length, np.minimum(case.t, 1 - case.t) * length


def cosmic_rays(case, number, seed):
    """What `number` cosmic rays of a frame with this seed add to each pixel, adu."""
    electrons = np.zeros(case.total.shape)
    add_cosmic_rays(electrons, number, np.random.default_rng(seed))
    return electrons / case.observation.detector.gain


def expected(case, spectrum):
    """Counts of the star in each bin, and which bins are off its lines and the passband's ends."""
    wavelength = spectrum.spectral_axis.value
    electrons = case.observation.star_electrons(spectrum.meta["slit"], wavelength, **STAR)
    counts = electrons * np.gradient(wavelength) / case.observation.instrument.gain
    low, high = case.observation.passband
    good = (np.abs(wavelength - 6563) > 80) & (np.abs(wavelength - 8200) > 120)
    good &= ~spectrum.mask & (wavelength > low + 100) & (wavelength < high - 100)
    return counts, good
