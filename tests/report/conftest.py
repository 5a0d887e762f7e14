"""A small simulated instrument, its calibration, and its frames."""

import pytest
from report_cases import calibrated

from specwcs.simulate import example, lamp


@pytest.fixture(scope="session", params=["LR", "BU"])
def case(request):
    """Observation, calibration, flat, arc and science frame; one slit is dark."""
    shape = (240, 500) if request.param == "LR" else (500, 240)
    observation = example(request.param, shape, 6, dark=("03",), offset=(4.0, -2.0))
    faults = {"03": ("dark", "no light on the flat, and so neither edges nor lines")}
    cal = calibrated(observation, faults)
    return observation, cal, observation.flat(1), observation.arc(lamp(), 2), observation.science(3)
