"""The session of the tutorial on simulated masks, by a hand that is right to 0.3 px."""

import calibration_cases as cases
import hand
import numpy as np
import pytest
from astropy import units as u
from astropy.table import QTable

from specwcs import FitError, InputError, Markers, ModelsCalibration
from specwcs.simulate import example, wrong

DIRECTIONS = ("LR", "RL", "BU", "UB")
BAND = (5300.0, 8900.0)


def calibrate(obs, opt, crv, ids, catalog, **how):
    calib = ModelsCalibration(wrong(obs.instrument), obs.mask, viewer=None)
    model = calib.new_opt_model(*opt)
    if obs.spectrograph.flipx:
        model.flipx()
    if obs.spectrograph.flipy:
        model.flipy()
    calib.plot_opt_model()
    hand.place(calib, obs, **how)
    calib.fit_opt_model()
    calib.new_crv_model(*crv)
    calib.plot_crv_model(9)
    hand.place(calib, obs, **how)
    calib.fit_crv_model()
    calib.new_ids_model(*ids)
    calib.plot_ids_model(catalog)
    hand.place(calib, obs, **how)
    calib.fit_ids_model()
    return calib


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("flips", [(False, False), (False, True), (True, False), (True, True)])
def test_the_mos_session_in_all_directions(direction, flips):
    obs = example(direction, n_slits=14, seed=3, flipx=flips[0], flipy=flips[1])
    calib = calibrate(obs, (2, 2), (2, 2, 2), (4, 2, 2), hand.bright_lamp(60))
    cal = calib.calibration
    assert cal.good() == list(obs.mask)
    assert cases.rms(cases.wavelength_errors(obs, cal, band=BAND)) < 0.1
    assert cases.rms(cases.edge_errors(obs, cal, band=(6500.0, 7500.0))) < 0.15


def test_a_mask_that_nobody_flipped_is_flipped_by_the_fit():
    obs = example("LR", n_slits=14, seed=3, flipy=True)
    calib = ModelsCalibration(wrong(obs.instrument), obs.mask, viewer=None)
    opt = calib.new_opt_model(2, 2)
    calib.plot_opt_model()
    hand.place(calib, obs)
    summary = calib.fit_opt_model()
    assert opt.y_flipped
    assert not opt.x_flipped
    assert any("mirrored" in sentence for sentence in summary.advice)
    # The left edge is on the left hand of one who walks from blue to red: upper for LR.
    for slit in calib.mask.values():
        _, y = opt(*slit.curve(np.array([0.0, 1.0])))
        assert y[0] > y[1]


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_longslit_session(direction):
    obs = example(direction, kind="longslit", seed=5)
    along_x = obs.instrument.direction.along_x
    calib = ModelsCalibration(wrong(obs.instrument), obs.mask, viewer=None)
    calib.new_opt_model(1, 1)
    calib.plot_opt_model(edit=True)
    hand.place(calib, obs, 0.2)
    summary = calib.fit_opt_model()
    assert any("No marker to spare" in sentence for sentence in summary.advice)
    calib.new_crv_model(2, *((0, 1) if along_x else (1, 0)))
    calib.set_trace_limits(1000, 1000)
    calib.plot_crv_model(7, pos=(0, 1))
    hand.place(calib, obs, 0.2)
    calib.fit_crv_model()
    calib.plot_crv_model(100, pos=(0, 0.325, 1))
    assert set(np.asarray(calib.markers["t"]).tolist()) == {0.0, 0.325, 1.0}
    calib.new_ids_model(4, *((0, 2) if along_x else (2, 0)))
    calib.plot_ids_model(hand.bright_lamp(), nsplit=7)
    hand.place(calib, obs)
    calib.fit_ids_model()
    cal = calib.calibration
    assert cases.rms(cases.wavelength_errors(obs, cal, band=BAND)) < 0.1
    calib.plot_ids_model(hand.bright_lamp(), nsplit=20)
    assert len(np.unique(np.asarray(calib.markers["t"]))) == 20


