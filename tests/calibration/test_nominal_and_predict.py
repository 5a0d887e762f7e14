"""Models from nominal values, the markers that models predict, and fits with nothing to spare."""

from dataclasses import replace

import calibration_cases as cases
import hand
import numpy as np
import pytest

from specwcs import FitError, InputError, Instrument, Markers, Mask, Slit
from specwcs.calibration import (
    ModelFitter,
    box_outlines,
    loose_ends,
    nominal_crv,
    nominal_ids,
    nominal_opt,
    predict_boxes,
    predict_corners,
    predict_edges,
    predict_lines,
    solve,
)
from specwcs.simulate import example

DIRECTIONS = ("LR", "RL", "BU", "UB")


def one_slit(direction="RL", **values):
    """The slit of DESIGN.md: DIMX .020, DIMY 10 mm, WID 5, LEN 700 arcsec."""
    box = {"x": 0.0, "y": 0.0, "dimx": 0.020, "dimy": 10.0, "rot": 0.0}
    slit = Slit("1", **(box | {"width": 5.0, "length": 700.0, "reference": False} | values),
                control=np.zeros((2, 2)))  # fmt: skip
    instrument = Instrument("x", 0.722, 2048, 2048, direction, 2.0, 7000.0)
    return instrument, Mask([slit]).oriented(instrument.direction)


def test_the_scale_is_that_of_widths_along_and_lengths_across():
    instrument, mask = one_slit()
    opt = nominal_opt(instrument, mask)
    assert opt(0.0, 0.0) == (1023.5, 1023.5)
    assert opt(1.0, 0.0)[0] - 1023.5 == pytest.approx(346.26, abs=0.005)
    assert opt(0.0, 1.0)[1] - 1023.5 == pytest.approx(96.95, abs=0.005)


def test_along_y_the_axes_change_places():
    instrument, mask = one_slit("BU", dimx=10.0, dimy=0.020)
    opt = nominal_opt(instrument, mask)
    assert opt(1.0, 0.0)[0] - 1023.5 == pytest.approx(96.95, abs=0.005)
    assert opt(0.0, 1.0)[1] - 1023.5 == pytest.approx(346.26, abs=0.005)


def test_an_unknown_width_takes_the_scale_of_the_length():
    instrument, mask = one_slit(width=0.0)
    opt = nominal_opt(instrument, mask)
    assert opt(1.0, 0.0)[0] == pytest.approx(1023.5 + 96.95, abs=0.005)
    with pytest.raises(InputError, match="neither WID nor LEN of any slit is known"):
        nominal_opt(*one_slit(width=0.0, length=0.0))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_nominal_models_run_straight_at_the_nominal_dispersion(direction):
    obs = example(direction, n_slits=6)
    crv, ids = nominal_crv(obs.instrument, (2, 1, 1)), nominal_ids(obs.instrument, (3, 1, 1))
    assert crv(300.0, 400.0, 500.0) == 0
    slope = 1 / obs.instrument.linear_dispersion
    assert ids(300.0, 400.0, 7100.0) == pytest.approx(100 * slope, rel=1e-12)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("flips", [(False, False), (True, True)])
def test_predictions_of_a_calibration_are_where_the_light_is(direction, flips):
    shape = (512, 1024) if direction in ("LR", "RL") else (1024, 512)
    obs = example(direction, shape, 8, seed=2, flipx=flips[0], flipy=flips[1])
    cal = solve(
        obs.instrument, obs.mask, cases.true_markers(obs), medium="air", flips=flips,
        opt=(2, 2), crv=(2, 2, 2), ids=(5, 2, 2),
    )  # fmt: skip
    models, where = (cal.opt, cal.crv, cal.ids), (cal.mask, obs.instrument)
    for markers in (
        predict_boxes(cal.opt, *where),
        predict_corners(cal.opt, *where),
        predict_edges(*models[:2], *where, 9, (0, 1), (700, 700)),
        predict_edges(*models[:2], *where, 9, (0, 0.5), None),
        predict_lines(*models, *where, hand.bright_lamp(30, cases.BAND), 3),
    ):
        x, y = hand.true_places(obs, markers)
        on = cases.on_detector(obs, markers["x"].value, markers["y"].value)
        off = np.hypot(markers["x"].value - x, markers["y"].value - y)[on]
        assert np.sqrt(np.mean(off**2)) < 0.06
    assert set(predict_edges(*models[:2], *where, 5, (0,), None)["slit"]) == {
        key for key, slit in obs.mask.items() if not slit.reference
    }


def test_boxes_cover_their_slits():
    obs = example("BU", n_slits=12, seed=2)
    opt = nominal_opt(obs.instrument, obs.mask)
    for key, (width, height, angle) in box_outlines(opt, obs.mask).items():
        slit = obs.mask[key]
        sides = sorted((slit.width, slit.length))
        assert sorted((width, height)) == pytest.approx(
            [side / obs.instrument.pixel_scale for side in sides], rel=0.02
        )
        assert 0 <= angle < 180


@pytest.mark.parametrize("direction", ["LR", "BU"])
def test_the_nominal_scale_is_that_of_each_axis(direction):
    """Also where the mask knows its size in arcsec along one axis only."""
    obs = example(direction, (600, 800), n_slits=4, pixel_scale=(0.3, 0.6))
    for unknown in ({}, {"width": 0.0}, {"length": 0.0}):
        mask = Mask([replace(slit, **unknown) for slit in obs.mask.values()])
        opt = nominal_opt(obs.instrument, mask)
        middle = np.array(opt(0.0, 0.0))
        sides = [np.subtract(opt(*corner), middle) for corner in ((1.0, 0.0), (0.0, 1.0))]
        np.testing.assert_allclose(sides, np.diag([1.7 / 0.3, 1.7 / 0.6]), rtol=2e-3, atol=1e-9)


