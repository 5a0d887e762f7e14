"""Pages come and go; the session stays. Empty and broken cases show a sentence."""

import hand as truth
import numpy as np
import pytest
from astropy.nddata import CCDData
from web.browser_hand import Hand

from specwcs import Calibration, ModelsCalibration
from specwcs.simulate import example, wrong
from specwcs.viewers.web import WebViewer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def obs():
    return example("UB", shape=(1024, 512), n_slits=6, seed=2)


@pytest.fixture
def opened(at_page, obs):
    return at_page(wrong(obs.instrument), obs.mask, obs.arc(truth.lamp(), 1))


def test_a_reloaded_page_shows_what_was_there(opened):
    session, hand = opened
    hand.press("1 Slits (OPT)")
    hand.look(*hand.viewer.read()[1].points[0])
    here = hand.viewer.read()[1].points[0]
    hand.drag(here, np.add(here, (4, 6)))
    hand.settle()
    said, moved = session.progress, hand.viewer.read()[1].points
    assert moved != (here,)
    hand.open()
    assert hand.viewer.read()[1].points == moved
    assert session.progress.placed[1]
    assert hand.source("slice") is not None
    assert "untouched" in hand.text()
    assert "placed" in hand.text()
    hand.key("u")
    assert hand.viewer.read()[1].points == (here,)
    assert said.undoable


def test_two_pages_see_the_same(tabs, opened):
    _, one = opened
    one.press("1 Slits (OPT)")
    two = Hand(tabs, one.viewer)
    here = np.array(one.viewer.read()[0].points[0])
    two.look(*here)
    two.drag(here, np.add(here, (3, 3)))
    two.settle()
    moved = np.array(one.viewer.read()[0].points[0])
    assert np.all(np.abs(moved - here - 3) < 1)
    for hand in (one, two):
        columns = hand.places()
        assert (columns["x"][0], columns["y"][0]) == pytest.approx(tuple(moved), abs=1e-6)
    one.key("u")
    two.settle()
    assert two.places()["x"][0] == pytest.approx(here[0])
    assert two.complaints == []
    two.leave()


def test_what_a_script_does_is_seen(opened, obs):
    """The prompt beside the page, or a notebook."""
    session, hand = opened
    session.new_opt_model(1, 1)
    session.plot_opt_model()
    truth.place(session, obs)
    hand.settle()
    assert len(hand.places()["x"]) == 6
    session.fit_opt_model()
    hand.settle()
    assert "OPT (1, 1)" in repr(session)
    assert hand.source("residuals_at")["residual"]


def test_a_browser_that_dies_loses_nothing(opened, state_home):
    session, hand = opened
    hand.press("1 Slits (OPT)")
    here = hand.viewer.read()[2].points[0]
    hand.look(*here)
    hand.drag(here, np.add(here, (5, 5)))
    hand.page.close()
    moved = session.markers
    assert session.progress.placed[2]
    assert np.hypot(moved["x"][2].value - here[0], moved["y"][2].value - here[1]) > 4


def test_a_page_that_ends_ends_the_session_and_its_journal_goes_on(at_page, obs, tmp_path):
    files = truth.write_files(obs, tmp_path, instrument=wrong(obs.instrument))
    session, hand = at_page(files["instrument"], files["mask"], files["arc"])
    hand.press("1 Slits (OPT)")
    here = hand.viewer.read()[2].points[0]
    hand.look(*here)
    hand.drag(here, np.add(here, (5, 5)))
    hand.settle()
    placed = session.markers
    hand.press("Leave", wait=False)
    hand.page.get_by_text("The session has ended").wait_for()
    again = ModelsCalibration.resume(session.journal, viewer=None)
    assert np.allclose(again.markers["x"].value, placed["x"].value)
    assert again.progress.placed.tolist() == session.progress.placed.tolist()


# -- nothing there, nothing found, nothing fitted -----------------------------------------------


def test_without_an_image_a_sentence_is_said(at_page, obs):
    _, hand = at_page(wrong(obs.instrument), obs.mask)
    hand.press("2 Traces (CRV)")
    hand.press("Measure")
    assert "there is no image" in hand.said()
    hand.fill("Frame or region file", "/no/such/file.fits")
    hand.press("Open")
    assert "/no/such/file.fits: no such file" in hand.said()


def test_a_dark_frame_is_told_of(at_page, obs):
    dark = CCDData(np.random.default_rng(0).normal(0, 3, obs.instrument.shape), unit="adu")
    session, hand = at_page(wrong(obs.instrument), obs.mask, dark)
    hand.press("1 Slits (OPT)")
    hand.press("Measure")
    assert "no line catalogue. Choose one under 'Lines of'" in hand.said()
    session.viewer.page.offer_lamp("lamp", truth.bright_lamp(14))
    hand.press("2 Traces (CRV)")
    before = len(session.markers)
    hand.press("Measure")
    assert hand.said().strip()
    assert len(session.markers) == before
    assert hand.viewer.alive
    assert session.viewer.page.idle


def test_a_constant_frame_is_shown(at_page, obs):
    flat = CCDData(np.full(obs.instrument.shape, np.nan), unit="adu")
    _, hand = at_page(wrong(obs.instrument), obs.mask, flat)
    hand.press("1 Slits (OPT)")
    for cut in ("99.5 %", "min, max", "zscale"):
        hand.choose("Cuts", cut)
    for stretch in ("log", "asinh", "sqrt"):
        hand.choose("Stretch", stretch)
    hand.choose("Colours", "viridis")


def test_a_fit_that_is_refused_says_why(opened):
    session, hand = opened
    hand.press("1 Slits (OPT)")
    hand.drag((1, 1), (510, 1022), modifier="Shift")
    hand.key("d")
    assert not session.progress.markers["used"].any()
    hand.key("f")
    assert "0 of 6 markers are left" in hand.said()
    hand.key("u")
    assert session.progress.markers["used"].all()


def test_saving_over_a_file_is_asked_for(opened, tmp_path, monkeypatch, obs):
    session, hand = opened
    session.viewer.page.settings.folder = tmp_path
    hand.press("1 Slits (OPT)")
    hand.fill("Save as", "mine")
    hand.press("Save")
    assert Calibration.read(tmp_path / "mine.asdf").mask.keys() == obs.mask.keys()
    assert (tmp_path / "mine.reg").is_file()
    hand.press("Save")
    assert "mine.asdf" in hand.said()
    assert "exists" in hand.said()
    hand.page.locator("input[type=checkbox]").first.click()
    hand.press("Save")
    assert hand.said().startswith("saved")


def test_shapes_drawn_over_a_move_are_told_of(obs):
    with WebViewer(browse=False) as viewer:
        session = ModelsCalibration(wrong(obs.instrument), obs.mask, viewer=viewer)
        session.load_image(obs.flat(1))
        session.new_opt_model(1, 1)
        session.plot_opt_model()
        shapes = viewer.read()
        assert viewer.edit(viewer.version, {0: [(5.0, 6.0)]}, [])
        with pytest.warns(UserWarning, match="Move them again"):
            viewer.draw(shapes)
        assert not viewer.edit(viewer.version - 1, {0: [(5.0, 6.0)]}, [])
        assert not viewer.edit(viewer.version, {0: [(np.nan, 6.0)]}, [])
        assert viewer.read()[0].points == shapes[0].points
