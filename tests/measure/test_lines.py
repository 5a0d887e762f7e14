"""Lines along the slits: where the ray trace, or the experts, put them."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from arc_cases import misled, paint, random_lamp, simulated, sine_arc, true_column, true_wavelength
from astropy import units as u
from astropy.io import fits

from specwcs.errors import InputError
from specwcs.inputs import Instrument, LineCatalog, Mask
from specwcs.measure import arc_spectra, identify, measure_lines, traces_from_mask
from specwcs.measure.lines import _pull_error
from specwcs.measure.tracking import positions
from specwcs.simulate import lamp, wrong


def measured(case, catalog, instrument, **options):
    spectra = arc_spectra(*case.frame, case.traces, instrument)
    found = identify(spectra, case.traces, instrument, catalog)
    assert found.status == "ok", found.reason
    table = measure_lines(*case.frame, case.traces, found, catalog, instrument, **options)
    return found, table


def errors(case, table):
    """Distance of the measured columns from the ray trace, at the same row, px."""
    error = np.full(len(table), np.nan)
    p, q = table["p"].value, table["q"].value
    for name in np.unique(table["slit"]):
        mine = np.flatnonzero((table["slit"] == name) & table["used"])
        wavelength, _ = case.traces.world(name, p[mine], q[mine])
        ahead, _ = case.traces.world(name, p[mine] + 1, q[mine])
        error[mine] = (wavelength - table["wavelength"].value[mine]) / (ahead - wavelength)
    return error[np.asarray(table["used"])]


@pytest.fixture(scope="module")
def mos():
    case = simulated(lamp(), shape=(400, 2048), n_slits=8)
    return case, *measured(case, lamp(), wrong(case.instrument))


def test_lines_of_a_mask_are_where_the_ray_trace_puts_them(mos):
    case, found, table = mos
    error = errors(case, table)
    assert set(np.unique(table["slit"])) == set(found.slits)
    weight = table["sigma"][table["used"]].value ** -2.0
    assert np.sqrt(np.average(error**2, weights=weight)) < 0.05
    assert np.abs(error).max() < 0.5
    assert 1.48 * np.median(np.abs(error)) < 0.04
    assert abs(np.median(error)) < 0.005
    for name in found.slits:
        mine = table[(table["slit"] == name) & table["used"]]
        assert len(np.unique(mine["t"])) >= 3
        assert len(np.unique(mine["wavelength"])) >= 12


@pytest.mark.parametrize("height", [6.0, 9.0, 13.0, 20.0, 27.5, 60.0, 500.0])
@pytest.mark.parametrize("cut", [0.0, 1.0])
def test_all_rows_but_those_at_the_ends_are_measured_once(height, cut):
    t, rows = positions(height + 7.3, 7.3, 9999, cut)
    assert 0.5 in t
    np.testing.assert_allclose(t, 1 - t[::-1], atol=1e-12)
    assert len(t) == 1 or np.all(np.diff(t) * height > rows - 1e-6)
    margin = min(2.5 + cut, 0.3 * height)
    assert t[0] * height - rows / 2 >= margin - 1e-9
    assert rows * len(t) > 0.6 * (height - 2 * margin)


def test_positions_off_the_frame_are_left_out():
    t, rows = positions(90.0, -30.0, 59)
    q = 90.0 - 120.0 * t
    assert np.all((q - (rows - 1) / 2 >= 0) & (q + (rows - 1) / 2 <= 59))
    assert len(t) >= 5


def test_tilted_slits_are_not_pulled_where_their_ends_are_cut():
    quiet = {"missing": 0.0, "unknown": 0, "cosmic_rays": 0}
    case = simulated(lamp(), shape=(400, 1200), n_slits=13, psf=3.5, arc=quiet)
    _, table = measured(case, lamp(), wrong(case.instrument))
    table = table[table["used"]]
    table["error"] = errors(case, table)
    tilted = [key for key, slit in case.traces.mask.items()
              if np.ptp(slit.curve(np.array([0.0, 1.0])), axis=1).min() > 0.2]  # fmt: skip
    assert len(tilted) == 2
    for key in tilted:
        mine = table[table["slit"] == key]
        for end in (mine["t"].min(), mine["t"].max()):
            error = mine["error"][np.abs(mine["t"] - end) < 0.02]
            assert abs(np.median(error)) < 0.01


def test_every_line_is_used_or_has_a_reason(mos):
    _, _, table = mos
    assert np.all((table["reason"] == "") == table["used"])
    assert np.any([reason.startswith("blend") for reason in table["reason"]])
    assert np.all(np.isfinite(table["p"][table["used"]].value))
    assert np.all(table["sigma"][table["used"]].value > 0)


def test_lines_that_do_not_shine_are_not_used(mos):
    case, _, _ = mos
    catalog = lamp()
    dark = replace(
        catalog,
        wavelength=np.sort(np.r_[catalog.wavelength, 6820.0, 7350.0, 8220.0]),
        label=np.full(len(catalog) + 3, "x"),
        flag=np.ones(len(catalog) + 3, int),
        intensity=np.full(len(catalog) + 3, 100.0),
    )
    _, table = measured(case, dark, wrong(case.instrument))
    for wavelength in (6820.0, 7350.0, 8220.0):
        rows = table[table["wavelength"].value == wavelength]
        assert len(rows)
        assert not rows["used"].any()


@pytest.mark.parametrize("direction", ["LR", pytest.param("BU", marks=pytest.mark.slow)])
def test_lines_of_a_curved_long_slit_are_followed(direction):
    shape = (500, 1024) if direction == "LR" else (1024, 500)
    case = simulated(lamp(), kind="longslit", direction=direction, shape=shape, line_curvature=12.0)
    _, table = measured(case, lamp(), wrong(case.instrument))
    used = table[table["used"]]
    error = errors(case, table)
    assert len(np.unique(used["t"])) >= 15
    one = used[used["wavelength"] == np.unique(used["wavelength"])[8]]
    assert np.ptp(one["p"].value) > 6.0
    # Lines 13 Å wide blend on this frame: what is left of it is the scatter.
    assert 1.48 * np.median(np.abs(error)) < 0.06
    assert abs(np.median(error)) < 0.02
    # What a line bends by is no error of its points.
    own, pulls = np.sqrt(used["sigma"].value ** 2 - used["shared"].value ** 2), []
    for wavelength in np.unique(used["wavelength"]):
        mine = used["wavelength"] == wavelength
        t, e = used["t"][mine], error[mine]
        pulls.append((e - np.polyval(np.polyfit(t, e, 3), t)) / own[mine])
    assert 0.75 < 1.48 * np.median(np.abs(np.concatenate(pulls))) < 1.25


# -- what is dropped -------------------------------------------------------------


@pytest.fixture(scope="module")
def sines():
    catalog, height = random_lamp(3)
    arc = sine_arc(catalog, height, 3)
    found = identify(arc.spectra, arc.traces, misled(arc.instrument, 3), catalog)
    assert found.ok
    return arc, found, catalog, height


def test_errors_are_calibrated_to_the_scatter(sines):
    arc, found, catalog, _ = sines
    table = measure_lines(*arc.frame, arc.traces, found, catalog, arc.instrument)
    used = table[table["used"]]
    error = used["p"].value - true_column(used["wavelength"].value)
    pull = error / used["sigma"].value
    assert 0.7 < 1.48 * np.median(np.abs(pull)) < 1.3
    assert np.sqrt(np.mean(error**2)) < 0.06


def test_an_unlisted_blend_is_rejected_as_a_line(sines):
    arc, found, catalog, height = sines
    table = measure_lines(*arc.frame, arc.traces, found, catalog, arc.instrument)
    used = np.unique(table["wavelength"][table["used"]].value)
    middle = used[len(used) // 2]
    strength = height[np.flatnonzero(catalog.wavelength == middle)[0]]
    step = 1.2 * 0.83
    frame = paint(np.r_[catalog.wavelength, middle + step], np.r_[height, 0.6 * strength], seed=3)
    spectra = arc_spectra(*frame, arc.traces, arc.instrument)
    found = identify(spectra, arc.traces, misled(arc.instrument, 3), catalog)
    table = measure_lines(*frame, arc.traces, found, catalog, arc.instrument)
    rows = table[table["wavelength"].value == middle]
    assert not rows["used"].any()
    assert all("px from" in reason or "blend" in reason for reason in rows["reason"])


@pytest.mark.parametrize(("step", "share"), [(1.8, 0.06), (2.5, 0.1), (-2.2, 0.06)])
def test_a_line_pulled_by_one_that_no_one_sees_says_so(sines, step, share):
    """Fainter than what would show beside it, px away; its light makes the line skew."""
    arc, _, catalog, height = sines
    column = true_column(catalog.wavelength)
    inside = (column > 300) & (column < 900)
    gap = np.min(np.abs(column - column[:, None]) + 1e3 * np.eye(len(column)), axis=1)
    k = np.flatnonzero(inside)[np.argmax((height * (gap > 12))[inside])]
    hidden = true_wavelength(column[k] + step)
    frame = paint(np.r_[catalog.wavelength, hidden], np.r_[height, share * height[k]], seed=3)
    case = SimpleNamespace(frame=frame, traces=arc.traces)
    _, table = measured(case, catalog, misled(arc.instrument, 3))
    mine = table[table["wavelength"] == catalog.wavelength[k] * u.AA]
    error = np.mean(mine["p"].value - column[k])
    assert abs(error) > 0.03
    assert not mine["used"].any() or abs(error) < 2 * np.median(mine["sigma"].value)


def test_saturated_lines_are_dropped_and_say_so(sines):
    arc, found, catalog, _ = sines
    image, variance, bad = (array.copy() for array in arc.frame)
    saturated = image > 8000.0
    image[saturated] = 8000.0
    table = measure_lines(
        image, variance, bad | saturated, arc.traces, found, catalog, arc.instrument,
        saturated=saturated,
    )  # fmt: skip
    assert "saturated" in set(table["reason"])
    used = table[table["used"]]
    assert len(np.unique(used["wavelength"])) >= 8
    error = used["p"].value - true_column(used["wavelength"].value)
    assert np.sqrt(np.mean(error**2)) < 0.06


def test_a_frame_of_which_nothing_can_be_used_gives_reasons(sines):
    arc, found, catalog, _ = sines
    image, variance, bad = arc.frame
    everywhere = np.ones_like(bad)
    table = measure_lines(
        image, variance, everywhere, arc.traces, found, catalog, arc.instrument,
        saturated=everywhere,
    )  # fmt: skip
    assert len(table)
    assert not table["used"].any()
    assert "saturated" in set(table["reason"])


def test_flagged_lines_count_as_neighbours_only(sines):
    arc, found, catalog, _ = sines
    flag = catalog.flag.copy()
    flag[::2] = 0
    table = measure_lines(
        *arc.frame, arc.traces, found, replace(catalog, flag=flag), arc.instrument
    )
    flagged = np.isin(table["wavelength"].value, catalog.wavelength[::2])
    assert not table["used"][flagged].any()
    assert table["used"][~flagged].any()


def test_media_must_agree(sines):
    arc, found, catalog, _ = sines
    with pytest.raises(InputError, match="medium"):
        measure_lines(*arc.frame, arc.traces, found, catalog.to_medium("air"), arc.instrument)


# -- real frames -----------------------------------------------------------------


def experts(path, shift):
    """IRAF line identifications: column, row (1-based pixels), wavelength."""
    rows, column = [], None
    for line in path.read_text().splitlines():
        if match := re.search(r"^begin.*\[(\d+),", line):
            column = float(match[1])
        elif match := re.match(r"^\s+([\d.]+)\s+[\d.]+\s+([\d.]+)\s+[\d.]+\s+\d\s+\d", line):
            rows.append((column - 1, float(match[1]) - 1 + shift, float(match[2])))
    return np.array(rows).T


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "frame", "shift"),
    [
        ("efosc2_gr11", "arc_20120824_Gr11_Free_slit1.0_56442_1", -4),
        ("efosc2_gr13", "arc_20120825_Gr13_Free_slit1.0_56442_1", 0),
    ],
)
def test_efosc2_agrees_with_the_experts_along_the_slit(real_data, name, frame, shift):
    folder = real_data / "efosc2"
    image = fits.getdata(folder / f"{frame}.fits").astype(float)
    x, p, wavelength = experts(folder / "database" / f"id{frame}", shift)
    q = image.shape[1] - 1 - x
    instrument = Instrument.read(name)
    instrument = replace(
        instrument,
        linear_dispersion=1.03 * instrument.linear_dispersion,
        reference_lambda=instrument.reference_lambda + 100.0,
    )
    canonical = instrument.direction.canonical_image(image)
    variance = np.maximum(canonical, 0) / 1.1 + 50.0
    saturated = canonical > 60000
    traces = traces_from_mask(Mask.read("efosc2_longslit_1.0"), instrument)
    catalog = LineCatalog.read(["He", "Ar", "Cd"])
    case = (canonical, variance, saturated, traces)
    found = identify(arc_spectra(*case, instrument), traces, instrument, catalog)
    assert found.ok, found.reason
    table = measure_lines(*case, found, catalog, instrument, saturated=saturated)
    away, compared = [], 0
    for line in np.unique(wavelength):
        mine = table["used"] & (np.abs(table["wavelength"].value - line) < 1.0)
        if not mine.any():
            continue
        compared += 1
        order = np.argsort(table["q"].value[mine])
        rows, columns = (table[c].value[mine][order] for c in "qp")
        theirs = wavelength == line
        away.append(np.interp(q[theirs], rows, columns) - p[theirs])
    assert compared >= 0.7 * len(np.unique(wavelength))
    assert np.sqrt(np.mean(np.concatenate(away) ** 2)) < 0.055


def test_a_neighbour_that_no_light_tells_from_a_line_may_have_none():
    """How bright it is follows from where it is looked for: all of its pull is an error."""
    lamp = SimpleNamespace(
        p=np.array([10.0, 11.4, 20.0, 24.0]), height=np.array([9.0, 1.0, 5.0, 5.0])
    )
    assert _pull_error(lamp, 4.5).tolist() == [1.0, 1.0, 0.08, 0.08]
    lamp.height[1] = 0.0  # it does not shine
    assert _pull_error(lamp, 4.5).tolist() == [0.08, 1.0, 0.08, 0.08]
