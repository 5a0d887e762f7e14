"""A slit by itself: the same slit over other wavelengths, moved, and cut to what matters."""

import model_cases as cases
import numpy as np
import pytest
from astropy import units as u

from specwcs import InputError
from specwcs.conventions import Direction
from specwcs.models import DetectorToTrace, TraceToSlit
from specwcs.models import slit as slit_module
from specwcs.models.slit import TraceDispersion, TraceShape


@pytest.mark.parametrize("known", [(5200.0, 6900.0), (3000.0, 9000.0), (4400.0, 8600.0)])
def test_other_wavelengths_leave_the_dispersion_as_it_is(known):
    terms = np.array([[3.0, 1.0, 0.2], [900.0, 4.0, 0.1], [-40.0, 0.5, 0.0], [6.0, 0.1, 0.01]])
    whole = TraceDispersion(terms, (4000.0, 8000.0))
    part = whole.within(*known)
    assert part.wavelength_domain == known
    wavelength, t = np.meshgrid(np.linspace(5300, 6800, 7), [0.0, 0.3, 1.0])
    distance = whole.distance_from_wavelength(wavelength, t)
    assert np.ptp(distance) > 600
    np.testing.assert_allclose(part.distance_from_wavelength(wavelength, t), distance, atol=1e-9)


@pytest.mark.parametrize("terms", [1, 2, 4])
def test_offset_and_stretch_move_the_ends(terms):
    """However few terms the series along the slit have: stretch is that at t = 0 and t = 1."""
    across = np.array([200.0, 40.0, 0.5, 0.1])[:terms]
    along = np.array([500.0, 3.0, 0.2, 0.05])[:terms]
    curve = np.array([[0.0] * terms, [2.0] + [0.0] * (terms - 1)])
    shape = TraceShape(Direction.LR, along, across, curve, (-500.0, 500.0))
    moved = shape.shifted(0.3, 0.2)
    for d in (-300.0, 0.0, 400.0):
        for t, shift in ((0.0, 0.3 - 0.2), (0.5, 0.3), (1.0, 0.3 + 0.2)):
            (x0, y0), (x1, y1) = (s.pixel_from_trace(d, t) for s in (shape, moved))
            assert x1 == pytest.approx(x0, abs=1e-9)
            assert y1 - y0 == pytest.approx(shift, abs=1e-9)


def test_tables_are_linear_between_their_nodes_and_constant_beyond():
    values, t = np.array([1.0, -2.0, 4.0, 0.5]), np.array([-0.3, 0.0, 1 / 6, 0.5, 0.8, 1.0, 1.7])
    expected = [1.0, 1.0, -0.5, 1.0, 2.6, 0.5, 0.5]
    np.testing.assert_allclose(slit_module.table_at(values, t), expected, atol=1e-12)
    design = slit_module.hats(t, 4)
    np.testing.assert_allclose(design @ values, expected, atol=1e-12)
    np.testing.assert_allclose(design.sum(axis=1), 1.0)
    assert slit_module.table_at(np.array([0.7]), 0.2) == 0.7


@pytest.mark.parametrize("direction", [Direction.LR, Direction.UB])
def test_traces_that_bend_far_more_than_they_are_apart_are_inverted(direction):
    """What a few traces interpolate is no more than a start there."""
    curve = np.array([[0.0, 0.0], [30.0, 25.0], [60.0, -40.0], [-15.0, 12.0]])
    along, across = np.array([500.0, 30.0]), np.array([300.0, -60.0, 4.0])
    curve, along = np.pad(curve, ((0, 0), (0, 1))), np.pad(along, (0, 1))
    shape = TraceShape(direction, along, across, curve, (-500.0, 500.0))
    d, t = (a.ravel() for a in np.meshgrid(np.linspace(-450, 450, 40), np.linspace(0, 1, 21)))
    found = shape.trace_from_pixel(*shape.pixel_from_trace(d, t))
    np.testing.assert_allclose(found[0], d, atol=1e-7)
    np.testing.assert_allclose(found[1], t, atol=1e-9)


