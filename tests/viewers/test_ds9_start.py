"""Starting and ending a DS9 of our own, also where that cannot go well."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from viewers.ds9_hand import require

from specwcs.errors import InputError, ViewerError
from specwcs.regions import Shape
from specwcs.viewers import open_viewer
from specwcs.viewers.handoff import private_folder
from specwcs.viewers.samp import SampHub
from specwcs.viewers.xpa import Xpa

IMAGE = np.zeros((60, 90))
SHAPES = [Shape("point", ((45.0, 35.0),), tags={"slit": "8"}, text="Hα")]


def program(folder, text):
    """Put a 'ds9' of our own making into a folder."""
    path = folder / "ds9"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def use(viewer):
    viewer.show(IMAGE, "arc")
    viewer.draw(SHAPES)
    (shape,) = viewer.read()
    assert (shape.points, shape.text) == (SHAPES[0].points, "Hα")


@pytest.mark.parametrize("name", ["Web", "DS9", "", None])
def test_an_unknown_name(name):
    with pytest.raises(InputError, match=r"unknown viewer .* Must be one of ds9, ds9-running, web"):
        open_viewer(name)


def test_no_ds9(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ViewerError, match=r"no 'ds9' on the PATH. Install it .*viewer=None"):
        open_viewer("ds9")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no DISPLAY")
@pytest.mark.parametrize("value", [None, ""])
def test_no_display(monkeypatch, tmp_path, value):
    program(tmp_path, "exit")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("DISPLAY", raising=False)
    if value is not None:
        monkeypatch.setenv("DISPLAY", value)
    with pytest.raises(ViewerError, match=r"DISPLAY is not set. Work at a screen"):
        open_viewer("ds9")


def test_a_display_that_does_not_answer(monkeypatch):
    require("ds9")
    monkeypatch.setenv("DISPLAY", ":54321")
    with pytest.raises(ViewerError, match=r"ended as it was started: Unable to init"):
        open_viewer("ds9")


def test_a_ds9_that_never_answers(monkeypatch, tmp_path, display):
    folder = tempfile.mkdtemp(dir="/tmp")
    monkeypatch.setattr(tempfile, "tempdir", folder)
    program(tmp_path, "exec sleep 1000")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("specwcs.viewers.own.START", 2)
    start = time.monotonic()
    with pytest.raises(ViewerError, match="cannot be reached after 2 s"):
        open_viewer("ds9")
    assert time.monotonic() - start < 5
    Path(folder).rmdir()  # nothing was left in it


def test_samp_is_preferred_and_our_own_hub(ds9):
    assert isinstance(ds9._console.link._channel, SampHub)


def test_xpa_is_the_fallback(monkeypatch, tmp_path, display):
    require("xpaget", "xpaset")
    program(tmp_path, f'unset SAMP_HUB; HOME={tmp_path} exec {shutil.which("ds9")} "$@"')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("specwcs.viewers.console.ANSWER", 1)
    with open_viewer("ds9") as viewer:
        assert isinstance(viewer._console.link._channel, Xpa)
        use(viewer)
        with pytest.raises(ViewerError, match="DS9 refused 'frame nonsense': parse error"):
            viewer._console.set("frame nonsense")
        os.kill(viewer._console.link._process.pid, signal.SIGSTOP)
        with pytest.raises(ViewerError, match="is stopped"):
            viewer.read()
        os.kill(viewer._console.link._process.pid, signal.SIGCONT)
        use(viewer)
        os.kill(viewer._console.link._process.pid, signal.SIGKILL)
        with pytest.raises(ViewerError, match="was killed"):
            viewer.read()
        viewer.reopen()
        use(viewer)


def test_the_users_own_hub_and_settings_are_left_alone(monkeypatch, tmp_path, display):
    lock = tmp_path / ".samp"
    lock.write_text("samp.secret=x\nsamp.hub.xmlrpc.url=http://127.0.0.1:9/\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{lock.as_uri()}")
    with open_viewer("ds9") as viewer:
        use(viewer)
    assert lock.read_text().startswith("samp.secret=x")
    assert [path.name for path in tmp_path.iterdir()] == [".samp"]


@pytest.fixture
def temporary(monkeypatch, tmp_path, request):
    folder = tmp_path / request.param
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.mark.parametrize(
    "temporary",
    ["with space", "brace{", "$dollar", "[bracket]", "ñ", "x" * 90],
    indirect=True,
)
def test_a_temporary_folder_that_ds9_cannot_name_is_not_used(temporary):
    private = private_folder()
    private.rmdir()
    assert re.fullmatch(r"/[\w/.+-]{1,80}", str(private), re.ASCII)


@pytest.mark.parametrize("temporary", ["a [b] {c $d ñ" + "x" * 90], indirect=True)
def test_any_temporary_folder(temporary, display):
    with open_viewer("ds9") as viewer:
        use(viewer)


def test_nothing_piles_up_in_the_temporary_folder(display):
    with open_viewer("ds9") as viewer:
        use(viewer)
        for _ in range(3):
            viewer.show(IMAGE, "again")
        assert len(list(viewer._folder.glob("*.fits"))) == 1
        assert not list(viewer._folder.glob("*.xpa"))
    assert not viewer._folder.exists()


# -- the end of the interpreter ----------------------------------------------------

SCRIPT = """
import os, signal, sys, time, numpy as np
from specwcs.regions import Shape
from specwcs.viewers import open_viewer

viewer = open_viewer("ds9")
viewer.watch(print)
viewer.show(np.zeros((60, 90)), "arc")
viewer.draw([Shape("point", ((45.0, 35.0),), tags={"slit": "8"}, text="H\\u03b1")])
(shape,) = viewer.read()
assert shape.text == "H\\u03b1"
process = viewer._console.link._process
print(process.pid, viewer._folder, flush=True)
"""


def run(script, **environment):
    words = [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT + script]
    return subprocess.Popen(
        words,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def ended(pid):
    for _ in range(50):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    "script", ["", "os.kill(process.pid, signal.SIGSTOP)", "raise SystemExit(0)"]
)
def test_ds9_ends_with_the_interpreter(display, script):
    process = run(script)
    out, err = process.communicate(timeout=60)
    pid, folder = out.decode().split()
    assert err == b""
    assert process.returncode == 0
    assert ended(pid)
    assert not Path(folder).exists()


def test_ctrl_c_does_not_end_ds9(display):
    process = run(
        "try:\n    print('ready', flush=True)\n    time.sleep(30)\n"
        "except KeyboardInterrupt:\n    time.sleep(0.5)\n"
        "    print(viewer.alive, len(viewer.read()))"
    )
    while process.stdout.readline() != b"ready\n":
        pass
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (out.split(), err) == ([b"True", b"1"], b"")


def test_a_locale_without_utf_8(display):
    plain = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    out, err = run("", **plain).communicate(timeout=60)
    assert err == b""
    assert len(out.split()) == 2
