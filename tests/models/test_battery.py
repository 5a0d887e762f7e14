"""What every model must do, one battery for all of them."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import asdf
import model_cases as cases
import numpy as np
import pytest
from astropy import units as u
from astropy.modeling import Model

from specwcs import models

CASES = cases.all_cases()
INVERTIBLE = [name for name, (model, *_) in CASES.items() if "To" in name]


def _call(model, inputs):
    out = model(*inputs)
    return out if isinstance(out, tuple) else (out,)


def test_every_public_model_is_in_the_battery():
    public = {n for n in models.__all__ if issubclass(getattr(models, n), Model)}
    assert public == {name.split("-")[0] for name in CASES}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_shapes_scalar_vector_grid_empty(case):
    model, inputs, _ = case
    whole = _call(model, inputs)
    n = len(inputs[0]) // 2 * 2
    grid = _call(model, [v[:n].reshape(2, -1) for v in inputs])
    scalar = _call(model, [float(v[0]) for v in inputs])
    empty = _call(model, [v[:0] for v in inputs])
    for w, g, s, e in zip(whole, grid, scalar, empty, strict=True):
        assert np.array_equal(g.ravel(), w[:n], equal_nan=True)
        assert np.ndim(s) == 0
        assert s == pytest.approx(w[0], rel=1e-14)
        assert np.shape(e) == (0,)
        assert np.all(np.isfinite(w))


def test_units_are_converted_and_returned(case):
    model, inputs, units = case
    if units is None:
        pytest.skip("a polynomial of anything has no units")
    plain = _call(model, inputs)
    scaled = {u.AA: u.nm, u.mm: u.m}
    with_units = _call(
        model,
        [(v * unit).to(scaled.get(unit, unit)) for v, unit in zip(inputs, units, strict=True)],
    )
    for name, a, b in zip(model.outputs, plain, with_units, strict=True):
        assert b.unit == model.return_units[name]
        assert np.allclose(b.value, a, rtol=1e-12, atol=1e-9)


def test_wrong_units_are_refused(case):
    model, inputs, units = case
    if units is None:
        pytest.skip("a polynomial of anything has no units")
    with pytest.raises(u.UnitsError, match="could not be converted"):
        model(*(v * u.kg for v in inputs))


def test_inputs_are_left_unchanged(case):
    model, inputs, _ = case
    before = [v.copy() for v in inputs]
    model(*inputs)
    assert all(np.array_equal(a, b) for a, b in zip(before, inputs, strict=True))


@pytest.mark.parametrize(
    "duplicate",
    [lambda m: m.copy(), copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))],
    ids=["copy()", "copy.copy", "deepcopy", "pickle"],
)
def test_duplicates_compute_the_same(case, duplicate):
    model, inputs, _ = case
    twin = duplicate(model)
    assert twin.name == model.name
    for a, b in zip(_call(model, inputs), _call(twin, inputs), strict=True):
        assert np.array_equal(a, b)


def test_a_deep_copy_is_independent(case):
    model, inputs, _ = case
    before = _call(model, inputs)
    twin = model.copy()
    twin.parameters = np.zeros_like(twin.parameters)
    for a, b in zip(before, _call(model, inputs), strict=True):
        assert np.array_equal(a, b)


def test_name_and_meta_are_kept(case):
    model, *_ = case
    twin = model.copy()
    twin.name, twin.meta["night"] = "tonight", 7
    assert twin.copy().name == "tonight"
    assert pickle.loads(pickle.dumps(twin)).meta["night"] == 7


def test_asdf_round_trip_is_exact(case, tmp_path):
    model, inputs, _ = case
    path = tmp_path / "model.asdf"
    asdf.AsdfFile({"model": model}).write_to(path)
    with asdf.open(path, lazy_load=False, memmap=False) as file:
        twin = file["model"]
    assert type(twin) is type(model)
    assert twin.name == model.name
    for a, b in zip(_call(model, inputs), _call(twin, inputs), strict=True):
        assert np.array_equal(a, b)


def test_threads_do_not_disturb_each_other(case):
    model, inputs, _ = case
    parts = [[v[i:] for v in inputs] for i in range(40)]
    expected = [_call(model, part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda part: _call(model, part), parts))
    for one, other in zip(expected, found, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", INVERTIBLE)
def test_inverse_undoes_the_model(name):
    model, inputs, _ = CASES[name]
    back = _call(model.inverse, _call(model, inputs))
    for a, b in zip(back, inputs, strict=True):
        assert np.max(np.abs(a - b)) < 1e-9
    assert type(model.inverse.inverse) is type(model)
