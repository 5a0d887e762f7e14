"""Kill every writer at a random moment, again and again: its file is whole, old or new.

``python tools/kill.py --runs 100`` prints one line a writer, which replaces one content by another
without end in a child process, which ``SIGKILL`` (or ``--signal INT``, Ctrl-C) ends at any moment;
what is left must be one of the two, byte for byte, and the next writer must find no litter. Each is
also tried once where files may not grow: it must say so, and leave the old file.
"""

import argparse
import itertools
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

from specwcs import calibrate, extract, rectify
from specwcs.errors import InputError, SpecwcsWarning
from specwcs.extraction import reduce_frame
from specwcs.files import atomic_path
from specwcs.inputs import LineCatalog
from specwcs.io.cutouts import write_cutouts
from specwcs.io.products import write_spectra, write_spectrum
from specwcs.models import OpticalModel
from specwcs.pipeline.summary import write_summary
from specwcs.pipeline.work import Record, write_record
from specwcs.regions import Shape, write_regions
from specwcs.report import calibration_figure, write_exposure_page, write_figure, write_report
from specwcs.session.journal import Journal, read_journal
from specwcs.simulate import example, files, lamp, wrong

__all__ = ["starved", "struck", "struck_journal", "writers"]


def writers():
    """Return the two contents of each writer, as calls that take a path, by name and suffix."""
    nights = [
        example(shape=(300, 1024), n_slits=4, seed=seed, line_curvature=1.0) for seed in (1, 3)
    ]
    cals = [
        calibrate(wrong(o.instrument), o.mask, flat=o.flat(1), arc=o.arc(lamp(), 2), catalog=lamp())
        for o in nights
    ]
    frames = [o.science(3) for o in nights]
    images = [next(iter(rectify(c, f).values())) for c, f in zip(cals, frames, strict=True)]
    spectra = [extract(c, f) for c, f in zip(cals, frames, strict=True)]
    reductions = [reduce_frame(c, f) for c, f in zip(cals, frames, strict=True)]
    models = [OpticalModel(1, 1, x0_0=x) for x in (1.0, 2.0)]
    catalogs = [LineCatalog.read(name) for name in ("Ne", "Ar")]
    shapes = [[Shape("point", ((x, 2.0),))] * 5000 for x in (1.0, 7.0)]
    records = [Record(name=n, kind="extract", status=2, state=n, error=n, facts={}, outputs={},
                      seconds=1.0, repeated=True) for n in ("a", "b")]  # fmt: skip
    empty = {}
    return {
        "calibration.asdf": [lambda p, c=c: c.write(p, overwrite=True) for c in cals],
        "model.opt": [lambda p, m=m: m.writeto(p, overwrite=True) for m in models],
        "mask.mdf": [lambda p, o=o: o.mask.write(p, overwrite=True) for o in nights],
        "regions.reg": [lambda p, s=s: write_regions(p, s, overwrite=True) for s in shapes],
        "spectrum.fits": [lambda p, i=i: write_spectrum(i, p, overwrite=True) for i in images],
        "spectra.fits": [lambda p, s=s: write_spectra(s, p, overwrite=True) for s in spectra],
        "cutouts.fits": [
            lambda p, c=c, r=r: write_cutouts(p, c, r, overwrite=True)
            for c, r in zip(cals, reductions, strict=True)
        ],
        "frame.fits": [lambda p, f=f: files.write_frame(p, f, overwrite=True) for f in frames],
        "lines.dat": [lambda p, c=c: files.write_catalog(p, c, overwrite=True) for c in catalogs],
        "figure.png": [
            lambda p, c=c: write_figure(calibration_figure(c), p, overwrite=True) for c in cals
        ],
        "report.html": [lambda p, c=c: write_report(c, p, overwrite=True) for c in cals],
        "exposure.html": [
            lambda p, r=r: write_exposure_page(p, "night", r, empty, overwrite=True)
            for r in reductions
        ],
        "night.html": [lambda p, r=r: write_summary(p, [r], "night") for r in records],
        "task.json": [lambda p, r=r: write_record(p, r) for r in records],
    }


