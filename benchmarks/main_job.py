"""The main job on a simulated mask, by step, as a ratio to a named yardstick.

Run ``python benchmarks/main_job.py [--large] [--repeat N]``; see README.rst.
"""

import argparse
import resource
import tempfile
import time
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

import specwcs
from specwcs import Mask, SpecwcsWarning, calibrate, extract, rectify
from specwcs.simulate import example, lamp, wrong

LARGE = {"shape": (3088, 8288), "n_slits": 28}


def yardstick(shape):
    """Return the seconds of a cubic resampling of as many pixels as the frame has."""
    rng = np.random.default_rng(0)
    image = rng.normal(size=shape)
    rows, columns = np.indices(shape, dtype=float)
    start = time.perf_counter()
    map_coordinates(image, [rows + 0.3, columns + 0.3], order=3)
    return time.perf_counter() - start


def run(options):
    """Return the seconds of each step, in order, and the calibration."""
    obs = example(**options)
    frames = {"flat": obs.flat(1), "arc": obs.arc(lamp(), 2), "science": obs.science(3)}
    marks = []

    def mark(step):
        marks.append((step, time.perf_counter()))

    cal = calibrate(
        wrong(obs.instrument),
        Mask(list(obs.mask.values())).oriented("LR"),
        flat=frames["flat"],
        arc=frames["arc"],
        catalog=lamp(),
        progress=mark,
    )
    mark("writing and reading the calibration")
    with tempfile.TemporaryDirectory() as folder:
        cal.write(Path(folder) / "cal.asdf")
        cal = specwcs.Calibration.read(Path(folder) / "cal.asdf")
    mark("wavelength, position and slit maps")
    cal.maps()
    mark("rectifying, operators included")
    rectify(cal, frames["science"])
    mark("extracting")
    extract(cal, frames["science"])
    mark("end")
    steps = [(a, t2 - t1) for (a, t1), (_, t2) in pairwise(marks)]
    return steps, cal, obs.instrument.shape


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--large", action="store_true", help="28 slits on 8288 x 3088 px")
    parser.add_argument("--repeat", type=int, default=3, help="runs; the median is printed")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", SpecwcsWarning)
    options = LARGE if arguments.large else {}
    runs = [run(options) for _ in range(arguments.repeat)]
    _, cal, shape = runs[0]
    unit = float(np.median([yardstick(shape) for _ in range(arguments.repeat)]))
    print(f"{len(cal.good())} of {len(cal.slits)} slits, {shape[1]} x {shape[0]} px, "
          f"median of {arguments.repeat} runs")  # fmt: skip
    print(f"yardstick: map_coordinates(order=3) of the frame, {unit:.2f} s")
    print(f"{'step':40} {'seconds':>9} {'ratio':>8}")
    total = 0.0
    for k, (step, _) in enumerate(runs[0][0]):
        seconds = float(np.median([steps[k][1] for steps, *_ in runs]))
        total += seconds
        print(f"{step:40} {seconds:9.2f} {seconds / unit:8.2f}")
    print(f"{'whole job':40} {total:9.2f} {total / unit:8.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"peak memory of the process, the simulation included: {peak:.2f} GiB")


if __name__ == "__main__":
    main()
