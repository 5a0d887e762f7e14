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


def test_without_matplotlib_the_reason_is_told(specwcs, observed, tmp_path, monkeypatch):
    import sys

    import specwcs as package

    observed.cal.write(tmp_path / "night.asdf")
    for name in [m for m in sys.modules if m.startswith("specwcs.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(package, "report", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, err = specwcs("report", tmp_path / "night.asdf")
    assert (status, out) == (2, "")
    assert "matplotlib is missing (pip install 'specwcs[plot]')" in err
    assert not (tmp_path / "night.html").exists()


def test_a_slit_that_the_mask_file_spoils_stops_nothing(specwcs, observed, tmp_path):
    from dataclasses import replace

    from specwcs.calibration import SlitStatus

    spoilt = {"99": SlitStatus("unusable", "DIMX -3 is not above 0")}
    cal = replace(observed.cal, slits=spoilt | observed.cal.slits)
    cal.write(tmp_path / "night.asdf")
    status, out, _ = specwcs("report", tmp_path / "night.asdf", "--json")
    assert status == 0
    assert json.loads(out)["failed"]["99"] == "unusable: DIMX -3 is not above 0"
    assert "DIMX -3 is not above 0" in (tmp_path / "night.html").read_text(encoding="utf-8")


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
