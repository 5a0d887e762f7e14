"""What the user changes is told within two seconds: a killed DS9 loses no more."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from viewers.ds9_hand import Hand

from specwcs.errors import SpecwcsWarning
from specwcs.regions import Shape
from specwcs.viewers.watch import PERIOD, Watch

IMAGE = np.random.default_rng(5).normal(100, 5, (600, 900))
SHAPES = [
    Shape("box", ((300.0, 200.0),), (100.0, 50.0), tags={"slit": "7"}),
    Shape("point", ((450.0, 350.0),), tags={"slit": "8"}),
]
WAIT = 2 * PERIOD


@pytest.fixture
def told():
    return []


@pytest.fixture
def watched(ds9, told):
    ds9.show(IMAGE, "arc")
    ds9.watch(told.append)
    ds9.draw(SHAPES)
    return ds9


def until(condition, seconds=WAIT):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.slow
def test_a_move_is_told_and_survives_a_kill(watched, told):
    Hand(watched).drag(300, 200, 340, 170)
    assert until(lambda: told)
    watched._console.link._process.kill()
    watched._console.link._process.wait()
    (shapes,) = told
    (box,) = (shape for shape in shapes if shape.kind == "box")
    np.testing.assert_allclose(box.points, [(340, 170)], atol=2)
    assert len(shapes) == 2

    watched.reopen()
    watched.draw(shapes)
    Hand(watched).drag(450, 350, 400, 300)
    assert until(lambda: len(told) == 2)


@pytest.mark.slow
def test_nothing_is_told_of_what_was_drawn_or_read(watched, told):
    watched.draw(SHAPES[:1])
    Hand(watched).drag(300, 200, 340, 170)
    watched.read()
    time.sleep(WAIT)
    assert told == []


@pytest.mark.slow
def test_the_work_frame_is_watched(watched, told):
    watched.split(columns=True)
    watched.draw(SHAPES, 2)
    Hand(watched, 2).drag(300, 200, 340, 170)
    assert until(lambda: told)
    del told[:]
    Hand(watched, 2).drag(340, 170, 300, 200)
    Hand(watched, 1).click(100, 100)  # turns to frame 1
    assert until(lambda: told)
    assert watched._console.get("frame") == "1"


@pytest.mark.slow
def test_a_failing_callback_is_told_again_and_warned_of(ds9):
    calls = []

    def journal(shapes):
        calls.append(shapes)
        if len(calls) == 1:
            raise OSError("disk full")

    ds9.show(IMAGE, "arc")
    ds9.watch(journal)
    ds9.draw(SHAPES)
    Hand(ds9).drag(300, 200, 340, 170)
    assert until(lambda: len(calls) == 2, 3 * PERIOD)
    with pytest.warns(SpecwcsWarning, match="could not be kept as they were made: disk full"):
        ds9.read()
    ds9.read()  # warned of once


@pytest.mark.slow
def test_a_stopped_ds9_is_no_matter_of_the_thread(watched, told):
    os.kill(watched._console.link._process.pid, signal.SIGSTOP)
    time.sleep(2 * PERIOD)
    os.kill(watched._console.link._process.pid, signal.SIGCONT)
    Hand(watched).drag(300, 200, 340, 170)
    assert until(lambda: told, 3 * PERIOD)


@pytest.mark.slow
def test_many_threads_do_not_disturb_each_other(watched, told):
    faults = []

    def work(shapes):
        try:
            for _ in range(10):
                watched.draw(shapes)
                watched.read()
        except Exception as err:
            faults.append(err)

    watched._watch.stop()
    watched._watch = Watch(lambda: watched._glance(told.append))
    threads = [threading.Thread(target=work, args=(SHAPES,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert faults == []
    assert len(watched.read()) == 2
    assert told == []


@pytest.mark.slow
def test_the_callback_may_use_the_viewer(ds9):
    found = []
    ds9.show(IMAGE, "arc")
    ds9.watch(lambda _: found.append(ds9.read()))
    ds9.draw(SHAPES)
    Hand(ds9).drag(300, 200, 340, 170)
    assert until(lambda: found)


def test_closing_ends_the_thread(ds9):
    ds9.watch(print)
    thread = ds9._watch._thread
    assert thread.daemon
    ds9.close()
    assert not thread.is_alive()


def test_a_new_watch_takes_the_place_of_the_old_one(ds9):
    ds9.watch(print)
    thread = ds9._watch._thread
    ds9.watch(repr)
    assert not thread.is_alive()
    ds9.unwatch()
    ds9.unwatch()
    assert ds9._watch is None
