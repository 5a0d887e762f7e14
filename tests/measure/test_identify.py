"""Blind identification: right, or not at all."""

from dataclasses import replace

import arc_cases
import numpy as np
import pytest
from arc_cases import (
    COLUMNS,
    misled,
    random_lamp,
    simulated,
    sine_arc,
    true_column,
    true_wavelength,
)

from specwcs.errors import InputError
from specwcs.inputs import LineCatalog
from specwcs.measure import arc_spectra, identify
from specwcs.measure.explore import Verdict
from specwcs.measure.identification import Task
from specwcs.measure.solution import PeakTable, Solution
from specwcs.simulate import lamp, wrong


def worst(found):
    """Largest error in the domain of the only slit, px."""
    (slit,) = found.slits.values()
    p = np.linspace(*slit.domain, 200)
    return np.abs(true_column(slit.wavelength(p)) - p).max()


@pytest.mark.parametrize("seed", range(6))
def test_lines_are_found_from_wrong_nominal_values(seed):
    catalog, height = random_lamp(seed)
    # Every sixth line of the catalogue does not shine; ten that shine are not in it.
    height = np.where(np.arange(len(height)) % 6 == 3, 0.0, height)
    extra, more = random_lamp(seed + 100, 10)
    shining = LineCatalog(
        np.r_[catalog.wavelength, extra.wavelength],
        np.r_[catalog.label, extra.label],
        np.r_[catalog.flag, extra.flag],
        np.r_[catalog.intensity, extra.intensity],
        "vacuum",
    )
    arc = sine_arc(shining, np.r_[height, more], seed)
    found = identify(arc.spectra, arc.traces, misled(arc.instrument, seed), catalog)
    assert found.status == "ok", found.reason
    assert found.held_out < 0.1
    assert found.medium == "vacuum"
    assert worst(found) < 0.3


@pytest.mark.parametrize(("angle", "seed"), [(20, 1), (64, 2), (-64, 3)])
def test_strongly_curved_dispersions_are_identified(monkeypatch, angle, seed):
    """A grating seen far off its normal: 13 % of the frame off a straight law at its ends."""
    middle, half = np.radians(angle), 0.25

    def law(p):
        x = (np.asarray(p) - (COLUMNS - 1) / 2) / (COLUMNS / 2)
        sines = np.sin(middle + half * x) - np.sin(middle)
        return 6500.0 + 1.6 * COLUMNS / 2 * sines / (half * np.cos(middle))

    monkeypatch.setattr(arc_cases, "true_wavelength", law)
    catalog, height = random_lamp(seed)
    arc = sine_arc(catalog, height, seed)
    found = identify(arc.spectra, arc.traces, misled(arc.instrument, seed), catalog)
    assert found.status == "ok", found.reason
    assert worst(found) < 0.3


@pytest.mark.parametrize("seed", [4, 5, 6, 7])
def test_dispersions_of_prisms_are_identified(monkeypatch, seed):
    """Four times as many Å a pixel at the red end as at the blue one."""
    pole = 3.0  # of the hyperbola, in half frames

    def law(p):
        x = (np.asarray(p) - (COLUMNS - 1) / 2) / (COLUMNS / 2)
        return 6500.0 + 1.6 * COLUMNS / 2 * pole * x / (pole - x)

    monkeypatch.setattr(arc_cases, "true_wavelength", law)
    catalog, height = random_lamp(seed)
    arc = sine_arc(catalog, height, seed)
    found = identify(arc.spectra, arc.traces, misled(arc.instrument, seed), catalog)
    assert found.status == "ok", found.reason
    (slit,) = found.slits.values()
    p = np.linspace(slit.p.min(), slit.p.max(), 200)
    assert np.abs(true_column(slit.wavelength(p)) - p).max() < 0.3
    assert np.ptp(slit.p) > 0.25 * COLUMNS


@pytest.mark.parametrize("whole", [True, False])
def test_what_the_lines_do_not_confirm_may_hold_under_another_law(monkeypatch, whole):
    """A solution good enough for the vote fails at its lines, or leaves slits aside."""
    settle, tried = Task.settle, []

    def first_fails(task, verdict, lines, reason):
        tried.append(settle(task, verdict, lines, reason))
        if len(tried) > 1:
            return tried[-1]
        if whole:
            return task.nothing("not identified", "fewer than 6 lines are confirmed by the others")
        slits, reason = dict(tried[0].slits), "none of its peaks"
        for key in list(slits)[:2]:
            slits[key] = replace(slits[key], status="not identified", reason=reason)
        return replace(tried[0], slits=slits)

    monkeypatch.setattr(Task, "settle", first_fails)
    arc = simulated(lamp(), n_slits=5)
    spectra = arc_spectra(*arc.frame, arc.traces, arc.instrument)
    found = identify(spectra, arc.traces, wrong(arc.instrument), lamp())
    assert found.status == "ok", found.reason
    assert len(tried) > 1
    assert {slit.status for slit in found.slits.values()} <= {"ok", "no lines"}


