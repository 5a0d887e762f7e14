"""Nicks of slits: all lines show them at the same t."""

from dataclasses import replace

import asdf
import calibration_cases as cases
import numpy as np
import pytest
from astropy import units as u

from specwcs import Calibration
from specwcs.calibration import solve
from specwcs.calibration.roughness import rough_slits
from specwcs.simulate import example

KEY = "1"
NICKS = ((0.22, 0.01, 0.25), (0.5, 0.03, -0.15), (0.81, 0.02, 0.1))
"""Place and width in t, and depth in px."""


def nicks(t):
    return sum(depth * np.exp(-0.5 * ((t - at) / width) ** 2) for at, width, depth in NICKS)


def observed(direction):
    shape = (300, 640) if direction in ("LR", "RL") else (640, 300)
    return example(direction, shape, kind="longslit")


def rough_markers(obs, scatter=0.03, n_t=60):
    markers = cases.true_markers(obs, scatter=scatter, n_t=n_t, ends=0.01)
    line, direction = markers["kind"] == "line", obs.instrument.direction
    axis = "x" if direction.along_x else "y"
    moved = markers[axis].value + direction.sign * np.where(line, nicks(markers["t"]), 0.0)
    markers[axis] = u.Quantity(moved, u.pix)
    return markers


def solved(direction="LR", **options):
    obs = observed(direction)
    markers = rough_markers(obs, **options)
    return obs, solve(obs.instrument, obs.mask, markers, medium=obs.medium)


def errors(obs, cal):
    """Of the wavelength along the traces, px, where light falls that comes through the nicks."""
    t, wavelength, x, y = cases.light(obs, KEY, n=3000, band=(5500.0, 8700.0))
    direction = obs.instrument.direction
    along, across = direction.split(x, y)
    x, y = direction.join(along + direction.sign * nicks(t), across)
    found, _ = cal.wcs(KEY)(x, y)
    return (found - wavelength) * cal.geometry(KEY).dispersion.slope(wavelength, t), x, y


@pytest.fixture(scope="module")
def both():
    return solved("LR")


@pytest.mark.parametrize("direction", ["RL", "BU", "UB"])
def test_nicks_are_followed_in_all_directions(direction):
    obs, cal = solved(direction)
    off, *_ = errors(obs, cal)
    assert cases.rms(off) < 0.015
    smooth = replace(cal, local=cal.local | {"ids": replace(cal.local["ids"], roughness={})})
    assert cases.rms(errors(obs, smooth)[0]) > 0.04
    assert any("1 slits are rough" in note for note in cal.provenance["fits"])


def test_its_errors_are_told(both):
    obs, cal = both
    off, x, y = errors(obs, cal)
    sigma = cal.wavelength_uncertainty(KEY, x, y)
    slope = cal.geometry(KEY).dispersion.slope(7000.0, 0.5)
    known = np.isfinite(off)
    assert 0.55 < np.mean(np.abs(off[known]) < sigma[known] * slope) < 0.85


def test_every_wcs_has_the_nicks(both, tmp_path):
    obs, cal = both
    _, x, y = errors(obs, cal)
    exact = cal.wcs(KEY)
    wavelength, t = exact(x, y)
    inside = np.isfinite(wavelength)
    back = exact.invert(wavelength[inside], t[inside])
    assert np.allclose(back, (x[inside], y[inside]), atol=1e-8)
    portable = cal.wcs(KEY, portable=True)
    slope = cal.geometry(KEY).dispersion.slope(7000.0, 0.5)
    near = portable(x[inside], y[inside])
    assert np.max(np.abs(near[0] - wavelength[inside])) * slope < 1e-3
    assert portable.error_bound < 1e-3
    back = portable.invert(wavelength[inside], t[inside])
    assert np.allclose(back, (x[inside], y[inside]), atol=1e-3)
    # Files keep it: of both, and of the calibration.
    asdf.AsdfFile({"exact": exact, "portable": portable}).write_to(tmp_path / "wcs.asdf")
    with asdf.open(tmp_path / "wcs.asdf") as file:
        assert np.array_equal(file["exact"](x, y)[0], wavelength, equal_nan=True)
        assert np.array_equal(file["portable"](x[inside], y[inside])[0], near[0])
    cal.write(tmp_path / "cal.asdf")
    again = Calibration.read(tmp_path / "cal.asdf")
    assert np.array_equal(again.wcs(KEY)(x, y)[0], wavelength, equal_nan=True)
    assert np.array_equal(
        again.wavelength_uncertainty(KEY, x, y), cal.wavelength_uncertainty(KEY, x, y),
        equal_nan=True,
    )  # fmt: skip


def test_maps_have_the_nicks(both):
    _, cal = both
    maps = cal.maps()
    y, x = np.nonzero(maps.slit == 0)
    wavelength, t = cal.geometry(KEY).world(x, y)
    assert np.allclose(maps.wavelength[y, x], wavelength, atol=1e-6)
    assert np.allclose(maps.t[y, x], t, atol=1e-9)


def _points(rough, n_lines=12, n_t=40, scatter=0.03):
    rng = np.random.default_rng(2)
    t, line = (v.ravel() for v in np.meshgrid(np.linspace(0.02, 0.98, n_t), np.arange(n_lines)))
    left = (nicks(t) if rough else 0.0) + rng.normal(0, scatter, len(t))
    left += 0.1 * rng.normal(size=n_lines)[line]  # errors of lines are no nicks
    return np.full(len(t), KEY), t, line, left, np.full(len(t), scatter)


def test_a_smooth_slit_has_none():
    assert rough_slits(*_points(False)) == {}


def test_few_lines_or_places_tell_nothing():
    assert list(rough_slits(*_points(True, n_lines=6))) == [KEY]
    assert rough_slits(*_points(True, n_lines=5)) == {}
    assert rough_slits(*_points(True, n_t=3)) == {}


def test_another_shape_than_the_model_has_is_no_roughness():
    slit, t, line, left, sigma = _points(True)
    assert rough_slits(slit, t, line, left + 4.0 * (t - 0.5) ** 2, sigma) == {}


def test_points_that_lie_on_the_models_are_smooth():
    slit, t, line, left, sigma = _points(False)
    assert rough_slits(slit, t, line, np.zeros(len(left)), sigma) == {}
