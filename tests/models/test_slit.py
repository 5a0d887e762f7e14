"""A slit by itself: the same slit over other wavelengths, moved, and cut to what matters."""

import numpy as np
import pytest

from specwcs.conventions import Direction
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
