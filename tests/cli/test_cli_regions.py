"""``specwcs calibrate --regions``: a session replayed from its files."""

import hashlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import calibration_cases as cases
import numpy as np
import pytest
from hand import write_files
from region_files import strip_tags, write_lamp, write_session

from specwcs import Calibration, ModelsCalibration
from specwcs.simulate import example
from specwcs.simulate.files import write_instrument

SHAPE, N_SLITS = (1024, 2048), 14
DEGREES = ("--opt", "2,2", "--crv", "2,1,1", "--ids", "4,2,2")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small observation with its files, and region files."""
    folder = tmp_path_factory.mktemp("replayed")
    observation = example("LR", SHAPE, N_SLITS)
    files = write_files(observation, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        regions = write_session(observation, folder)
    return SimpleNamespace(observation=observation, folder=folder, regions=regions, **files)


@pytest.fixture
def command(small, tmp_path):
    """Arguments of a sound ``specwcs calibrate --regions``."""
    return [
        "calibrate", small.instrument, small.mask, "-o", tmp_path / "cal.asdf", "--medium", "air",
        "--regions", *small.regions,
    ]  # fmt: skip


def check(observation, path):
    cal = Calibration.read(path)
    optics = observation.spectrograph
    assert (cal.opt.x_flipped, cal.opt.y_flipped) == (optics.flipx, optics.flipy)
    assert len(cal.good()) == len(observation.mask)
    assert (
        cases.rms(cases.wavelength_errors(observation, cal)) < 0.2
    )  # one line a slit in its middle
    return cal


DIRECTIONS = ("LR", "RL", "BU", "UB")
FLIPS = [(False, False), (True, False), (False, True), (True, True)]


def replayed(specwcs, folder, observation, *degrees, tagged=True, **session):
    """Write the files of a session, run the command on them, and check what it wrote."""
    write_instrument(folder / "i.icf", observation.instrument)
    observation.mask.write(folder / "m.mdf")
    regions = write_session(observation, folder, **session)
    if not tagged:
        strip_tags(regions)
    status, out, err = specwcs(
        "calibrate", folder / "i.icf", folder / "m.mdf", "-o", folder / "c.asdf",
        "--catalog", write_lamp(folder / "lamp.dat"), "--regions", *regions[::-1], *degrees,
    )  # fmt: skip
    assert (status, err) == (0, ""), out
    n = len(observation.mask)
    assert f"{n} of {n} calibrated" in out
    return check(observation, folder / "c.asdf")


def simulated(direction, flips):
    shape = SHAPE if direction in ("LR", "RL") else SHAPE[::-1]
    return example(direction, shape, N_SLITS, **dict(zip(("flipx", "flipy"), flips, strict=True)))


@pytest.mark.usefixtures("blank_page")
@pytest.mark.parametrize("flips", [FLIPS, FLIPS[::-1]])
@pytest.mark.parametrize("n", range(4), ids=DIRECTIONS)
def test_every_direction_and_mirrored(specwcs, tmp_path, n, flips):
    observation = simulated(DIRECTIONS[n], flips[n])
    replayed(specwcs, tmp_path, observation, *DEGREES, edit=flips[n][0])


@pytest.mark.usefixtures("blank_page")
@pytest.mark.parametrize("n", [1, 2], ids=DIRECTIONS[1:3])
def test_without_tags_in_several_pieces_of_a_slit(specwcs, tmp_path, n):
    observation, how = simulated(DIRECTIONS[n], FLIPS[n]), {"edit": n % 2 > 0, "nsplit": 3}
    cal = replayed(specwcs, tmp_path, observation, *DEGREES, tagged=False, **how)
    lines = cal.residuals[cal.residuals["kind"] == "line"]
    places = np.asarray(lines["t"])
    assert [np.any(np.abs(places - t) < 0.1) for t in (1 / 6, 1 / 2, 5 / 6)] == [True] * 3


@pytest.mark.usefixtures("blank_page")
def test_the_order_of_the_files_is_free(specwcs, command, small, tmp_path):
    found = []
    for n, regions in enumerate((small.regions, small.regions[::-1], small.regions[1:])):
        again = [*command[:-3], *regions, *small.regions[: 3 - len(regions)]]
        again[4] = tmp_path / f"{n}.asdf"
        assert specwcs(*again)[0] == 0
        found.append(check(small.observation, again[4]))
    for name in ("opt", "crv", "ids"):
        one, *others = (getattr(cal, name).parameters for cal in found)
        for other in others:
            np.testing.assert_array_equal(one, other)


def test_fits_are_told_to_people(specwcs, command, tmp_path):
    status, out, err = specwcs(*command)
    assert (status, err) == (0, "")
    heads = [line for line in out.splitlines() if line.endswith(" fitted")]
    assert heads == ["OPT fitted", "CRV fitted", "IDS fitted"]
    assert "\ncalibrated " in out
    assert (tmp_path / "cal.html").stat().st_size > 10_000


def test_fits_are_told_to_machines(specwcs, command):
    status, out, err = specwcs(*command, "--json", "--opt", "2,2", "--crv", "2,2,1")
    facts = json.loads(out)
    assert status == facts["status"] == 0
    assert "IDS fitted" in err
    assert list(facts["fits"]) == ["opt", "crv", "ids"]
    for name, fit in facts["fits"].items():
        assert fit["degrees"] == facts["degrees"][name]
        assert fit["n_used"] > fit["n_dropped"]
    assert facts["degrees"]["opt"] == [2, 2]
    assert facts["degrees"]["crv"] == [2, 2, 1]
    assert facts["fits"]["ids"]["rms"] == pytest.approx(facts["lines"]["rms_px"])


@pytest.mark.usefixtures("blank_page")
def test_what_it_was_made_from_is_noted(specwcs, command, small, tmp_path):
    frames = ("--arc", small.arc, "--flat", small.flat, "--bias", small.flat)
    assert specwcs(*command, *frames)[0] == 0
    inputs = Calibration.read(tmp_path / "cal.asdf").provenance["inputs"]
    assert [entry["path"] for entry in inputs["regions"]] == [str(p) for p in small.regions]
    for name in ("regions", "flat", "arc", "bias", "instrument", "mask"):
        for entry in inputs[name]:
            content = Path(entry["path"]).read_bytes()
            assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert [len(inputs[name]) for name in ("flat", "arc", "bias", "catalog")] == [1, 1, 1, 0]


def test_frames_are_for_the_picture_only(specwcs, command, small, tmp_path):
    specwcs(*command)
    without = Calibration.read(tmp_path / "cal.asdf")
    specwcs(*command, "--arc", small.arc, "--flat", small.flat, "--overwrite")
    with_frames = Calibration.read(tmp_path / "cal.asdf")
    np.testing.assert_array_equal(without.ids.parameters, with_frames.ids.parameters)


@pytest.mark.usefixtures("blank_page")
def test_one_file_for_each_slit(specwcs, command, small, tmp_path):
    *others, ids = small.regions
    head, body = [], {}
    for line in ids.read_text().splitlines():
        slit = line.partition("tag={slit=")[2].partition("}")[0]
        (body.setdefault(slit, []) if slit else head).append(line)
    parts = []
    for slit, lines in body.items():
        parts.append(tmp_path / f"ids{slit}.reg")
        parts[-1].write_text("\n".join([*head, *lines]) + "\n")
    assert len(parts) > 5
    assert specwcs(*command[:-3], *parts, *others)[0] == 0
    check(small.observation, tmp_path / "cal.asdf")


@pytest.mark.usefixtures("blank_page")
@pytest.mark.parametrize("tagged", [True, False], ids=["tagged", "bare"])
def test_longslit(specwcs, tmp_path, tagged):
    observation = example("LR", SHAPE, kind="longslit")
    replayed(specwcs, tmp_path, observation, tagged=tagged, edit=True, pos=(0, 1), nsplit=5)


# -- sessions ---------------------------------------------------------------------------


@pytest.mark.usefixtures("blank_page")
def test_the_last_session_of_the_user_stays_the_last(specwcs, command, small, state):
    calib = ModelsCalibration(small.instrument, small.mask, viewer=None)
    calib.new_opt_model(1, 1)
    before = list(state.iterdir())
    assert specwcs(*command)[0] == 0
    assert specwcs(*command)[0] == 2
    assert list(state.iterdir()) == before
    assert ModelsCalibration.resume(viewer=None).opt.degrees == (1, 1)


# -- the medium -------------------------------------------------------------------------


@pytest.mark.usefixtures("blank_page")
def test_medium_that_nobody_tells(specwcs, command, tmp_path):
    i = command.index("--medium")
    status, _, err = specwcs(*command[:i], *command[i + 2 :])
    assert status == 0
    assert err.count("\n") == 1
    assert "taken to be air. Give --medium or --catalog." in err
    assert Calibration.read(tmp_path / "cal.asdf").medium == "air"


@pytest.mark.usefixtures("blank_page")
def test_medium_that_is_told(specwcs, command, tmp_path):
    command[command.index("--medium") + 1] = "vacuum"
    assert specwcs(*command)[0] == 0
    assert Calibration.read(tmp_path / "cal.asdf").medium == "vacuum"


def test_catalogue_in_another_medium_is_refused(specwcs, command, tmp_path):
    i = command.index("--medium")
    lamp_file = write_lamp(tmp_path / "lamp.dat", medium="vacuum")
    complaint = refused(specwcs, [*command[:i], *command[i + 2 :], "--catalog", lamp_file])
    assert "ids.reg: 16 of 16 wavelengths, such as " in complaint
    assert "none of the catalogue, which is in vacuum" in complaint


# -- wrong input -------------------------------------------------------------------------


def refused(specwcs, argv):
    status, _, err = specwcs(*argv)
    assert status == 2
    assert err.count("\n") == 1
    assert not argv[4].exists()
    return err


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image\n", "r.reg: no shape to fit. Draw boxes or polygons, or points, or vectors, and"),
        ("image\n-point(3,4)\ntext(1,2) # text={a}\n", "r.reg: no shape to fit"),
        ("image\npoint(3,4)\nbox(1,2,3,4,0)\n", "r.reg, line 3: a box among points. Must be of"),
        ("image\npoint(3,4)\ncircle(1,2,3)\n", "r.reg, line 3: 'circle' is no marker. Must be"),
        ("fk5\npoint(3,4)\n", "r.reg, line 1: coordinate system fk5. Must be image or physical"),
        ("image\npoint(3,4) # tag={slit=7b} tag={t=0.0}\n", "r.reg, line 2: unknown slit id '7b'"),
        ("image\npoint(3,4) # tag={slit=01} tag={t=x}\n", "r.reg, line 2, slit 01: "),
        (
            "image\nbox(9,9,3,4,0) # tag={slit=01}\nbox(1,2,3,4,0) # tag={slit=01}\n",
            "r.reg, slit 01: two boxes, in lines 2 and 3",
        ),
    ],
)
def test_region_files_at_fault(specwcs, command, small, tmp_path, text, words, place):
    wrong = tmp_path / "r.reg"
    wrong.write_text(text)
    kinds = ("box" in text and "among" not in words, "point" in text)
    own = small.regions[0 if kinds[0] else 1]
    regions = [path for path in small.regions if path != own]
    regions.insert(place, wrong)
    assert f"{tmp_path}/{words}" in refused(specwcs, [*command[:-3], *regions])


def test_model_without_a_file(specwcs, command):
    complaint = refused(specwcs, command[:-2])
    assert "--regions: no file has points (CRV), none has vectors (IDS). Must be " in complaint
    assert "Give at least one file of each." in complaint


def test_file_that_is_missing(specwcs, command, tmp_path):
    command[-1] = tmp_path / "no.reg"
    assert f"{tmp_path}/no.reg: no such file" in refused(specwcs, command)


def test_vectors_without_wavelength_need_the_catalogue(specwcs, command, small, tmp_path):
    bare = tmp_path / "bare.reg"
    bare.write_text(small.regions[2].read_text())
    strip_tags([bare])
    complaint = refused(specwcs, [*command[:-1], bare])
    assert f"{bare}, line 4: " in complaint
    assert "vectors do not tell their wavelength. Give the catalogue of the lamps" in complaint


@pytest.mark.parametrize("which", [0, 1, 2], ids=["boxes", "points", "vectors"])
def test_shapes_in_places_of_no_sense(specwcs, command, small, tmp_path, which):
    wrong, rng = tmp_path / "wrong.reg", np.random.default_rng(4)
    wrong.write_text(small.regions[which].read_text())
    strip_tags([wrong])
    ny, nx = small.observation.instrument.shape

    def elsewhere(match):
        return f"{match[1]}({rng.uniform(1, nx):.2f},{rng.uniform(1, ny):.2f}{match[2]}"

    text = re.sub(r"(box|point|vector)\([\d.]+,[\d.]+(.)", elsewhere, wrong.read_text())
    wrong.write_text(text)
    regions = [*small.regions[:which], wrong, *small.regions[which + 1 :]]
    complaint = refused(
        specwcs, [*command[:-3], *regions, "--catalog", write_lamp(tmp_path / "lamp.dat")]
    )
    assert "wrong.reg" in complaint


def test_degrees_that_the_markers_do_not_allow(specwcs, command):
    complaint = refused(specwcs, [*command, "--opt", "4,4"])
    assert "OPT" in complaint
    assert "The data allow OPT x (2, 2)." in complaint


@pytest.mark.parametrize(
    ("given", "missing"),
    [
        ((), "--arc, --lamps or --catalog"),
        (("--arc", "a.fits"), "--lamps or --catalog"),
        (("--catalog", "Ne"), "--arc"),
        (("--lamps", "Ne"), "--arc"),
    ],
)
def test_neither_frames_nor_regions(specwcs, command, given, missing):
    complaint = refused(specwcs, [*command[:5], *given])
    assert f"the following arguments are required: {missing}. Give them " in complaint
    assert "or --regions to calibrate from region files" in complaint
