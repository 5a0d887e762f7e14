"""Real arcs, calibrated with no hand from nominal values that are wrong at random.

``python benchmarks/real.py --tries 20 --jobs 2`` prints one line a try and a table. The frames
are those of ``SPECWCS_REAL_DATA``; each has an independent solution. A try draws a dispersion
wrong by up to 3 % and a reference wavelength wrong by up to 3 % of itself (even seeds) or of
the wavelengths on the frame (odd seeds). Where a result is called ok and is off by more than
1 px from an independent line where it claims to know, by the median of any eighth of the slit, it
is silently wrong: single rows of the experts are off by pixels.
``--wrong`` adds lists of lamps that were not lit: these must be refused.
"""

import argparse
import json
import os
import re
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np

import specwcs
from specwcs.errors import FitError
from specwcs.inputs import Instrument, LineCatalog, Mask, read_frame

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))
import real_cases as cases  # noqa: E402

DATA = Path(os.environ.get("SPECWCS_REAL_DATA", TESTS.parents[1] / "shared" / "data"))
WRONG_BY = 0.03
"""Largest error of dispersion and reference wavelength."""
PARTS = 8
"""Of the slit, in which the lines of the independent solution are taken together."""
SILENT = 1.0
"""px; what is off by more is wrong."""


@dataclass(frozen=True)
class Setup:
    """One real arc: what an observer gives, and where its independent solution is."""

    instrument: str
    mask: str
    arc: str
    lamps: str
    medium: str
    truth: str
    flat: tuple[str, ...] = ()
    bias: tuple[str, ...] = ()
    wrong_lamps: tuple[str, ...] = ()

    @cache  # noqa: B019
    def frames(self):
        """Return the instrument, the arc and the flat."""
        instrument = Instrument.read(self.instrument)
        bias = [str(DATA / path) for path in self.bias] or None
        arc = read_frame(str(DATA / self.arc), instrument, bias=bias)
        flat = [str(DATA / path) for path in self.flat]
        return instrument, arc, read_frame(flat, instrument, bias=bias) if flat else None

    @cache  # noqa: B019
    def lines(self):
        """Return coordinate across, pixel along (0-based) and wavelength of independent lines."""
        _, arc, _ = self.frames()
        return cases.TRUTHS[self.truth](DATA, arc.data, catalog_of(self.lamps, self.medium))


SETUPS = {
    "Kast blue": Setup(
        "kast_blue_600_4310", "kast_longslit_0.5", "kast_blue/b1.fits.gz", "He,Hg,Cd", "vacuum",
        "kast", tuple(f"kast_blue/b{n}.fits.gz" for n in (11, 12, 13)),
        tuple(f"kast_blue/b{n}.fits.gz" for n in (21, 22, 23)), ("Ne,Ar", "Xe,Kr", "Ar"),
    ),
    "EFOSC2 Gr11": Setup(
        "efosc2_gr11", "efosc2_longslit_1.0",
        "efosc2/arc_20120824_Gr11_Free_slit1.0_56442_1.fits", "He,Ar", "air", "gr11",
        wrong_lamps=("Ne", "Hg,Cd", "Xe,Kr"),
    ),
    "EFOSC2 Gr13": Setup(
        "efosc2_gr13", "efosc2_longslit_1.0",
        "efosc2/arc_20120825_Gr13_Free_slit1.0_56442_1.fits", "He,Ar", "air", "gr13",
        wrong_lamps=("Ne", "Hg,Ne", "Xe,Kr"),
    ),
    "SOFI GB": Setup(
        "sofi_gb", "sofi_longslit_2.0", "sofi/arc_GD71_1_GB_20111220.fits", "Xe,Ne", "vacuum",
        "sofi", wrong_lamps=("Hg", "Ar", "Kr"),
    ),
    "DBSP red": Setup(
        "dbsp_red_316", "dbsp_longslit_1.0", "dbsp_red/red0022.fits", "He,Ne,Ar", "vacuum",
        "dbsp", ("dbsp_red/red0033.fits",), wrong_lamps=("Xe,Kr", "Hg,Cd", "FeAr"),
    ),
}  # fmt: skip


def catalog_of(lamps, medium):
    """Read the full lists of some lamps."""
    return LineCatalog.read(lamps.split(",")).to_medium(medium)


@dataclass
class Outcome:
    """What became of a try."""

    setup: str
    lamps: str
    seed: int
    reading: str
    dispersion: float
    reference: float
    seconds: float = np.nan
    verdict: str = ""
    reason: str = ""
    rms: float = np.nan
    robust: float = np.nan
    worst: float = np.nan
    lines: int = 0
    inside: float = np.nan

    def line(self):
        """Say it in a line."""
        return (
            f"{self.setup:12s} {self.lamps:9s} {self.seed:3d} {self.reading:10s} "
            f"{self.dispersion:+.2%} {self.reference:+7.1f} A {self.seconds:5.1f}s "
            f"{self.verdict:8s} "
            f"rms {self.rms:.3f} robust {self.robust:.3f} worst {self.worst:.2f} "
            f"lines {self.lines:2d} inside {self.inside:.0%} {self.reason}"
        )


