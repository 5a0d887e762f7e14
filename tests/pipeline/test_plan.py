"""Plans: what they say, and what is refused with file, key and remedy."""

import numpy as np
import pytest
from astropy.io import fits

from specwcs.errors import InputError
from specwcs.pipeline import Plan
from specwcs.pipeline.tasks import tasks_of

GOOD = """
instrument = "mods1r_g670l"
mask = "mask.mdf"
output = "out"
[calibrate]
lamps = ["Ne,Ar"]
ids = [4, 2, 2]
[extract]
log = true
no-sky = false
object = ["05=0.4", "07=0.2"]
[[setup]]
name = "a"
flat = ["flat.fits"]
arc = ["arc*.fits"]
bias = ["b.fits"]
science = ["s1.fits", "s2.fits.gz"]
"""


@pytest.fixture
def folder(tmp_path):
    for name in ("mask.mdf", "flat.fits", "arc1.fits", "arc2.fits", "b.fits", "s1.fits",
                 "s2.fits.gz", "s1.fts"):  # fmt: skip
        (tmp_path / name).touch()
    return tmp_path


def read(folder, text):
    path = folder / "plan.toml"
    path.write_text(text)
    return Plan.read(path)


def test_a_plan_makes_the_commands_that_one_would_type(folder):
    calibration, first, second = tasks_of(read(folder, GOOD))
    cal = f"{folder}/out/calibration/a.asdf"
    assert calibration.argv == (
        "calibrate", "mods1r_g670l", f"{folder}/mask.mdf", "--flat", f"{folder}/flat.fits", "--arc",
        f"{folder}/arc1.fits", f"{folder}/arc2.fits", "--bias", f"{folder}/b.fits", "--lamps",
        "Ne,Ar", "--ids", "4,2,2", "-o", cal,
    )  # fmt: skip
    assert first.argv == (
        "extract", cal, f"{folder}/s1.fits", "--bias", f"{folder}/b.fits", "--flat",
        f"{folder}/flat.fits", "--log", "--object", "05=0.4", "--object", "07=0.2", "-o",
        f"{folder}/out/spectra/s1",
    )  # fmt: skip
    assert (second.name, second.after, calibration.after) == ("s2", calibration.name, None)
    assert set(second.inputs) == {
        cal, *(f"{folder}/{name}" for name in ("s2.fits.gz", "b.fits", "flat.fits"))
    }  # fmt: skip


def test_a_calibration_that_is_there_is_tuned_or_used(folder):
    (folder / "old.asdf").touch()
    text = GOOD.replace('name = "a"', 'name = "a"\ncalibration = "old.asdf"')
    tuned, first, _ = tasks_of(read(folder, text))
    assert tuned.argv[:2] == ("tune", f"{folder}/old.asdf")
    assert first.argv[1] == f"{folder}/out/calibration/a.asdf"
    without = text.replace('flat = ["flat.fits"]\narc = ["arc*.fits"]\n', "")
    (used, _) = tasks_of(read(folder, without))
    assert (used.argv[1], used.after) == (f"{folder}/old.asdf", None)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("[calibrate]", "[calibrat]"), "unknown key 'calibrat' in a plan. Must be one of"),
        (("ids = [", "idz = ["), "unknown key 'idz' in [calibrate]"),
        (("log = true", 'log = "yes"'), "log = 'yes' in [extract]. Must be true or false"),
        (('output = "out"', ""), 'no output. Must be given. Add output = "…"'),
        (('"flat.fits"', '"flit.fits"'), "no frame 'flit.fits'"),
        (("arc = ", "ark = "), "unknown key 'ark' in [[setup]]"),
        (('arc = ["arc*.fits"]', ""), "setup 'a' has no arc"),
        (('mask = "mask.mdf"', ""), "setup 'a' has no mask"),
        (('"s2.fits.gz"', '"s1.fits"'), "2 exposures of the name 's1'. Must differ"),
        (('"s2.fits.gz"', '"s1.fts"'), "2 exposures of the name 's1'. Must differ"),
        (("[[setup]]", "[setup]"), "setup = {"),
        (('name = "a"', 'name = "../a"'), "setup '../a'. Its name is part of that of a file"),
        (('name = "a"', 'name = ""'), "setup ''. Its name is part of that of a file"),
        (("instrument = ", "instrument "), "no plan ("),
        (('["flat.fits"]', "[1]"), "a frame 1. Must be a text"),
        (('"flat.fits"]', '"flat.fits"]\nflats = 1'), "unknown key 'flats'"),
    ],
)
def test_a_wrong_plan_is_refused(folder, change, complaint):
    assert change[0] in GOOD
    with pytest.raises(InputError) as caught:
        read(folder, GOOD.replace(*change))
    assert complaint in str(caught.value)
    assert "plan.toml" in str(caught.value)


def test_no_plan_and_no_frames(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        Plan.read(tmp_path / "plan.toml")
    with pytest.raises(InputError, match=r"no frames. Add \[\[setup\]\]"):
        read(tmp_path, 'instrument = "i"\noutput = "o"\n')


def test_frames_are_sorted_by_their_headers(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    frames = [("b1", "bias", None), ("f1", "FLAT", "m1"), ("f2", "flat", "m2"), ("a1", "arc", "m1"),
              ("a2", "arc", "m2"), ("s1", "object", "m1"), ("s2", "object", "m2"),
              ("s3", "object", "m2"), ("x", "test", "m1")]  # fmt: skip
    for name, kind, mask in frames:
        hdu = fits.PrimaryHDU(np.zeros((2, 2)))
        hdu.header["IMAGETYP"] = kind
        if mask:
            hdu.header["MASKNAME"] = mask
            hdu.header["GRISM"] = "600/4310"
        hdu.writeto(raw / f"{name}.fits")
    (raw / "notes.txt").write_text("clouds")
    (raw / "broken.fits").write_text("no frame")
    plan = read(
        tmp_path,
        """
instrument = "i"
mask = "m"
output = "o"
[frames]
folder = "raw"
group = ["MASKNAME", "GRISM"]
flat = {IMAGETYP = "flat"}
arc = {IMAGETYP = "arc"}
bias = {IMAGETYP = "bias"}
science = {IMAGETYP = "object"}
""",
    )
    names = {
        setup.name: {kind: [p.stem for p in paths] for kind, paths in setup.frames.items()}
        for setup in plan.setups
    }
    assert names == {
        "m1_600-4310": {"flat": ["f1"], "arc": ["a1"], "bias": ["b1"], "science": ["s1"]},
        "m2_600-4310": {"flat": ["f2"], "arc": ["a2"], "bias": ["b1"], "science": ["s2", "s3"]},
    }
    with pytest.raises(InputError, match="no folder"):
        read(tmp_path, 'instrument = "i"\noutput = "o"\n[frames]\nfolder = "rav"\n')
    with pytest.raises(InputError, match=r"no frame in .* matches the rules"):
        read(tmp_path, 'instrument = "i"\noutput = "o"\n[frames]\nfolder = "raw"\n'
             'arc = {IMAGETYP = "lamp"}\n')  # fmt: skip
