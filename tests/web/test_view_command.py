"""``specwcs view --web``: from the command to a saved calibration."""

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import hand as truth
import numpy as np
import pytest
from web.browser_hand import Hand

from specwcs import Calibration
from specwcs.cli import main, view
from specwcs.simulate import example, wrong

SCRIPT = Path(sys.executable).with_name("specwcs")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    obs = example("LR", shape=(512, 1024), n_slits=6, seed=2)
    folder = tmp_path_factory.mktemp("view")
    return truth.write_files(obs, folder, instrument=wrong(obs.instrument))


def test_the_page_is_served_until_ctrl_c(files, state_home):
    command = [SCRIPT, "view", files["instrument"], files["mask"], "--arc", files["arc"], "--web",
               "--json"]  # fmt: skip
    process = subprocess.Popen(
        list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = process.stderr.readline()
    url = re.search(r"http://localhost:\d+/[\w-]+/", said).group()
    end = time.monotonic() + 60
    while not any("plot_opt_model" in path.read_text() for path in state_home.rglob("*.jsonl")):
        assert time.monotonic() < end, process.poll()
        time.sleep(0.1)
    with urllib.request.urlopen(url, timeout=20) as page:
        assert "<title>specwcs" in page.read().decode()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    facts = json.loads(out)
    assert (process.returncode, facts["model"], facts["status"]) == (0, "opt", 0)
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=5)


@pytest.mark.slow
def test_frames_lines_and_atlas_are_offered(tabs, files, tmp_path, monkeypatch, capsys):
    """What the command names is on the page; what is saved there is on the disk."""
    atlas = tmp_path / "atlas.txt"
    wavelength = np.arange(5000.0, 9500.0, 2.0)
    flux = sum(np.exp(-0.5 * ((wavelength - w) / 3) ** 2) for w in truth.bright_lamp(9).wavelength)
    np.savetxt(atlas, np.column_stack([wavelength, flux]))
    monkeypatch.chdir(tmp_path)

    def work(viewer):
        hand = Hand(tabs, viewer)
        frames = hand.page.get_by_label("Frame", exact=True).locator("option").all_inner_texts()
        assert frames == ["arc: arc.fits", "flat: flat.fits"]
        hand.press("Measure")
        hand.key("f")
        hand.key("n")
        hand.press("3 Lines (IDS)")
        hand.wait_for_text("slice", "the reference above")
        before = hand.view()
        hand.choose("Frame", "flat: flat.fits")
        assert hand.view() == before  # flat and arc are compared at one zoom
        hand.press("Save")
        assert hand.said().startswith("saved")
        assert hand.complaints == []
        hand.leave()
        done.append(viewer.page.facts.progress)

    done = []
    monkeypatch.setattr(view, "_wait", work)
    status = main([
        "view", str(files["instrument"]), str(files["mask"]), "--arc", str(files["arc"]), "--flat",
        str(files["flat"]), "--catalog", str(files["catalog"]), "--web", "--atlas", str(atlas),
    ])  # fmt: skip
    out, err = capsys.readouterr()
    assert (status, err) == (0, ""), out
    assert done[0].models["opt"].origin == "fitted"
    assert Calibration.read(tmp_path / "calibration.asdf").opt.degrees == (1, 1)


@pytest.mark.slow
def test_a_session_goes_on_from_its_journal(tabs, files, monkeypatch, capsys):
    def begin(viewer):
        hand = Hand(tabs, viewer)
        here = viewer.read()[2].points[0]
        hand.look(*here)
        hand.drag(here, (here[0] + 6, here[1] + 4))
        hand.settle()
        seen.append(viewer.read()[2].points[0])
        hand.leave()

    def go_on(viewer):
        hand = Hand(tabs, viewer)
        assert "arc.fits" in hand.page_text("frame1")
        hand.key("u")
        seen.append(viewer.read()[2].points[0])
        hand.key("r")
        seen.append(viewer.read()[2].points[0])
        hand.leave()

    seen = []
    monkeypatch.setattr(view, "_wait", begin)
    assert main([*view_of(files), "--arc", str(files["arc"]), "--web"]) == 0
    journal = re.search(r"go on with   specwcs view (\S+) --web", capsys.readouterr().out).group(1)
    monkeypatch.setattr(view, "_wait", go_on)
    assert main(["view", journal, "--web"]) == 0
    moved, before, again = seen
    assert moved == pytest.approx(again)
    assert (moved[0] - before[0], moved[1] - before[1]) == pytest.approx((6, 4), abs=0.5)


def view_of(files):
    return ["view", str(files["instrument"]), str(files["mask"])]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "no such file"), ("a b\nc d\n", "this is no spectrum"), ("", "this is no spectrum")],
)
def test_an_atlas_that_is_none_is_refused(files, tmp_path, capsys, content, complaint):
    path = tmp_path / "atlas.txt"
    if content is not None:
        path.write_text(content)
    status = main([*view_of(files), "--web", "--atlas", str(path)])
    _, err = capsys.readouterr()
    assert status == 2
    assert complaint in err
    assert str(path) in err


def test_an_atlas_is_for_the_page(files, tmp_path, capsys):
    status = main(["view", str(files["instrument"]), str(files["mask"]), "--atlas", str(tmp_path)])
    assert status == 2
    assert "--atlas without --web" in capsys.readouterr().err