@pytest.mark.slow
def test_a_hand_that_scatters_by_half_a_pixel(capsys):
    """28 slits, 8288 × 3088: 0.1 px rms, and errors that cover the truth."""
    errors, sigmas = [], []
    for seed, direction in enumerate(DIRECTIONS, start=1):
        shape = (3088, 8288) if direction in ("LR", "RL") else (8288, 3088)
        obs = example(direction, shape=shape, n_slits=28, seed=seed)
        calib = calibrate(
            obs, (3, 3), (3, 2, 2), (5, 2, 2), hand.lamp().select(5000, 9200),
            scatter=0.5, gauss=True, delete=0.1, seed=seed,
        )  # fmt: skip
        cal = calib.calibration
        found, sigma = errors_and_sigmas(obs, cal)
        assert np.sqrt(np.mean(found**2)) < 0.1
        errors.append(found)
        sigmas.append(sigma)
    ratio = np.abs(np.concatenate(errors)) / np.concatenate(sigmas)
    assert 0.63 < np.mean(ratio < 1) < 0.73


def test_a_single_stray_marker_is_dropped_and_not_its_slit(fitted, mos):
    """It contradicts the others, and the fit bends to it; the other lines of its slit do not."""
    fitted.plot_ids_model(hand.bright_lamp(14))
    hand.place(fitted, mos, scatter=0.05)
    markers = fitted.markers
    row = np.flatnonzero((markers["slit"] == "05") & np.asarray(markers["used"]))[3]
    markers["x"][row] += 9 * markers["x"].unit
    fitted.markers = markers
    fitted.fit_ids_model()
    table = fitted.progress.models["ids"].residuals
    assert np.sum(~table["used"] & (table["slit"] == "05")) == 1
    assert fitted.calibration.slits["05"].ok


def errors_and_sigmas(obs, cal):
    errors, sigmas = [], []
    for key in cal.good():
        if obs.mask[key].reference:
            continue
        _, wavelength, x, y = cases.light(obs, key, band=(5050.0, 9120.0))
        found, t = cal.geometry(key).world(x, y)
        slope = cal.geometry(key).dispersion.slope(wavelength, np.clip(t, 0, 1))
        error = (found - wavelength) * slope
        sigma = cal.wavelength_uncertainty(key, x, y) * slope
        known = np.isfinite(error) & np.isfinite(sigma)
        errors.append(error[known])
        sigmas.append(sigma[known])
    return np.concatenate(errors), np.concatenate(sigmas)


# -- what a session knows at each step ------------------------------------------------


def test_the_calibration_says_what_is_not_fitted(calib, mos):
    assert calib.calibration.good() == []
    calib.plot_opt_model()
    hand.place(calib, mos)
    calib.fit_opt_model()
    cal = calib.calibration
    assert {status.flag for status in cal.slits.values()} == {"not fitted"}
    assert "CRV: nominal values; IDS: nominal values" in cal.slits["05"].reason
    assert np.isnan(cal.wavelength_uncertainty("05", *cal.geometry("05").pixel(7200.0, 0.5)))


def test_the_calibration_is_a_value_of_its_own(fitted, mos):
    before = fitted.calibration
    kept = before.opt.parameters.copy()
    fitted.plot_opt_model()
    hand.place(fitted, mos, seed=7)
    fitted.fit_opt_model()
    assert np.array_equal(before.opt.parameters, kept)
    assert not np.array_equal(fitted.calibration.opt.parameters, kept)


def test_models_keep_their_identity(fitted, mos):
    opt, crv = fitted.opt, fitted.crv
    fitted.plot_opt_model()
    hand.place(fitted, mos, seed=7)
    before = opt.parameters.copy()
    fitted.fit_opt_model()
    assert fitted.opt is opt
    assert fitted.crv is crv
    assert not np.array_equal(opt.parameters, before)


