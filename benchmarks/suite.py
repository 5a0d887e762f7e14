"""Every step of the main job, its speed, its memory and its growth, in one table.

``python benchmarks/suite.py`` prints what ``docs/benchmarks.txt`` holds (``--quick``: without the
largest frame). Seconds depend on the machine; each is beside its ratio to a yardstick that is
measured in the same process. Every block has a process of its own, and so its own peak of memory.
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
from astropy.modeling.models import Polynomial2D
from astropy.nddata import NDData, VarianceUncertainty
from scipy.ndimage import map_coordinates

import specwcs
from specwcs import Mask, SpecwcsWarning, calibrate, extract, rectify
from specwcs.inputs import LineCatalog
from specwcs.simulate import example, lamp, wrong
from specwcs.simulate.files import write_catalog, write_frame, write_instrument

SIZES = {
    "512 x 256, 4 slits": {"shape": (256, 512), "n_slits": 4, "line_curvature": 0.8},
    "2048 x 1024, 14 slits": {"shape": (1024, 2048), "n_slits": 14},
    "8288 x 3088, 28 slits": {"shape": (3088, 8288), "n_slits": 28},
}
POINTS = 1_000_000
ARCS = (2, 4)  # seeds


def seconds(call, repeat=3):
    """Return the median time of a call, and what it returned last."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        result = call()
        times.append(time.perf_counter() - start)
    return float(np.median(times)), result


def resampling(shape):
    """Return the yardstick: seconds of a cubic resampling of as many pixels as a frame has."""
    image = np.random.default_rng(0).normal(size=shape)
    rows, columns = np.indices(shape, dtype=float)
    return seconds(lambda: map_coordinates(image, [rows + 0.3, columns + 0.3], order=3), 1)[0]


def night(catalog=None, **options):
    """Simulate a flat, an arc and a science frame through one mask."""
    obs = example(**options)
    catalog = catalog or lamp()
    return obs, obs.flat(1), obs.arc(catalog, 2), obs.science(3), catalog


def calibrated(obs, flat, arc, catalog, progress=None):
    """Calibrate as a user would: an instrument that is a little off, a mask with no trace."""
    return calibrate(
        wrong(obs.instrument), Mask(list(obs.mask.values())), flat=flat, arc=arc,
        catalog=catalog, progress=progress,
    )  # fmt: skip


def main_job(options):
    """Return the shape, the slits, and (step, seconds) of the whole job."""
    obs, flat, arc, science, catalog = night(**options)
    marks = []

    def mark(step):
        marks.append((step, time.perf_counter()))

    cal = calibrated(obs, flat, arc, catalog, mark)
    mark("writing the calibration and reading it")
    with tempfile.TemporaryDirectory() as folder:
        cal.write(Path(folder) / "cal.asdf")
        cal = specwcs.Calibration.read(Path(folder) / "cal.asdf")
    mark("wavelength, position and slit maps")
    cal.maps()
    mark("rectifying, operators included")
    rectify(cal, science)
    mark("sky, objects and spectra")
    extract(cal, science)
    mark("end")
    return obs.instrument.shape, len(cal.good()), [(a, t - s) for (a, s), (_, t) in pairwise(marks)]


def job_table(name):
    """Print the steps of the main job at a size."""
    shape, good, steps = main_job(SIZES[name])
    unit = resampling(shape)
    print(f"\n{name} ({good} good): yardstick map_coordinates(order=3) of the frame, {unit:.3f} s")
    total = sum(spent for _, spent in steps)
    for step, spent in [*steps, ("the whole job", total)]:
        print(f"  {step:44} {spent:8.2f} s {spent / unit:9.2f}")


