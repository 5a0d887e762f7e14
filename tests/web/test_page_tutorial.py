"""From an uncalibrated instrument to a saved calibration, by mouse and keys alone."""

import os
from pathlib import Path

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


def picture(hand, folder, name):
    """Take a picture for the documentation: into SPECWCS_PICTURES, if that is set."""
    path = Path(os.environ.get("SPECWCS_PICTURES", folder)) / f"{name}.png"
    hand.shot(path)
    assert path.stat().st_size > 20_000


@pytest.mark.first
def test_the_tutorial_of_a_mask(at_page, tmp_path, monkeypatch):
    """14 slits; boxes dragged and deleted, edges and lines measured, ≤ 0.1 px rms."""
    monkeypatch.chdir(tmp_path)
    obs = example("LR", n_slits=14, seed=7, flipy=True)
    files = truth.write_files(obs, tmp_path, instrument=wrong(obs.instrument))
    session, hand = at_page(files["instrument"], files["mask"], files["arc"], size=(1600, 1000))
    session.offer_image("flat", files["flat"])
    session.viewer.page.offer_lamp("lamp", truth.bright_lamp(45))

    picture(hand, tmp_path, "browser_first")
    words = " ".join(hand.text().split())
    for hint in ("How it goes. Three steps", "Press ? for keys and mouse", "Lines (IDS)"):
        assert hint in words, words
    hand.step("1 Slits (OPT)")
    hand.press("Flip Y")
    _, boxes, _ = placed(session, obs)
    kept = range(0, 14, 2)
    for row in set(range(14)) - set(kept):
        hand.key("d", at=boxes[row])
    drag_to_light(session, hand, obs, kept)
    hand.key("f")
    assert "OPT fitted" in hand.said()
    assert session.progress.models["opt"].summary.n_used == 7
    hand.key("w")
    picture(hand, tmp_path, "browser_slits")

    hand.choose("Frame", "flat: flat.fits")
    hand.step("2 Traces (CRV)")
    hand.press("Measure")
    hand.key("f")
    picture(hand, tmp_path, "browser_traces")

    hand.choose("Frame", "arc.fits")
    hand.step("3 Lines (IDS)")
    hand.press("Measure")
    hand.key("f")
    hand.press("Use")
    hand.key("n")
    picture(hand, tmp_path, "browser_lines")
    hand.press("Save")
    assert "calibration.asdf" in hand.said()
    cal = Calibration.read(tmp_path / "calibration.asdf")
    errors = cases.wavelength_errors(obs, cal, band=BAND)
    assert cases.rms(errors) < 0.1
