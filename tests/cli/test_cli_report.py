"""``specwcs report``: the page of a calibration that is there already."""

import json

from specwcs import Calibration


def test_the_page_stands_beside_the_calibration(specwcs, observed, tmp_path):
    observed.cal.write(tmp_path / "night.asdf")
    frames = ["--flat", observed.flat, "--arc", observed.arc]
    argv = ["report", tmp_path / "night.asdf", *frames, "--previous", tmp_path / "night.asdf"]
    status, out, err = specwcs(*argv)
    assert (status, err) == (0, "")
    assert f"look at      {tmp_path / 'night.html'}" in out
    page = (tmp_path / "night.html").read_text(encoding="utf-8")
    for words in ("slits are calibrated", "The arc, with", "What moved since"):
        assert words in page
    status, _, err = specwcs(*argv)
    assert status == 2
    assert "exists already" in err
    status, out, _ = specwcs(*argv, "--overwrite", "-o", tmp_path / "other.html", "--json")
    assert json.loads(out)["report"] == str(tmp_path / "other.html")
    assert (tmp_path / "other.html").stat().st_size > 100_000


def test_frames_of_another_shape_are_refused(specwcs, observed, tmp_path):
    from dataclasses import replace

    cal = observed.cal
    other = replace(cal, instrument=replace(cal.instrument, xpixels=cal.instrument.xpixels + 10))
    other.write(tmp_path / "night.asdf")
    status, _, err = specwcs("report", tmp_path / "night.asdf", "--arc", observed.arc)
    assert status == 2
    assert "arc.fits" in err
    assert not (tmp_path / "night.html").exists()
    assert Calibration.read(tmp_path / "night.asdf").instrument.xpixels == 510