def test_a_new_opt_takes_the_later_models_along(fitted, mos):
    fitted.plot_ids_model(hand.bright_lamp())
    hand.place(fitted, mos)
    fitted.fit_ids_model()
    before = cases.rms(cases.wavelength_errors(mos, fitted.calibration, band=BAND))
    fitted.plot_opt_model()
    markers = fitted.markers
    markers["x"] += 30 * markers["x"].unit  # the boxes on another line
    fitted.markers = markers
    summary = fitted.fit_opt_model()
    assert sum("fitted again" in sentence for sentence in summary.advice) == 2
    after = cases.rms(cases.wavelength_errors(mos, fitted.calibration, band=BAND))
    assert after == pytest.approx(before, rel=0.2)


# -- what markers mean -----------------------------------------------------------------


def test_a_deleted_marker_drops_out(calib, mos):
    calib.plot_opt_model()
    hand.place(calib, mos)
    markers = calib.markers
    markers["used"] = np.asarray(markers["slit"]) != "05"
    calib.markers = markers
    summary = calib.fit_opt_model()
    assert (summary.n_used, summary.n_dropped) == (13, 1)
    assert "05" not in calib.calibration.residuals["slit"]


def test_a_fit_repeated_is_the_same_fit(fitted, mos):
    """The lines are drawn anew where the model has them: that must not become the data."""
    fitted.plot_ids_model(hand.bright_lamp())
    hand.place(fitted, mos)
    first = fitted.fit_ids_model()
    parameters = fitted.ids.parameters.copy()
    moved = fitted.markers
    assert np.abs(moved["x"].value - hand.true_places(mos, moved)[0]).max() < 1.0
    again = fitted.fit_ids_model()
    assert again.rms == pytest.approx(first.rms, rel=1e-9)
    assert np.allclose(fitted.ids.parameters, parameters, rtol=0, atol=1e-9)
    fitted.plot_ids_model(hand.bright_lamp())
    third = fitted.fit_ids_model()
    assert third.rms == pytest.approx(first.rms, rel=1e-6)


def test_untouched_markers_are_no_data(fitted):
    """A fit to what the model drew itself is perfect, and worth nothing."""
    fitted.plot_ids_model(hand.bright_lamp())
    summary = fitted.fit_ids_model()
    assert any("they confirm it" in sentence for sentence in summary.advice)
    cal = fitted.calibration
    assert cal.good() == []
    assert "its markers stand where the model had put them" in cal.slits["05"].reason
    assert np.isnan(cal.wavelength_uncertainty("05", *cal.geometry("05").pixel(7200.0, 0.5)))


def test_a_plot_to_look_at_is_no_data_either(fitted, mos, capsys):
    before = fitted.crv.parameters.copy()
    first = fitted.fit_crv_model()
    fitted.plot_crv_model(20, pos=0.4)
    assert fitted.fit_crv_model() == first
    assert "the fit stays as it is" in capsys.readouterr().out
    assert np.array_equal(fitted.crv.parameters, before)


def test_points_of_another_place_in_the_slits_are_others(fitted, mos):
    """Those placed on the left edges must not be taken for points of t = 0.4."""
    fitted.plot_crv_model(9, 0.4)
    hand.place(fitted, mos, 0.1)
    fitted.fit_crv_model()
    assert set(np.asarray(fitted.calibration.residuals.group_by("kind").groups[1]["t"])) == {0.4}
    x, y = hand.true_places(mos, fitted.markers)
    direction = mos.instrument.direction
    off = direction.split(fitted.markers["x"].value - x, fitted.markers["y"].value - y)[1]
    assert np.abs(off).max() < 0.5


def test_rows_may_be_removed_sorted_and_added(fitted, mos):
    fitted.plot_ids_model(hand.bright_lamp())
    hand.place(fitted, mos)
    first = fitted.fit_ids_model()
    markers = fitted.markers
    gone = markers[5:6]
    markers.remove_row(5)
    markers.sort("wavelength")
    fitted.markers = Markers.join([markers, markers[:3]])  # three of them twice
    second = fitted.fit_ids_model()
    assert (second.n_used, second.n_dropped) == (first.n_used - 1, first.n_dropped + 1)
    assert second.rms == pytest.approx(first.rms, rel=0.02)
    table = fitted.calibration.residuals
    mine = (table["slit"] == gone["slit"][0]) & (table["wavelength"] == gone["wavelength"][0])
    assert not np.any(mine & (table["kind"] == "line"))


