"""The session in a real DS9, with a real mouse: nothing here is pretended."""

import os
import signal
import time

import calibration_cases as cases
import hand as truth
import numpy as np
import pytest
from viewers.ds9_hand import SETTLE, Hand, display, x_server

from specwcs import ModelsCalibration, SpecwcsWarning
from specwcs.simulate import example, wrong

__all__ = ["display", "x_server"]

pytestmark = pytest.mark.slow

VIEW = 90.0  # px of the frame that fill the window while a marker is moved
BAND = (5400.0, 8800.0)


@pytest.fixture(scope="module")
def small():
    return example("RL", shape=(512, 1024), n_slits=8, seed=2, flipy=True, offset=(8.0, -4.0))


@pytest.fixture
def session(small, display):
    calib = ModelsCalibration(wrong(small.instrument), small.mask, viewer="ds9")
    yield calib
    calib.close()


def lines():
    """Return isolated bright lines, well apart on a small frame."""
    catalog = truth.bright_lamp(60)
    keep = [0]
    for k in range(1, len(catalog)):
        if catalog.wavelength[k] - catalog.wavelength[keep[-1]] > 420:
            keep.append(k)
    return catalog._take(np.array(keep))


def grip(calib, marker, x, y):
    """Where to take hold of a marker with the mouse: an arrow by its shaft."""
    if marker["kind"] != "line":
        return x, y
    direction = calib.instrument.direction
    blue = direction.join(-direction.sign * 5.0, 0.0)
    return x + blue[0], y + blue[1]


def move_all(calib, obs, frame=1):
    """Drag every marker to its true place, as near as a screen pixel allows."""
    viewer = calib._screen._viewer
    mouse = Hand(viewer, frame)
    markers = calib.markers
    to_x, to_y = truth.true_places(obs, markers)
    for marker, x1, y1 in zip(markers, to_x, to_y, strict=True):
        x0, y0 = marker["x"].value, marker["y"].value
        viewer.look((x0 + x1) / 2, (y0 + y1) / 2, VIEW, VIEW * 0.6, frame)
        xg, yg = grip(calib, marker, x0, y0)
        mouse.drag(xg, yg, x1 + xg - x0, y1 + yg - y0)


def delete(calib, row, frame=1):
    viewer = calib._screen._viewer
    marker = calib.markers[row]
    x, y = marker["x"].value, marker["y"].value
    viewer.look(x, y, VIEW, VIEW * 0.6, frame)
    mouse = Hand(viewer, frame)
    mouse.click(*grip(calib, marker, x, y))
    mouse.key("Delete")


@pytest.mark.first
def test_the_tutorial_by_mouse_and_keys(session, small):
    """MOS: boxes, crosses and arrows dragged and deleted, then slit by slit; ≤ 0.1 px rms."""
    calib, obs = session, small
    opt = calib.new_opt_model(1, 2)
    opt.flipy()
    calib.load_image(obs.arc(truth.lamp(), 1))
    calib.plot_opt_model()
    move_all(calib, obs)
    summary = calib.fit_opt_model()
    assert (summary.n_used, summary.n_dropped) == (8, 0)
    calib.new_crv_model(2, 1, 1)
    calib.load_image(obs.flat(1))
    calib.plot_crv_model(4)
    n = len(calib.markers)
    delete(calib, 1)
    assert int(np.sum(calib.markers["used"])) == n - 1
    move_all(calib, obs)
    assert calib.fit_crv_model().n_used == n - 1
    calib.new_ids_model(4, 1, 1)
    calib.load_image(obs.arc(truth.lamp(), 1))
    catalog = lines()
    calib.ids_iter(catalog)
    visited = []
    for _ in range(4):
        visited.append(calib.markers["slit"][0])
        move_all(calib, obs, frame=2 if len(visited) > 1 else 1)
        calib.next()
    calib.prev(fit=False)
    assert calib.markers["slit"][0] == visited[-1]
    calib.next()
    move_all(calib, obs, frame=2)
    visited.append(calib.markers["slit"][0])
    summary = calib.stop_iter()
    assert set(calib.markers["slit"]) == set(visited)
    assert summary.rms < 0.3
    cal = calib.calibration
    errors = cases.wavelength_errors(obs, cal, keys=visited, band=BAND)
    assert cases.rms(errors) < 0.1


