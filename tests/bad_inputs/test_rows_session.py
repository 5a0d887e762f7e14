"""Rows of the catalogue of bad inputs that a session meets: 65 to 78 by its door, 105 to 113."""

import os
import subprocess
import sys
import threading

import hand
import numpy as np
import pytest

from specwcs import FitError, InputError, ModelsCalibration
from specwcs.models import OpticalModel
from specwcs.session import fits as session_fits
from specwcs.simulate import example, wrong


@pytest.fixture(autouse=True)
def state_home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def obs():
    return example("LR", shape=(640, 512), n_slits=12, seed=4)


@pytest.fixture
def calib(obs):
    session = ModelsCalibration(wrong(obs.instrument), obs.mask, viewer=None)
    session.new_opt_model(2, 2)
    session.plot_opt_model()
    return session


def written(tmp_path, calib, change=lambda text: text):
    path = tmp_path / "opt.reg"
    calib.write_regions(path, overwrite=True)
    path.write_text(change(path.read_text()))
    return path


def test_row_065_all_deleted(calib, obs, tmp_path):
    before = calib.opt.parameters.copy()
    path = written(tmp_path, calib, lambda text: text[: text.index("box(")])
    with pytest.raises(InputError, match=r"opt\.reg: 0 shapes are left: the models are unchanged"):
        calib.read_regions(path)
    markers = calib.markers
    markers["used"] = False
    with pytest.raises(InputError, match=r"0 of 12 markers are left: OPT is unchanged.*undo\(\)"):
        calib.markers = markers
    assert np.array_equal(calib.opt.parameters, before)


def test_row_069_a_polygon_of_five_corners(calib, obs, tmp_path, capsys):
    calib.plot_opt_model(edit=True)
    path = written(tmp_path, calib, lambda t: t.replace("polygon(", "polygon(5,5,", 1))
    calib.read_regions(path)
    assert "slit 01: polygon with 5 corners: delete the added corner" in capsys.readouterr().out
    assert "01" not in calib.markers.select(used=True)["slit"]


def test_row_072_a_decimal_comma(calib, tmp_path):
    path = tmp_path / "r.reg"
    path.write_text("image\npoint(5,5;3)\n")
    with pytest.raises(InputError, match=r"r\.reg, line 2: "):
        calib.read_regions(path)


def test_row_075_sky_coordinates(calib, tmp_path):
    path = written(tmp_path, calib, lambda text: text.replace("image\n", "fk5\n"))
    with pytest.raises(InputError, match=r"(?i)opt\.reg, line 3: .*save .*image"):
        calib.read_regions(path)


def test_row_076_an_unknown_slit(calib, tmp_path):
    path = written(tmp_path, calib, lambda text: text.replace("slit=03", "slit=033", 1))
    with pytest.raises(InputError, match=r"opt\.reg, line 6: unknown slit id '033'.* 03"):
        calib.read_regions(path)


def test_row_078_neighbours_that_changed_places(calib, obs):
    hand.place(calib, obs)
    markers = calib.markers
    for axis in "xy":
        markers[axis][[5, 6]] = markers[axis][[6, 5]]
    calib.markers = markers
    summary = calib.fit_opt_model()
    assert summary.n_dropped >= 2
    assert any("06" in text and "07" in text for text in summary.advice)


def test_row_105_to_109_products_of_a_session(calib, obs, tmp_path):
    """Whole or absent, refused before they replace anything, and never half."""
    path = tmp_path / "a.opt"
    calib.opt.writeto(path)
    kept = path.read_bytes()
    (tmp_path / "a.asdf").write_bytes(kept)
    for write, name in (
        (calib.opt.writeto, "a.opt"),
        (calib.write_regions, "a.opt"),
        (calib.calibration.write, "a.asdf"),
    ):
        with pytest.raises(InputError, match=rf"{name}: exists already.*overwrite"):
            write(tmp_path / name)
        assert (tmp_path / name).read_bytes() == kept
    with pytest.raises(InputError, match="cannot be written"):
        calib.opt.writeto(tmp_path / "nowhere" / "a.opt")
    calib.opt.coefficients = np.full_like(calib.opt.coefficients, np.nan)
    with pytest.raises(InputError, match=r"a\.opt: the model cannot be stored.*not finite"):
        calib.opt.writeto(path, overwrite=True)
    assert path.read_bytes() == kept
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".specwcs")] == []


def test_row_110_ctrl_c_in_a_fit_leaves_all_as_it_was(calib, obs, monkeypatch):
    hand.place(calib, obs)
    before, markers = calib.opt.parameters.copy(), calib.markers

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(session_fits, "summarise", interrupted)
    with pytest.raises(KeyboardInterrupt):
        calib.fit_opt_model()
    monkeypatch.undo()
    assert np.array_equal(calib.opt.parameters, before)
    assert np.array_equal(calib.markers["x"], markers["x"])
    assert calib.fit_opt_model().n_used == 12


def test_row_110_a_failed_fit_can_be_undone_like_nothing(calib, obs):
    calib.new_opt_model(4, 4)
    calib.plot_opt_model()
    hand.place(calib, obs)
    before = calib.markers
    with pytest.raises(FitError):
        calib.fit_opt_model()
    assert np.array_equal(calib.markers["x"], before["x"])
    calib.undo()  # the edit, not the fit that never was
    assert not np.array_equal(calib.markers["x"], before["x"])


def test_row_112_sessions_and_models_in_threads(obs):
    results, errors = {}, []

    def work(seed):
        try:
            session = ModelsCalibration(wrong(obs.instrument), obs.mask, viewer=None)
            session.new_opt_model(2, 2)
            session.plot_opt_model()
            hand.place(session, obs, seed=seed % 2)
            session.fit_opt_model()
            results[seed] = session.opt.parameters.copy()
        except Exception as error:  # told below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for seed in range(2, 8):
        assert np.array_equal(results[seed], results[seed % 2])


IN_ANOTHER_LOCALE = """
import sys
from specwcs import ModelsCalibration
folder = sys.argv[1]
calib = ModelsCalibration(folder + "/instrument.icf", folder + "/mask.mdf", viewer=None)
calib.new_opt_model(1, 1)
calib.plot_opt_model()
calib.write_regions(folder + "/my region 1.reg", overwrite=True)
calib.read_regions(folder + "/my region 1.reg")
calib.opt.writeto(folder + "/my model.opt", overwrite=True)
calib.load_image(folder + "/arc.fits")
again = ModelsCalibration.resume(viewer=None)
assert len(again.markers) == len(calib.markers)
print(calib.fit_opt_model().n_used)
"""


def test_row_113_spaces_accents_and_locales(obs, tmp_path):
    """In a locale that knows no accents."""
    folder = tmp_path / "nuit n° 3 – été"
    folder.mkdir()
    hand.write_files(obs, folder)
    env = {**os.environ, "LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"}
    script = folder / "session.py"
    script.write_text(IN_ANOTHER_LOCALE, encoding="utf-8")
    command = [sys.executable, "-W", "error", str(script), str(folder)]
    done = subprocess.run(command, capture_output=True, env=env, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert done.stdout.decode(errors="replace").split()[-1] == "12"
    assert OpticalModel.read(folder / "my model.opt").degrees == (1, 1)
