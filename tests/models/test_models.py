"""What the models mean, checked by hand-made arithmetic, limits, and finite differences."""

import model_cases as cases
import numpy as np
import pytest
from astropy.modeling.fitting import FittingWithOutlierRemoval, LinearLSQFitter
from astropy.stats import sigma_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from specwcs import FitError, InputError
from specwcs.models import (
    CurvatureModel,
    DispersionModel,
    FieldPolynomial,
    OpticalModel,
    SlitGeometry,
    SlitToMask,
)
from specwcs.models.steps import bezier

DIRECTIONS = list(cases.SHAPE)


def test_field_polynomial_is_the_sum_of_its_terms():
    rng = np.random.default_rng(0)
    model = FieldPolynomial(2, 1, 3, domain=(10, 30), x_domain=(0, 8), y_domain=(-5, 5))
    model.coefficients = rng.normal(size=(3, 2, 4))
    x, y, u = 3.0, 2.0, 27.0
    total = 0.0
    for k in range(3):
        for i in range(2):
            for j in range(4):
                c = getattr(model, f"c{k}_{i}_{j}").value
                total += c * ((x - 4) / 4) ** i * (y / 5) ** j * ((u - 20) / 10) ** k
    assert float(model(x, y, u)) == pytest.approx(total, rel=1e-13)


def test_domains_are_minus_one_to_one_if_none_are_given():
    model = FieldPolynomial(1, 1, 1)
    assert (model.domain, model.x_domain, model.y_domain) == ((-1, 1),) * 3


@pytest.mark.parametrize("domain", [(10, 31), (9, 30)])
@pytest.mark.parametrize("name", ["domain", "x_domain", "y_domain"])
def test_polynomials_over_other_domains_do_not_add_up(name, domain):
    domains = dict.fromkeys(("domain", "x_domain", "y_domain"), (10, 30))
    one = FieldPolynomial(1, 2, 1, **domains)
    other = FieldPolynomial(2, 1, 1, **domains | {name: domain})
    for first, second in ((one, other), (other, one)):
        with pytest.raises(InputError, match="Must be those of the other term"):
            first.plus(second)
    assert one.plus(one).degrees == one.degrees


def test_local_gives_the_polynomial_at_a_place():
    *_, ids, _ = cases.field_models("LR")
    local = ids.local(100.0, 900.0)
    scaled = (8123.0 - 7000) / 2000
    assert np.polyval(local[::-1], scaled) == pytest.approx(float(ids(100.0, 900.0, 8123.0)))


def test_astropy_fitters_recover_the_coefficients_with_some_fixed():
    rng = np.random.default_rng(1)
    truth = CurvatureModel(2, 1, 2, domain=(-50, 50), x_domain=(0, 99), y_domain=(0, 99))
    truth.coefficients = rng.normal(size=(3, 2, 3))
    x, y, d = rng.uniform(0, 99, (3, 300)) - [[0], [0], [50]]
    values = truth(x, y, d)
    start = truth.copy()
    start.c1_0_0.fixed = True
    keep = start.c1_0_0.value
    start.parameters = np.where(np.array(start.param_names) == "c1_0_0", keep, 0.0)
    fitted = LinearLSQFitter()(start.at(x, y, d), np.arange(300), values)
    assert np.allclose(fitted.parameters, truth.parameters, atol=1e-10)
    assert fitted.param_names == truth.param_names
    values[::30] += 50
    robust = FittingWithOutlierRemoval(LinearLSQFitter(), sigma_clip, sigma=3.0, niter=5)
    fitted, rejected = robust(start.at(x, y, d), np.arange(300), values)
    assert rejected[::30].all()
    assert np.allclose(fitted.parameters, truth.parameters, atol=1e-9)


def test_a_high_degree_on_raw_pixels_stays_well_conditioned():
    model = FieldPolynomial(6, 3, 3, domain=(3000, 11000), x_domain=(0, 8191), y_domain=(0, 3087))
    rng = np.random.default_rng(2)
    n = 4000
    x, y, u = rng.uniform(0, 8191, n), rng.uniform(0, 3087, n), rng.uniform(3000, 11000, n)
    assert np.linalg.cond(model.fit_deriv(x, y, u)) < 1e7


