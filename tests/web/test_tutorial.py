"""From an uncalibrated instrument to a saved calibration, by mouse and keys alone."""

import calibration_cases as cases
import hand as truth
import numpy as np
import pytest

from specwcs import Calibration
from specwcs.simulate import example, wrong

pytestmark = pytest.mark.slow
BAND = (5600.0, 8600.0)


def placed(session, obs):
    """Pixels of the markers on the screen, and where they belong."""
    markers = session.progress.markers
    here = np.column_stack([markers["x"].value, markers["y"].value])
    return markers, here, np.column_stack(truth.true_places(obs, markers))


def drag_to_light(session, hand, obs, rows):
    """Drag markers to where their light is, each seen from near."""
    for row in rows:
        _, here, there = placed(session, obs)
        hand.look(*here[row])
        hand.drag(here[row], there[row])
        hand.settle()
        assert session.progress.placed[row]


def test_the_tutorial_of_a_mask(at_page, tmp_path, monkeypatch):
    """28 slits; boxes and some lines dragged, edges and lines measured, ≤ 0.1 px rms."""
    monkeypatch.chdir(tmp_path)
    obs = example("LR", n_slits=28, seed=7, flipy=True)
    files = obs.write(tmp_path, truth.lamp(), 1, instrument=wrong(obs.instrument))
    session, hand = at_page(files["instrument"], files["mask"], files["arc"])
    session.offer_image("flat", files["flat"])
    session.viewer.page.offer_lamp("lamp", truth.bright_lamp(45))

    hand.step("1 Slits (OPT)")
    hand.press("Flip Y")
    drag_to_light(session, hand, obs, range(len(session.progress.markers)))
    hand.fill("degree X", 2)
    hand.fill("degree Y", 2)
    hand.key("f")
    assert "OPT fitted" in hand.said()
    assert session.progress.models["opt"].summary.n_used == 28
    hand.key("w")
    hand.shot("/tmp/exp/t_opt.png")

    hand.choose("Frame", "flat: flat.fits")
    hand.step("2 Traces (CRV)")
    hand.press("Measure")
    hand.key("f")
    hand.shot("/tmp/exp/t_crv.png")

    hand.choose("Frame", "arc.fits")
    hand.step("3 Lines (IDS)")
    hand.press("Measure")
    hand.key("f")
    hand.press("Use")
    hand.shot("/tmp/exp/t_ids.png")
    hand.press("Save")
    print(hand.said())
    cal = Calibration.read(tmp_path / "calibration.asdf")
    errors = cases.wavelength_errors(obs, cal, band=BAND)
    print(cases.rms(errors))
    assert cases.rms(errors) < 0.1
