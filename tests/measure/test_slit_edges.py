"""The position of single edges against closed forms: steps blurred by a Gaussian."""

import numpy as np
import pytest
from scipy.special import ndtr

from specwcs.measure.borders import BEYOND
from specwcs.measure.edges import measure_edges
from specwcs.measure.field import TraceField
from specwcs.measure.reduce import reduce_frame
from specwcs.measure.traces import MaskEdges

ROWS, COLUMNS = 120, 640


def integral_of_cdf(z):
    return z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


def step(row, q, sigma):
    """Share of a pixel above q, of a blurred step: exact."""
    upper, lower = (row + 0.5 - q) / sigma, (row - 0.5 - q) / sigma
    return sigma * (integral_of_cdf(upper) - integral_of_cdf(lower))


def frame(tops, bottoms, *, sigma, slope=0.012, background=20.0, heights=None):
    """Slits between rows `bottoms` and `tops` (at column 0), with sloping traces."""
    row = np.arange(ROWS)[:, np.newaxis]
    drift = slope * np.arange(COLUMNS)
    image = np.full((ROWS, COLUMNS), background)
    heights = heights or [1000.0] * len(tops)
    for top, bottom, height in zip(tops, bottoms, heights, strict=True):
        light = step(row, bottom + drift, sigma) - step(row, top + drift, sigma)
        image = image + height * light
    return image


def measure(image, tops, bottoms, *, slope=0.012, ramp=0.0, error=0.3, lit=None):
    """Measure, with expected rows that are off by `error` px."""
    q = np.ravel(np.column_stack([tops, bottoms]))
    n = len(q)
    edges = MaskEdges(np.arange(n) // 2, np.arange(n) % 2 * 1.0, np.zeros(n), q, np.full(n, ramp))
    terms = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 1]])
    half = slope * (COLUMNS - 1) / 2
    domain = np.array([[0, 0], [0, 2.0], [0, COLUMNS - 1.0]])
    field = TraceField(terms, np.array([1 + error + half, 1.0, half]), domain)
    reduced = reduce_frame(image, np.maximum(image, 1.0), np.zeros(image.shape, dtype=bool))
    measured = measure_edges(reduced, field, edges, 1.0, lit)
    return measured, measured.q - (q[:, np.newaxis] + slope * measured.p)


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.4])
@pytest.mark.parametrize("error", [-1.5, 0.0, 0.9])
def test_a_step_is_found_where_it_is(sigma, error):
    tops, bottoms = [90.37], [30.81]
    image = frame(tops, bottoms, sigma=sigma)
    measured, miss = measure(image, tops, bottoms, error=error)
    assert measured.used.all()
    assert np.abs(miss).max() < 0.02
    assert abs(miss.mean()) < 0.003


def test_the_end_of_a_slit_that_is_partly_covered_is_not_measured():
    tops, bottoms = [110.4, 75.2, 40.7], [85.3, 50.1, 15.9]
    image = frame(tops, bottoms, sigma=0.9)
    dust = frame([75.2], [72.2], sigma=0.9, background=0.0, heights=[400.0])
    measured, miss = measure(image - dust, tops, bottoms)
    assert np.all(measured.reason[2] == "uneven light")
    others = np.arange(6) != 2
    assert measured.used[others].all()
    assert np.abs(miss[others]).max() < 0.02


@pytest.mark.parametrize("sigma", [0.8, 1.1])
@pytest.mark.parametrize("gap", [3.0, 4.0, 6.0])
def test_neighbours_do_not_pull(sigma, gap):
    tops, bottoms = [90.4, 60.2 - gap], [60.2, 25.7]
    image = frame(tops, bottoms, sigma=sigma, heights=[1000.0, 1500.0])
    measured, miss = measure(image, tops, bottoms)
    assert measured.used.all()
    assert np.abs(miss).max() < 0.03


def test_neighbours_do_not_pull_where_the_image_is_less_sharp():
    tops, bottoms = [108.4, 84.2, 59.8, 35.1], [88.7, 64.3, 39.6, 14.9]
    image = frame(tops, bottoms, sigma=np.linspace(0.8, 1.7, COLUMNS))
    measured, miss = measure(image, tops, bottoms)
    assert measured.used.all()
    assert np.abs(miss).max() < 0.05
    assert abs(np.mean(miss * np.tile([1, -1], 4)[:, np.newaxis])) < 0.01


