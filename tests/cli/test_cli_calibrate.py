import json
import os
import re

import numpy as np
import pytest

from specwcs import Calibration, LineCatalog
from specwcs.errors import FitError


def test_calibration_and_report_are_written(specwcs, argv, quick, observed, tmp_path):
    status, out, err = specwcs(*argv)
    assert (status, err) == (3, "")  # the mask has a slit without light
    assert Calibration.read(tmp_path / "cal.asdf").good() == observed.cal.good()
    page = (tmp_path / "cal.html").read_text(encoding="utf-8")
    assert "5 of 6 slits are calibrated" in page
    assert "The flat, with" in page
    assert "The arc, with" in page
    assert "5 of 6 calibrated" in out
    assert "    03  dark: no light on the flat" in out
    assert f"wrote        {tmp_path / 'cal.asdf'}" in out
    assert f"look at      {tmp_path / 'cal.html'}" in out


@pytest.mark.usefixtures("blank_page")
def test_all_slits_good_is_status_0(specwcs, argv, quick, observed, monkeypatch):
    from dataclasses import replace

    slits = {key: replace(s, flag="ok", reason="") for key, s in observed.cal.slits.items()}
    monkeypatch.setattr(observed, "cal", replace(observed.cal, slits=slits))
    status, out, _ = specwcs(*argv)
    assert status == 0
    assert "failed" not in out


def test_facts_are_those_of_the_calibration(specwcs, argv, quick, observed, tmp_path):
    status, out, _ = specwcs(*argv, "--json")
    facts = json.loads(out)
    cal = observed.cal
    assert facts["status"] == status == 3
    assert facts["failed"] == {"03": "dark: no light on the flat"}
    assert facts["calibration"] == str(tmp_path / "cal.asdf")
    assert facts["report"] == str(tmp_path / "cal.html")
    assert facts["slits"]["01"]["rms_px"] == pytest.approx(cal.slits["01"].rms)
    assert facts["slits"]["03"]["rms_px"] is None
    assert facts["degrees"] == {"opt": [2, 2], "crv": [2, 1, 1], "ids": [4, 1, 1]}
    lines = cal.residuals[(cal.residuals["kind"] == "line") & cal.residuals["used"]]
    rms = np.sqrt(np.mean(lines["residual"].value ** 2))
    assert facts["lines"]["rms_px"] == pytest.approx(rms)
    # The dispersion of the simulation is 9 Angstrom a pixel, give or take a tenth.
    assert facts["lines"]["rms_angstrom"] == pytest.approx(9 * rms, rel=0.15)


@pytest.mark.usefixtures("blank_page")
def test_what_was_asked_for_is_done(specwcs, argv, quick, observed):
    degrees = ("--opt", "1,2", "--crv", "2,1,0", "--ids", "3,1,1")
    specwcs(*argv, *degrees, "--medium", "vacuum")
    (instrument, mask, given) = quick[0]
    assert instrument.shape == given["flat"].shape == given["arc"].shape == (240, 500)
    assert set(mask) == set(observed.cal.mask)
    assert (given["opt"], given["crv"], given["ids"]) == ((1, 2), (2, 1, 0), (3, 1, 1))
    expected = LineCatalog.read(observed.catalog).to_medium("vacuum")
    np.testing.assert_array_equal(given["catalog"].wavelength, expected.wavelength)


@pytest.mark.usefixtures("blank_page")
def test_several_frames_are_summed_and_the_bias_is_subtracted(specwcs, argv, quick, observed):
    specwcs(*argv)
    i = argv.index("--arc")
    twice = [*argv[: i + 1], observed.arc, observed.science, *argv[i + 2 :]]
    bias = ["--bias", observed.flat, "--overwrite"]
    specwcs(*twice, *bias)
    one, two = quick[0][2], quick[1][2]
    assert not np.any(two["flat"].data)
    from specwcs import read_frame

    science = read_frame(observed.science, quick[0][0]).data
    expected = one["arc"].data + science - 2 * one["flat"].data
    np.testing.assert_allclose(two["arc"].data, expected)


def test_without_a_flat(specwcs, argv, quick, tmp_path):
    i = argv.index("--flat")
    status, _, _ = specwcs(*argv[:i], *argv[i + 2 :])
    assert status == 3
    assert quick[0][2]["flat"] is None
    assert (tmp_path / "cal.html").exists()


@pytest.mark.usefixtures("blank_page")
@pytest.mark.parametrize("declared", ["air", "vacuum", None])
@pytest.mark.parametrize("medium", ["air", "vacuum", None])
def test_medium(specwcs, argv, quick, tmp_path, declared, medium):
    catalog = tmp_path / "lines.dat"
    header = f"# medium: {declared}\n" if declared else ""
    catalog.write_text(header + "5852.488 Ne 1\n6678.276 Ne 1\n", encoding="utf-8")
    argv[argv.index("--catalog") + 1] = catalog
    status, _, err = specwcs(*argv, *(("--medium", medium) if medium else ()))
    if declared is None and medium is None:
        assert status == 2
        assert "the medium is not known. Must be air or vacuum." in err
        return
    given = quick[0][2]["catalog"]
    assert given.medium == (medium or declared)
    shift = {("air", "vacuum"): 1.62, ("vacuum", "air"): -1.62}.get((declared, medium), 0.0)
    assert given.wavelength[0] == pytest.approx(5852.488 + shift, abs=0.01)


@pytest.mark.usefixtures("blank_page")
def test_lamps_by_name_are_joined(specwcs, argv, quick):
    argv[argv.index("--catalog") + 1 : argv.index("--catalog") + 2] = ["Ne", "Ar"]
    specwcs(*argv)
    joined = quick[0][2]["catalog"]
    assert len(joined) > 0.99 * sum(len(LineCatalog.read(name)) for name in ("Ne", "Ar"))


