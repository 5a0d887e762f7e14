"""A small simulated instrument, and its calibration from the true positions of lines and edges."""

import numpy as np
import pytest

from specwcs.calibration import solve
from specwcs.markers import Markers
from specwcs.simulate import example, lamp

SHAPES = {True: (240, 500), False: (500, 240)}  # by whether the dispersion runs along x


def true_markers(observation, rng, sigma=0.02):
    """Edges and lines where the ray trace puts them, with noise, and one wrong line."""
    ny, nx = observation.instrument.shape
    tables = []

    def add(kind, key, t, wavelength):
        x, y = observation.pixel(key, np.full(len(wavelength), t), wavelength)
        on = (x > 0) & (x < nx - 1) & (y > 0) & (y < ny - 1)
        x, y = (v[on] + rng.normal(0, sigma, on.sum()) for v in (x, y))
        wavelength = wavelength[on] if kind == "line" else np.nan
        tables.append(Markers.of(kind, key, t, x, y, wavelength=wavelength, sigma=sigma))

    for key, slit in observation.mask.items():
        if key in observation.dark:
            continue
        for t in (0.0, 1.0):
            add("edge", key, t, np.linspace(*observation.passband, 30))
        if not slit.reference and key not in observation.arcless:
            for t in (0.2, 0.5, 0.8):
                add("line", key, t, lamp().wavelength[::3])
    markers = Markers.join(tables)
    first = np.flatnonzero(markers["kind"] == "line")[0]
    markers["x"].value[first] += 3.0
    markers["y"].value[first] += 3.0
    return markers


def calibrated(observation, faults=None):
    return solve(
        observation.instrument,
        observation.mask,
        true_markers(observation, np.random.default_rng(1)),
        medium="air",
        opt=(2, 2),
        crv=(2, 1, 1),
        ids=(4, 1, 1),
        faults=faults,
    )


@pytest.fixture(scope="session", params=["LR", "BU"])
def case(request):
    """Observation, calibration, flat, arc and science frame; one slit is dark."""
    direction = request.param
    shape = SHAPES[direction in ("LR", "RL")]
    observation = example(direction, shape, 6, dark=("03",), offset=(4.0, -2.0))
    faults = {"03": ("dark", "no light on the flat, and so neither edges nor lines")}
    cal = calibrated(observation, faults)
    return observation, cal, observation.flat(1), observation.arc(lamp(), 2), observation.science(3)
