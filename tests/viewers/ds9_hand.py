"""A screen of our own for DS9, and a hand that works on it with mouse and keys."""

import os
import shutil
import subprocess
import time

import numpy as np
import pytest

from specwcs.viewers import open_viewer

SETTLE = 0.25
"""Seconds for DS9 to take in what mouse and keys did, or what it was told before."""

_GEOMETRY = """
update idletasks
set specwcs [open {out} w]
foreach side {{x y width height}} {{set $side [$ds9(canvas) itemcget {frame} -$side]}}
set x [expr $x + $width / 2]
set y [expr $y + $height / 2]
puts $specwcs [expr [winfo rootx $ds9(canvas)] + $x]
puts $specwcs [expr [winfo rooty $ds9(canvas)] + $y]
puts $specwcs [{frame} get coordinates $x $y image]
puts $specwcs [{frame} get zoom]
close $specwcs
"""


def require(*programs):
    """Skip the test without these programs; fail it if SPECWCS_REQUIRE_DS9 is set."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        give_up = pytest.fail if os.environ.get("SPECWCS_REQUIRE_DS9") else pytest.skip
        give_up(f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="session")
def x_server():
    """Name of a display that nobody else uses, such as ":1"."""
    require("ds9", "Xvfb", "xdotool")
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x1024x24"]
    process = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as stream:
        number = stream.readline().strip()
    assert number, "Xvfb did not start"
    yield f":{number}"
    process.terminate()
    process.wait()


@pytest.fixture
def display(x_server, monkeypatch):
    """The display, in the environment."""
    monkeypatch.setenv("DISPLAY", x_server)
    return x_server


@pytest.fixture
def ds9(display):
    """An open viewer: a DS9 of its own, which may be ill-treated."""
    with open_viewer("ds9") as viewer:
        yield viewer


@pytest.fixture(scope="session")
def _lasting_ds9(x_server):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISPLAY", x_server)
        viewer = open_viewer("ds9")
    with viewer:
        yield viewer


@pytest.fixture
def warm_ds9(_lasting_ds9, display):
    """An open viewer that other tests have used, which saves the start: show an image first."""
    if not _lasting_ds9.alive:
        _lasting_ds9.reopen()
    return _lasting_ds9


class Hand:
    """Mouse and keys on the window of a `Ds9`; positions are 0-based image pixels.

    Parameters
    ----------
    viewer : Ds9
    frame : int, optional
        On which frame to work.
    title : str, optional
        Of the DS9.
    """

    def __init__(self, viewer, frame=1, title="specwcs"):
        self._viewer, self._frame = viewer, frame
        found = self._do("search", "--name", f"^SAOImage {title}$").split()
        self._window = found[-1]

    def click(self, x, y):
        """Click on a place; DS9 selects what is there."""
        self._point(self.screen(x, y))
        time.sleep(SETTLE)
        self._do("click", "1")
        time.sleep(SETTLE)

    def drag(self, x0, y0, x1, y1):
        """Press the button at a place and let it go at another."""
        start, end = self.screen(np.array([x0, x1]), np.array([y0, y1])).T
        self._point(start)
        time.sleep(SETTLE)
        self._do("mousedown", "1")
        for part in (0.3, 0.7, 1):
            self._point(start + part * (end - start))
            time.sleep(0.05)
        self._do("mouseup", "1")
        time.sleep(SETTLE)

    def key(self, name):
        """Press a key, such as "Delete" or "ctrl+c", with the pointer where it is."""
        self._do("windowfocus", self._window)
        self._do("key", name)
        time.sleep(SETTLE)

    def confirm(self):
        """Click on the OK of a message that DS9 shows, in the middle of its window."""
        lines = self._do("getwindowgeometry", "--shell", self._window).splitlines()
        place = {key: int(value) for key, _, value in (line.partition("=") for line in lines)}
        x, y = place["X"] + place["WIDTH"] // 2, place["Y"] + place["HEIGHT"] // 2 + 43
        self._do("mousemove", str(x), str(y))
        time.sleep(SETTLE)
        self._do("click", "1")
        time.sleep(SETTLE)

    def screen(self, x, y):
        """Where image pixels are on the screen, px."""
        across, down, x0, y0, zoom, *_ = self._geometry()
        return np.array([across + zoom * (x + 1 - x0), down - zoom * (y + 1 - y0)])

    def _point(self, place):
        self._do("mousemove", *(str(round(value)) for value in place.tolist()))

    def _geometry(self):
        """Centre of the frame on the screen; the image pixel there, 1-based; zoom."""
        out = self._viewer._folder / "geometry"
        script = self._viewer._folder / "geometry.tcl"
        number = self._viewer._frames.numbers[self._frame]
        script.write_text(_GEOMETRY.format(frame=f"Frame{number}", out=out))
        self._viewer._console.set(f"source {script}")
        return [float(word) for word in out.read_text().split()]

    @staticmethod
    def _do(*words):
        done = subprocess.run(["xdotool", *words], capture_output=True, text=True, check=True)
        return done.stdout


def screenshot(path):
    """Save the screen as PNG, to look at when a test fails."""
    subprocess.run(["import", "-window", "root", str(path)], check=True)
