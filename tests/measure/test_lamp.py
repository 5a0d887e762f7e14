"""Crowded arcs taken apart: against lines painted with profiles that are not the model's."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit, nnls

from specwcs.measure.arcs import ArcSpectrum
from specwcs.measure.brightness import expected_brightness
from specwcs.measure.centroid import centroid, sigma_from_fwhm
from specwcs.measure.lamp import Profile, _non_negative, _variance, fit_lamp, fit_profile
from specwcs.measure.peaks import find_peaks
from specwcs.measure.refine import SlitLines
from specwcs.measure.solution import LineTable

FWHM = 3.4
STEPS = 20  # of a pixel, in which lines are painted


def painted(p, height, *, seed=0, coma=0.0, length=400, noise=3.0):
    """A slit's image, blurred by a Moffat function and summed over pixels; a background."""
    fine = (np.arange(length * STEPS) + 0.5) / STEPS - 0.5
    flux = np.zeros(length * STEPS)
    offset = np.arange(-30 * STEPS, 30 * STEPS + 1) / STEPS
    width = 1.15 * (1 + coma * np.tanh(offset))
    kernel = (1 + (offset / width) ** 2) ** -4.0
    box = np.abs(offset) < 1.25
    line = np.convolve(kernel, box.astype(float), "same")
    line /= line.max()
    for position, bright in zip(p, height, strict=True):
        flux += bright * np.interp(fine, position + offset, line, left=0.0, right=0.0)
    flux = flux.reshape(length, STEPS).mean(axis=1)
    variance = noise**2 + flux / 4.0
    flux = flux + np.random.default_rng(seed).normal(0, np.sqrt(variance)) + 20.0
    return ArcSpectrum(flux, variance, np.ones(length, bool))


ALONE = np.array([30.3, 70.9, 110.1, 150.6, 330.2, 372.7])


def fitted(spectrum, p, *, shift=0.05, freedom=0.1, **options):
    profile = fit_profile(spectrum, find_peaks(spectrum, FWHM), FWHM)
    start = p + shift * np.where(np.arange(len(p)) % 2, 1, -1)
    return fit_lamp(spectrum, start, np.full(len(p), freedom), profile, FWHM, **options)


def test_a_continuum_that_falls_is_no_light_of_lines():
    clean = painted(ALONE, np.full(6, 9000.0), noise=1.0)
    column = np.arange(len(clean.flux))
    scattered = 100.0 + 400.0 / (1 + np.exp((column - 240.0) / 15.0))
    spectrum = replace(clean, flux=clean.flux + scattered)
    lamp = fitted(spectrum, ALONE)
    assert not len(lamp.unexplained)
    assert lamp.p == pytest.approx(ALONE, abs=0.01)


@pytest.mark.parametrize("distance", [0.8, 1.0, 1.3])
def test_blends_are_taken_apart(distance):
    pair = np.array([220.4, 220.4 + distance * FWHM])
    p = np.concatenate([ALONE[:4], pair, ALONE[4:]])
    height = np.r_[np.full(4, 3000.0), 3000.0, 1000.0, 3000.0, 3000.0]
    pull = []
    for seed in range(8):
        lamp = fitted(painted(p, height, seed=seed), p)
        assert np.all(np.isfinite(lamp.sigma))
        pull.append((lamp.p - p) / np.hypot(lamp.sigma, 0.01))
        assert np.abs(lamp.p - p)[4:6].max() < 0.15
        assert lamp.height[4] / lamp.height[5] == pytest.approx(3.0, rel=0.25)
    assert np.sqrt(np.mean(np.square(pull))) < 1.3


def test_the_pull_is_that_of_the_estimator_on_the_frame():
    """What neighbours do to a centroid, known before it is measured."""
    p = np.concatenate([ALONE, [220.4, 220.4 + 1.5 * FWHM]])
    height = np.r_[np.full(6, 3000.0), 3000.0, 1500.0]
    spectrum = painted(p, height)
    lamp = fitted(spectrum, p)
    frame = spectrum.flux[None], spectrum.variance[None], spectrum.good[None]
    found = centroid(*frame, np.zeros(8), p + 0.2, fwhm=FWHM).p
    assert np.all(np.abs(found - p)[6:] > 0.05)
    assert np.all(np.abs(found - lamp.pull - p) < 0.04)
    assert np.abs(lamp.pull[:6]).max() < 0.01


