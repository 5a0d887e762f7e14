"""Damage files at random and read them: each must be refused by us, or mean what it says.

``python tools/fuzz.py asdf mdf icf catalog region plan journal fits --runs 10000 --jobs 2`` prints
one line a kind. A run that ends in neither a good value nor an `InputError` is a fault: its input
is kept in ``tests/bad_inputs/corpus`` (``--corpus``), where the tests read it again for ever. A run
is fully made from its kind and its number.
"""

import argparse
import functools
import hashlib
import io
import os
import re
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from specwcs.conventions import Direction
from specwcs.errors import InputError, SpecwcsWarning
from specwcs.files import read_asdf, write_asdf
from specwcs.inputs import Instrument, LineCatalog, Mask, read_frame
from specwcs.inputs.mdf import mdf_text
from specwcs.markers import Markers
from specwcs.models import OpticalModel
from specwcs.pipeline import Plan
from specwcs.regions import Shape, parse_regions, read_regions
from specwcs.regions.write import format_regions
from specwcs.session.journal import Journal, markers_to_json, model_to_json, read_journal
from specwcs.simulate import files, random_mask

__all__ = ["KINDS", "damaged", "seal", "tried"]

CORPUS = Path(__file__).parents[1] / "tests" / "bad_inputs" / "corpus"
SECONDS = 10
"""A small file that takes longer to read is a fault."""
MEMORY = 4 * 1024**3
"""Bytes that a process may take."""

WORDS = (
    "nan", "-inf", "1e999", "-1", "0", "1e-320", "1_0", "１", "0x10", "1,5", "2.0mm", "9" * 400,
    "%(x)s", "${x}", "{", "}", "[", "]", "[[", "(", ")", '"', "'", ";", "|", "||", "#", "=",
    ":", "&a", "*a", "!!python/object/apply:os.system", "$ref", "\\", "\r", "\n", "\r\n", "\t",
    "\0", " ", "-", "+", "\ufeff", "\u2028", "é", "µ", "image", "fk5", "physical", "tag={x}",
    "# medium: vacuum", "# unit: nm", "true", "null", "NAXIS", "BZERO", "LR", "0.0", "1" * 30,
    "../", "/etc/passwd", "http://localhost/x", "{}", "[]", "**", "text={",
)  # fmt: skip
BYTES = [*(word.encode() for word in WORDS), b"\xff", b"\xe9", b"\x80\x81"]


# -- damage ---------------------------------------------------------------------


def damaged(raw, rng):
    """Return `raw` with one to four changes: bits, bytes, pieces, lines, hostile words."""
    for _ in range(int(rng.integers(1, 5))):
        raw = _CHANGES[rng.integers(len(_CHANGES))](raw, rng)
    return raw


def _span(raw, rng, longest=40):
    start = int(rng.integers(len(raw) + 1))
    return start, min(len(raw), start + int(rng.integers(1, longest)))


def _flip(raw, rng):
    if not raw:
        return raw
    i = int(rng.integers(len(raw)))
    return raw[:i] + bytes([raw[i] ^ (1 << int(rng.integers(8)))]) + raw[i + 1 :]


def _cut(raw, rng):
    start, stop = _span(raw, rng)
    return raw[:start] + raw[stop:]


def _repeat(raw, rng):
    start, stop = _span(raw, rng)
    return raw[:stop] + raw[start:stop] * int(rng.integers(1, 4)) + raw[stop:]


def _truncate(raw, rng):
    return raw[: int(rng.integers(len(raw) + 1))]


def _word(raw, rng):
    start, stop = _span(raw, rng, 8)
    return raw[:start] + BYTES[rng.integers(len(BYTES))] + raw[stop if rng.integers(2) else start :]


def _value(raw, rng):
    """Put a hostile word in place of a whole one."""
    words = raw.split(b" ")
    words[rng.integers(len(words))] = BYTES[rng.integers(len(BYTES))]
    return b" ".join(words)


def _lines(raw, rng):
    """Drop, repeat or exchange lines."""
    lines = raw.splitlines(keepends=True)
    if not lines:
        return raw
    i, j = rng.integers(len(lines), size=2)
    change = rng.integers(3)
    if change == 0:
        del lines[i]
    elif change == 1:
        lines.insert(i, lines[j])
    else:
        lines[i], lines[j] = lines[j], lines[i]
    return b"".join(lines)


