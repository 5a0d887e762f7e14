"""The vote on profiles made by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from specwcs.conventions import Direction
from specwcs.inputs import Instrument, Mask, Slit
from specwcs.measure.layout import (
    SHOWN_SIGMA,
    Profile,
    _shown,
    central_profile,
    find_layouts,
    find_peaks,
)
from specwcs.measure.reduce import reduce_frame

ROWS = 500
INSTRUMENT = Instrument("test", 0.25, 800, ROWS, Direction.LR, 2.0, 7000.0)
SCALE = 8.0  # px per mm: 2 arcsec per mm
CENTRES = np.array([25.0, 16.5, 9.0, 2.0, -7.5, -15.0, -24.0])
LENGTHS = np.array([7.0, 8.0, 5.0, 6.5, 11.0, 2.0, 9.0])


def mask():
    return Mask(
        Slit(str(n), 2.0 * (-1) ** n, v, 0.5, length, 0.0, 1.0, 2.0 * length, False,
             np.array([[2.0 * (-1) ** n, v + length / 2], [2.0 * (-1) ** n, v - length / 2]]))
        for n, (v, length) in enumerate(zip(CENTRES, LENGTHS, strict=True))
    )  # fmt: skip


def rows(scale=SCALE, shift=0.0, rotation=0.0, bend=0.0, flip=1):
    """Rows of the edges, t = 0 then t = 1, by hand."""
    u = 2.0 * (-1.0) ** np.arange(len(CENTRES))
    v = flip * np.array([CENTRES + flip * LENGTHS / 2, CENTRES - flip * LENGTHS / 2])
    q = scale * (v + rotation * u)
    return (ROWS - 1) / 2 + shift + q + bend * (q / 250) ** 3


def light(q, heights=1000.0, noise=0.0):
    row = np.arange(ROWS)[:, np.newaxis]
    profile = 50.0 + np.sum(heights * ((row < q[0]) & (row > q[1])), axis=1)
    profile = ndimage.gaussian_filter1d(profile, 1.0)
    return profile + np.random.default_rng(1).normal(0, noise, ROWS)


def profile(q, **kwargs):
    return Profile(400.0, 0.0, light(q, **kwargs), np.full(ROWS, 4.0))


def assert_rows(layout, q):
    """Compare the edges that are on the frame; beyond, a bent layout is a guess."""
    q = q.T.ravel()
    on = (q > 0) & (q < ROWS)
    found = layout.field(layout.edges.u, layout.edges.v, 0.0)
    np.testing.assert_allclose(found[on], q[on], atol=1.5)


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("scale", [0.94, 1.0, 1.06])
@pytest.mark.parametrize(
    ("shift", "rotation", "bend"), [(0, 0, 0), (-70, 0.03, 5), (70, -0.03, -5)]
)
def test_finds_the_layout(flip, scale, shift, rotation, bend):
    q = rows(scale * SCALE, shift, rotation, bend, flip)
    best, second, *_ = find_layouts(profile(q, noise=2.0), mask(), INSTRUMENT)
    assert best.flip_v == (flip < 0)
    assert_rows(best, q)
    assert best.score > 0.85
    assert second.score < 0.6 * best.score


def test_bright_slits_do_not_outvote_the_others():
    heights = np.where(LENGTHS == 2.0, 60000.0, 1000.0)
    q = rows(1.05 * SCALE, 40.0)
    best, *_ = find_layouts(profile(q, heights=heights), mask(), INSTRUMENT)
    assert_rows(best, q)


def test_abutting_edges_are_not_expected():
    slits = list(mask().values())
    top = slits[0]
    below = replace(top, id="8", y=top.y - 7.0, control=top.control - [0.0, 7.0])
    pair = Mask([top, below, slits[3]])
    q = np.array([[25.0 + 3.5, 2.0 + 3.25], [18.0 - 3.5, 2.0 - 3.25]]) * SCALE + 249.5
    best, *_ = find_layouts(profile(q), pair, INSTRUMENT)
    assert (best.matched, best.expected) == (4, 4)


def test_seams_that_show_as_dips_do_not_count():
    """Slits 1.6 px apart: too near to be expected, and yet there is less light between them."""
    slits, step = list(mask().values()), 4.0 + 1.6 / SCALE
    tops = 28.0 - step * np.arange(6)
    chain = [
        replace(slits[0], id=f"c{n}", y=top - 2.0, dimy=4.0, length=8.0,
                control=np.array([[2.0, top], [2.0, top - 4.0]]))
        for n, top in enumerate(tops)
    ]  # fmt: skip
    ends = np.array([[*tops, -2.0, -19.5], [*(tops - 4.0), -13.0, -28.5]])
    light = profile(ends * SCALE + 249.5)
    assert len(find_peaks(light, 16).q) == 16
    best, *_ = find_layouts(light, Mask([*chain, slits[4], slits[6]]), INSTRUMENT)
    assert (best.matched, best.expected) == (6, 6)
    assert best.score > 0.9


def test_narrow_dips_in_the_light_do_not_count():
    """Dust and nicks: less light at some places of each slit, but not the end of it."""
    q = rows(shift=10.0)
    seen = profile(q)
    for top, bottom in q.T:
        for t, depth in ((0.25, 0.4), (0.5, 0.5), (0.8, 0.3)):
            row = round(bottom + t * (top - bottom))
            seen.light[row - 1 : row + 2] -= depth * 1000.0
    seen = replace(seen, light=ndimage.gaussian_filter1d(seen.light, 0.8))
    assert len(find_peaks(seen, 14).q) > 40
    best, *_ = find_layouts(seen, mask(), INSTRUMENT)
    assert_rows(best, q)
    assert best.score > 0.85


@pytest.mark.parametrize("slit", [2, 4])
def test_a_slit_that_is_cut_elsewhere_does_not_pull_the_others(slit):
    q = rows(bend=4.0)
    q[:, slit] += 4.0
    best, *_ = find_layouts(profile(q), mask(), INSTRUMENT)
    found = best.field(best.edges.u, best.edges.v, 0.0).reshape(-1, 2).T
    miss = np.delete(found - q, slit, axis=1)
    assert np.abs(miss).max() < 0.7
    assert best.whole == 6


def test_peaks_have_the_sign_of_the_rise():
    q = np.array([[300.3], [200.6]])
    peaks = find_peaks(profile(q), 2)
    np.testing.assert_allclose(peaks.q, [200.5, 300.5], atol=0.3)
    assert peaks.sign.tolist() == [1, -1]
    np.testing.assert_allclose(peaks.weight, 1.0, atol=0.05)


def test_noise_has_no_peaks():
    flat = np.random.default_rng(2).normal(50.0, 2.0, ROWS)
    assert len(find_peaks(Profile(0.0, 0.0, flat, np.full(ROWS, 4.0)), 14).q) == 0


def test_standard_error_of_the_rise():
    noise = np.random.default_rng(3).normal(0.0, 2.0, 20000)
    rise, error = Profile(0.0, 0.0, noise, np.full(20000, 4.0)).rise(1.3)
    assert np.std(rise) == pytest.approx(error[100], rel=0.05)


@pytest.mark.parametrize(("slope", "aspect"), [(-0.035, 1.0), (0.0, 1.0), (0.02, 1.0), (0.08, 0.5)])
def test_slope_of_the_traces(slope, aspect):
    drift = slope * (np.arange(800) - 400)
    image = np.array([ndimage.shift(light(rows()), d, order=1, mode="nearest") for d in drift]).T
    reduced = reduce_frame(image, np.maximum(image, 1), np.zeros(image.shape, dtype=bool))
    straight = central_profile(reduced, 0.5, aspect=aspect)
    assert straight.slope == pytest.approx(slope, abs=0.002)
    assert len(find_peaks(straight, 14).q) == 14


@pytest.mark.parametrize("gap", [0.5, 2.0, 3.5, 6.0, 20.0])
@pytest.mark.parametrize("dark", [True, False], ids=["gap", "slit"])
def test_close_edges_show_pushed_apart(gap, dark):
    """As the extremes of the slope of two blurred steps, found on a fine grid."""
    q, sign = np.array([50.0, 50.0 + gap]), np.array([-1, 1] if dark else [1, -1])
    x = np.linspace(30.0, 90.0, 60001)
    rise = sum(
        s * np.exp(-(((x - at) / SHOWN_SIGMA) ** 2) / 2) for s, at in zip(sign, q, strict=True)
    )
    ends = x[rise.argmin()], x[rise.argmax()]
    np.testing.assert_allclose(_shown(q, sign), sorted(ends), atol=0.03)
    np.testing.assert_allclose(_shown(q, np.array([1, 1])), q)