def test_the_skewness_of_a_line_that_stands_alone_is_no_pull_of_its_neighbours():
    """Where a line is said to be, a Gaussian fitted to it is."""
    skew = Profile(sigma_from_fwhm(FWHM), 0.0, 2.5, skew=0.2)
    x = np.arange(-12.0, 13.0)
    (_, centre, _), _ = curve_fit(
        lambda x, a, m, s: a * np.exp(-0.5 * ((x - m) / s) ** 2), x, skew(x), (1.0, 0.0, 1.5)
    )
    assert abs(centre) < 0.01
    flux = 20.0 + 2000.0 * skew(np.arange(400.0)[:, None] - ALONE).sum(axis=1)
    spectrum = ArcSpectrum(flux, 9.0 + flux / 4.0, np.ones(400, bool))
    lamp = fit_lamp(spectrum, ALONE, np.full(6, 0.3), skew, FWHM)
    assert np.abs(lamp.p - ALONE).max() < 0.02
    assert np.abs(lamp.lean).min() > 0.02
    assert np.abs(lamp.pull).max() < 0.01


def test_one_line_that_no_one_knows_does_not_make_the_others_skew():
    p = np.append(ALONE, [230.4, 260.8])
    height = np.r_[np.full(6, 9000.0), 9000.0, 900.0]
    unknown = p[-1] - 1.1 * FWHM  # and brighter than the line beside which it is
    spectrum = painted(np.append(p, unknown), np.append(height, 3000.0))
    lamp = fitted(spectrum, p)
    assert abs(lamp.profile.skew) < 0.004
    assert np.abs(lamp.p - p)[:7].max() < 0.01
    assert np.abs(lamp.lean[:7]).max() < 0.005


def test_errors_of_blends_grow_with_what_the_profile_leaves():
    p = np.r_[ALONE, 220.4, 220.4 + 1.1 * FWHM]
    ghosts = np.ravel(p[:, None] + [-1.4 * FWHM, 1.4 * FWHM])  # of each line, on either side
    sigma = []
    for share in (0.0, 0.06):
        height = np.r_[np.full(6, 9000.0), 9000.0, 6000.0, np.full(len(ghosts), share * 9000.0)]
        lamp = fitted(painted(np.append(p, ghosts), height, noise=1.0), p)
        sigma.append(lamp.sigma[6:])
    assert np.all(sigma[0] < 0.008)
    assert np.all(sigma[1] > 1.5 * sigma[0])


def test_skew_lines_do_not_move():
    """Positions are what `centroid` makes of lines that stand alone, skew or not."""
    spectrum = painted(ALONE, np.full(6, 5000.0), coma=0.25)
    peaks = find_peaks(spectrum, FWHM)
    lamp = fitted(spectrum, peaks.p)
    assert np.abs(lamp.p - peaks.p).max() < 0.04


def test_light_that_no_line_explains_is_told():
    spectrum = painted(np.append(ALONE, 250.0), np.full(7, 2000.0))
    lamp = fitted(spectrum, ALONE)
    assert len(lamp.unexplained) == 1
    assert lamp.unexplained[0] == pytest.approx(250.0, abs=1.0)


def test_lines_that_are_not_there_get_no_light():
    p = np.sort(np.append(ALONE, [200.0, 210.0, 260.0]))
    lamp = fitted(painted(ALONE, np.full(6, 2000.0)), p)
    absent = ~np.isin(p, ALONE)
    assert np.all(lamp.height[absent] == 0)
    assert np.all(np.isinf(lamp.sigma[absent]))
    assert np.all(np.isfinite(lamp.sigma[~absent]))


def test_lines_at_one_place_say_that_they_cannot_be_told_apart():
    p = np.concatenate([ALONE, [220.0, 220.3]])
    away, blend = [], []
    for seed in range(12):
        start = p.copy()
        start[6:] += np.random.default_rng(seed).normal(0, 0.1, 2)
        lamp = fitted(painted(p, np.full(8, 2000.0), seed=seed), start, shift=0.0)
        away.append((lamp.p - p)[6:])
        blend.append(lamp.blend[6:])
    assert np.median(blend) > 0.1
    assert np.sqrt(np.mean(np.square(away) / np.square(blend))) < 1.5


def test_lines_on_bad_pixels_are_not_measured():
    spectrum = painted(ALONE, np.full(6, 2000.0))
    spectrum.good[148:153] = False
    lamp = fitted(spectrum, ALONE)
    assert np.isinf(lamp.sigma[3])
    assert np.all(np.isfinite(np.delete(lamp.sigma, 3)))


def test_no_lines_and_no_pixels():
    spectrum = painted(ALONE, np.full(6, 2000.0))
    assert len(fitted(spectrum, np.zeros(0)).p) == 0
    assert len(fitted(spectrum, np.zeros(0)).unexplained) == 6