def _digit(raw, rng):
    """Change a digit to another."""
    at = [i for i, byte in enumerate(raw[:20000]) if 48 <= byte <= 57]
    if not at:
        return raw
    i = at[rng.integers(len(at))]
    return raw[:i] + str(rng.integers(10)).encode() + raw[i + 1 :]


_CHANGES = (_flip, _cut, _repeat, _truncate, _word, _word, _value, _value, _lines, _digit)


def seal(raw):
    """Put a valid checksum line into an ASDF file, in place of the one that it has."""
    head, mark, rest = raw.partition(b"#SHA256 ")
    if mark:
        raw = head + rest.partition(b"\n")[2]
    first, second, rest = (raw + b"\n\n").split(b"\n", 2)
    rest = rest[:-2] if len(rest) > 1 else b""
    digest = hashlib.sha256(b"\n".join([first, second, rest])).hexdigest().encode()
    return b"\n".join([first, second, b"#SHA256 " + digest, rest])


# -- kinds of files -------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """What is damaged, and how it is read.

    Parameters
    ----------
    suffix : str
    seeds : tuple of bytes
        Good files.
    read : callable
        Reads a path, and asserts that what it returns is sound.
    finish : callable, optional
        What is done to damaged bytes, with the generator.
    """

    suffix: str
    seeds: tuple
    read: object
    finish: object = None


def _sound_model(path):
    model = read_asdf(path, OpticalModel)
    assert type(model) is OpticalModel
    assert np.isfinite(model.parameters).all()
    x, y = model(0.0, 0.0)
    assert np.isfinite([x, y]).all() or model.bounding_box is not None


def _sound_mask(path):
    mask = Mask.read(path)
    assert len(mask)
    for key, slit in mask.items():
        if key in mask.faults:
            continue
        assert np.isfinite([slit.x, slit.y, slit.dimx, slit.dimy, slit.rot]).all()
        assert min(slit.dimx, slit.dimy) > 0
        assert np.isfinite(slit.curve(np.linspace(0, 1, 5))).all()
    again = path.with_name("again.mdf")
    again.write_text(mdf_text(mask), encoding="utf-8")
    copy = Mask.read(again)
    assert {k: repr(replace(s, sky=None)) for k, s in copy.items()} == {
        k: repr(replace(s, sky=None)) for k, s in mask.items()
    }


def _sound_instrument(path):
    instrument = Instrument.read(path)
    numbers = [v for v in asdict(instrument).values() if isinstance(v, float)]
    assert np.isfinite(numbers).all()
    assert np.isfinite(instrument.scales).all()
    assert min(instrument.scales) > 0
    assert instrument.linear_dispersion > 0
    assert min(instrument.shape) > 0
    assert isinstance(instrument.direction, Direction)


def _sound_catalog(path):
    catalog = LineCatalog.read(path)
    assert len(catalog.wavelength)
    assert np.isfinite(catalog.wavelength).all()
    assert (np.diff(catalog.wavelength) > 0).all()
    assert catalog.medium in ("air", "vacuum")
    again = path.with_name("again.dat")
    files.write_catalog(again, catalog, overwrite=True)
    copy = LineCatalog.read(again)
    assert np.abs(copy.wavelength - catalog.wavelength).max() < 1e-4
    assert list(copy.label) == list(catalog.label)


def _sound_regions(path):
    shapes = [s for s in read_regions(path) if not s.fixed and not s.excluded]
    assert np.isfinite([c for s in shapes for p in s.points for c in p]).all()
    again = parse_regions(format_regions(shapes))
    assert [(s.kind, dict(s.tags)) for s in again] == [(s.kind, dict(s.tags)) for s in shapes]
    for one, other in zip(shapes, again, strict=True):
        assert np.allclose(one.points, other.points, rtol=1e-6, atol=1e-5)


def _sound_plan(path):
    plan = Plan.read(path)
    assert plan.setups
    assert all(file.is_file() for s in plan.setups for some in s.frames.values() for file in some)


def _sound_journal(path):
    head, steps = read_journal(path)
    assert {"icf", "mask", "models", "files", "medium"} <= set(head)
    assert all(isinstance(step, dict) for step in steps)


def _sound_frame(path):
    frame = read_frame(path, _INSTRUMENT)
    assert frame.data.shape == _INSTRUMENT.shape
    assert frame.data.dtype == float
    good = frame.mask == 0
    assert np.isfinite(frame.data[good]).all()
    assert (frame.uncertainty.array[good] >= 0).all()


_INSTRUMENT = Instrument(
    name="small", pixel_scale=0.3, xpixels=24, ypixels=16, direction="LR", linear_dispersion=2.0,
    reference_lambda=6000.0, gain=1.5, read_noise=4.0, saturation=60000.0,
)  # fmt: skip


@functools.cache
def kinds():
    """Return every `Kind` by its name."""
    written = _written()
    conf = Path(files.__file__).parents[2] / "conf"

    def shipped(pattern):
        return tuple(path.read_bytes() for path in sorted(conf.glob(pattern)))

    return {
        "asdf": Kind(".opt", (written["model"],), _sound_model, _maybe_sealed),
        "mdf": Kind(".mdf", (written["mask"], *shipped("masks/*.mdf")), _sound_mask),
        "icf": Kind(
            ".icf",
            (written["icf"], written["binned"], *shipped("instruments/*.icf")),
            _sound_instrument,
        ),
        "catalog": Kind(".dat", (written["lines"], *shipped("catalogs/*.dat")), _sound_catalog),
        "region": Kind(".reg", (_REGIONS, written["regions"]), _sound_regions),
        "plan": Kind(".toml", (_PLAN, _SORTED), _sound_plan),
        "journal": Kind(".jsonl", (written["journal"],), _sound_journal),
        "fits": Kind(".fits", written["frames"], _sound_frame, _blocks),
    }


KINDS = ("asdf", "mdf", "icf", "catalog", "region", "plan", "journal", "fits")

_REGIONS = b"""# Region file format: DS9 version 4.1
global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1 fixed=0
image
box(100.5,200.25,30,4,12.5) # color=red tag={slit=049} text={049}
polygon(10,10,20,10,20,30,10,30) # tag={slit=7} tag={role=edge}
point(512,300) # point=cross tag={wavelength=5852.488}
-circle(1,2,3)
# vector(10,20,30,45) vector=1 tag={slit=7}
# text(100,200) text={a label}
physical; box(1,2,3,4,0)
"""
_PLAN = b"""instrument = "sofi_gb"
mask = "sofi_longslit_2.0"
output = "out"

