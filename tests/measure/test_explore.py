"""From a few slits to all, and what rivals leave open, on exact peaks of a known law."""

from dataclasses import replace

import numpy as np
import pytest

from specwcs.measure import explore
from specwcs.measure.polish import polish, polish_all
from specwcs.measure.solution import DEGREE, LineTable, PeakTable, Solution
from specwcs.measure.vote import BENDS, GLASS, SCALES, Prior, vote

LENGTH, DISPERSION, FWHM, SLITS = 1000, 2.0, 3.0, 8
OFFSET = np.array([-300.0, 120.0, -40.0, 260.0, -180.0, 30.0, 200.0, -90.0])
ROW = np.linspace(-400.0, 400.0, SLITS)
ROTATION = 0.03
"""Of the mask: it shifts slits along the dispersion by their row."""


def truth():
    """Series of all slits, Å: one shape, and the constant that the mask's place gives."""
    series = np.zeros((SLITS, DEGREE + 1))
    series[:, 0] = 6000.0 - DISPERSION * (OFFSET + ROTATION * ROW)
    series[:, 1:3] = DISPERSION * (LENGTH - 1) / 2, 12.0
    return series


def prior():
    return Prior(DISPERSION, 6000.0, OFFSET, ROW, LENGTH)


def solution(series):
    return Solution(series, LENGTH, False, prior().place)


@pytest.fixture(scope="module")
def arc():
    return exact(truth())


def exact(series):
    """Peaks of 28 of 60 random lines, at their exact columns, and the lines."""
    rng = np.random.default_rng(7)
    wavelength = np.sort(rng.uniform(4200.0, 7800.0, 60))
    weight = np.ones((3, len(wavelength)))
    lines = LineTable(wavelength, weight, np.zeros(60, int), np.full(60, np.nan))
    slit, p = [], []
    for i in range(SLITS):
        columns = solution(series).column(i, wavelength)
        columns = columns[(columns > 0) & (columns < LENGTH - 1)][:28]
        slit += [i] * len(columns)
        p += list(columns)
    n = len(p)
    grade = np.full(n, 1)
    return PeakTable(np.array(slit), np.array(p), np.full(n, 0.03), np.ones(n), grade), lines


def miss(found, peaks, series=None):
    """Largest error of each slit at its peaks, px."""
    true = solution(truth() if series is None else series)
    error = found.wavelength(peaks.slit, peaks.p) - true.wavelength(peaks.slit, peaks.p)
    return np.array([np.abs(error[peaks.slit == i]).max() for i in range(SLITS)]) / DISPERSION


def test_slits_join_where_the_rotation_of_the_mask_puts_them(arc):
    peaks, lines = arc
    some = np.array([1, 2, 3, 4, 5])  # the others lie farther out than all of these
    few = replace(solution(truth()[some]), place=prior().place[some])
    assert miss(explore._join(few, some, prior(), peaks, lines, FWHM), peaks).max() < 0.05
    far = np.abs(ROTATION * ROW[[0, 7]]).min()
    constants, error = explore._constants(few, some, prior())
    assert far > 10  # px, which no straight line in the offset knows of
    off = np.abs(constants - truth()[:, 0]) / DISPERSION
    assert off.max() < 6
    assert np.all(off < 2 * error)


def test_slits_join_where_lines_curve_and_the_disperser_stretches():
    """Off-axis angles: arcs of 30 px over the frame, displacements along it 1.25 times nominal."""
    series = truth()
    series[:, 0] = 6000.0 - DISPERSION * (1.25 * OFFSET + 30.0 * (ROW / 400.0) ** 2)
    peaks, lines = exact(series)
    some = np.array([2, 5, 7])  # none of them far aside
    few = replace(solution(series[some]), place=prior().place[some])
    found = explore._join(few, some, prior(), peaks, lines, FWHM)
    found = explore._join_again(found, prior(), peaks, lines, FWHM)
    assert miss(found, peaks, series).max() < 0.05


def test_slits_that_do_not_fit_join_again(arc):
    peaks, lines = arc
    series = truth()
    series[6:, 0] += 17 * DISPERSION
    series[6:, 2] -= 9.0
    wrong = polish(solution(series), peaks, lines, FWHM)
    assert np.all(miss(wrong, peaks)[6:] > 2)  # polishing does not find them by itself
    found = explore._join_again(wrong, prior(), peaks, lines, FWHM)
    assert miss(found, peaks).max() < 0.05
    assert found.score > wrong.score


def test_slits_that_fit_may_be_the_fewer(arc):
    peaks, lines = arc
    series = truth()
    series[3:, 0] += np.array([17, -19, 22, 18, -21]) * DISPERSION
    wrong = replace(solution(series), line=np.where(peaks.slit < 3, 0, -1))
    found = explore._join_again(wrong, prior(), peaks, lines, FWHM)
    assert miss(found, peaks).max() < 0.05


def test_slits_with_one_end_wrong_join_again(arc):
    """Much of them is matched: a rich catalogue has a line at any place."""
    peaks, lines = arc
    series = truth()
    series[5:, :4] += 0.5 * DISPERSION * np.array([10.0, -15.0, 6.0, -1.0])  # 16 px at the blue end
    index = np.concatenate([np.arange(np.sum(peaks.slit == i)) for i in range(SLITS)])
    line = np.where((peaks.slit < 5) | (index > 4), 0, -1)
    wrong = replace(solution(series), line=line)
    assert miss(wrong, peaks).max() > 5
    assert np.mean(line[peaks.slit == 5] >= 0) > 0.75
    assert miss(explore._join_again(wrong, prior(), peaks, lines, FWHM), peaks).max() < 0.05