def test_lines_that_fall_nowhere_are_an_error():
    obs = example("LR", n_slits=4)
    models = nominal_opt(obs.instrument, obs.mask), nominal_crv(obs.instrument)
    far = hand.lamp().select(3000, 3500)
    with pytest.raises(InputError, match=r"none of .* lines falls on the detector"):
        predict_lines(*models, nominal_ids(obs.instrument), obs.mask, obs.instrument, far)


# -- fits -----------------------------------------------------------------------------


def corners(obs):
    markers = predict_corners(nominal_opt(obs.instrument, obs.mask), obs.mask, obs.instrument)
    x, y = hand.true_places(obs, markers)
    markers["x"], markers["y"] = x * markers["x"].unit, y * markers["y"].unit
    return markers


def test_four_corners_are_just_enough_for_four_parameters():
    obs = example("LR", kind="longslit")
    fitter = ModelFitter(obs.instrument, obs.mask, {"opt": (1, 1)}, by_hand=True)
    fit = fitter.fit_opt(corners(obs), (False, False))
    assert fit.ranks == (4, 4)
    assert np.all(np.isnan(fit.covariance["opt_x"]))
    assert any("no point to spare" in note for note in fit.notes)
    with pytest.raises(FitError, match=r"OPT x \(1, 2\): 4 points for 6 parameters"):
        ModelFitter(obs.instrument, obs.mask, {"opt": (1, 2)}, by_hand=True).fit_opt(
            corners(obs), (False, False)
        )


def by_hand(obs, seed, box=0.5):
    """Markers as a hand places them: boxes poorly, everything else well."""
    rng = np.random.default_rng(seed)
    boxes = predict_boxes(nominal_opt(obs.instrument, obs.mask), obs.mask, obs.instrument)
    x, y = hand.true_places(obs, boxes)
    boxes["x"] = (x + box * rng.normal(size=len(x))) * boxes["x"].unit
    boxes["y"] = (y + box * rng.normal(size=len(x))) * boxes["y"].unit
    return Markers.join([boxes, cases.true_markers(obs)])


def test_the_constant_term_takes_up_the_errors_of_boxes():
    """OPT (3, 3) errs by tenths of px where boxes do; the wavelengths must not."""
    obs = example("LR", n_slits=24, seed=4, shape=(1536, 2048))
    degrees = {"opt": (3, 3), "crv": (2, 2, 2), "ids": (5, 2, 2)}
    cal = solve(obs.instrument, obs.mask, by_hand(obs, 1), medium="air", **degrees)
    assert cal.ids.degrees == (5, 2, 2)
    assert cal.ids.constant_degrees == (3, 3)
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.05
    assert any("takes up the errors of OPT" in note for note in cal.provenance["fits"])


def test_with_good_boxes_the_constant_term_stays_as_asked():
    obs = example("LR", n_slits=24, seed=4, shape=(1536, 2048))
    degrees = {"opt": (2, 2), "crv": (2, 2, 2), "ids": (5, 2, 2)}
    cal = solve(obs.instrument, obs.mask, by_hand(obs, 1, 0.0), medium="air", **degrees)
    assert cal.ids.constant_degrees == (2, 2)


def test_lines_in_the_middles_of_few_slits_leave_their_ends_open():
    """Five slits cannot hold six field terms; scatter in t only makes it look so."""
    obs = example("RL", shape=(512, 1024), n_slits=6, seed=2)
    rng = np.random.default_rng(1)
    lines = cases.true_markers(obs, n_t=1).select("line")
    lines["t"] = 0.5
    x, y = hand.true_places(obs, lines)
    lines["x"] = (x + 0.1 * rng.normal(size=len(x))) * lines["x"].unit
    lines["y"] = (y + 0.1 * rng.normal(size=len(x))) * lines["y"].unit
    markers = Markers.join([by_hand(obs, 1, 0.1).select("box"), lines,
                            cases.true_markers(obs).select("edge")])  # fmt: skip
    cal = solve(
        obs.instrument, obs.mask, markers, medium="air", opt=(1, 1), crv=(1, 1, 1), ids=(4, 1, 2)
    )
    flagged = {key for key, status in cal.slits.items() if status.flag == "uncertain"}
    assert len(flagged) >= 4
    assert "1 sigma" in cal.slits[flagged.pop()].reason
    good = solve(obs.instrument, obs.mask, cases.true_markers(obs), medium="air", ids=(4, 1, 1))
    assert not [key for key, status in good.slits.items() if status.flag == "uncertain"]


def test_loose_ends_need_a_covariance():
    obs = example("LR", kind="longslit")
    fitter = ModelFitter(
        obs.instrument, obs.mask, {"opt": (1, 1), "crv": (1, 0, 1), "ids": (3, 0, 2)}, by_hand=True
    )
    fits = {"opt": fitter.fit_opt(corners(obs), (False, False))}
    markers = cases.true_markers(obs)
    fits["crv"] = fitter.fit_crv(fits["opt"].model, markers.select("edge"))
    fits["ids"] = fitter.fit_ids(fits["opt"].model, fits["crv"].model, markers.select("line"))
    assert loose_ends(obs.mask, fits, fits["ids"].residuals) == {}
    fits["ids"].covariance["ids"][:] = np.nan
    assert loose_ends(obs.mask, fits, fits["ids"].residuals) == {}
