"""Rows 79 to 104 of the catalogue of bad inputs: fits, domains, and WCS."""

import calibration_cases
import model_cases
import numpy as np
import pytest
from astropy.nddata import CCDData
from field_cases import DOMAINS, field

from specwcs import FitError, InputError
from specwcs.calibration import solve
from specwcs.fitting import fit_linear
from specwcs.models import FieldPolynomial, SlitGeometry
from specwcs.simulate import example
from specwcs.wcs import slit_wcs


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_82_83_values_that_are_not_finite_are_left_out_and_counted(bad):
    """Today the whole fit becomes NaN."""
    model, _, inputs = field()
    values = model(*inputs)
    values[7] = bad
    x = inputs[0].copy()
    x[9] = np.nan
    fit = fit_linear(model.at(x, *inputs[1:]), values, np.full(400, 0.1), what="CRV")
    assert np.allclose(fit.parameters, model.parameters, atol=1e-9)
    assert "2 not finite" in fit.status


@pytest.mark.parametrize("sigma", [0.0, -1.0])
def test_row_84_errors_must_be_positive(sigma):
    """Negative weights are accepted today."""
    model, _, inputs = field()
    errors = np.full(400, 0.1)
    errors[3] = sigma
    with pytest.raises(InputError, match="Errors must be > 0"):
        fit_linear(model.at(*inputs), model(*inputs), errors, what="CRV")


def test_rows_79_85_too_few_points_are_refused_with_the_numbers():
    """One point for six parameters 'fits' today."""
    model, _, inputs = field()
    few = [v[:17] for v in inputs]
    with pytest.raises(FitError, match=r"17 points for 18 parameters\. Lower the degrees"):
        fit_linear(model.at(*few), model(*few), np.ones(17), what="CRV (2, 1, 2)")
    none = [v[:0] for v in inputs]
    with pytest.raises(FitError, match="0 points for 18"):  # row 85
        fit_linear(model.at(*none), model(*none), np.ones(0), what="CRV")


@pytest.mark.parametrize("same", [0, 1, 2])
def test_row_80_collinear_points_are_refused_with_the_rank(same):
    """A longslit has one x; rank 12 of 18 passes with a warning today."""
    model, _, inputs = field()
    inputs = list(inputs)
    inputs[same] = np.full(400, 50.0)
    rank = {0: 9, 1: 6, 2: 6}[same]
    with pytest.raises(FitError, match=f"determine only {rank} of 18 parameters"):
        fit_linear(model.at(*inputs), model(*inputs), np.ones(400), what="CRV")


def test_row_81_all_points_equal_are_refused():
    model = FieldPolynomial(1, 0, 0, **DOMAINS)
    one = np.ones(50)
    with pytest.raises(FitError, match="only 1 of 2"):
        fit_linear(model.at(one, one, one), one, one, what="CRV")


def test_rows_86_87_half_of_the_points_wrong_are_not_thrown_away_in_silence():
    """Rejection has a floor, and the errors then say that nothing fits."""
    model, _, inputs = field(200)
    rng = np.random.default_rng(2)
    values = model(*inputs) + 0.01 * rng.normal(size=200)
    values[:110] += rng.uniform(-30, 30, 110)
    fit = fit_linear(model.at(*inputs), values, np.full(200, 0.01), what="CRV")
    assert fit.used.sum() >= 120
    assert fit.error_scale > 100


def test_row_80_auto_drops_the_axis_that_a_longslit_does_not_have():
    obs = example(direction="LR", kind="longslit")
    markers = calibration_cases.true_markers(obs, n_t=20)
    assert solve(obs.instrument, obs.mask, markers, medium="air").opt.degrees[0] == 0
    with pytest.raises(FitError, match="The data allow"):
        solve(obs.instrument, obs.mask, markers, medium="air", opt=(1, 1))


def _slit(direction="LR"):
    *models, slit = model_cases.field_models(direction)
    return SlitGeometry.from_models(*models, slit, direction), slit, model_cases.SHAPE[direction]


def test_row_88_outside_the_fitted_wavelengths_there_is_nan():
    geometry, slit, shape = _slit()
    w = slit_wcs(geometry, slit, shape)
    low, high = geometry.dispersion.wavelength_domain
    for wavelength in (low - 1, high + 1):
        assert np.all(np.isnan(w.invert(wavelength, 0.5)))
        x, y = geometry.pixel(wavelength, 0.5)
        assert np.isnan(w(float(x), float(y))[0])


def test_row_89_with_as_many_points_as_parameters_there_is_no_fit_and_no_false_error():
    model, _, inputs = field()
    few = [v[:18] for v in inputs]
    with pytest.raises(FitError, match="18 points for 18 parameters"):
        fit_linear(model.at(*few), model(*few), np.ones(18), what="CRV")


def test_row_90_domains_are_the_models_own_and_no_fit_moves_them():
    model, _, inputs = field()
    before = model.domain, model.x_domain, model.y_domain
    fit_linear(model.at(*inputs), model(*inputs), np.ones(400), what="CRV")
    assert (model.domain, model.x_domain, model.y_domain) == before
    assert FieldPolynomial(1, 0, 0).domain == (-1.0, 1.0)


def test_row_101_the_bounding_box_is_in_the_order_x_y():
    geometry, slit, shape = _slit()
    w = slit_wcs(geometry, slit, shape)
    (x_low, x_high), (y_low, y_high) = (
        (interval.lower, interval.upper) for interval in w.bounding_box.intervals.values()
    )
    assert x_high - x_low > 1000 > 200 > y_high - y_low
    x, y = geometry.pixel(7000.0, 0.5)
    assert np.isfinite(w(float(x), float(y))[0])
    assert np.isnan(w(x_high + 1, float(y))[0])


def test_row_102_a_box_is_never_reversed():
    for direction in model_cases.SHAPE:
        geometry, slit, shape = _slit(direction)
        for interval in slit_wcs(geometry, slit, shape).bounding_box.intervals.values():
            assert -0.5 <= interval.lower < interval.upper <= max(shape) - 0.5


def test_row_103_no_step_inside_the_wcs_carries_a_box_that_would_be_ignored():
    geometry, slit, shape = _slit()
    w = slit_wcs(geometry, slit, shape, to="mask")
    for name, following in (("trace", "slit"), ("slit", "mask")):
        assert w.get_transform(name, following)._user_bounding_box is None


def test_row_104_numbers_go_in_and_come_out_without_units():
    geometry, slit, shape = _slit()
    w = slit_wcs(geometry, slit, shape, to="mask")
    x, y = geometry.pixel(7000.0, 0.5)
    assert all(type(v) is float for v in w(float(x), float(y)))


def test_row_91_a_frame_of_another_set_up_is_refused():
    obs = example(direction="LR", n_slits=12, shape=(300, 600))
    markers = calibration_cases.true_markers(obs)
    setup = {"GRATING": "600/4310"}
    cal = solve(obs.instrument, obs.mask, markers, medium="air", provenance={"setup": setup})
    frame = CCDData(np.zeros((300, 600)), unit="adu", meta={"header": {"GRATING": "600/4310"}})
    cal.check_frame(frame)
    frame.meta["header"]["GRATING"] = "300/7500"
    with pytest.raises(InputError, match=r"GRATING = '300/7500', the calibration '600/4310'"):
        cal.check_frame(frame)
    other = CCDData(np.zeros((600, 300)), unit="adu")
    with pytest.raises(InputError, match=r"shape is \(600, 300\).*\(300, 600\)"):
        cal.check_frame(other)