def test_solution_is_accurate_and_its_inverse_closes():
    catalog, height = random_lamp(11)
    arc = sine_arc(catalog, height, 11)
    found = identify(arc.spectra, arc.traces, misled(arc.instrument, 11), catalog)
    (slit,) = found.slits.values()
    p = np.linspace(*slit.domain, 300)
    assert slit.domain[1] - slit.domain[0] > 0.7 * COLUMNS
    assert np.all(np.diff(slit.wavelength(p)) > 0)
    np.testing.assert_allclose(slit.column(slit.wavelength(p)), p, atol=1e-6)
    error = true_column(slit.wavelength(p)) - p
    assert np.sqrt(np.mean(error**2)) < 0.03
    assert np.isnan(slit.wavelength(slit.domain[1] + 0.06 * COLUMNS))
    assert np.isnan(slit.column(slit.wavelength(p[-1]) + 1000.0))


def test_intensities_are_not_needed():
    catalog, height = random_lamp(4)
    arc = sine_arc(catalog, height, 4)
    blind = replace(catalog, intensity=np.full(len(height), np.nan))
    found = identify(arc.spectra, arc.traces, misled(arc.instrument, 4), blind)
    assert found.status == "ok", found.reason
    assert worst(found) < 0.3


@pytest.mark.parametrize("seed", range(4))
def test_wrong_lamp_is_not_identified(seed):
    catalog, height = random_lamp(seed)
    other, _ = random_lamp(seed + 500, 60)
    arc = sine_arc(catalog, height, seed)
    found = identify(arc.spectra, arc.traces, misled(arc.instrument, seed), other)
    assert found.status == "not identified"
    assert found.reason
    assert not any(slit.ok for slit in found.slits.values())
    assert np.isnan(next(iter(found.slits.values())).wavelength(500.0))


def test_a_dark_arc_has_no_lines():
    catalog, height = random_lamp(1)
    arc = sine_arc(catalog, 0.0 * height, 1, cosmic_rays=0)
    found = identify(arc.spectra, arc.traces, arc.instrument, catalog)
    assert found.status == "no lines"
    assert "6 lines" in found.reason


def test_a_masked_arc_has_no_lines():
    catalog, height = random_lamp(1)
    arc = sine_arc(catalog, height, 1)
    image, variance, bad = arc.frame
    spectra = arc_spectra(image, variance, np.ones_like(bad), arc.traces, arc.instrument)
    found = identify(spectra, arc.traces, arc.instrument, catalog)
    assert found.status == "no lines"
    assert not next(iter(found.slits.values())).ok


def test_catalogue_of_other_wavelengths_is_an_error():
    catalog, height = random_lamp(1)
    arc = sine_arc(catalog, height, 1)
    in_nm = replace(catalog, wavelength=catalog.wavelength / 10)
    with pytest.raises(InputError, match="unit of the catalogue"):
        identify(arc.spectra, arc.traces, arc.instrument, in_nm)


def test_a_decoy_beside_the_end_line_does_no_harm():
    """The end line is absent from the catalogue, which has another 2 px away instead."""
    for seed in (0, 1, 2):
        catalog, height = random_lamp(seed)
        on_frame = true_column(catalog.wavelength) < COLUMNS - 20
        last = np.flatnonzero(on_frame)[-1]
        moved = catalog.wavelength.copy()
        moved[last] += 2.0 * np.diff(true_wavelength([1100, 1101]))[0]
        height[last] = 1e4
        arc = sine_arc(catalog, height, seed)
        wrong_end = replace(catalog, wavelength=moved)
        found = identify(arc.spectra, arc.traces, misled(arc.instrument, seed), wrong_end)
        assert found.status == "ok", found.reason
        assert worst(found) < 0.3


@pytest.mark.parametrize(
    ("direction", "flipx"), [("LR", False), pytest.param("UB", True, marks=pytest.mark.slow)]
)
def test_mask_of_slits_with_its_flip(direction, flipx):
    shape = (400, 1200) if direction == "LR" else (1200, 400)
    flips = {"flipx": flipx} if direction == "LR" else {"flipy": flipx}
    dark = {"arcless": ("02",)}
    case = simulated(lamp(), direction=direction, shape=shape, n_slits=8, **flips, **dark)
    nominal = wrong(case.instrument)
    spectra = arc_spectra(*case.frame, case.traces, nominal)
    found = identify(spectra, case.traces, nominal, lamp())
    assert found.status == "ok", found.reason
    assert found.flip_u is flipx
    assert found.slits["02"].status == "no lines"
    science = [name for name, slit in case.traces.mask.items() if not slit.reference]
    assert set(found.slits) == set(science)
    for name in science:
        slit = found.slits[name]
        if name == "02":
            continue
        assert slit.ok, slit.reason
        lines = slit.lines  # beyond the outermost, others know: the calibration says how far
        seen = lines.lamp.p[(lines.line >= 0) & (lines.lamp.height > 0)]
        p = np.linspace(*np.clip([seen.min(), seen.max()], *slit.domain), 40)
        truth, _ = case.traces.world(name, p, case.traces.q(name, 0.5, p))
        error = (slit.wavelength(p) - truth) / np.gradient(truth, p)
        assert np.sqrt(np.mean(error**2)) < 0.1
        assert np.abs(error).max() < 0.3


def test_slits_that_are_dark_do_not_count_against_the_catalogue():
    slit = np.repeat([0, 1, 3], 10)  # slit 2 has no peaks
    n = np.zeros(30)
    peaks = PeakTable(slit, n, n, n, np.zeros(30, int))
    line = np.where(slit == 1, -1, np.where(np.arange(30) % 10 < 6, 5, -1))
    best = Solution(np.zeros((4, 6)), 10, False, np.zeros((4, 2)), line=line)
    assert Verdict(best, 0.0, n > 0, peaks).explained == pytest.approx(0.6)