@pytest.mark.parametrize("sigma", [0.8, 1.1])
@pytest.mark.parametrize("heights", [[1000.0, 1000.0], [1000.0, 1500.0], [600.0, 200.0]])
@pytest.mark.parametrize("gap", [0.5, 1.0, 1.6])
def test_a_seam_of_two_slits_has_a_place(gap, heights, sigma):
    tops, bottoms = [90.4, 60.2 - gap], [60.2, 25.7]
    image = frame(tops, bottoms, sigma=sigma, heights=heights)
    rng = np.random.default_rng(4)
    noisy = image + rng.normal(0, np.sqrt(image))
    measured, miss = measure(noisy, tops, bottoms)
    assert np.mean(measured.used) > 0.95
    assert measured.seams == 1
    assert np.all(measured.used[[0, 3]])
    told = measured.used[1:3]
    seam, sigma_of = miss[1:3][told], measured.sigma[1:3][told]
    assert abs(seam.mean()) < (0.03 if gap < 1 else 0.02)
    assert np.std(seam / sigma_of) < 1.3
    assert np.median(sigma_of) < 0.2


@pytest.mark.parametrize("wider", [-0.15, 0.0, 0.2])
@pytest.mark.parametrize("gap", [1.2, 1.8, 2.6])
def test_seams_in_images_with_wings(gap, wider):
    """No Gaussian blurs as the image does, and gaps are wider than expected, or narrower."""
    lengths = [20.3, 16.6, 22.1, 18.4, 15.0]
    bottoms = 8.3 + np.cumsum([0, *lengths[:-1]]) + gap * np.arange(5)
    tops = bottoms + lengths
    parts = ((0.5, 1.1), (0.48, 1.5), (0.02, 4.0))
    image = sum(
        share * frame(tops, bottoms, sigma=sigma, heights=[20000.0] * 5) for share, sigma in parts
    )
    noisy = image + np.random.default_rng(3).normal(0, np.sqrt(image))
    half = 0.5 * wider
    _, miss = measure(noisy, tops + half, bottoms - half, error=0.3)
    away = np.tile([half, -half], 5)[:, np.newaxis] + miss
    inner = np.delete(away, [1, len(away) - 2], axis=0)  # but the lowest and the highest
    assert np.mean(np.isfinite(inner)) > 0.95
    # Where a gap is as wide as the blur, wings look like more of it.
    assert np.max(np.abs(np.nanmean(inner, axis=1))) < (0.12 if gap > 2 else 0.06)


@pytest.mark.parametrize("sigma", [0.8, 1.3])
@pytest.mark.parametrize("heights", [(50000.0, 50000.0), (50000.0, 36000.0), (15000.0, 50000.0)])
@pytest.mark.parametrize("error", [-0.3, 0.3])
@pytest.mark.parametrize("gap", [0.12, 0.2, 0.3])
def test_a_narrow_seam_is_told_by_much_light(gap, error, heights, sigma):
    """Every place that is told is right, whatever the noise."""
    tops, bottoms = [90.4, 60.2 - gap], [60.2, 25.7]
    image = frame(tops, bottoms, sigma=sigma, heights=heights)
    for seed in range(3):
        noisy = image + np.random.default_rng(seed).normal(0, np.sqrt(image))
        measured, miss = measure(noisy, tops, bottoms, error=error)
        for n in (1, 2):
            told = measured.used[n]
            assert np.abs(miss[n][told]).max(initial=0.0) < (0.08 if sigma < 1 else 0.13)
            assert np.all(np.abs(miss[n][told]) < 4 * measured.sigma[n][told])


def test_a_narrow_seam_without_much_light_is_not_told():
    tops, bottoms = [90.4, 60.05], [60.2, 25.7]
    image = frame(tops, bottoms, sigma=0.8, heights=[10.0, 10.0])
    noisy = image + np.random.default_rng(4).normal(0, np.sqrt(image))
    measured, _ = measure(noisy, tops, bottoms)
    assert not measured.used[1:3].any()


