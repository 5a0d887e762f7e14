"""The region files of the tutorial replay, with tags and without; the script writes them."""

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from specwcs import ModelsCalibration
from specwcs.regions import read_regions
from specwcs.simulate import tutorial

DOCS = Path(__file__).parents[2] / "docs"
REGIONS = DOCS / "tutorial" / "regions"
FILES = sorted(path.relative_to(REGIONS) for path in REGIONS.rglob("*.reg"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return tutorial(tmp_path_factory.mktemp("tutorial"))


def test_pages_can_be_followed_in_one_folder():
    """The first page writes the files; those after it begin with them, too."""
    for page in ("mos", "longslit", "session"):
        text = (DOCS / "tutorial" / f"{page}.rst").read_text(encoding="utf-8")
        assert 'simulate.tutorial(".", overwrite=True)' in text


@pytest.fixture(autouse=True)
def state_home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))


def session(written, case):
    files = written.files
    return ModelsCalibration(files[f"{case}/instrument"], files[f"{case}/mask"], viewer=None)


def off_by(calib, truth):
    """Rms error of the wavelengths on the frame, px."""
    wavelength, _, slit = truth.maps()
    maps = calib.calibration.maps()
    both = (slit >= 0) & (maps.slit == slit)
    assert both.sum() > 0.9 * (slit >= 0).sum()
    error = (maps.wavelength - wavelength)[both] / truth.instrument.linear_dispersion
    return np.sqrt(np.mean(error**2))


def untagged(path, folder):
    """Write a region file as a hand or another program would: shapes, and nothing else."""
    text = re.sub(r" (tag|text)=\{[^}]*\}", "", path.read_text(encoding="utf-8"))
    (folder / path.name).write_text(text, encoding="utf-8")
    return folder / path.name


def fit_mos(calib, written, give):
    calib.new_opt_model(2, 2).flipy()
    calib.plot_opt_model()
    give("opt.reg")
    calib.fit_opt_model()
    calib.new_crv_model(2, 2, 2)
    calib.set_trace_limits(800, 800)
    calib.plot_crv_model(9)
    give("crv.reg")
    calib.fit_crv_model()
    calib.new_ids_model(3, 2, 2)
    calib.plot_ids_model(written.files["mos/lamp"], wstart=5000.0, wend=10000.0)


def fit_longslit(calib, written, give):
    calib.new_opt_model(1, 1)
    calib.plot_opt_model(edit=True)
    give("opt.reg")
    calib.fit_opt_model()
    calib.new_crv_model(2, 0, 1)
    calib.set_trace_limits(1000, 1000)
    calib.plot_crv_model(7, pos=(0, 1))
    give("crv.reg")
    calib.fit_crv_model()
    calib.new_ids_model(3, 0, 2)
    calib.plot_ids_model(written.files["longslit/sky"], wstart=15000.0, nsplit=7)
    give("ids.reg")
    calib.fit_ids_model()


def test_there_is_a_file_for_each_step():
    slits = [key for key, slit in tutorial_mask().items() if not slit.reference]
    mos = ["crv.reg", "ids_global.reg", "opt.reg", *(f"ids{key}.reg" for key in slits)]
    expected = [Path("mos") / name for name in mos]
    expected += [Path("longslit") / name for name in ("crv.reg", "ids.reg", "opt.reg")]
    assert set(FILES) == set(expected)


def tutorial_mask():
    from specwcs.simulate.tutorial import _mos

    return _mos().mask


@pytest.mark.parametrize("tags", [True, False], ids=["tags", "no tags"])
def test_the_mask_all_slits_at_once(written, tags, tmp_path):
    calib = session(written, "mos")

    def give(name):
        path = REGIONS / "mos" / name
        calib.read_regions(path if tags else untagged(path, tmp_path))

    fit_mos(calib, written, give)
    give("ids_global.reg")
    summary = calib.fit_ids_model()
    assert summary.n_used > 380
    assert off_by(calib, written.mos) < 0.1


@pytest.mark.parametrize("tags", [True, False], ids=["tags", "no tags"])
def test_the_mask_slit_by_slit(written, tags, tmp_path):
    calib = session(written, "mos")
    fit_mos(calib, written, lambda name: calib.read_regions(REGIONS / "mos" / name))
    calib.ids_iter(written.files["mos/lamp"], wstart=5000.0)
    visited = []
    for _ in range(13):
        visited.append(str(calib.markers["slit"][0]))
        path = REGIONS / "mos" / f"ids{visited[-1]}.reg"
        calib.read_regions(path if tags else untagged(path, tmp_path))
        calib.next()
    assert len(set(visited)) == 13
    assert visited[0] == "120"
    summary = calib.stop_iter()
    assert summary.n_used > 380
    assert off_by(calib, written.mos) < 0.1


@pytest.mark.parametrize("tags", [True, False], ids=["tags", "no tags"])
def test_the_long_slit(written, tags, tmp_path):
    calib = session(written, "longslit")

    def give(name):
        path = REGIONS / "longslit" / name
        calib.read_regions(path if tags else untagged(path, tmp_path))

    fit_longslit(calib, written, give)
    assert off_by(calib, written.longslit) < 0.1


@pytest.mark.slow
def test_files_are_what_the_script_writes(written, tmp_path):
    script = runpy.run_path(str(DOCS / "tutorial" / "prepare_regions.py"))
    script["Hand"].__init__.__globals__["REGIONS"] = tmp_path
    script["prepare_mos"](written.files, written.mos)
    script["prepare_longslit"](written.files, written.longslit)
    for name in FILES:
        shipped, made = read_regions(REGIONS / name), read_regions(tmp_path / name)
        assert [shape.tags for shape in made] == [shape.tags for shape in shipped], name
        for one, other in zip(made, shipped, strict=True):
            # Where crosses are drawn depends on a fit, and so on the last bits.
            np.testing.assert_allclose(one.points, other.points, atol=1e-3)
