"""A DS9 that hangs, dies or is misused: an error in seconds, and then work goes on."""

import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress

import numpy as np
import pytest
from viewers.ds9_hand import SETTLE, Hand

from specwcs.errors import ViewerError
from specwcs.regions import Shape

IMAGE = np.random.default_rng(5).normal(100, 5, (600, 900))
SHAPES = [
    Shape("box", ((300.0, 200.0),), (100.0, 50.0), tags={"slit": "7"}),
    Shape("point", ((450.0, 350.0),), tags={"slit": "8"}),
]


@pytest.fixture
def drawn(ds9):
    ds9.show(IMAGE, "arc")
    ds9.draw(SHAPES)
    return ds9


@pytest.fixture
def hasty(monkeypatch):
    """Viewers that wait a second for an answer."""
    monkeypatch.setattr("specwcs.viewers.console.ANSWER", 1)


def process(viewer):
    return viewer._console.link._process


@contextmanager
def at_most(seconds):
    start = time.monotonic()
    yield
    assert time.monotonic() - start < seconds


def as_drawn(viewer):
    return {shape.tags["slit"]: shape.points for shape in viewer.read()} == {
        shape.tags["slit"]: shape.points for shape in SHAPES
    }


@pytest.mark.slow
def test_a_stopped_ds9_is_an_error_within_ten_seconds(drawn):
    os.kill(process(drawn).pid, signal.SIGSTOP)
    with at_most(10), pytest.raises(ViewerError, match=r"is stopped. Continue it with 'kill -CONT"):
        drawn.read()
    assert drawn.alive
    os.kill(process(drawn).pid, signal.SIGCONT)
    assert as_drawn(drawn)


def test_what_a_stopped_ds9_was_told_does_no_harm_later(hasty, drawn):
    os.kill(process(drawn).pid, signal.SIGSTOP)
    for use in (drawn.read, lambda: drawn.draw(SHAPES[:1]), lambda: drawn.look(1, 2, 3, 4)):
        with at_most(3), pytest.raises(ViewerError, match="is stopped"):
            use()
    os.kill(process(drawn).pid, signal.SIGCONT)
    drawn.draw(SHAPES)
    assert as_drawn(drawn)


def test_a_stopped_ds9_can_be_closed(hasty, drawn):
    ended = process(drawn)
    os.kill(ended.pid, signal.SIGSTOP)
    with at_most(5):
        drawn.close()
    assert ended.poll() < 0


def test_a_killed_ds9_is_known_at_once_and_reopened(drawn):
    process(drawn).kill()
    process(drawn).wait()
    assert not drawn.alive
    with at_most(1), pytest.raises(ViewerError, match=r"was killed \(signal 9\). Reopen"):
        drawn.read()
    drawn.reopen()
    assert drawn.alive
    assert drawn.read() == []
    assert drawn._console.get("fits header keyword OBJECT") == "arc"
    drawn.draw(SHAPES)
    assert as_drawn(drawn)


def test_killed_while_it_is_asked(drawn):
    def read_on():
        while True:
            drawn.read()

    killer = subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {process(drawn).pid}"])
    with at_most(5), pytest.raises(ViewerError, match="was killed"):
        read_on()
    killer.wait()


def test_a_closed_window_is_a_ds9_that_has_gone(drawn):
    with suppress(ViewerError):  # it does not take leave
        drawn._console.set("exit")
    with pytest.raises(ViewerError, match="DS9 has gone: it was closed"):
        drawn.read()
    assert not drawn.alive


def test_reopening_splits_again(drawn):
    drawn.split(columns=False)
    process(drawn).kill()
    process(drawn).wait()
    drawn.reopen()
    assert drawn.read(1) == drawn.read(2) == []
    assert (drawn._console.get("tile"), drawn._console.get("tile mode")) == ("yes", "row")


def test_reopening_a_living_ds9_only_shows_the_image_again(drawn):
    before = process(drawn)
    drawn.reopen()
    assert process(drawn) is before
    assert drawn.read() == []


def test_a_modal_dialog_opened_by_a_command(hasty, drawn):
    with at_most(3), pytest.raises(ViewerError, match="Close its open dialog"):
        drawn._console.set("analysis message ok hello")
    Hand(drawn).confirm()
    assert as_drawn(drawn)


def test_a_dialog_that_the_user_has_open_is_no_hindrance(drawn):
    hand = Hand(drawn)
    hand.click(100, 100)
    hand.key("ctrl+o")
    time.sleep(2 * SETTLE)
    drawn.draw(SHAPES)
    assert as_drawn(drawn)


@pytest.mark.parametrize("how", ["frame delete 1", "frame clear 1", "other image"])
def test_an_image_that_is_gone_is_not_taken_for_deleted_shapes(drawn, how, tmp_path):
    if how == "other image":
        np.zeros((10, 10), "<f4").tofile(tmp_path / "raw")
        how = f"array {tmp_path}/raw[xdim=10,ydim=10,bitpix=-32]"
    else:
        drawn._console.set(
            "frame new"
        )  # DS9 8.4.1 may crash when a frame is deleted that can be seen
    drawn._console.set(how)
    with pytest.raises(ViewerError, match="no longer shows the image in frame 1"):
        drawn.read()
    drawn.reopen()
    drawn.draw(SHAPES)
    assert as_drawn(drawn)


def test_half_a_drawing_is_not_taken_for_deleted_shapes(hasty, drawn):
    told = []
    os.kill(process(drawn).pid, signal.SIGSTOP)
    with pytest.raises(ViewerError, match="is stopped"):
        drawn.draw(SHAPES)
    os.kill(process(drawn).pid, signal.SIGCONT)
    drawn._glance(told.append)
    assert told == []
    drawn._torn.add(1)  # had it stopped in the midst
    with pytest.raises(ViewerError, match=r"only a part of the shapes. Draw them again"):
        drawn.read()
    drawn.draw(SHAPES)
    assert as_drawn(drawn)


def test_a_refused_command_names_it(drawn):
    with pytest.raises(ViewerError, match="DS9 refused 'frame nonsense'"):
        drawn._console.set("frame nonsense")


def test_a_temporary_folder_that_is_gone(drawn):
    for file in drawn._folder.glob("*.fits"):
        file.unlink()
    with pytest.raises(ViewerError, match="no image to show"):
        drawn.split(columns=True)


def test_nothing_can_be_drawn_before_an_image_is_shown(ds9):
    with pytest.raises(ViewerError, match="no longer shows the image"):
        ds9.draw(SHAPES)


def test_a_closed_viewer(drawn):
    folder, ended = drawn._folder, process(drawn)
    assert folder.stat().st_mode & 0o777 == 0o700
    drawn.close()
    drawn.close()
    assert not drawn.alive
    assert ended.poll() is not None
    assert not folder.exists()
    with pytest.raises(ViewerError, match="is not open"):
        drawn.read()