@pytest.mark.parametrize(("sigma", "gap"), [(0.35, 2.0), (2.5, 4.0), (2.5, 7.0)])
def test_seams_of_sharp_and_of_blurred_images(sigma, gap):
    tops, bottoms = [105.4, 60.2 - gap], [60.2, 12.7]
    image = frame(tops, bottoms, sigma=sigma, heights=[3000.0, 1000.0])
    noisy = image + np.random.default_rng(1).normal(0, np.sqrt(image))
    measured, miss = measure(noisy, tops, bottoms)
    assert measured.used[1:3].all()
    assert np.abs(miss[1:3].mean(axis=1)).max() < 0.04


@pytest.mark.parametrize("height", [3.0, 4.0, 5.0, 7.0])
def test_short_slits_between_others(height):
    """The light beyond the other end of a short slit is not its own."""
    top = 60.2
    tops, bottoms = [95.0, top, top - height - 2.0], [top + 2.0, top - height, 20.0]
    image = frame(tops, bottoms, sigma=0.9)
    noisy = image + np.random.default_rng(1).normal(0, np.sqrt(image))
    measured, miss = measure(noisy, tops, bottoms)
    for n in (1, 2, 3, 4):
        told = measured.used[n]
        assert np.abs(miss[n][told]).max(initial=0.0) < (0.13 if height < 4 else 0.06)
        assert np.all(np.abs(miss[n][told]) < 4 * measured.sigma[n][told])


@pytest.mark.parametrize("bright", [1000.0, 4000.0])
@pytest.mark.parametrize("gap", [1.2, 2.0, 2.8])
def test_a_gap_that_is_not_quite_as_expected(gap, bright):
    """One slit beside an alignment box four times as wide, cut 0.1 px off its place."""
    tops, bottoms = [90.4, 60.2 - gap], [60.2, 25.7]
    image = frame([tops[0], tops[1] - 0.1], bottoms, sigma=0.9, heights=[bright, 1000.0])
    noisy = image + np.random.default_rng(2).normal(0, np.sqrt(image))
    measured, miss = measure(noisy, tops, bottoms)
    assert measured.used.all()
    assert abs(miss[1].mean()) < 0.05
    assert abs(miss[2].mean() + 0.1) < 0.05
    assert np.all(np.abs(miss[2] + 0.1) < 4 * measured.sigma[2])


@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize(("inside", "sigma"), [(1.5, 0.9), (3.0, 0.9), (4.0, 2.0)])
def test_an_edge_at_the_border_of_the_frame(end, inside, sigma):
    """The slit's other half, or what is beside it, is not on the frame."""
    tops, bottoms = [[ROWS - 1 - inside], [90.3]][end], [[60.2], [inside]][end]
    image = frame(tops, bottoms, sigma=sigma, slope=0.0)
    noisy = image + np.random.default_rng(3).normal(0, np.sqrt(image))
    measured, miss = measure(noisy, tops, bottoms, slope=0.0)
    assert measured.used.all()
    assert abs(miss[end].mean()) < 0.03
    assert np.all(np.abs(miss[end]) < 5 * measured.sigma[end])


@pytest.mark.parametrize(("sigma", "others"), [(0.95, 1.2), (1.2, 0.95)])
def test_an_edge_that_leaves_the_border_is_as_sharp_as_it_is(sigma, others):
    """The fit of what the border cuts off supposes the others' blur: where all is seen, none is."""
    tops, bottoms = [28.4, 60.2, 95.3], [1.7, 35.6, 68.1]
    image = frame(tops[:1], bottoms[:1], sigma=sigma, slope=0.03)
    image += frame(tops[1:], bottoms[1:], sigma=others, slope=0.03, background=0.0)
    measured, miss = measure(image, tops, bottoms, slope=0.03)
    whole = measured.q[1] > 5.0
    assert 20 < whole.sum() < 30
    assert np.abs(miss[1][whole]).max() < 0.01
    assert np.abs(miss[1]).max() < 0.1


