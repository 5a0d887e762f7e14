"""Models that change into others, have a freer constant term, and write themselves."""

import hashlib

import numpy as np
import pytest

from specwcs import InputError
from specwcs.models import CurvatureModel, DispersionModel, FieldPolynomial, OpticalModel

DOMAINS = {"domain": (5000, 9000), "x_domain": (0, 100), "y_domain": (0, 200)}


def freer():
    model = DispersionModel(2, 1, 1, constant_degrees=(2, 3), **DOMAINS)
    model.parameters = np.random.default_rng(0).normal(size=len(model.parameters))
    return model


def test_only_the_constant_term_has_more_terms():
    model = freer()
    assert model.constant_degrees == (2, 3)
    assert len(model.parameters) == 3 * 4 + 2 * 4
    c = model.coefficients
    assert c.shape == (3, 3, 4)
    assert not np.any(c[1:, 2, :])
    assert not np.any(c[1:, :, 2:])
    x, y, u = 30.0, 150.0, 6200.0
    xs, ys, us = 2 * x / 100 - 1, 2 * y / 200 - 1, 2 * (u - 5000) / 4000 - 1
    by_hand = sum(c[k, i, j] * us**k * xs**i * ys**j for k, i, j in np.ndindex(c.shape))
    assert model(x, y, u) == pytest.approx(by_hand, rel=1e-13)
    samples = model.at(np.array([x]), np.array([y]), np.array([u]))
    assert samples.param_names == model.param_names
    assert samples(np.array([0]))[0] == pytest.approx(by_hand, rel=1e-13)


def test_the_constant_term_is_never_less_free():
    with pytest.raises(InputError, match=r"invalid constant_degrees \(1, 0\)"):
        FieldPolynomial(1, 1, 1, constant_degrees=(1, 0))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (DispersionModel(1, 0, 0), freer()),
        (freer(), DispersionModel(1, 0, 0)),
        (CurvatureModel(0, 3, 3), CurvatureModel(2, 1, 1, domain=(-5, 5), c0_0_0=2.0)),
        (OpticalModel(1, 1), OpticalModel(2, 3, x_domain=(-9, 9), x_flipped=True, x0_1=3.0)),
    ],
)
def test_a_model_becomes_another_in_place(one, other):
    one, kept = one.copy(), one.copy()
    one.name = "mine"
    one.assign(other)
    assert one.name == "mine"
    assert one.param_names == other.param_names
    inputs = (0.3, 0.7, 0.2)[: one.n_inputs]
    assert np.array_equal(one(*inputs), other(*inputs))
    one.parameters = np.ones(len(one.parameters))
    assert not np.array_equal(one.parameters, other.parameters)
    one.assign(kept)
    assert np.array_equal(one(*inputs), kept(*inputs))


def test_writing_and_reading(tmp_path):
    model = freer()
    model.meta["note"] = "by hand"
    model.writeto(tmp_path / "a.ids")
    read = DispersionModel.read(tmp_path / "a.ids")
    assert np.array_equal(read.coefficients, model.coefficients)
    assert read.constant_degrees == (2, 3)
    assert read.meta["note"] == "by hand"
    with pytest.raises(InputError, match="exists already"):
        model.writeto(tmp_path / "a.ids")
    with pytest.raises(InputError, match=r"a\.ids: holds DispersionModel"):
        CurvatureModel.read(tmp_path / "a.ids")


def test_a_coefficient_of_a_term_that_is_not_there_is_refused(tmp_path):
    path = tmp_path / "a.ids"
    freer().writeto(path)
    lines = path.read_bytes().split(b"\n")
    body = b"\n".join([*lines[:2], *lines[3:]])  # without its seal
    body = body.replace(b", 0.0, 0.0]", b", 7.5, 0.0]", 1)
    seal = b"#SHA256 " + hashlib.sha256(body).hexdigest().encode()
    first, second, rest = body.split(b"\n", 2)
    path.write_bytes(b"\n".join([first, second, seal, rest]))
    with pytest.raises(InputError, match="coefficients of terms that a model of these degrees"):
        DispersionModel.read(path)