def test_errors_given_with_markers_are_kept(fitted, mos):
    fitted.plot_ids_model(hand.bright_lamp())
    markers = fitted.markers
    markers["sigma"] = 0.02 * markers["x"].unit
    fitted.markers = markers
    hand.place(fitted, mos)
    assert np.all(np.isnan(fitted.markers["sigma"].value))  # moved by hand since
    markers = fitted.markers
    markers["x"] += 0.5 * markers["x"].unit
    markers["sigma"] = 0.03 * markers["x"].unit
    fitted.markers = markers
    assert np.all(fitted.markers["sigma"].value == 0.03)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda _: None, "NoneType. Must be a table of markers"),
        (lambda m: m["kind", "slit"], "no column t, x, y"),
        (lambda m: m[:0], "markers of kinds none"),
        (lambda m: with_column(m, "sigma", 0.0), "a sigma that is not above 0"),
        (lambda m: with_column(m, "shared", np.nan), "a shared error beyond sigma"),
        (lambda m: with_column(m, "t", np.nan), "a marker without t"),
        (lambda m: with_column(m, "slit", "99"), "markers of unknown slits 99"),
        (lambda m: with_column(m, "kind", "blob"), "invalid kind 'blob'"),
        (lambda m: with_column(m, "x", 5 * u.s), "column x cannot be used"),
    ],
)
def test_tables_that_are_no_markers(calib, change, match):
    calib.plot_opt_model()
    before = calib.markers
    with pytest.raises(InputError, match=match):
        calib.markers = change(before)
    assert np.array_equal(calib.markers["x"], before["x"])


def with_column(markers, name, value):
    markers = QTable(markers, copy=True)
    markers.remove_column(name)
    markers[name] = np.full(len(markers), 1) * value if not isinstance(value, str) else value
    return markers


def test_wavelengths_may_come_in_nanometres(fitted, mos):
    fitted.plot_ids_model(hand.bright_lamp())
    hand.place(fitted, mos)
    first = fitted.fit_ids_model()
    table = QTable(fitted.markers)
    table["wavelength"] = table["wavelength"].to(u.nm)
    fitted.markers = table
    assert fitted.fit_ids_model().rms == pytest.approx(first.rms)


def test_a_stray_box_is_the_one_that_drops_out(calib, mos):
    calib.plot_opt_model()
    hand.place(calib, mos)
    markers = calib.markers
    top = np.argmax(markers["y"].value)
    low = np.argmin(markers["y"].value)
    markers["y"][low] = markers["y"][top] + 50 * markers["y"].unit
    calib.markers = markers
    summary = calib.fit_opt_model()
    assert summary.n_dropped == 1
    assert summary.rms < 0.5


def test_the_calibration_holds_models_of_its_own(fitted):
    cal = fitted.calibration
    before = fitted.opt.parameters.copy()
    cal.opt.y0_0 = cal.opt.y0_0.value + 30
    fitted.plot_opt_model()
    assert np.array_equal(fitted.opt.parameters, before)


def test_changes_of_opt_by_hand_reach_what_was_fitted_on_it(fitted, mos, capsys):
    fitted.plot_ids_model(hand.bright_lamp())
    hand.place(fitted, mos)
    fitted.fit_ids_model()
    before = cases.rms(cases.wavelength_errors(mos, fitted.calibration, band=BAND))
    fitted.opt.x0_0 = fitted.opt.x0_0.value + 50.0
    cal = fitted.calibration
    assert "CRV is fitted again on it" in capsys.readouterr().out
    assert cal.good() == []  # nobody fitted this OPT
    errors = cases.wavelength_errors(mos, cal, keys=["05", "08"], band=BAND)
    assert cases.rms(errors) < 2 * before
    fitted.opt.flipx()
    assert {s.flag for s in fitted.calibration.slits.values()} == {"not fitted"}
    assert "fitted on another OPT" in fitted.calibration.slits["05"].reason