def redrawn(calib, obs, scatter=0.3):
    """Place the markers through DS9 itself: it is given the shapes, and read back."""
    before = calib.markers
    x, y = truth.true_places(obs, before)
    rng = np.random.default_rng(5)
    before["x"] = (x + rng.uniform(-scatter, scatter, len(x)) / 1.5) * before["x"].unit
    before["y"] = (y + rng.uniform(-scatter, scatter, len(x)) / 1.5) * before["y"].unit
    calib.markers = before
    after = calib.markers
    for axis in "xy":
        assert np.abs(after[axis].value - before[axis].value).max() < 1e-4


def test_the_whole_tutorial_in_ds9(display):
    """Spectra that fall down the frame: those along its rows are dragged by hand above."""
    obs = example("UB", n_slits=12, seed=3, flipx=True)
    with ModelsCalibration(wrong(obs.instrument), obs.mask, viewer="ds9") as calib:
        calib.load_image(obs.arc(truth.lamp(), 1))
        calib.new_opt_model(2, 2).flipx()
        calib.plot_opt_model(edit=True)
        redrawn(calib, obs)
        calib.fit_opt_model()
        calib.new_crv_model(2, 2, 2)
        calib.set_trace_limits(900, 900)
        calib.plot_crv_model(9, pos=(0, 1))
        redrawn(calib, obs)
        calib.fit_crv_model()
        calib.new_ids_model(4, 2, 2)
        calib.plot_ids_model(truth.bright_lamp(60), nsplit=2)
        redrawn(calib, obs)
        calib.fit_ids_model()
        calib.ids_iter(truth.bright_lamp())
        for _ in range(3):
            redrawn(calib, obs)
            calib.next()
        calib.prev()
        calib.stop_iter(fit=False)
        calib.plot_residuals()
        assert len(calib.markers) == 0
        errors = cases.wavelength_errors(obs, calib.calibration, band=BAND)
        assert cases.rms(errors) < 0.1


def process_of(calib):
    """The process id of the session's DS9."""
    return calib._screen._viewer._console.link._process.pid


def test_a_killed_ds9_loses_nothing(session, small, capsys):
    calib = session
    calib.new_opt_model(1, 2).flipy()
    calib.load_image(small.arc(truth.lamp(), 1))
    calib.plot_opt_model()
    viewer = calib._screen._viewer
    box = calib.markers[2]
    x, y = box["x"].value, box["y"].value
    viewer.look(x, y, VIEW, VIEW * 0.6)
    Hand(viewer).drag(x, y, x + 20, y + 4)
    time.sleep(4.0)  # the watch has seen it
    os.kill(process_of(calib), signal.SIGKILL)
    time.sleep(0.5)
    with pytest.warns(SpecwcsWarning, match="nothing is lost"):
        moved = calib.markers[2]
    assert moved["x"].value == pytest.approx(x + 20, abs=0.3)
    summary = calib.fit_opt_model()
    assert summary.n_used + summary.n_dropped == 8
    calib.show()  # opened anew, with the markers as they are
    assert calib._screen.alive
    again = calib.markers[2]
    assert again["x"].value == pytest.approx(moved["x"].value, abs=1e-4)
    assert np.all(calib.markers["used"])