def commands(name):
    """Print seconds and peak memory of the commands that do the whole job, from files to files.

    Each is a process of its own, whose peak is at least that of the one that starts it: here.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        alone(write_files, name, folder)
        flat, science = folder / "flat.fits", folder / "science.fits"
        arcs = [folder / f"arc{seed}.fits" for seed in ARCS]
        made = {
            "calibrate": [
                folder / "inst.icf", folder / "mask.mdf", "--flat", flat, "--arc", *arcs,
                "--catalog", folder / "lamp.dat", "-o", folder / "cal.asdf",
            ],
            "extract": [folder / "cal.asdf", science, "--flat", flat, "-o", folder / "out"],
        }  # fmt: skip
        print(f"\n{name}, from files (flat, {len(arcs)} arcs, science) to files and pictures")
        for command, arguments in made.items():
            start = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-c", "import sys; from specwcs.cli import main; "
                 "sys.exit(main())", command, *map(str, arguments)], stdout=subprocess.DEVNULL,
            )  # fmt: skip
            _, status, usage = os.wait4(process.pid, 0)
            if os.waitstatus_to_exitcode(status) not in (0, 3):  # 3: a slit that failed is told
                raise SystemExit(f"specwcs {command} failed")
            print(f"  {'specwcs ' + command:44} {time.perf_counter() - start:8.2f} s "
                  f"  peak memory {usage.ru_maxrss / 1024**2:5.2f} GiB")  # fmt: skip


def write_files(name, folder):
    """Write what an observer has: frames, instrument, mask and lines."""
    obs, catalog = example(**SIZES[name]), lamp()
    write_instrument(folder / "inst.icf", wrong(obs.instrument))
    Mask(list(obs.mask.values())).write(folder / "mask.mdf")
    write_catalog(folder / "lamp.dat", catalog)
    write_frame(folder / "flat.fits", obs.flat(1))
    for seed in ARCS:
        write_frame(folder / f"arc{seed}.fits", obs.arc(catalog, seed))
    write_frame(folder / "science.fits", obs.science(3))


def peak():
    """Return the peak memory of this process, GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2