def _steps(direction):
    g = cases.geometry(direction)
    to_trace = DetectorToTrace.from_shape(g.trace)
    to_slit = TraceToSlit.from_dispersion(g.dispersion)
    return to_trace, to_trace.inverse, to_slit, to_slit.inverse


def _both_ways(direction, d, t):
    """Return all that a geometry computes at (d, t), and its models, one array after the other."""
    g = cases.geometry(direction)
    x, y = g.trace.pixel_from_trace(d, t)
    wavelength = g.dispersion.wavelength_from_distance(d, t)
    found = [x, y, wavelength, g.dispersion.distance_from_wavelength(wavelength, t)]
    inputs = [(x, y), (d, t), (d, t), (wavelength, t)]
    for model, values in zip(_steps(direction), inputs, strict=True):
        found += model(*np.broadcast_arrays(*values))
    return [*found, *g.world(x, y), g.dispersion.slope(wavelength, t)]


@pytest.mark.parametrize("shape", [(0,), (1,), (7,), (8,), (5, 6)])
@pytest.mark.parametrize("direction", cases.SHAPE)
def test_blocks_join(direction, shape, monkeypatch):
    """A point has the same result whatever is solved with it."""
    d, t = np.linspace(-800, 800, shape[-1]), np.linspace(0.05, 0.95, shape[-1])
    if len(shape) == 2:
        t = np.linspace(0, 1, shape[0])[:, None]
    together = _both_ways(direction, d, t)
    monkeypatch.setattr(slit_module, "_BLOCK", 7)
    for one, other in zip(_both_ways(direction, d, t), together, strict=True):
        assert one.shape == shape
        assert np.all(np.isfinite(one))
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_points_that_are_none_leave_their_neighbours_alone(bad):
    d, t = np.linspace(-800, 800, 9), np.linspace(0.05, 0.95, 9)
    good = _both_ways("UB", d, t)
    d[4] = t[6] = bad
    for found, expected in zip(_both_ways("UB", d, t), good, strict=True):
        rest = np.arange(9) % 2 == 1
        np.testing.assert_allclose(found[rest], expected[rest], rtol=1e-13, atol=1e-12)
    for model in _steps("UB"):
        for inputs in ((bad, 0.5), (0.5, bad), (bad, bad)):
            assert np.isnan(model(*inputs)).any()


def test_quantities_are_what_they_say():
    """None is taken for the bare value of another unit."""
    g = cases.geometry("LR")
    x, y = g.pixel(7000.0, 0.5)
    d = g.dispersion.distance_from_wavelength(7000.0, 0.5)
    for unit in (u.nm, u.micron, u.AA):
        wavelength = (7000.0 * u.AA).to(unit)
        np.testing.assert_allclose(g.pixel(wavelength, 0.5), (x, y), rtol=0, atol=1e-9)
        slope = g.dispersion.slope(wavelength, 50 * u.percent)
        assert slope == pytest.approx(g.dispersion.slope(7000.0, 0.5), rel=1e-12)
    np.testing.assert_array_equal(g.world(x * u.pix, y * u.pix), g.world(x, y))
    assert g.dispersion.wavelength_from_distance(d * u.pix, 0.5) == pytest.approx(7000.0)
    np.testing.assert_array_equal(g.trace.pixel_from_trace(d * u.pix, 0.5), (x, y))
    for call in (
        lambda: g.pixel(7000 * u.s, 0.5),
        lambda: g.world(x * u.nm, y),
        lambda: g.dispersion.slope(5 * u.pix, 0.5),
        lambda: g.dispersion.wavelength_from_distance(d * u.mm, 0.5),
        lambda: g.trace.pixel_from_trace(d * u.nm, 0.5),
    ):
        with pytest.raises(InputError, match="is a quantity in"):
            call()