def test_coefficients_that_are_not_finite_are_put_back(fitted):
    before = fitted.opt.parameters.copy()
    fitted.opt.x0_0 = np.nan
    with pytest.raises(InputError, match="a coefficient of OPT is not finite"):
        fitted.plot_opt_model()
    assert np.array_equal(fitted.opt.parameters, before)


def test_the_medium_goes_with_the_lines(fitted, mos):
    """Undo brings the medium back with the lines that are in it."""
    fitted.plot_ids_model(hand.bright_lamp())
    hand.place(fitted, mos)
    fitted.fit_ids_model()
    fitted.new_ids_model(3, 1, 1)
    fitted.plot_ids_model(hand.bright_lamp().to_medium("vacuum"))
    assert fitted.calibration.medium == "vacuum"
    fitted.undo()
    fitted.undo()
    assert fitted.calibration.medium == "air"
    assert fitted.ids.meta["medium"] == "air"


def test_after_close_the_session_goes_on(calib, mos):
    calib.plot_opt_model()
    calib.close()
    hand.place(calib, mos)
    assert calib.fit_opt_model().n_used == 14
    calib.undo()
    calib.show()


def test_markers_off_the_detector_are_not_used(fitted):
    fitted.plot_ids_model(hand.lamp())
    markers = fitted.markers
    nx = fitted.instrument.xpixels
    off = (markers["x"].value < -0.5) | (markers["x"].value > nx - 0.5)
    assert off.any()
    summary = fitted.fit_ids_model()
    assert summary.n_used <= np.sum(~off)


def test_boxes_that_changed_places_are_named(calib, mos):
    calib.plot_opt_model()
    hand.place(calib, mos)
    markers = calib.markers
    for axis in "xy":
        markers[axis][[3, 4]] = markers[axis][[4, 3]]
    calib.markers = markers
    summary = calib.fit_opt_model()
    text = " ".join(summary.advice)
    assert "04" in text
    assert "05" in text
    assert summary.rms < 0.5


def test_polygons_and_boxes_agree(calib, mos):
    calib.plot_opt_model()
    hand.place(calib, mos, 0.0)
    calib.fit_opt_model()
    x, y = calib.opt(*mos.mask["08"].curve(0.5))
    calib.plot_opt_model(edit=True)
    assert len(calib.markers) == 4 * 14
    hand.place(calib, mos, 0.0)
    calib.fit_opt_model()
    assert np.hypot(*np.subtract(calib.opt(*mos.mask["08"].curve(0.5)), (x, y))) < 0.3


# -- refusals leave everything as it was ---------------------------------------------


def test_too_high_degrees_are_refused_with_what_the_data_allow(calib, mos):
    calib.new_opt_model(4, 4).flipy()
    calib.plot_opt_model()
    hand.place(calib, mos)
    before = calib.opt.parameters.copy()
    with pytest.raises(FitError, match=r"14 points for 25 parameters.*allow OPT x \(\d, \d\)"):
        calib.fit_opt_model()
    assert np.array_equal(calib.opt.parameters, before)


def test_one_slit_and_a_box_is_told_of_corners():
    obs = example("LR", kind="longslit", seed=5)
    calib = ModelsCalibration(obs.instrument, obs.mask, viewer=None)
    calib.new_opt_model(1, 1)
    calib.plot_opt_model()
    with pytest.raises(FitError, match=r"edit=True"):
        calib.fit_opt_model()