@pytest.mark.parametrize("end", [0, 1])
def test_an_end_is_beyond_the_frame_where_the_light_goes_on_to_its_border(end):
    """A trace that leaves the frame after the middle: the edge is seen, cut off, beyond."""
    slope = [0.03, -0.03][end]
    tops, bottoms = [[ROWS - 10.0], [70.3]][end], [[60.2], [9.0]][end]
    image = frame(tops, bottoms, sigma=0.9, slope=slope)
    measured, miss = measure(image, tops, bottoms, slope=slope)
    edge = [ROWS - 10.0, 9.0][end] + slope * measured.p[end]
    inside = [ROWS - 0.5 - edge, edge + 0.5][end]
    assert np.all(measured.used[end][inside > 2])
    assert np.all(measured.reason[end][inside < -2] == BEYOND)
    assert not np.any(measured.reason[end][inside > 0.5] == BEYOND)
    assert np.abs(miss[end][measured.used[end]]).max() < 0.05
    assert not np.any(measured.reason[1 - end] == BEYOND)


def test_a_slit_that_fills_the_frame_is_beyond_it_at_both_ends():
    tops, bottoms = [ROWS + 20.0], [-20.0]
    image = frame(tops, bottoms, sigma=0.9)
    measured, _ = measure(image, tops, bottoms)
    assert np.all(measured.reason == BEYOND)
    half = image * np.where(np.arange(ROWS) < ROWS - 12, 1.0, 0.6)[:, np.newaxis]
    measured, _ = measure(half, tops, bottoms)  # something else at the upper border
    assert not np.any(measured.reason[0] == BEYOND)


def test_a_dark_neighbour_hides_no_edge():
    tops, bottoms = [90.4, 60.2], [60.2, 25.7]
    image = frame(tops, bottoms, sigma=1.0, heights=[1000.0, 0.0])
    lit = np.array([True, True, False, False])
    measured, miss = measure(image, tops, bottoms, lit=lit)
    assert measured.used[:2].all()
    assert not measured.used[2:].any()
    assert np.abs(miss[:2]).max() < 0.02


def test_abutting_edges_are_not_measured():
    tops, bottoms = [90.4, 60.2], [60.2, 25.7]
    measured, miss = measure(frame(tops, bottoms, sigma=1.0), tops, bottoms)
    assert set(measured.reason[1:3].ravel()) == {"abuts"}
    assert np.abs(miss[[0, 3]]).max() < 0.02


def test_blur_is_measured():
    tops, bottoms = [90.37], [30.81]
    measured, _ = measure(frame(tops, bottoms, sigma=1.2), tops, bottoms)
    assert measured.fwhm == pytest.approx(2.3548 * np.hypot(1.2, np.sqrt(1 / 12)), rel=0.03)


def test_height_is_that_of_the_step():
    tops, bottoms = [90.37], [30.81]
    measured, _ = measure(frame(tops, bottoms, sigma=1.0), tops, bottoms)
    np.testing.assert_allclose(measured.height, 1000.0, rtol=0.02)


def test_errors_are_calibrated():
    tops, bottoms = [90.37], [30.81]
    image = frame(tops, bottoms, sigma=1.0, heights=[60.0])
    pulls = []
    for seed in range(6):
        noisy = image + np.random.default_rng(seed).normal(0, np.sqrt(image))
        measured, miss = measure(noisy, tops, bottoms)
        pulls.append((miss / measured.sigma)[measured.used])
    assert np.std(np.concatenate(pulls)) == pytest.approx(1.0, abs=0.2)


def test_interpolated_pixels_are_not_trusted():
    tops, bottoms = [90.37], [30.81]
    image = frame(tops, bottoms, sigma=1.0, slope=0.0)
    image[90] = np.nan
    q = np.array([90.37, 30.81])
    reduced = reduce_frame(np.nan_to_num(image), np.ones_like(image), np.isnan(image))
    edges = MaskEdges(np.zeros(2, int), np.array([0.0, 1.0]), np.zeros(2), q, np.zeros(2))
    field = TraceField.linear(1.0, 0.0, np.array([[0, 0], [0, 100.0], [0, COLUMNS - 1.0]]))
    measured = measure_edges(reduced, field, edges, 1.0)
    assert set(measured.reason[0]) == {"bad pixels"}
    assert measured.used[1].all()