@pytest.mark.parametrize("flips", [(), ("x",), ("y",), ("x", "y")])
def test_flips_substitute_the_negative(flips):
    opt = cases.field_models("LR")[0]
    X, Y = np.array([3.0, -7.0]), np.array([11.0, 2.0])
    flipped = opt.copy()
    for axis in flips:
        getattr(flipped, f"flip{axis}")()
    expected = opt(-X if "x" in flips else X, -Y if "y" in flips else Y)
    assert np.allclose(flipped(X, Y), expected, atol=1e-12)
    for axis in flips:
        getattr(flipped, f"flip{axis}")()
    assert np.array_equal(flipped(X, Y), opt(X, Y))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"degree": -1}, "invalid degree -1. Must be an integer >= 0"),
        ({"x_degree": 1.5}, "invalid x_degree 1.5"),
        ({"domain": (5, 5)}, r"invalid domain \(5, 5\)"),
        ({"y_domain": (0, np.inf)}, "invalid y_domain"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    good = {"degree": 1, "x_degree": 1, "y_degree": 1} | arguments
    with pytest.raises(InputError, match=message):
        FieldPolynomial(**good)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_slit_is_the_three_models_and_nothing_else(direction):
    """DESIGN's formulae, written out for each direction."""
    opt, crv, ids, slit = cases.field_models(direction)
    g = SlitGeometry.from_models(opt, crv, ids, slit, direction)
    rng = np.random.default_rng(4)
    t, wavelength = rng.uniform(-0.05, 1.05, 100), rng.uniform(5000, 9000, 100)
    x0, y0 = opt(*slit.curve(t))
    d = ids(x0, y0, wavelength)
    c = crv(x0, y0, d)
    expected = {
        "LR": (x0 + d, y0 + c),
        "RL": (x0 - d, y0 + c),
        "BU": (x0 + c, y0 + d),
        "UB": (x0 + c, y0 - d),
    }[direction]
    assert np.max(np.abs(np.subtract(g.pixel(wavelength, t), expected))) < 1e-9


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_world_inverts_pixel(direction):
    g = cases.geometry(direction)
    rng = np.random.default_rng(5)
    t, wavelength = rng.uniform(0, 1, 20000), rng.uniform(5000, 9000, 20000)
    x, y = g.pixel(wavelength, t)
    w, s = g.world(x, y)
    x2, y2 = g.pixel(w, s)
    assert np.max(np.hypot(x2 - x, y2 - y)) < 1e-9
    assert np.max(np.abs(w - wavelength)) < 1e-8
    assert np.max(np.abs(s - t)) < 1e-11


def test_a_model_has_no_parameters_of_others():
    FieldPolynomial(2, 2, 2)
    small = FieldPolynomial(1, 0, 0)
    assert not hasattr(small, "c2_2_2")
    assert hasattr(small, "c1_0_0")


@settings(max_examples=50, deadline=None)
@given(t=st.floats(0, 1), wavelength=st.floats(5000, 9000), direction=st.sampled_from(DIRECTIONS))
def test_closure_everywhere(t, wavelength, direction):
    g = cases.geometry(direction)
    w, s = g.world(*g.pixel(wavelength, t))
    assert abs(w - wavelength) < 1e-7
    assert abs(s - t) < 1e-10


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_dispersion_slope_is_the_derivative(direction):
    dispersion = cases.geometry(direction).dispersion
    wavelength, t, h = np.linspace(5100, 8900, 30), 0.4, 0.01
    numeric = (
        dispersion.distance_from_wavelength(wavelength + h, t)
        - dispersion.distance_from_wavelength(wavelength - h, t)
    ) / (2 * h)
    assert np.allclose(dispersion.slope(wavelength, t), numeric, rtol=1e-6)


def test_pixels_far_from_the_slit_have_no_solution_or_one_that_closes():
    g = cases.geometry("LR")
    x, y = np.meshgrid(np.linspace(-5e3, 5e3, 60), np.linspace(-5e3, 5e3, 60))
    w, t = g.world(x, y)
    found = np.isfinite(w) & np.isfinite(t)
    x2, y2 = g.pixel(w[found], t[found])
    assert np.max(np.hypot(x2 - x[found], y2 - y[found])) < 1e-6


def test_a_curved_slit_is_inverted_by_the_nearest_point():
    control = np.array([[0.0, 0.0], [2.0, 5.0], [0.0, 10.0]])
    t = np.linspace(0, 1, 50)
    model = SlitToMask(control)
    (X, Y), _ = bezier(control, t)
    assert np.allclose(X, 4 * t * (1 - t))  # by hand: 2 t (1 - t) * 2
    assert np.allclose(Y, 10 * t)
    _, found = model.inverse(np.full(50, 5000.0), X, Y)
    assert np.max(np.abs(found - t)) < 1e-12


def test_models_beyond_any_series_are_refused():
    opt, crv, ids, slit = cases.field_models("LR")

    class Wild:
        id, control = "W", slit.control

        def curve(self, t):
            return np.sin(1e4 * np.asarray(t)) * 50, np.asarray(t) * 10

    with pytest.raises(InputError, match="slit W: the models vary too fast"):
        SlitGeometry.from_models(opt, crv, ids, Wild(), "LR")


def test_fit_error_is_a_value_error():
    assert issubclass(FitError, ValueError)
    assert DispersionModel(1, 0, 0).degrees == (1, 0, 0)
    assert OpticalModel(2, 1).degrees == (2, 1)
