import json
from dataclasses import replace

import calibration_cases as cases
import numpy as np
import pytest

from specwcs.calibration import Calibration
from specwcs.cli.accuracy import accuracy_against, accuracy_lines
from specwcs.simulate import example


@pytest.fixture(scope="module")
def truth(observed):
    return example("LR", (240, 500), 6, dark=("03",), offset=(4.0, -2.0))


def test_accuracy_agrees_with_another_way_to_measure_it(observed, truth):
    accuracy = accuracy_against(truth, observed.cal)
    band = tuple(accuracy["range_angstrom"])
    expected, angstrom = {}, {}
    for key in accuracy["slits"]:
        t, wavelength, x, y = cases.light(truth, key, n=4000, band=band)
        geometry = observed.cal.geometry(key)
        angstrom[key] = geometry.world(x, y)[0] - wavelength
        expected[key] = angstrom[key] * geometry.dispersion.slope(wavelength, t)
        assert accuracy["slits"][key]["wavelength_px"] == pytest.approx(
            cases.rms(expected[key]), rel=0.1
        )
    assert accuracy["wavelength_px"] == pytest.approx(cases.rms(expected), rel=0.1)
    edges = cases.edge_errors(truth, observed.cal, keys=list(expected), band=band)
    assert accuracy["edges_px"] == pytest.approx(cases.rms(edges), rel=0.1)
    assert accuracy["wavelength_angstrom"] == pytest.approx(cases.rms(angstrom), rel=0.1)


@pytest.mark.parametrize("direction", ["LR", "RL", "BU", "UB"])
def test_accuracy_measures_a_known_shift(observed, direction):
    """The same light shifted by 0.3 px along and 0.4 px across."""
    shape = (240, 500) if direction in ("LR", "RL") else (500, 240)
    truth = example(direction, shape, 6, offset=(4.0, -2.0))
    cal = cases_calibration(truth)
    before = accuracy_against(truth, cal)
    along, across = truth.instrument.direction.join(0.3, 0.4)
    moved = cal.opt.copy()
    moved.x0_0 += along
    moved.y0_0 += across
    after = accuracy_against(truth, replace(cal, opt=moved))
    assert after["wavelength_px"] == pytest.approx(np.hypot(before["wavelength_px"], 0.3), abs=0.15)
    assert after["edges_px"] == pytest.approx(np.hypot(before["edges_px"], 0.4), abs=0.05)


def cases_calibration(truth):
    from specwcs.calibration import solve

    markers = cases.true_markers(truth, scatter=0.2)
    degrees = {"opt": (2, 2), "crv": (2, 1, 1), "ids": (4, 1, 1)}
    return solve(truth.instrument, truth.mask, markers, medium="air", **degrees)


def test_lines_name_the_least_accurate_slits(observed, truth):
    accuracy = accuracy_against(truth, observed.cal)
    lines = accuracy_lines(accuracy)
    worst = max(accuracy["slits"], key=lambda key: accuracy["slits"][key]["wavelength_px"])
    assert lines[5].split()[0] == worst
    assert len(lines) == 5 + len(accuracy["slits"])


def test_no_calibrated_slit_has_no_accuracy(observed, truth):
    slits = {key: replace(s, flag="dark") for key, s in observed.cal.slits.items()}
    accuracy = accuracy_against(truth, replace(observed.cal, slits=slits))
    assert np.isnan(accuracy["wavelength_px"])
    assert accuracy["slits"] == {}


def test_files_that_are_not_of_a_demo_are_not_replaced(specwcs, tmp_path):
    mine = tmp_path / "arc.fits"
    mine.write_text("a night's work")
    status, _, err = specwcs("demo", "--out", tmp_path)
    assert status == 2
    assert "the folder has files that are not of a demo" in err
    assert [path.name for path in tmp_path.iterdir()] == ["arc.fits"]
    assert mine.read_text() == "a night's work"


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["UB"])
def test_demo_end_to_end(specwcs, tmp_path, direction):
    folder = tmp_path / "demo"
    status, out, err = specwcs("demo", "--out", folder, "--direction", direction, "--json")
    assert (status, err) == (0, "")
    facts = json.loads(out)
    assert facts["accuracy"]["wavelength_px"] < 0.05
    assert facts["accuracy"]["edges_px"] < 0.1
    low, high = facts["accuracy"]["range_angstrom"]
    assert high - low > 3000
    assert len(facts["accuracy"]["slits"]) == 13
    assert facts["calibrate"]["failed"] == {}
    for path in (
        *facts["files"].values(),
        facts["calibrate"]["calibration"],
        facts["calibrate"]["report"],
        *(p for e in facts["extract"]["exposures"].values() for p in (*e["files"], e["picture"])),
    ):
        assert (tmp_path / path).stat().st_size > 100
    cal = Calibration.read(folder / "calibration.asdf")
    assert len(cal.good()) == 14
    again, _, _ = specwcs("info", folder / "calibration.asdf")
    assert again == 0
