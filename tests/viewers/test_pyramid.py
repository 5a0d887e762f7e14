"""What a page shows of a frame: means of the very pixels that are looked at, in their place."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specwcs.viewers.web.pyramid import Pyramid
from specwcs.viewers.web.stretch import CUTS, STRETCHES, limits, shades

shapes = st.tuples(st.integers(1, 90), st.integers(1, 90))
spans = st.tuples(st.floats(-50, 150), st.floats(-50, 150))


def block_means(image, tile):
    """Average the pixels under each of a tile's own."""
    ny, nx = tile.values.shape
    step_x, step_y = (round(size / n) for size, n in ((tile.width, nx), (tile.height, ny)))
    x0, y0 = round(tile.x + 0.5), round(tile.y + 0.5)
    means = np.empty((ny, nx))
    for row in range(ny):
        for col in range(nx):
            block = image[y0 + row * step_y : y0 + (row + 1) * step_y,
                          x0 + col * step_x : x0 + (col + 1) * step_x]  # fmt: skip
            means[row, col] = block.mean()
    return means, step_x, step_y


@settings(max_examples=200, deadline=None)
@given(shapes, spans, spans, st.tuples(st.integers(1, 40), st.integers(1, 40)), st.integers(0, 9))
def test_a_tile_is_the_mean_of_its_pixels_in_their_place(shape, x, y, screen, seed):
    # Where the number of pixels is no multiple of the step, the last ones stand for fewer: there
    # a plane tells that they lie in their place.
    image = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    tile = Pyramid(image).tile(x, y, screen)
    ny, nx = tile.values.shape
    assert ny >= 1
    assert nx >= 1
    means, step_x, step_y = block_means(image, tile)
    whole = [slice(0, n - 1 if size % step else n) for n, size, step in
             ((ny, shape[0], step_y), (nx, shape[1], step_x))]  # fmt: skip
    assert np.allclose(tile.values[*whole], means[*whole], atol=1e-5)
    for (low, high), start, size, n in ((sorted(x), tile.x, tile.width, shape[1]),
                                        (sorted(y), tile.y, tile.height, shape[0])):  # fmt: skip
        # All that is looked at and lies on the frame is there.
        low, high = max(low, -0.5), min(high, n - 0.5)
        if low < high:
            assert start <= low
            assert start + size >= high


PLAIN = Pyramid(np.zeros((4096, 4096), np.float32))


@settings(deadline=None)
@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 800), st.integers(1, 800))
def test_tiles_are_no_larger_than_the_screen_asks(width, height, across, down):
    x, y = (1000, 1000 + width), (50, 50 + height)
    ny, nx = PLAIN.tile(x, y, (across, down)).values.shape
    assert nx <= 2 * across * 1.5 + 3
    assert ny <= 2 * down * 1.5 + 3


def test_a_slit_is_decimated_along_itself_alone():
    image = np.zeros((3000, 8192), np.float32)
    image[1500] = 1
    tile = Pyramid(image).tile((0, 8191), (1430, 1570), (800, 300))
    assert tile.values.shape[0] >= 140
    assert tile.values.shape[1] <= 1024
    assert tile.values.max() == 1


def test_bad_pixels_do_not_spread():
    image = np.ones((64, 64), np.float32)
    image[:, ::2] = np.nan
    image[24:32, 24:32] = np.nan
    values = Pyramid(image).tile((-0.5, 63.5), (-0.5, 63.5), (8, 8)).values
    assert values.shape == (8, 8)
    assert np.all(values[np.isfinite(values)] == 1)
    assert np.isnan(values).sum() <= 1


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("stretch", STRETCHES)
def test_shades_grow_with_the_light(cut, stretch):
    image = np.random.default_rng(1).normal(100, 10, (200, 300))
    low, high = limits(image, cut)
    assert low < high
    values = np.linspace(low - 5, high + 5, 300)[None]
    result = shades(values, low, high, stretch)
    assert np.all(np.diff(result[0].astype(int)) >= 0)
    assert (result.min(), result.max()) == (1, 255)
    assert shades(np.array([[np.nan]]), low, high, stretch)[0, 0] == 0


@pytest.mark.parametrize("image", [np.full((5, 5), np.nan), np.zeros((1, 1)), np.full((9, 9), 7.0)])
@pytest.mark.parametrize("cut", CUTS)
def test_frames_without_contrast_have_limits(image, cut):
    low, high = limits(image, cut)
    assert np.isfinite(low)
    assert low < high
