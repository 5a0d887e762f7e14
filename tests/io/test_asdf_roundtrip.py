"""What is written comes back, bit by bit."""

import copy
import dataclasses
import pickle

import asdf
import numpy as np
import pytest
from gwcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from specwcs import models
from specwcs.calibration.bundle import Calibration
from specwcs.errors import InputError
from specwcs.files import read_asdf, write_asdf
from specwcs.inputs import Instrument, Mask
from specwcs.wcs import slit_wcs

ALONG, ACROSS = np.array([150.0, 1 / 3, 1e-7]), np.array([100.0, -50.0, 0.1])
CURVE = np.array([[0.1, 0.0, 0.0], [2 / 7, 0.01, 0.0], [-3.0, 0.2, 1e-12]])
TERMS = np.array([[0.1, 0.0, 0.0], [99.9, 0.3, 0.0], [1 / 9, 0.0, 1e-3]])
CONTROL = np.array([[1.0, 2.0], [1.1, 1 / 3], [1.0, -1.0]])
TRACE = {"direction": "UB", "d_domain": (-140.5, 140.0)}
DISPERSION = {"wavelength_domain": (5000.0, 7000 + 1 / 3), "t_domain": (-0.3, 1.3)}

STEPS = [
    models.DetectorToTrace(ALONG, ACROSS, CURVE, **TRACE, name="first"),
    models.TraceToDetector(ALONG, ACROSS, CURVE, **TRACE, t_domain=(-0.5, 1.5)),
    models.TraceToSlit(TERMS, **DISPERSION),
    models.SlitToTrace(TERMS, **DISPERSION),
    models.SlitToMask(CONTROL),
    models.MaskToSlit(CONTROL[:2]),
]


def round_trip(obj, folder):
    path = folder / "file.asdf"
    write_asdf(path, {"object": obj}, overwrite=True)
    return read_asdf(path, type(obj))


def assert_same_model(new, old):
    assert type(new) is type(old)
    assert (new.name, new.inputs, new.outputs) == (old.name, old.inputs, old.outputs)
    assert (new.meta, new.fixed, new.bounds) == (old.meta, old.fixed, old.bounds)
    assert new.parameters.tobytes() == old.parameters.tobytes()
    for name in old.param_names:
        assert np.shape(getattr(new, name).value) == np.shape(getattr(old, name).value)
    hidden = {k: v for k, v in vars(old).items() if k in ("_degrees", "_domains")}
    settings = {k: v for k, v in vars(old).items() if not k.startswith("_")}
    for name, value in (hidden | settings).items():
        if name not in old.param_names:
            assert getattr(new, name) == value


@pytest.mark.parametrize("name", ["opt", "crv", "ids"])
def test_field_models(name, request, tmp_path):
    model = request.getfixturevalue(name)
    model.meta["note"] = {"by": "hand", "t": 1.5}
    new = round_trip(model, tmp_path)
    assert_same_model(new, model)
    inputs = [np.linspace(-3, 3, 7)] * model.n_inputs
    assert np.asarray(new(*inputs)).tobytes() == np.asarray(model(*inputs)).tobytes()


def test_plain_field_polynomial_and_a_model_of_degree_zero(tmp_path):
    assert_same_model(
        round_trip(models.FieldPolynomial(0, 0, 0, c0_0_0=0.1, name="049"), tmp_path),
        models.FieldPolynomial(0, 0, 0, c0_0_0=0.1, name="049"),
    )


@pytest.mark.parametrize("model", STEPS, ids=lambda model: type(model).__name__)
def test_steps(model, tmp_path):
    new = round_trip(model, tmp_path)
    assert_same_model(new, model)
    assert_same_model(new.inverse, model.inverse)
    assert new.direction is model.direction if hasattr(model, "direction") else True


def test_an_inverse_given_by_the_user_and_a_compound_model(tmp_path):
    model = STEPS[2].copy()
    model.inverse = STEPS[3]
    assert_same_model(round_trip(model, tmp_path).inverse, STEPS[3])
    chain = STEPS[0] | STEPS[2] | STEPS[4]
    new = round_trip(chain, tmp_path)
    x, y = np.meshgrid(np.linspace(40, 200, 9), np.linspace(60, 140, 9))
    assert np.isfinite(chain(x, y)).any()
    assert np.asarray(new(x, y)).tobytes() == np.asarray(chain(x, y)).tobytes()


