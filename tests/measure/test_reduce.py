"""Frames prepared for tracing: what is taken out, and what must stay."""

import numpy as np
import pytest
from astropy.nddata import CCDData, StdDevUncertainty

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.inputs import Instrument
from specwcs.measure.reduce import canonical_data, dead_columns, reduce_frame

ROWS, COLUMNS = 60, 1100


@pytest.fixture
def slits():
    """Two slits with a gap of 3 rows, blurred, free of noise."""
    row = np.arange(ROWS)[:, np.newaxis]
    light = sum(1 / (1 + np.exp((np.abs(row - middle) - 10) / 0.5)) for middle in (17, 40))
    return 10.0 + 1000.0 * light * np.ones(COLUMNS)


def reduced(image, bad=None):
    bad = np.zeros(image.shape, dtype=bool) if bad is None else bad
    return reduce_frame(image, np.maximum(image, 1.0), bad)


def test_averages_keep_the_light(slits):
    result = reduced(slits)
    assert result.data.shape == (ROWS, len(result.p))
    assert 400 < len(result.p) < 700
    np.testing.assert_allclose(result.data, slits[:, : len(result.p)], rtol=1e-9)
    assert result.p[0] == pytest.approx(0.5)
    assert not result.bad.any()


def test_variance_is_that_of_the_mean(slits):
    rng = np.random.default_rng(1)
    noisy = slits + rng.normal(0, np.sqrt(slits))
    result = reduced(noisy)
    pull = (result.data - slits[:, : len(result.p)]) / np.sqrt(result.variance)
    assert np.std(pull) == pytest.approx(1.0, abs=0.05)


def test_cosmic_rays_and_dead_pixels_leave_no_trace(slits):
    image = slits.copy()
    rng = np.random.default_rng(2)
    rows, columns = rng.integers(3, ROWS - 3, 300), rng.integers(3, COLUMNS - 3, 300)
    image[rows[:200], columns[:200]] += 20000.0
    lit = slits[rows[200:], columns[200:]] > 500
    image[rows[200:][lit], columns[200:][lit]] = 0.0
    result = reduced(image)
    assert np.abs(result.data - slits[:, : len(result.p)]).max() < 1.0


@pytest.mark.parametrize("rows", [[12], [12, 13], [40]])
@pytest.mark.parametrize("value", [0.0, 60000.0])
def test_dead_and_hot_rows_are_bridged(slits, rows, value):
    image = slits.copy()
    image[rows] = value
    result = reduced(image)
    assert np.flatnonzero(result.bad.all(axis=1)).tolist() == rows
    assert np.abs(result.data - slits[:, : len(result.p)]).max() < 1.0


def test_a_gap_between_slits_is_no_dead_row(slits):
    assert not reduced(slits).bad.any()


def test_masked_pixels_are_ignored(slits):
    image, bad = slits.copy(), np.zeros(slits.shape, dtype=bool)
    image[20:30, 100] = np.nan
    bad[20:30, 100] = True
    result = reduced(image, bad)
    np.testing.assert_allclose(result.data, slits[:, : len(result.p)], rtol=1e-9)


@pytest.mark.parametrize("direction", Direction)
def test_canonical_orientation(direction):
    instrument = Instrument("test", 0.3, 7, 5, direction, 2.0, 7000.0)
    image = np.arange(35.0).reshape(5, 7)
    mask = image == 8
    data, variance, bad = canonical_data((image, image + 1, mask), instrument)
    p, q = direction.canonical_pixel(1, 1, (5, 7))  # pixel 8 is at x = 1, y = 1
    assert data[q, p] == 8
    assert bad[q, p]
    assert bad.sum() == 1
    assert variance[~bad].tolist() == (data[~bad] + 1).tolist()


def test_shape_of_another_instrument():
    instrument = Instrument("test", 0.3, 7, 5, Direction.LR, 2.0, 7000.0)
    with pytest.raises(InputError, match=r"the frame has 5×7 pixels\. Must have .* 7×5"):
        canonical_data((np.zeros((7, 5)), None, None), instrument)


def test_variance_is_estimated_where_none_is_given(slits):
    instrument = Instrument("test", 0.3, COLUMNS, ROWS, Direction.LR, 2.0, 7000.0)
    noisy = slits + np.random.default_rng(3).normal(0, np.sqrt(slits))
    _, variance, _ = canonical_data((noisy, None, None), instrument)
    assert np.median(variance / slits) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("direction", Direction)
def test_dead_columns_are_found_where_a_flat_has_light(slits, direction):
    rng = np.random.default_rng(2)
    column = np.arange(COLUMNS)
    light = slits * (1 + 0.3 * np.sin(column / 2.0))  # fringes
    light = np.where(column < 800, light, 10.0)  # a filter ends the light
    light[:, [100, 401, 402, 900]] *= 0.05
    light[:, 300] *= 0.7
    noisy = light + rng.normal(0, np.sqrt(light))
    # From the canonical frame to the detector and back.
    view = direction.canonical_image
    frame = np.zeros(noisy.shape if direction.along_x else noisy.T.shape)
    view(frame)[:] = noisy
    error = np.zeros(frame.shape)
    view(error)[:] = np.sqrt(light)
    ny, nx = frame.shape
    instrument = Instrument("test", 0.3, nx, ny, direction, 2.0, 7000.0)
    flat = CCDData(frame, unit="adu", uncertainty=StdDevUncertainty(error))
    assert np.flatnonzero(dead_columns(flat, instrument)).tolist() == [100, 401, 402]
    bad = np.zeros(frame.shape, bool)
    view(bad)[:, 103] = True
    masked = CCDData(frame, unit="adu", uncertainty=StdDevUncertainty(error), mask=bad)
    assert np.flatnonzero(dead_columns(masked, instrument)).tolist() == [401, 402]
    assert not dead_columns(CCDData(frame, unit="adu"), instrument).any()
