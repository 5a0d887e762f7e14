"""A night of many exposures: one process, two, and a cluster of which a worker is killed.

``python benchmarks/night.py --exposures 40`` (``pip install -e ".[cluster]"``) prints seconds, and
those of an exposure, whether the products are the same byte for byte, and how the cost grows with
their number.
"""

import argparse
import hashlib
import os
import signal
import tempfile
import time
import warnings
from pathlib import Path

from specwcs import SpecwcsWarning
from specwcs.pipeline import Plan, run_plan
from specwcs.simulate import example, lamp
from specwcs.simulate.files import write_frame

PLAN = """
instrument = "raw/instrument.icf"
mask = "raw/mask.mdf"
output = "{output}"
[extract]
no-pictures = true
[[setup]]
name = "one"
flat = ["raw/flat.fits"]
arc = ["raw/arc.fits"]
science = [{science}]
[calibrate]
catalog = ["raw/catalog.dat"]
"""


def observe(folder, exposures):
    """Write the frames of a night: a mask of 6 slits on 1024 x 512 px."""
    obs = example("LR", (512, 1024), 6, line_curvature=1.0)
    obs.write(folder / "raw", lamp(), 1)
    for k in range(exposures):
        write_frame(folder / "raw" / f"s{k:04d}.fits", obs.science(10 + k))


def plan(folder, output, exposures):
    """Write and read a plan of some of the exposures."""
    path = folder / f"{output}.toml"
    science = ", ".join(f'"raw/s{k:04d}.fits"' for k in range(exposures))
    path.write_text(PLAN.format(output=output, science=science))
    return Plan.read(path)


def checksums(folder):
    """Return the checksum of every product."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for kind in ("calibration", "spectra")
        for path in sorted((folder / kind).rglob("*"))
        if path.suffix in (".fits", ".asdf")
    }


def done(what, folder, output, exposures, **how):
    """Run a plan; print and return what it made."""
    start = time.perf_counter()
    records = run_plan(plan(folder, output, exposures), **how)
    spent = time.perf_counter() - start
    each = (spent - records[0]["seconds"]) / exposures
    lost = sum(not record.done for record in records)
    print(f"{what:42} {exposures:4d} exposures {spent:8.1f} s {each:6.2f} s each, {lost} lost",
          flush=True)  # fmt: skip
    return checksums(folder / output)


def on_cluster(folder, exposures):
    """Run on two workers, one of which is killed midway."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        pids = [worker.process.pid for worker in cluster.workers.values()]
        seen = []

        def kill(record):
            seen.append(record)
            if len(seen) == exposures // 2:
                os.kill(pids[0], signal.SIGKILL)

        return done("two dask workers, one killed midway", folder, "cluster", exposures,
                    scheduler=cluster.scheduler_address, progress=kill)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exposures", type=int, default=40)
    exposures = parser.parse_args().exposures
    warnings.simplefilter("ignore", SpecwcsWarning)
    os.environ["SOURCE_DATE_EPOCH"] = "1800000000"
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        observe(folder, exposures)
        for some in (exposures // 4, exposures // 2):
            done("one process", folder, f"some{some}", some)
        one = done("one process", folder, "one", exposures)
        same = done("again, nothing changed", folder, "one", exposures) == one
        same &= done("two processes", folder, "two", exposures, jobs=2) == one
        same &= on_cluster(folder, exposures) == one
        print(f"{len(one)} products, {'the same' if same else 'NOT the same'} byte for byte")


if __name__ == "__main__":
    main()