def test_a_stopped_ds9_is_waited_for_and_then_worked_with(session, small):
    calib = session
    calib.new_opt_model(1, 2).flipy()
    calib.load_image(small.arc(truth.lamp(), 1))
    calib.plot_opt_model()
    before = calib.markers
    pid = process_of(calib)
    os.kill(pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        with pytest.warns(SpecwcsWarning, match="nothing is lost"):
            held = calib.markers
        assert time.monotonic() - start < 20
        assert np.array_equal(held["x"].value, before["x"].value)
        assert np.all(held["used"])
    finally:
        os.kill(pid, signal.SIGCONT)
    time.sleep(1.0)
    x, y = before["x"][2].value, before["y"][2].value
    viewer = calib._screen._viewer
    viewer.look(x, y, VIEW, VIEW * 0.6)
    time.sleep(SETTLE)
    Hand(viewer).drag(x, y, x + 10, y)
    assert calib.markers["x"][2].value == pytest.approx(x + 10, abs=0.3)


def test_without_ds9_the_session_goes_on(small, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.warns(SpecwcsWarning, match="DS9 is not installed"):
        calib = ModelsCalibration(wrong(small.instrument), small.mask, viewer="ds9")
    calib.new_opt_model(1, 2).flipy()
    calib.load_image(small.arc(truth.lamp(), 1))
    calib.plot_opt_model()
    truth.place(calib, small)
    assert calib.fit_opt_model().n_used == 8


def test_five_thousand_markers_in_ds9(display):
    obs = example("LR", n_slits=14, seed=3)
    with ModelsCalibration(obs.instrument, obs.mask, viewer="ds9") as calib:
        calib.new_opt_model(1, 1)
        calib.load_image(obs.arc(truth.lamp(), 1))
        calib.plot_ids_model(truth.lamp(), nsplit=3)
        markers = calib.markers
        assert len(markers) > 5000
        again = calib.markers
        for name in markers.colnames:
            assert np.array_equal(
                *(np.asarray(getattr(t[name], "value", t[name])) for t in (markers, again)),
                equal_nan=markers[name].dtype.kind == "f",
            )
        assert not calib._state.layer.differs_from(again)


def move_polygon(calib, obs, close=60.0):
    """Drag a polygon to its place by its middle, then its corners by their handles."""
    viewer = calib._screen._viewer
    mouse = Hand(viewer)
    x1, y1 = truth.true_places(obs, calib.markers)

    def now():
        return (calib.markers[axis].value for axis in "xy")

    x, y = now()
    viewer.look(x.mean(), y.mean(), close, close * 0.6)
    mouse.drag(x.mean(), y.mean(), x1.mean(), y1.mean())
    for row in range(4):
        x, y = now()
        viewer.look(x[row], y[row], close, close * 0.6)
        end = np.asarray(calib.markers["t"]) == calib.markers["t"][row]
        inside = np.array([x[end].mean(), y[end].mean()])
        inside += 4.0 * np.sign(np.array([0.0, y.mean() - inside[1]]))
        mouse.click(*inside)
        mouse.drag(x[row], y[row], x1[row], y1[row])


@pytest.mark.first
def test_the_long_slit_by_mouse(display):
    """Corners of the polygon, both edges, lines in three pieces of the slit; ≤ 0.1 px rms."""
    obs = example("LR", shape=(256, 1024), kind="longslit", offset=(6.0, -3.0))
    with ModelsCalibration(wrong(obs.instrument), obs.mask, viewer="ds9") as calib:
        calib.load_image(obs.arc(truth.lamp(), 1))
        calib.new_opt_model(1, 1)
        calib.plot_opt_model(edit=True)
        move_polygon(calib, obs)
        calib.fit_opt_model()
        calib.new_crv_model(1, 0, 1)
        calib.load_image(obs.flat(1))
        calib.set_trace_limits(350, 350)
        calib.plot_crv_model(3, pos=(0, 1))
        move_all(calib, obs)
        calib.fit_crv_model()
        calib.new_ids_model(4, 0, 2)
        calib.load_image(obs.arc(truth.lamp(), 1))
        calib.plot_ids_model(lines(), nsplit=3)
        delete(calib, 4)
        move_all(calib, obs)
        summary = calib.fit_ids_model()
        assert summary.n_dropped >= 1
        errors = cases.wavelength_errors(obs, calib.calibration, band=BAND)
        assert cases.rms(errors) < 0.1