def figures(large):
    """Print each figure that has a yardstick of its own."""
    obs, flat, arc, _, catalog = night(**(SIZES["8288 x 3088, 28 slits"] if large else {}))
    instrument = obs.instrument
    print(f"\nfigures, {len(obs.mask)} slits on {instrument.xpixels} x {instrument.ypixels} px")
    marks = []
    cal = calibrated(obs, flat, arc, catalog, lambda step: marks.append((step, time.time())))
    cal.maps()  # what is made once
    spent, maps = seconds(cal.maps)
    copying, _ = seconds(lambda: [np.array(m) for m in maps])
    row("wavelength, position and slit maps", spent, spent / copying, "copying them", 3)
    named = dict(pairwise_spent(marks))
    row("edges of the slits", named["finding the slits"], None, "", "5 s")
    spent = named["identifying the lines of the arc"] / len(cal.good())
    row("blind identification, a slit", spent, None, "", "0.3 s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cal.asdf"
        cal.write(path)
        size = path.stat().st_size / 1e6

        def there_and_back():
            cal.write(path, overwrite=True)
            specwcs.Calibration.read(path)

        spent, _ = seconds(there_and_back)
    row(f"calibration written and read ({size:.2f} MB)", spent, None, "", "0.15 s")
    points(cal)


def pairwise_spent(marks):
    """Turn the starts of steps into what each took."""
    return [(name, after - start) for (name, start), (_, after) in pairwise(marks)]


def points(cal):
    """Print what a million random points of a slit cost."""
    rng = np.random.default_rng(1)
    key = cal.good()[len(cal.good()) // 2]
    (x0, x1), (y0, y1) = cal.wcs(key).bounding_box.bounding_box(order="F")
    x, y = rng.uniform(x0, x1, POINTS), rng.uniform(y0, y1, POINTS)
    model = Polynomial2D(5, c0_0=1.0, c1_0=1e-3, c0_1=1e-3)
    unit, _ = seconds(lambda: model(x, y))
    for name, portable, limit in (("exact", False, 7), ("portable", True, 3)):
        wcs = cal.wcs(key, portable=portable)
        spent, _ = seconds(lambda wcs=wcs: wcs(x, y))
        row(f"{name} GWCS at 1e6 points", spent, spent / unit, "Polynomial2D(5)", limit)


def longslit():
    """Print what the lines of a longslit cost, beside specreduce's TiltCorrection."""
    from specreduce.tilt_correction import TiltCorrection

    obs, flat, arc, _, catalog = night(kind="longslit", shape=(512, 2048))
    marks = []
    calibrated(obs, flat, arc, catalog, lambda step: marks.append((step, time.time())))
    marks.append(("end", time.time()))
    named = dict(pairwise_spent(marks))
    ours = named["measuring the lines"] + named["fitting the models"]

    def theirs():
        frame = NDData(
            arc.data, unit="adu", uncertainty=VarianceUncertainty(arc.uncertainty.array**2)
        )
        tilt = TiltCorrection(frame, cdisp_ref_pixel=256, n_cdisp_samples=20, disp_axis=1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tilt.find_arc_lines(4.0, noise_factor=10)
            tilt.fit(degree=3)
            tilt.refine_fit(degree=4)

    unit, _ = seconds(theirs, 1)
    print("\na longslit on 2048 x 512 px")
    row("its lines measured and fitted", ours, ours / unit, "specreduce TiltCorrection", 0.2)


def importing():
    """Print what ``import specwcs`` costs beyond numpy."""

    def run(module):
        return seconds(
            lambda: subprocess.run([sys.executable, "-c", f"import {module}"], check=True), 7
        )[0]

    print()
    row("import specwcs, beyond numpy", run("specwcs") - run("numpy"), None, "", "0.2 s")


def growth():
    """Print how the cost grows with slits, lines and exposures."""
    print("\ngrowth on 2048 x 1024 px: calibration (flat, arc), then a science frame to spectra")
    lines = LineCatalog.read(["Ne", "Ar", "Hg", "Xe", "Kr"]).to_medium("air")
    for slits in (3, 6, 12, 24):
        obs, flat, arc, science, catalog = night(n_slits=slits)
        spent, cal = seconds(partial(calibrated, obs, flat, arc, catalog), 1)
        spectra, _ = seconds(partial(extract, cal, science), 1)
        print(f"  {slits:4d} slits, {len(catalog.wavelength):4d} lines "
              f"{spent:8.2f} s {spectra:8.2f} s")  # fmt: skip
    obs, flat, arc, science, catalog = night(n_slits=12, catalog=lines)
    spent, cal = seconds(partial(calibrated, obs, flat, arc, catalog), 1)
    print(f"  {12:4d} slits, {len(catalog.wavelength):4d} lines {spent:8.2f} s")
    for exposures in (1, 4, 16):
        spent = sum(seconds(partial(extract, cal, science), 1)[0] for _ in range(exposures))
        print(f"  {exposures:4d} exposures {spent / exposures:8.2f} s each, "
              f"peak {peak():.2f} GiB")  # fmt: skip


def row(name, spent, ratio, yardstick, limit):
    """Print a figure, with what it should be."""
    said = f"{ratio:7.2f} x {yardstick}" if ratio is not None else ""
    print(f"  {name:44} {spent:8.3f} s {said:38} (at most {limit})")


def alone(call, *args):
    """Call in a new process, for its own peak of memory."""
    sys.stdout.flush()
    process = multiprocessing.get_context("spawn").Process(target=_quiet, args=(call, args))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{call.__name__}{args} failed")


def _quiet(call, args):
    warnings.simplefilter("ignore", SpecwcsWarning)
    call(*args)
    sys.stdout.flush()


def main():
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="without the largest frame")
    quick = parser.parse_args().quick
    for name in SIZES:
        if not (quick and "28" in name):
            alone(job_table, name)
            commands(name)
    alone(figures, not quick)
    alone(longslit)
    alone(importing)
    alone(growth)


if __name__ == "__main__":
    main()