def test_the_brightness_of_other_lines_keeps_a_faint_neighbour_faint():
    """A profile that is not quite the model's would else be made up by the neighbour."""
    p = np.concatenate([ALONE, [220.0, 222.2]])
    spectrum = painted(p, np.r_[np.full(6, 3000.0), 3000.0, 20.0])
    free = fitted(spectrum, p, shift=0.0)
    told = fitted(spectrum, p, shift=0.0, expected=(np.r_[np.zeros(7), 20.0],
                                                    np.r_[np.full(7, np.inf), 20.0]))  # fmt: skip
    assert told.height[7] < 80.0
    assert told.sigma[6] < free.sigma[6]
    assert abs(told.p[6] - 220.0) < 0.03


def lamps_of(height, seen, near=()):
    """Lines of a slit as they were fitted, far from each other but for some pairs."""
    lamp = fit_lamp(painted(ALONE, np.full(6, 2000.0)), ALONE, np.full(6, 0.1),
                    Profile.of(FWHM), FWHM)  # fmt: skip
    p = 5.0 * FWHM * np.arange(len(height))
    for one, other in near:
        p[one] = p[other] + 0.1 * FWHM
    lamp = replace(lamp, p=p[seen], height=height[seen], sigma=np.full(len(seen), 0.01),
                   pull=np.zeros(len(seen)))  # fmt: skip
    return SlitLines(seen, 5000.0 + seen, lamp, np.zeros(len(seen)))


def test_brightness_is_learnt_from_intensities_and_other_slits():
    intensity = np.exp(np.linspace(0, 4, 12))
    lines = LineTable(5000.0 + np.arange(12), np.ones((3, 12)), np.zeros(12, int), intensity)
    height = 7.0 * intensity**0.6
    slits = [lamps_of(scale * height, np.delete(np.arange(12), missing))
             for scale, missing in ((1.0, [2, 3]), (10.0, [3, 4, 5]))]  # fmt: skip
    brightness = expected_brightness([*slits, None], lines, FWHM)
    expected, error = brightness.of(1, np.arange(12))
    assert expected == pytest.approx(10.0 * height, rel=0.2)
    assert error[3] > error[0]
    expected, error = brightness.of(2, np.arange(12))
    assert np.all(np.isinf(error))


def test_light_of_two_lines_at_one_place_tells_the_brightness_of_neither():
    intensity = np.exp(np.linspace(0, 4, 12))
    lines = LineTable(5000.0 + np.arange(12), np.ones((3, 12)), np.zeros(12, int), intensity)
    height = 7.0 * intensity**0.6
    wrong = np.where(np.arange(12) == 1, height[11], height)  # that of 11, which got none
    slit = lamps_of(wrong, np.arange(11), near=[(1, 11), (10, 11)])
    slit = replace(slit, line=np.append(slit.line, 11), lamp=replace(
        slit.lamp, p=np.append(slit.lamp.p, 55 * FWHM), height=np.append(slit.lamp.height, 0.0),
        sigma=np.append(slit.lamp.sigma, np.inf), pull=np.zeros(12)))  # fmt: skip
    expected, error = expected_brightness([slit], lines, FWHM).of(0, np.arange(12))
    assert expected == pytest.approx(height, rel=0.2)
    assert error[1] > 0.9 * expected[1]


@pytest.mark.parametrize("exchanges", [30, 0])
def test_heights_are_those_of_non_negative_least_squares(monkeypatch, exchanges):
    """Also where exchanging what is zero should find no end."""
    monkeypatch.setattr("specwcs.measure.lamp._EXCHANGES", exchanges)
    rng = np.random.default_rng(3)
    for _ in range(20):
        design = np.exp(-0.5 * (rng.uniform(0, 60, 25) - np.arange(60)[:, None]) ** 2)
        design[:, 7] = 0.0  # a line off the spectrum
        light = rng.normal(size=60)
        found = _non_negative(design.T @ design, design.T @ light)
        expected = nnls(design, light)[0]
        np.testing.assert_allclose(design @ found, design @ expected, atol=1e-6)
        assert found.min() >= 0
        assert found[7] == 0


@pytest.mark.parametrize("n", [0, 4, 12])
def test_variances_are_those_of_the_inverse(n):
    rows = np.random.default_rng(1).normal(size=(40, 12)) * 10.0 ** np.linspace(-3, 3, 12)
    normal = rows.T @ rows
    np.testing.assert_allclose(_variance(normal, n), np.diag(np.linalg.inv(normal))[:n], rtol=1e-6)