def run(task):
    """Calibrate once, and hold the result against the independent lines."""
    name, lamps, seed = task
    warnings.simplefilter("ignore")
    setup = SETUPS[name]
    instrument, arc, flat = setup.frames()
    rng = np.random.default_rng([20261126, seed])
    reading = ("wavelength", "range")[seed % 2]
    stretch, shift = rng.uniform(-WRONG_BY, WRONG_BY, 2)
    along = instrument.direction.split(instrument.xpixels, instrument.ypixels)[0]
    unit = instrument.reference_lambda if reading == "wavelength" else (
        along * instrument.linear_dispersion
    )  # fmt: skip
    believed = replace(
        instrument,
        linear_dispersion=instrument.linear_dispersion * (1 + stretch),
        reference_lambda=instrument.reference_lambda + shift * unit,
    )
    outcome = Outcome(name, lamps, seed, reading, stretch, shift * unit)
    start = time.perf_counter()
    try:
        cal = specwcs.calibrate(
            believed, Mask.read(setup.mask), arc=arc, flat=flat,
            catalog=catalog_of(lamps, setup.medium),
        )  # fmt: skip
    except FitError as error:
        outcome.verdict, outcome.reason = "refused", str(error)
    else:
        _judge(cal, setup, outcome)
    outcome.seconds = time.perf_counter() - start
    return outcome


def _judge(cal, setup, outcome):
    """Fill in the distances, px, from the independent lines where wavelengths are known."""
    ((key, status),) = cal.slits.items()
    across, pixel, wavelength = setup.lines()
    low, high = cal.geometry(key).dispersion.wavelength_domain
    inside = (wavelength >= low) & (wavelength <= high)
    off = cases.pixel_differences(cal, across[inside], pixel[inside], wavelength[inside])
    outcome.lines = len(np.unique(wavelength[inside]))
    outcome.inside = float(inside.mean())
    if len(off):
        # A place without a wavelength, in the range that is known, is as bad as a wrong one.
        off = np.where(np.isfinite(off), off, np.inf)
        outcome.rms = float(np.sqrt(np.mean(off**2)))
        outcome.robust = float(1.4826 * np.median(np.abs(off)))
        outcome.worst = _worst(off, wavelength[inside], across[inside])
    right = outcome.worst <= SILENT
    if status.ok:
        outcome.verdict = "right" if right else "SILENT"
    else:
        outcome.verdict, outcome.reason = "flagged", str(status)


def _worst(off, wavelength, across):
    """Largest median distance of a line in a part of the slit: single rows may be theirs."""
    part = np.digitize(across, np.linspace(across.min(), across.max(), PARTS + 1)[1:-1])
    label = np.unique([wavelength, part], axis=1, return_inverse=True)[1].ravel()
    return float(max(abs(np.median(off[label == n])) for n in np.unique(label)))


def summary(outcomes):
    """Print a table: a row for each frame and list of lamps, and why tries were refused."""
    print(f"\n{'frame':12s} {'lamps':9s} tries right flagged refused SILENT   rms "
          "(median, worst)  robust  off by at most  lines   s")  # fmt: skip
    for name, lamps in dict.fromkeys((o.setup, o.lamps) for o in outcomes):
        mine = [o for o in outcomes if (o.setup, o.lamps) == (name, lamps)]
        count = Counter(o.verdict for o in mine)
        right = [o for o in mine if o.verdict == "right"] or [Outcome(name, lamps, 0, "", 0, 0)]
        rms, robust, worst = (np.array([getattr(o, a) for o in right])
                              for a in ("rms", "robust", "worst"))  # fmt: skip
        print(f"{name:12s} {lamps:9s} {len(mine):5d} {count['right']:5d} {count['flagged']:7d} "
              f"{count['refused']:7d} {count['SILENT']:6d}   {np.median(rms):.3f}  {rms.max():.3f}"
              f"           {np.median(robust):.3f}   {worst.max():.2f}            "
              f"{min(o.lines for o in right)}-{max(o.lines for o in right)}   "
              f"{np.median([o.seconds for o in mine]):.1f}")  # fmt: skip
        reasons = Counter(re.sub(r"[\d.]+", "#", o.reason)[:110] for o in mine if o.reason)
        for reason, n in reasons.most_common():
            print(f"{'':22s} {n:5d} × {reason}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--frames", nargs="*", default=list(SETUPS), choices=list(SETUPS))
    parser.add_argument("--wrong", type=int, default=0, help="tries with each list of wrong lamps")
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.tries)
    tasks = [(name, SETUPS[name].lamps, seed) for name in options.frames for seed in seeds]
    tasks += [
        (name, lamps, seed) for name in options.frames for lamps in SETUPS[name].wrong_lamps
        for seed in range(options.wrong)
    ]  # fmt: skip
    outcomes = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for outcome in pool.map(partial(run), tasks):
            outcomes.append(outcome)
            print(outcome.line(), flush=True)
    summary(outcomes)
    if options.json:
        with open(options.json, "w") as file:  # noqa: PTH123
            json.dump([asdict(o) for o in outcomes], file, indent=1, default=str)


if __name__ == "__main__":
    main()