def struck(calls, path, rng, blow=signal.SIGKILL):
    """Let a child write in turn, and strike it; returns what is wrong, or nothing.

    Parameters
    ----------
    calls : list of callable
        Writers of different contents.
    path : Path
        In a folder of its own.
    rng : numpy.random.Generator
    blow : int
        Signal.
    """
    contents = []
    for call in calls:
        start = time.perf_counter()
        call(path)
        spent = time.perf_counter() - start
        contents.append(path.read_bytes())
    if contents[0] == contents[1]:
        return "both contents are the same"
    status = _strike(
        lambda: [call(path) for call in itertools.cycle(calls)], rng.uniform(0, 3) * spent, blow
    )
    if blow == signal.SIGKILL and status != -blow:
        return f"the writer ended by itself, status {status}"
    if not path.is_file():
        return "no file"
    if path.read_bytes() not in contents:
        return f"a file of {path.stat().st_size} bytes that nobody wrote"
    litter = [entry for entry in path.parent.iterdir() if entry != path]
    if litter and blow != signal.SIGKILL:
        return f"litter: {litter}"
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_bytes(contents[0])
    litter = [entry for entry in path.parent.iterdir() if entry != path]
    return f"litter that stays: {litter}" if litter else ""


def starved(calls, path):
    """Let a child write where files may not grow; returns what is wrong, or nothing."""
    calls[0](path)
    content = path.read_bytes()

    def write():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            calls[1](path)
        except InputError as error:
            os._exit(0 if str(path) in str(error) else 2)

    _, code = os.waitpid(_child(write), 0)
    left = list(path.parent.iterdir())
    if code or left != [path] or path.read_bytes() != content:
        return f"status {code}, left {left}"
    return ""


def struck_journal(path, rng, blow=signal.SIGKILL):
    """Strike a session while it writes steps: those that were done are all there, in order."""
    journal = Journal(path, {"name": "s", "icf": "i", "mask": "m", "medium": None, "models": {},
                             "files": {}})  # fmt: skip
    journal.write(call="undo", args={}, number=0)
    _strike(
        lambda: [journal.write(call="undo", args={}, number=n) for n in itertools.count(1)],
        rng.uniform(0, 0.1), blow,
    )  # fmt: skip
    _, steps = read_journal(path)
    path.unlink()
    numbers = [step["number"] for step in steps]
    return "" if numbers == list(range(len(numbers))) else f"steps {numbers}"


def _strike(work, delay, blow):
    """Fork, strike after a delay, s; returns how the child ended."""
    child = _child(work)
    time.sleep(delay)
    # An interrupt that arrives in a finaliser is passed over: strike again.
    os.kill(child, blow)
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        time.sleep(0.02)
        os.kill(child, blow)
    return os.waitstatus_to_exitcode(ended[1])


def _child(work):
    """Fork, and work there, without a word; returns the process."""
    sys.stdout.flush()
    # Struck before its `try`, a child would go on as a second one of us.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    child = os.fork()
    if not child:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            work()
        finally:
            os._exit(1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    return child


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=100, help="of each writer")
    parser.add_argument("--signal", choices=["KILL", "INT", "TERM"], default="KILL")
    options = parser.parse_args()
    warnings.simplefilter("ignore", SpecwcsWarning)
    blow, rng, bad = getattr(signal, f"SIG{options.signal}"), np.random.default_rng(), 0
    tries = {name: [lambda p, c=calls: struck(c, p, rng, blow)] * options.runs
             + [lambda p, c=calls: starved(c, p)] for name, calls in writers().items()}  # fmt: skip
    tries["session.jsonl"] = [lambda p: struck_journal(p, rng, blow)] * options.runs
    for name, attempts in tries.items():
        wrong = []
        for attempt in attempts:
            with tempfile.TemporaryDirectory() as folder:
                wrong += [what for what in [attempt(Path(folder) / name)] if what]
        print(f"{name:18s} {options.runs} times: {len(wrong)} bad {wrong[:1] or ''}", flush=True)
        bad += len(wrong)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