@settings(max_examples=25, deadline=None)
@given(values=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4))
def test_any_double_keeps_its_bits(values, tmp_path_factory):
    model = models.FieldPolynomial(0, 1, 1, name="all digits")
    model.coefficients = np.reshape(values, (1, 2, 2))
    new = round_trip(model, tmp_path_factory.getbasetemp())
    assert new.parameters.tobytes() == np.array(values).tobytes()


def test_long_arrays_are_as_exact_as_short_ones(tmp_path):
    series = np.random.default_rng(5).normal(size=(9, 40))
    assert_same_model(
        round_trip(models.TraceToSlit(series, **DISPERSION), tmp_path),
        models.TraceToSlit(series, **DISPERSION),
    )


def test_instrument(instrument, tmp_path):
    new = round_trip(instrument, tmp_path)
    assert new == instrument
    assert new.source == instrument.source
    for field in dataclasses.fields(Instrument):
        assert type(getattr(new, field.name)) is type(getattr(instrument, field.name)) or (
            field.name == "description"
        )
    with pytest.raises(TypeError):
        new.description["grism"] = "another"


def test_instrument_with_nothing_optional(tmp_path):
    plain = Instrument("a", 0.5, 2048, 1024, "RL", 1.0, 6000.0)
    assert round_trip(plain, tmp_path) == plain


def test_instrument_with_pixels_of_two_sides(instrument, tmp_path):
    binned = dataclasses.replace(instrument, pixel_scale=(0.1 + 0.2, 0.6))
    new = round_trip(binned, tmp_path)
    assert new == binned
    assert new.pixel_scale == (0.1 + 0.2, 0.6)


def test_mask(mask, tmp_path):
    new = round_trip(mask, tmp_path)
    assert new == mask
    assert list(new) == ["049", "b_2", "1e3"]
    assert (new.faults, new.source) == (mask.faults, mask.source)
    assert all(new[key].control.tobytes() == mask[key].control.tobytes() for key in mask)


def test_calibration(calibration, tmp_path):
    path = tmp_path / "cal.asdf"
    calibration.write(path)
    new = Calibration.read(path)
    assert (new.instrument, new.mask) == (calibration.instrument, calibration.mask)
    for name in ("opt", "crv", "ids"):
        assert_same_model(getattr(new, name), getattr(calibration, name))
    assert (new.medium, new.provenance) == (calibration.medium, calibration.provenance)
    assert list(new.slits) == ["b_2", "049", "1e3"]
    assert {k: str(dataclasses.astuple(v)) for k, v in new.slits.items()} == {
        k: str(dataclasses.astuple(v)) for k, v in calibration.slits.items()
    }
    assert new.covariance.keys() == calibration.covariance.keys()
    for name, matrix in calibration.covariance.items():
        assert new.covariance[name].tobytes() == matrix.tobytes()


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))], ids=["deepcopy", "pickle"]
)
def test_what_was_read_can_be_sent_to_another_process(calibration, tmp_path, copied):
    calibration.write(tmp_path / "cal.asdf")
    twin = copied(Calibration.read(tmp_path / "cal.asdf"))
    assert (twin.instrument, twin.mask) == (calibration.instrument, calibration.mask)
    assert_same_model(twin.ids, calibration.ids)


def test_others_read_it_as_plain_asdf(calibration, tmp_path):
    calibration.write(tmp_path / "cal.asdf")
    with asdf.open(tmp_path / "cal.asdf", validate_checksums=True) as file:
        assert file["calibration"].mask == calibration.mask
        assert_same_model(file["calibration"].ids, calibration.ids)


def test_unknown_errors_are_kept_as_nan(calibration, tmp_path):
    unknown = dataclasses.replace(calibration, covariance={"crv": np.full((12, 12), np.nan)})
    assert np.isnan(round_trip(unknown, tmp_path).covariance["crv"]).all()


