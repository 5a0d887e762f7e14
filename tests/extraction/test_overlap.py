import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import Polynomial

from specwcs.extraction.overlap import overlap_matrix

N_PIXELS = 40
POINTS = {"linear": 2, "cubic": 4}  # edges that the cumulative flux is interpolated through


def matrix(edges, kernel, axis=1):
    """Matrix for one line of pixels."""
    edges = np.expand_dims(edges, 1 - axis)
    return overlap_matrix(edges, axis, np.zeros((1, 1), int), 1, N_PIXELS, kernel)


def uneven_edges(rng, mean_width):
    """Edges of bins of 0.2 to 1.8 times the mean width, inside the pixels."""
    edges = 4 + np.cumsum(mean_width * rng.uniform(0.2, 1.8, 300))
    return edges[edges < N_PIXELS - 4]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("mean_width", [0.3, 0.95, 1.0, 4.7])
@pytest.mark.parametrize("kernel", POINTS)
def test_integrals_of_polynomials_are_exact(kernel, mean_width, axis):
    """Through n edges, the cumulative flux of any density of degree n - 2 is exact."""
    rng = np.random.default_rng(3)
    edges = uneven_edges(rng, mean_width)
    cumulative = Polynomial(rng.normal(size=POINTS[kernel]), domain=(0, N_PIXELS))
    pixels = np.diff(cumulative(np.arange(N_PIXELS + 1.0)))
    bins = matrix(edges, kernel, axis) @ pixels
    np.testing.assert_allclose(bins, np.diff(cumulative(edges)), atol=1e-13)


def test_linear_is_the_overlap_of_intervals():
    rng = np.random.default_rng(1)
    edges = uneven_edges(rng, 1.3)
    pixel = np.arange(N_PIXELS)
    left = np.maximum(edges[:-1, np.newaxis], pixel)
    right = np.minimum(edges[1:, np.newaxis], pixel + 1)
    overlap = np.clip(right - left, 0, None)
    np.testing.assert_allclose(matrix(edges, "linear").toarray(), overlap, atol=1e-14)


@pytest.mark.parametrize("kernel", POINTS)
def test_interpolation_converges_with_its_order(kernel):
    """Halving the pixel divides the error of a smooth line by 2 to the number of points."""

    def error(sigma):
        edges = np.arange(4.3, 36, 0.93)
        profile = Polynomial([-20 / sigma, 1 / sigma])
        cumulative = np.tanh(profile(np.arange(N_PIXELS + 1.0)))
        bins = matrix(edges, kernel) @ np.diff(cumulative)
        return np.abs(bins - np.diff(np.tanh(profile(edges)))).max()

    assert error(2.5) / error(5.0) == pytest.approx(2.0 ** POINTS[kernel], rel=0.35)


@settings(deadline=None)
@given(
    st.lists(st.floats(3.0, 37.0), min_size=3, max_size=20, unique=True),
    st.sampled_from(list(POINTS)),
)
def test_adjoining_bins_share_out_what_one_bin_has(edges, kernel):
    edges = np.sort(edges)
    pixels = np.random.default_rng(0).uniform(0, 1e5, N_PIXELS)
    parts = matrix(edges, kernel) @ pixels
    whole = matrix(edges[[0, -1]], kernel) @ pixels
    assert parts.sum() == pytest.approx(whole.item(), rel=1e-12, abs=1e-7)


@pytest.mark.parametrize("kernel", POINTS)
def test_inner_pixels_are_given_away_whole(kernel):
    edges = uneven_edges(np.random.default_rng(2), 0.9)
    given_away = np.asarray(matrix(edges, kernel).sum(axis=0)).ravel()
    inner = slice(int(edges[0]) + 3, int(edges[-1]) - 3)
    np.testing.assert_allclose(given_away[inner], 1.0, rtol=1e-12)


def test_lines_of_pixels_lie_where_start_and_stride_say():
    """Columns of a 10 × 4 image, resampled by axis 0, each with its own edges."""
    rng = np.random.default_rng(5)
    image = rng.uniform(size=(10, 4))
    edges = np.linspace(2, 8, 7)[:, np.newaxis] + rng.uniform(0, 0.9, 4)
    bins = overlap_matrix(edges, 0, np.arange(4), 4, image.size, "cubic") @ image.ravel()
    alone = [overlap_matrix(edges[:, [n]], 0, 0, 1, 10, "cubic") @ image[:, n] for n in range(4)]
    np.testing.assert_allclose(bins.reshape(6, 4), np.transpose(alone))