@pytest.mark.usefixtures("blank_page")
@pytest.mark.parametrize("medium", [None, "vacuum"])
def test_lamps_by_name(specwcs, argv, quick, observed, medium):
    i = argv.index("--catalog")
    asked = ["--medium", medium] if medium else []
    status, out, err = specwcs(*argv[:i], "--lamps", "HgNe,argon", *argv[i + 2 :], *asked)
    assert (status, err) == (3, "")
    given = quick[0][2]["catalog"]
    expected = LineCatalog.read(["Hg", "Ne", "Ar"]).to_medium(medium or "air")
    np.testing.assert_array_equal(given.wavelength, expected.wavelength)
    assert given.medium == expected.medium
    # 3 px of 9 Angstrom, give or take a tenth over the frame.
    told = re.search(r"lamps +(\d+) of (\d+) lines of Hg, Ne, Ar are resolved at (.*) Å", out)
    inside = expected.select(*observed.cal.ids.domain)
    assert float(told[3]) == pytest.approx(27, rel=0.15)
    assert int(told[2]) == len(inside)
    assert len(inside.separable(32)) <= int(told[1]) <= len(inside.separable(22)) < len(inside)


@pytest.mark.usefixtures("blank_page")
def test_lamps_without_a_list_are_named(specwcs, argv, quick):
    i = argv.index("--catalog")
    _, _, err = specwcs(*argv[:i], "--lamps", "CuAr", *argv[i + 2 :])
    assert "lamp CuAr: no list of Cu lines ships" in err
    assert set(quick[0][2]["catalog"].label) == {"ArI"}


# -- wrong input, known before the work ------------------------------------------------


def assert_refused(specwcs, argv, quick, words):
    status, out, err = specwcs(*argv)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
    assert not quick  # no hours of work before


@pytest.mark.parametrize("name", ["cal.asdf", "cal.html"])
def test_existing_outputs_are_kept(specwcs, argv, quick, tmp_path, name):
    """BAD_INPUTS 107 and 109."""
    old = tmp_path / name
    old.write_text("precious")
    assert_refused(specwcs, argv, quick, [str(old), "exists already"])
    assert old.read_text() == "precious"
    status, _, _ = specwcs(*argv, "--overwrite")
    assert status == 3
    assert old.stat().st_size > 1000


def test_output_must_be_an_asdf_file(specwcs, argv, quick, tmp_path):
    argv[-1] = tmp_path / "cal.html"
    assert_refused(specwcs, argv, quick, ["cal.html", "Must end in .asdf"])


def test_lamps_and_catalogues_exclude_each_other(specwcs, argv, quick):
    words = ["argument --lamps", "not allowed with argument --catalog"]
    assert_refused(specwcs, [*argv, "--lamps", "Ne"], quick, words)


def test_unknown_lamps(specwcs, argv, quick):
    i = argv.index("--catalog")
    argv[i : i + 2] = ["--lamps", "Nq,Ar"]
    words = ["unknown lamp 'Nq'", "The lamps are Ar, Cd, FeAr, He, Hg, Kr, Ne, Xe"]
    assert_refused(specwcs, argv, quick, words)


def test_folder_that_is_missing(specwcs, argv, quick, tmp_path):
    argv[-1] = tmp_path / "no" / "cal.asdf"
    assert_refused(specwcs, argv, quick, [str(argv[-1]), "cannot be written"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_is_read_only(specwcs, argv, quick, tmp_path):
    """BAD_INPUTS 107."""
    tmp_path.chmod(0o500)
    assert_refused(specwcs, argv, quick, ["cannot be written", "Permission denied"])
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("place", "name"), [(1, "no.icf"), (2, "no.mdf"), (4, "no.fits"), (6, "no.fits"), (8, "no.dat")]
)
def test_missing_files_are_named(specwcs, argv, quick, tmp_path, place, name):
    argv[place] = tmp_path / name
    assert_refused(specwcs, argv, quick, [str(tmp_path / name), "no such file"])


def test_fault_in_a_file_is_named_with_its_line(specwcs, argv, quick, observed, tmp_path):
    text = observed.instrument.read_text()
    broken = tmp_path / "broken.icf"
    broken.write_text(text.replace("= LR", "= XY"))
    argv[1] = broken
    line = 1 + [row.startswith("dispersion_direction") for row in text.splitlines()].index(True)
    words = [f"{broken}, line {line}: ", "'XY'", "Must be one of LR, RL, BU, UB."]
    assert_refused(specwcs, argv, quick, words)


def test_data_that_determine_nothing(specwcs, argv, monkeypatch, tmp_path):
    def calibrate(*_, **__):
        msg = "the lines of the arc are not identified: too few. Check the catalogue."
        raise FitError(msg)

    monkeypatch.setattr("specwcs.calibration.calibrate", calibrate)
    status, _, err = specwcs(*argv)
    assert status == 2
    assert (
        err == "specwcs: the lines of the arc are not identified: too few. Check the catalogue.\n"
    )
    assert not list(tmp_path.iterdir())


# -- the picture ------------------------------------------------------------------------


def test_no_matplotlib_is_no_fault(specwcs, argv, quick, monkeypatch, tmp_path):
    import sys

    for name in [m for m in sys.modules if m.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [m for m in sys.modules if m.startswith("specwcs.report")]:
        monkeypatch.delitem(sys.modules, name)
    import specwcs as package

    monkeypatch.delattr(package, "report", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, out, err = specwcs(*argv, "--json")
    assert status == 3
    assert "matplotlib is missing (pip install 'specwcs[plot]')" in err
    assert json.loads(out)["report"] is None
    assert (tmp_path / "cal.asdf").exists()
    assert not (tmp_path / "cal.html").exists()
