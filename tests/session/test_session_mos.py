"""The session of the tutorial on simulated masks, by a hand that is right to 0.3 px."""

import calibration_cases as cases
import hand
import numpy as np
import pytest

from specwcs import FitError, InputError, ModelsCalibration
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
    for seed, direction in enumerate(DIRECTIONS * 3, start=1):
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
    assert "CRV and IDS not fitted" in cal.slits["05"].reason
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


def test_untouched_markers_are_said_to_be_no_test(calib):
    calib.plot_opt_model()
    summary = calib.fit_opt_model()
    assert any("they confirm it" in sentence for sentence in summary.advice)


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