def test_what_all_slits_show_is_no_longer_in_doubt():
    """The vote knows of no displacements of 1.25 times nominal; slits that join tell of them."""
    series = truth()
    series[:, 0] = 6000.0 - DISPERSION * (1.25 * OFFSET + 30.0 * (ROW / 400.0) ** 2)
    peaks, lines = exact(series)
    verdict = explore.search({False: peaks}, lines, prior(), FWHM)
    assert miss(verdict.best, peaks, series).max() < 0.05
    assert verdict.agreed.all()
    assert verdict.contrast > 50


def test_a_vote_for_dispersers_that_stretch_the_mask():
    series = truth()
    series[:, 0] = 6000.0 - DISPERSION * 0.79 * OFFSET
    peaks, lines = exact(series)
    usual, wide = prior(), replace(prior(), bend=BENDS[1], scale=SCALES[1])
    best = [vote(peaks, lines, trial, 1, False)[0] for trial in (usual, wide)]
    off = [miss(found, peaks, series).max() for found in best]
    assert off[0] > 30
    assert off[1] < 8


def test_a_prism_moves_the_spectra_of_its_slits():
    """Wavelengths are a hyperbola of the column, threefold as steep in the red as in the blue."""
    pole = (np.sqrt(3) + 1) / (np.sqrt(3) - 1) * LENGTH / 2

    def law(i, p):
        d = np.asarray(p) - (LENGTH - 1) / 2 - 0.5 * OFFSET[i]
        return 6000.0 + DISPERSION * pole * d / (pole - d)

    rng = np.random.default_rng(8)
    wavelength = np.sort(rng.uniform(4800.0, 8200.0, 70))
    lines = LineTable(wavelength, np.ones((3, 70)), np.zeros(70, int), np.full(70, np.nan))
    columns = np.arange(LENGTH)
    p = [np.interp(wavelength, law(i, columns), columns, -1, -1) for i in range(SLITS)]
    slit, p = np.repeat(np.arange(SLITS), 70), np.concatenate(p)
    on = p > 0
    n = int(on.sum())
    peaks = PeakTable(slit[on], p[on], np.full(n, 0.03), np.ones(n), np.full(n, 1))
    glass = replace(prior(), offset=0.49 * OFFSET, bend=GLASS[1], glass=True)
    best = explore.search({False: peaks}, lines, glass, FWHM).best
    for i in range(SLITS):
        mine = peaks.p[peaks.slit == i]
        error = best.wavelength(np.full(len(mine), i), mine) - law(i, mine)
        assert np.abs(error).max() < 0.3 * DISPERSION


def test_solutions_polished_together_are_those_polished_alone(arc):
    peaks, lines = arc
    starts = [solution(truth() + off * np.eye(1, DEGREE + 1)) for off in (-9.0, 0.0, 2.5, 40.0)]
    assert polish_all([], peaks, lines, FWHM) == []
    for start, found in zip(starts, polish_all(starts, peaks, lines, FWHM), strict=True):
        alone = polish(start, peaks, lines, FWHM)
        np.testing.assert_allclose(found.coefficients, alone.coefficients, atol=1e-6)
        np.testing.assert_array_equal(found.line, alone.line)
        assert found.score == pytest.approx(alone.score, abs=1e-6)


def test_a_solution_that_fits_everywhere_stays(arc):
    peaks, lines = arc
    right = polish(solution(truth()), peaks, lines, FWHM)
    assert explore._join_again(right, prior(), peaks, lines, FWHM) is right


def test_rivals_that_agree_at_the_peaks_are_no_others(arc):
    """Beyond the lines two solutions may differ as they like; a slit with few lines, too."""
    peaks, lines = arc
    right = polish(solution(truth()), peaks, lines, FWHM)
    other = right.coefficients.copy()
    other[7, 0] += 30 * DISPERSION
    rival = replace(right, coefficients=other, score=right.score - 1.0)
    contrast, agreed = explore._rivals([right, rival], peaks)
    assert contrast == np.inf
    assert not agreed.any()  # the last slit has as many peaks as the others
    few = peaks.take((peaks.slit < 7) | (np.arange(len(peaks.p)) % 10 == 0))
    thin = polish(right, few, lines, FWHM)
    contrast, agreed = explore._rivals([thin, replace(rival, score=thin.score - 1.0)], few)
    assert contrast == np.inf
    assert agreed.all()
    shifted = replace(right, coefficients=right.coefficients + 5 * DISPERSION * np.eye(1, 6)[0])
    shifted = replace(shifted, score=right.score - 1.0)
    assert explore._rivals([right, shifted], peaks)[0] == pytest.approx(1.0)


def test_without_a_match_nothing_is_sure(arc):
    peaks, _ = arc
    none = replace(solution(truth()), line=np.full(len(peaks.p), -1), score=0.0)
    contrast, agreed = explore._rivals([none], peaks)
    assert contrast == 0
    assert not agreed.any()