@pytest.mark.parametrize(
    ("fault", "match"),
    [
        (
            lambda _: {"covariance": {"ids": np.ones((2, 3))}},
            r"covariance of ids of shape \(2, 3\)",
        ),
        (lambda c: {"mask": Mask([dataclasses.replace(c.mask["049"], x=np.inf)])}, "x is inf"),
        (
            lambda c: {"mask": Mask([dataclasses.replace(c.mask["049"], control=[[0, np.nan]])])},
            "slit 049: a control point is not finite",
        ),
        (lambda _: {"medium": "water"}, "'water' is not one of"),
        (lambda c: {"opt": c.crv}, "mismatched tags"),
    ],
)
def test_what_could_not_be_read_is_not_written(calibration, tmp_path, fault, match):
    with pytest.raises(InputError, match=f"calibration cannot be stored .*{match}"):
        dataclasses.replace(calibration, **fault(calibration)).write(tmp_path / "x.asdf")
    assert not list(tmp_path.iterdir())


def test_residual_table(calibration, tmp_path):
    old, new = calibration.residuals, round_trip(calibration, tmp_path).residuals
    assert (type(new), new.colnames) == (type(old), old.colnames)
    for name in old.colnames:
        assert (new[name].unit, new[name].dtype) == (old[name].unit, old[name].dtype)
        assert np.asarray(new[name]).tobytes() == np.asarray(old[name]).tobytes()


def test_a_residual_table_without_rows(calibration, tmp_path):
    empty = dataclasses.replace(calibration, residuals=calibration.residuals[:0])
    new = round_trip(empty, tmp_path)
    assert len(new.residuals) == 0
    assert new.residuals.colnames == calibration.residuals.colnames


def test_an_array_that_is_a_view_is_stored_alone(calibration, tmp_path):
    big = np.random.default_rng(0).normal(size=(2000, 200))
    corner = dataclasses.replace(calibration, covariance={"ids": big[:24:2, 3:15].T})
    new = round_trip(corner, tmp_path)
    assert np.array_equal(new.covariance["ids"], corner.covariance["ids"])
    assert (tmp_path / "file.asdf").stat().st_size < 100_000


@pytest.mark.parametrize("to", ["slit", "mask"])
def test_gwcs_evaluates_bit_by_bit(calibration, to, tmp_path):
    slit = calibration.mask["b_2"]
    wcs = slit_wcs(calibration.geometry("b_2"), slit, calibration.instrument.shape, to=to)
    new = round_trip(wcs, tmp_path)
    assert isinstance(new, WCS)
    assert new.available_frames == wcs.available_frames
    assert new.bounding_box == wcs.bounding_box
    assert new.world_axis_physical_types == wcs.world_axis_physical_types
    x, y = np.meshgrid(np.arange(300.0), np.arange(200.0))
    world = wcs(x, y)
    assert 1000 < np.isfinite(world[0]).sum() < x.size  # inside and outside the slit
    assert np.asarray(new(x, y)).tobytes() == np.asarray(world).tobytes()
    inside = np.isfinite(world[0])
    back = [axis[inside] for axis in world]
    assert np.asarray(new.invert(*back)).tobytes() == np.asarray(wcs.invert(*back)).tobytes()
    assert new.output_frame.unit == wcs.output_frame.unit


def test_a_model_alone_must_be_of_the_kind_asked_for(opt, tmp_path):
    write_asdf(tmp_path / "m.opt", {"model": opt})
    with pytest.raises(InputError, match=r"m\.opt: holds OpticalModel\. Must hold one Mask"):
        read_asdf(tmp_path / "m.opt", Mask)
    # A kind and its sub-kinds
    assert read_asdf(tmp_path / "m.opt", object).degrees == (1, 2)


def test_text_takes_a_byte_a_character_where_it_is_ascii(calibration, tmp_path):
    many = calibration.residuals[np.zeros(20_000, int)]
    many["reason"] = ["x" * 40] * len(many)
    calibration = dataclasses.replace(calibration, residuals=many)
    assert np.all(round_trip(calibration, tmp_path).residuals["reason"] == "x" * 40)
    assert (tmp_path / "file.asdf").stat().st_size < 20_000 * (40 + 60)
    many["reason"][-1] = "Å"
    assert round_trip(calibration, tmp_path).residuals["reason"][-1] == "Å"