def test_nothing_left_is_refused(calib):
    calib.plot_opt_model()
    markers = calib.markers
    markers["used"] = False
    with pytest.raises(InputError, match="0 of 14 markers are left: OPT is unchanged"):
        calib.markers = markers


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda c: c.fit_crv_model(), "there is no CRV model. Call new_crv_model"),
        (lambda c: c.fit_opt_model(), "no markers of OPT. Call plot_opt_model"),
        (lambda c: c.plot_crv_model(0), "number of points 0"),
        (lambda c: c.plot_crv_model(5, pos=1.2), r"invalid pos 1.2. Must be .* in \[0, 1\]"),
        (lambda c: c.set_trace_limits(-1, 5), "invalid trace limits"),
        (lambda c: c.plot_ids_model("Ne", nsplit=0), "invalid nsplit 0"),
        (lambda c: c.plot_ids_model("Ne", wstart=9000, wend=5000), "not below wend"),
        (lambda c: c.plot_slice("05"), "there is no image. Call load_image"),
        (lambda c: c.next(), "Call ids_iter"),
        (lambda c: c.ids_iter("Ne"), "Call new_ids_model"),
        (lambda c: c.new_ids_model(0, 1, 1), "Must be at least 1"),
        (lambda c: c.new_opt_model(-1, 2), "Must be an integer >= 0"),
        (lambda c: c.plot_crv_model("abc"), "invalid number of points 'abc'"),
        (lambda c: c.plot_crv_model(5, pos="left"), "invalid pos 'left'"),
        (lambda c: c.plot_crv_model(5, pos=()), "invalid pos"),
        (lambda c: c.set_trace_limits("a", 1), "invalid trace limits 'a', 1. Must be px"),
        (lambda c: c.set_trace_limits(0, 0), "not both 0"),
        (lambda c: c.plot_ids_model("Ne", nsplit="x"), "invalid nsplit 'x'"),
        (lambda c: c.plot_ids_model("Ne", wstart=5 * u.s), "wstart is a quantity in 's'"),
        (lambda c: c.new_opt_model("auto", 1), "invalid x_degree 'auto'"),
        (lambda c: c.new_crv_model(None, 1, 1), "invalid degree None"),
        (lambda c: c.plot_residuals(), "Fit a model first"),
        (lambda c: c.measure_crv(), "there is no image"),
        (lambda c: c.write_regions("x.reg"), "Plot a model first"),
    ],
)
def test_calls_out_of_order_and_wrong_arguments(calib, call, match):
    before = calib._pull()
    with pytest.raises(InputError, match=match):
        call(calib)
    assert calib._state is before


def test_without_opt_there_is_nothing_to_plot(mos):
    calib = ModelsCalibration(mos.instrument, mos.mask, viewer=None)
    with pytest.raises(InputError, match=r"no optical model\. Call new_opt_model"):
        calib.plot_opt_model()


def test_a_catalogue_in_another_medium_is_refused_once_ids_is_fitted(fitted, mos):
    fitted.plot_ids_model(hand.bright_lamp())
    hand.place(fitted, mos)
    fitted.fit_ids_model()
    with pytest.raises(InputError, match="the catalogue is in vacuum, IDS in air"):
        fitted.plot_ids_model(hand.bright_lamp().to_medium("vacuum"))


def test_what_nobody_tested_stays_untested_when_it_is_fitted_again(calib, mos):
    calib.plot_opt_model()
    hand.place(calib, mos)
    calib.fit_opt_model()
    calib.new_crv_model(1, 1, 1)
    calib.plot_crv_model(9)
    calib.fit_crv_model()  # straight, as the model drew it
    assert "CRV: its markers stand" in calib.calibration.slits["05"].reason
    calib.plot_opt_model()
    hand.place(calib, mos, seed=3)
    calib.fit_opt_model()
    assert "CRV: its markers stand" in calib.calibration.slits["05"].reason


def test_a_flip_forgets_which_edge_was_which(fitted, mos):
    """What was t = 0 is t = 1 then: old places must not come back under the new name."""
    fitted.opt.flipy()
    fitted.plot_crv_model(9)
    assert fitted._state.layer.n_placed == 0


def test_a_new_model_is_drawn_where_it_is(fitted):
    fitted.new_opt_model(2, 2)
    fitted.plot_opt_model()
    assert fitted._state.layer.n_placed == 0


def test_a_fit_of_opt_says_nothing_of_the_medium(calib, mos):
    calib.plot_opt_model()
    hand.place(calib, mos)
    calib.fit_opt_model()
    assert calib._state.medium is None
