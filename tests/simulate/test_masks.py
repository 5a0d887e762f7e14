"""Masks that are designed by chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.inputs import Instrument
from specwcs.simulate import longslit, random_mask

SCALE = 1.7 / 0.3  # px per mm


def instrument(direction=Direction.LR):
    xpixels, ypixels = (2048, 1024) if direction.along_x else (1024, 2048)
    return Instrument("test", 0.3, xpixels, ypixels, direction, 2.2, 7000.0)


def extents(mask, direction):
    """Lower and upper end of the slits across the dispersion, px from the field's centre."""
    v = np.array([direction.canonical_mask(*slit.corners().T)[1] for slit in mask.values()])
    return v.min(axis=1) * SCALE, v.max(axis=1) * SCALE


@settings(deadline=None, max_examples=40)
@given(
    direction=st.sampled_from(Direction),
    n_slits=st.integers(4, 20),
    seed=st.integers(0, 2**32),
)
def test_slits_are_packed_without_overlap(direction, n_slits, seed):
    mask = random_mask(n_slits, instrument(direction), seed)
    assert len(mask) == n_slits
    low, high = extents(mask, direction)
    gaps = low[:-1] - high[1:]
    assert gaps.min() > 3.9
    assert gaps.max() < 12.1
    assert low.min() > -512
    assert high.max() < 512
    rot = np.abs([slit.rot for slit in mask.values()])
    assert np.count_nonzero((rot >= 25) & (rot <= 40)) == 2
    assert np.count_nonzero(rot == 0) == n_slits - 2
    [square] = [slit for slit in mask.values() if slit.reference]
    assert square.dimx == square.dimy == pytest.approx(4.0 / 1.7, abs=1e-4)
    assert square.rot == 0


@pytest.mark.parametrize("direction", Direction)
def test_slits_start_at_the_left_hand(direction):
    for slit in random_mask(8, instrument(direction), 3).values():
        _, v = direction.canonical_mask(*slit.curve([0.0, 1.0]))
        assert v[0] > v[1]


def test_arcsec_and_millimetres_agree():
    for slit in random_mask(8, instrument(), 3).values():
        assert slit.width == pytest.approx(1.7 * slit.dimx, abs=0.006)
        assert slit.length == pytest.approx(1.7 * slit.dimy, abs=0.006)


def test_the_first_slit_half_off_the_frame():
    mask = random_mask(14, instrument(), 5, half_off=True)
    low, high = extents(mask, Direction.LR)
    assert (low[0] + high[0]) / 2 == pytest.approx(512, abs=0.1)
    assert high[1] < 512
    assert low[-1] > -512


def test_too_many_slits():
    with pytest.raises(InputError, match="90 slits do not fit across 1024 pixels"):
        random_mask(90, instrument(), 1)


@pytest.mark.parametrize("direction", Direction)
def test_a_longslit_fills_the_frame(direction):
    mask = longslit(instrument(direction), fill=0.9)
    low, high = extents(mask, direction)
    assert len(mask) == 1
    assert high - low == pytest.approx(0.9 * 1024, abs=0.01)
    assert high + low == pytest.approx(0, abs=0.01)
