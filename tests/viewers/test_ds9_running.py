"""The DS9 that the user has open: reached over XPA, and left as it was."""

import os
import shutil
import signal
import subprocess
import tempfile
import time

import numpy as np
import pytest
from astropy.io import fits
from viewers.ds9_hand import Hand, require

from specwcs.errors import ViewerError
from specwcs.regions import Shape
from specwcs.viewers import open_viewer
from specwcs.viewers.xpa import Xpa, access_points

IMAGE = np.random.default_rng(5).normal(100, 5, (600, 900))
SHAPES = [
    Shape("box", ((300.0, 200.0),), (100.0, 50.0), tags={"slit": "7"}),
    Shape("point", ((450.0, 350.0),), tags={"slit": "8"}),
]


@pytest.fixture
def xpa_folder(monkeypatch):
    """A folder of its own for the sockets of XPA: short, and with nobody else in it."""
    require("xpaget", "xpaset")
    folder = tempfile.mkdtemp(prefix="xpa-", dir="/tmp")
    monkeypatch.setenv("XPA_METHOD", "local")
    monkeypatch.setenv("XPA_TMPDIR", folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start(xpa_folder, display):
    """Start a DS9 as a user does; return its process."""
    started = []

    def start(title):
        process = subprocess.Popen(["ds9", "-title", title], stderr=subprocess.DEVNULL)
        started.append(process)
        end = time.monotonic() + 30
        while title not in dict(access_points()):
            assert time.monotonic() < end, "DS9 did not start"
            time.sleep(0.1)
        Xpa(title).get("version", 30)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def users(start, tmp_path):
    """The user's DS9, busy with two frames; return its process."""
    process = start("mine")
    fits.PrimaryHDU(IMAGE[:300].astype("f4")).writeto(tmp_path / "own.fits")
    tell("fits", tmp_path / "own.fits")
    tell("regions command {circle 100 100 20}")
    tell("zoom to 2")
    tell("frame new")
    tell("fits", tmp_path / "own.fits")
    tell("frame 1")
    tell("tile yes")
    return process


def tell(*words):
    Xpa("mine").set(" ".join(map(str, words)), 10)


def ask(question):
    return Xpa("mine").get(question, 10).strip()


def state():
    return [
        ask(question)
        for question in (
            "frame",
            "frame all",
            "frame active",
            "tile",
            "tile mode",
            "mode",
            "zoom",
            "file",
            "regions -format ds9 -system image",
        )
    ]


def test_it_is_used_and_left_as_it_was(users):
    before = state()
    with open_viewer("ds9-running") as viewer:
        viewer.show(IMAGE, "arc")
        viewer.draw(SHAPES)
        viewer.look(450, 300, 400, 300)
        Hand(viewer, title="mine").drag(300, 200, 340, 170)
        (box,) = (shape for shape in viewer.read() if shape.kind == "box")
        np.testing.assert_allclose(box.points, [(340, 170)], atol=2)
        for columns in (True, False):
            viewer.split(columns)
            viewer.draw(SHAPES, 2)
            assert len(viewer.read(2)) == len(viewer.read(1)) == 2
            assert len(ask("frame active").split()) == 2
        viewer.join()
        assert len(viewer.read()) == 2
        viewer.split(columns=True)
    assert state() == before
    assert users.poll() is None


def test_the_user_looks_at_another_frame_meanwhile(users):
    with open_viewer("ds9-running") as viewer:
        viewer.show(IMAGE, "arc")
        viewer.draw(SHAPES)
        tell("frame 2")
        assert len(viewer.read()) == 2
        assert ask("frame") == "2"


def test_it_is_closed_by_the_user_and_opened_again(users, start):
    with open_viewer("ds9-running") as viewer:
        viewer.show(IMAGE, "arc")
        users.kill()
        users.wait()
        time.sleep(0.3)
        assert not viewer.alive
        with pytest.raises(ViewerError, match=r"XPA does not know it any more. Open DS9"):
            viewer.read()
        with pytest.raises(ViewerError, match="no open DS9 answers to XPA"):
            viewer.reopen()
        start("mine")
        viewer.reopen()
        viewer.draw(SHAPES)
        assert len(viewer.read()) == 2


def test_it_hangs(users, monkeypatch):
    monkeypatch.setattr("specwcs.viewers.console.ANSWER", 1)
    with open_viewer("ds9-running") as viewer:
        viewer.show(IMAGE, "arc")
        viewer.draw(SHAPES)
        os.kill(users.pid, signal.SIGSTOP)
        with pytest.raises(ViewerError, match=r"does not answer. Close its open dialog"):
            viewer.read()
        os.kill(users.pid, signal.SIGCONT)
        assert len(viewer.read()) == 2


def test_a_dialog_that_another_program_opened(users, monkeypatch):
    monkeypatch.setattr("specwcs.viewers.console.ANSWER", 1)
    with open_viewer("ds9-running") as viewer:
        viewer.show(IMAGE, "arc")
        viewer.draw(SHAPES)
        hand = Hand(viewer, title="mine")
        words = ["xpaset", "-p", "mine", "analysis", "message", "ok", "hello"]
        other = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        start = time.monotonic()
        with pytest.raises(ViewerError, match="Close its open dialog"):
            viewer.read()
        assert time.monotonic() - start < 5
        hand.confirm()
        other.wait(10)
        assert len(viewer.read()) == 2


def test_none_is_open(xpa_folder):
    with pytest.raises(ViewerError, match=r"no open DS9 answers to XPA. Open DS9, or use viewer"):
        open_viewer("ds9-running")


def test_two_are_open(start):
    start("one")
    start("two")
    with pytest.raises(ViewerError, match=r"2 DS9 are open \((one, two|two, one)\)"):
        open_viewer("ds9-running")


def test_no_xpa_tools(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ViewerError, match=r"no 'xpaget' on the PATH. Install them"):
        open_viewer("ds9-running")
