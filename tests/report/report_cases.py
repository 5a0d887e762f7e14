"""Calibrations of small simulated frames, from the true positions of lines and edges."""

import calibration_cases as cases
import numpy as np

from specwcs.calibration import solve


def calibrated(observation, faults=None, opt=(2, 2), crv=(2, 1, 1), ids=(4, 1, 1)):
    """Solve for true markers, one of which is wrong by 3 px in x and y."""
    markers = cases.true_markers(observation, scatter=0.2, skip=observation.dark)
    wrong = np.flatnonzero(markers["kind"] == "line")[0]
    for axis in "xy":
        markers[axis].value[wrong] += 3.0
    return solve(
        observation.instrument,
        observation.mask,
        markers,
        medium="air",
        opt=opt,
        crv=crv,
        ids=ids,
        faults=faults,
    )
