"""``specwcs view``: a calibration on a frame, in a real DS9."""

import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import calibration_cases as cases
import numpy as np
import pytest
from viewers.ds9_hand import Hand, display, require, x_server

from specwcs import Calibration, ModelsCalibration
from specwcs.calibration import solve
from specwcs.simulate import example
from specwcs.viewers.xpa import access_points

__all__ = ["display", "x_server"]

SCRIPT = Path(sys.executable).with_name("specwcs")
SOON = 60  # s
DRAWN = 5  # s, for DS9 to show what the journal has


# -- wrong input, and no viewer -------------------------------------------------------------


def refused(specwcs, *argv):
    status, out, err = specwcs("view", *argv)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    return err


def test_no_ds9_is_told(specwcs, observed, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    complaint = refused(specwcs, observed.calibration, "--arc", observed.arc)
    assert "DS9 is not installed: no 'ds9' on the PATH. Install it" in complaint


def test_no_running_ds9_is_told(specwcs, observed, monkeypatch, tmp_path):
    monkeypatch.setenv("XPA_TMPDIR", str(tmp_path))
    monkeypatch.setenv("XPA_METHOD", "local")
    complaint = refused(specwcs, observed.calibration, "--running")
    assert "no open DS9 answers to XPA" in complaint or "no 'xpaget' on the PATH" in complaint


def test_one_viewer_at_a_time(specwcs, observed):
    assert "not allowed with argument" in refused(
        specwcs, observed.calibration, "--ds9", "--running"
    )


def test_what_is_no_calibration(specwcs, observed, tmp_path):
    model = tmp_path / "m.opt"
    observed.cal.opt.writeto(model)
    wrong = {
        observed.mask: "this is a mask. Must be a calibration, an instrument or a journal.",
        observed.arc: "this is a FITS file. Must be a calibration, an instrument or a journal.",
        model: "OpticalModel",
        tmp_path / "no.asdf": "is neither a file nor a name that ships",
    }
    for path, words in wrong.items():
        complaint = refused(specwcs, path)
        assert str(path) in complaint
        assert words in complaint


def test_masks_belong_to_instruments(specwcs, observed):
    assert "no mask. Give the mask file after" in refused(specwcs, observed.instrument)
    complaint = refused(specwcs, observed.calibration, observed.mask)
    assert f"'{observed.mask}' after a calibration, which has its mask. Omit it." in complaint


@pytest.mark.parametrize("option", ["--arc", "--flat", "--science", "--catalog"])
def test_missing_files_are_named(specwcs, observed, option, tmp_path):
    name = tmp_path / "no.fits"
    assert f"{name}: no such file" in refused(specwcs, observed.calibration, option, name)


# -- the session on a calibration --------------------------------------------------------------


@pytest.mark.parametrize(
    ("direction", "flips"),
    [("LR", (True, False)), ("BU", (False, True))],
)
def test_a_session_on_a_calibration_has_its_left_and_right(direction, flips, tmp_path):
    """What `view` opens: markers where the light falls, for masks that are mirrored, too."""
    from specwcs.cli.view import _given, _session

    more = dict(zip(("flipx", "flipy"), flips, strict=True))
    shape = (512, 1024) if direction == "LR" else (1024, 512)
    observation = example(direction, shape, 8, **more)
    cal = solve(
        observation.instrument, observation.mask, cases.true_markers(observation),
        medium="vacuum", flips=flips,
    )  # fmt: skip
    cal.write(tmp_path / "c.asdf")
    args = SimpleNamespace(target=str(tmp_path / "c.asdf"), mask=None, catalog=None)
    session = _session(_given(args)[0], None)
    session.plot_crv_model(5, pos=(0, 1))
    for marker in session.markers:
        found = observation.world(marker["slit"], marker["x"].value, marker["y"].value)
        assert found[1] == pytest.approx(marker["t"], abs=0.02)
    assert session.calibration.medium == "vacuum"
    assert session.calibration.good() == cal.good()
    np.testing.assert_array_equal(session.calibration.opt.parameters, cal.opt.parameters)


# -- in a real DS9 -----------------------------------------------------------------------------


@pytest.fixture
def started(display, state):
    """Start ``specwcs view`` as a process; what is left of it is ended."""
    running = []

    def start(*argv, **options):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(
            [SCRIPT, "view", *map(str, argv)], text=True, **(pipes | options)
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(SOON)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def journal_holds(folder, words):
    """Wait until the journal of the only session holds some words."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        if any(words in path.read_text() for path in folder.glob("*.jsonl")):
            return
        time.sleep(0.1)
    pytest.fail(f"no journal with {words}")


def children(process):
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


SHOWN = [
    (("--arc", "arc", "--flat", "flat", "--catalog", "catalog"), "ids", True),
]


@pytest.mark.slow
@pytest.mark.parametrize(("given", "model", "calibrated"), SHOWN)
def test_until_ctrl_c(started, observed, state, given, model, calibrated):
    files = [getattr(observed, word, word) for word in given]
    target = [observed.calibration] if calibrated else [observed.instrument, observed.mask]
    process = started(*target, *files, "--json")
    journal_holds(state, f"plot_{model}_model")
    time.sleep(DRAWN)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SOON)
    facts = json.loads(out)
    assert (process.returncode, facts["status"], err) == (0, 0, "")
    assert facts["model"] == model
    assert facts["markers"] > 3
    assert [frame["kind"] for frame in facts["frames"]] == [
        word.lstrip("-") for word in given if word in ("--arc", "--flat")
    ]
    assert list(state.iterdir()) == [Path(facts["journal"])]


@pytest.mark.slow
def test_until_the_window_is_closed(started, observed, state):
    process = started(observed.calibration, "--flat", observed.flat)
    journal_holds(state, "plot_crv_model")
    time.sleep(DRAWN)
    (ds9,) = children(process)
    os.kill(ds9, signal.SIGTERM)
    out, err = process.communicate(timeout=SOON)
    assert (process.returncode, err) == (0, "")
    (journal,) = state.iterdir()
    assert f"specwcs view {journal}\n" in out


@pytest.mark.slow
def test_what_the_user_moved_is_kept(display, specwcs, observed, state, monkeypatch):
    """Without a terminal, what was done in the window is in the session that goes on."""
    from specwcs.cli import view

    def move(viewer):
        shape = next(s for s in viewer.read() if s.kind == "box" and s.tags["slit"] == "02")
        (x, y) = shape.points[0]
        moved.append((x, y))
        Hand(viewer).drag(x, y, x + 30, y + 10)

    moved = []
    monkeypatch.setattr(view, "_wait", move)
    status, _, err = specwcs("view", observed.instrument, observed.mask, "--arc", observed.arc)
    assert (status, err) == (0, "")
    markers = ModelsCalibration.resume(viewer=None).markers
    x, y = (markers[markers["slit"] == "02"][c].value[0] for c in "xy")
    assert (x - moved[0][0], y - moved[0][1]) == pytest.approx((30, 10), abs=2)


@pytest.mark.slow
def test_a_prompt_on_a_terminal(started, observed, state, tmp_path):
    master, slave = pty.openpty()
    process = started(
        observed.calibration, "--arc", observed.arc, "--catalog", observed.catalog,
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    saved = tmp_path / "kept.asdf"
    lines = [
        "print('n is', len(calib.markers), cal.medium, arc, len(catalog))",
        "m = calib.markers; m['x'] += 0.05 * m['x'].unit; calib.markers = m",
        f"_ = calib.fit_ids_model(); calib.calibration.write('{saved}')",
        "exit()",
    ]
    journal_holds(state, "plot_ids_model")
    os.write(master, "".join(f"{line}\n" for line in lines).encode())
    told = b""
    try:
        while part := os.read(master, 65536):
            told += part
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(master)
    assert process.wait(SOON) == 0
    told = told.decode().replace("\r\n", "\n")
    assert "calib is the session on" in told
    assert "IDS fitted" in told
    assert f"air ['{observed.arc}']" in told
    assert "showed " in told
    assert Calibration.read(saved).good()


@pytest.fixture
def users_ds9(display, monkeypatch):
    """A DS9 that the user has open; its process."""
    require("xpaget", "xpaset")
    with tempfile.TemporaryDirectory(prefix="xpa-", dir="/tmp") as folder:
        monkeypatch.setenv("XPA_TMPDIR", folder)
        monkeypatch.setenv("XPA_METHOD", "local")
        with subprocess.Popen(["ds9"], stderr=subprocess.DEVNULL) as process:
            end = time.monotonic() + SOON
            while not access_points():
                assert time.monotonic() < end, "DS9 did not start"
                time.sleep(0.1)
            yield process
            process.kill()


@pytest.mark.slow
def test_the_ds9_that_is_open_is_left_open(users_ds9, specwcs, observed, monkeypatch):
    from specwcs.cli import view

    shown = []
    monkeypatch.setattr(view, "_wait", lambda viewer: shown.extend(viewer.read()))
    status, out, err = specwcs("view", observed.calibration, "--flat", observed.flat, "--running")
    assert (status, err) == (0, "")
    assert f"showed {len(shown)} markers of CRV" in out
    assert users_ds9.poll() is None