[[setup]]
name = "first"
flat = ["frame.fits"]
arc = ["frame.fits"]
science = ["frame*.fits"]

[calibrate]
lamps = ["Xe", "Ne"]

[extract]
method = "optimal"
log = true
"""
_SORTED = b"""instrument = "sofi_gb"
mask = "sofi_longslit_2.0"
output = "out"

[frames]
folder = "."
pattern = "*.fits"
group = ["INSTRUME"]
arc = {OBJECT = "arc"}
science = {OBJECT = "star"}
"""


def _written():
    """Write good files of each kind."""
    mask = random_mask(5, replace(_INSTRUMENT, xpixels=800, ypixels=400), 1)
    model = OpticalModel(1, 1, x_domain=(-40.0, 40.0), x0_0=1024.123456789, name="opt")
    model.meta["table"] = np.arange(30.0)
    model.bounding_box = ((-9.0, 9.0), (-5.0, 5.0))
    shapes = [Shape("point", ((10.0, 20.0),), tags={"slit": "01"}, text="01")]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        write_asdf(folder / "m.opt", {"model": model})
        mask.write(folder / "m.mdf")
        files.write_instrument(folder / "i.icf", _INSTRUMENT)
        files.write_instrument(folder / "b.icf", replace(_INSTRUMENT, pixel_scale=(0.3, 0.6)))
        files.write_catalog(folder / "l.dat", LineCatalog.read(["Ne", "Ar"]))
        head = {
            "name": "s",
            "icf": "i.icf",
            "mask": "m.mdf",
            "models": {},
            "files": {},
            "medium": "air",
        }
        journal = Journal(folder / "s.jsonl", head)
        journal.write(call="edit_model", name="opt", model=model_to_json(OpticalModel(1, 1)))
        markers = Markers.of("edge", ["01", "02"], 0.5, [1.0, 2.0], [3.0, 4.0])
        journal.write(edit=markers_to_json(markers))
        names = {"model": "m.opt", "mask": "m.mdf", "icf": "i.icf", "binned": "b.icf",
                 "lines": "l.dat", "journal": "s.jsonl"}  # fmt: skip
        written = {name: (folder / file).read_bytes() for name, file in names.items()}
    return written | {
        "regions": format_regions(shapes).encode(), "frames": tuple(_frames()),
    }  # fmt: skip


def _frames():
    """Make frames of several layouts, as bytes."""
    data = np.random.default_rng(1).poisson(900, _INSTRUMENT.shape)
    cards = {"EXPTIME": 30.0, "INSTRUME": "small", "BUNIT": "adu", "OBJECT": "arc", "GAIN": 1.5}
    for layout in (np.uint16, np.float32, np.int16):
        hdu = fits.PrimaryHDU(data.astype(layout))
        hdu.header.update(cards)
        yield _bytes(fits.HDUList([hdu]))
    extension = fits.ImageHDU(data.astype(np.float32), name="SCI")
    extension.header.update(cards)
    extension.add_checksum()
    yield _bytes(fits.HDUList([fits.PrimaryHDU(), extension]))


def _bytes(hdus):
    stream = io.BytesIO()
    hdus.writeto(stream)
    return stream.getvalue()


def _maybe_sealed(raw, rng):
    """Make the checksum true in half of the files, so that what lies behind it is tried."""
    return seal(raw) if rng.integers(2) else raw


def _blocks(raw, rng):
    """Give a header back its whole blocks in half of the files, so that what it says is tried."""
    end = raw.find(b"END" + b" " * 40)
    if end < 0 or rng.integers(2):
        return raw
    head, data = raw[:end].rstrip(), raw[end + 3 :].lstrip(b" ")
    cards = [head[i : i + 80].ljust(80) for i in range(0, len(head), 80)] + [b"END".ljust(80)]
    head = b"".join(cards)
    return head.ljust(-(-len(head) // 2880) * 2880) + data


# -- runs -----------------------------------------------------------------------


def tried(name, raw, folder):
    """Read bytes as a kind of file: ``"good"``, ``"refused"``, or what went wrong."""
    path = Path(folder) / f"damaged{kinds()[name].suffix}"
    path.write_bytes(raw)
    signal.signal(signal.SIGALRM, _too_slow)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("default", SpecwcsWarning)
            kinds()[name].read(path)
    except InputError as error:
        text = str(error)
        if "damaged" not in text or "\n" in text or len(text) > 2000:
            return f"a poor message: {text!r:.300}"
        return "refused"
    except BaseException:
        return traceback.format_exc(limit=-4)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "good"


def _sort(outcome):
    """Tell one fault from another: where it was raised, without the words of the file."""
    places = re.findall(r"line \d+, in \w+", outcome)
    return "".join(places) or re.sub(r"'[^']*'|[\d.]+", "", outcome)


def _too_slow(*_):
    raise TimeoutError(f"more than {SECONDS} s")


def _run(name, numbers):
    """Try some numbers of a kind; returns counts, and faults by their text with their input."""
    kind, counts, faults = kinds()[name], Counter(), {}
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    errors = os.open(os.devnull, os.O_WRONLY)
    os.dup2(errors, 2)  # warnings of ours
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "frame.fits").write_bytes(kinds()["fits"].seeds[0])
        for number in numbers:
            rng = np.random.default_rng([KINDS.index(name), number])
            raw = damaged(kind.seeds[rng.integers(len(kind.seeds))], rng)
            raw = kind.finish(raw, rng) if kind.finish else raw
            outcome = tried(name, raw, folder)
            counts[outcome if outcome in ("good", "refused") else "faults"] += 1
            if outcome not in ("good", "refused"):
                faults.setdefault(_sort(outcome), (outcome, raw))
    return counts, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kinds", nargs="+", choices=KINDS)
    parser.add_argument("--runs", type=int, default=1000, help="of each kind")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--corpus", type=Path, default=CORPUS)
    options = parser.parse_args()
    failed = False
    kinds()  # once: the processes are forks
    for name in options.kinds:
        numbers = range(options.first, options.first + options.runs)
        parts = [numbers[i :: options.jobs] for i in range(options.jobs)]
        counts, faults = Counter(), {}
        with ProcessPoolExecutor(options.jobs) as pool:
            for some, what in pool.map(_run, [name] * options.jobs, parts):
                counts, faults = counts + some, faults | what
        print(f"{name:8s} {options.runs} runs: {counts['refused']} refused, {counts['good']} good, "
              f"{counts['faults']} faults of {len(faults)} sorts", flush=True)  # fmt: skip
        for text, raw in faults.values():
            options.corpus.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256(raw).hexdigest()[:8]
            path = options.corpus / f"{name}-{digest}{kinds()[name].suffix}"
            path.write_bytes(raw)
            print(f"{path.name}\n{text}", flush=True)
        failed = failed or bool(faults)
    return failed


if __name__ == "__main__":
    sys.exit(main())
