"""Spectra of arcs, their peaks, and the estimator of a line's position."""

import numpy as np
import pytest
from arc_cases import COLUMNS, longslit, paint, simulated, true_column, true_wavelength
from numpy.polynomial import chebyshev

from specwcs.measure import arc_spectra, traces_from_mask
from specwcs.measure.centroid import centroid
from specwcs.measure.peaks import find_peaks
from specwcs.simulate import lamp

# -- the estimator -------------------------------------------------------------


def profile(shape, distance):
    """Pixel-integrated line of unit height about zero, by fine sampling; FWHM about 3 px."""
    fine = distance[..., None] + (np.arange(20) - 9.5) / 20
    if shape == "gaussian":
        return np.exp(-0.5 * (fine / 1.27) ** 2).mean(axis=-1)
    # A slit image: a boxcar of 2.5 px blurred by a narrow Gaussian.
    box = np.linspace(-1.25, 1.25, 41)
    return np.exp(-0.5 * ((fine[..., None] - box) / 0.7) ** 2).mean(axis=(-1, -2))


@pytest.mark.parametrize("shape", ["gaussian", "slit"])
@pytest.mark.parametrize("slope", [0.0, 0.6])
def test_position_is_unbiased_at_every_phase(shape, slope):
    phase = np.linspace(-0.5, 0.5, 21)
    rows, columns = np.mgrid[0:9, 0:31]
    for p0 in 15.0 + phase:
        q0 = 4.3
        line = p0 + slope * (rows - q0)
        image = 1e4 * profile(shape, columns - line) + 300 + 5.0 * columns
        found = centroid(
            image, image, np.ones(image.shape, bool), [q0], [p0 + 0.2],
            slope=[slope], rows=7, fwhm=3.0,
        )  # fmt: skip
        assert found.p[0] == pytest.approx(p0, abs=0.004)
        assert abs(found.skew[0]) < 0.02


def test_error_is_the_scatter():
    rng = np.random.default_rng(5)
    columns = np.arange(31.0)
    clean = 800 * profile("gaussian", columns - 15.3) + 100
    variance = clean + 25.0
    image = clean + rng.normal(size=(4000, 31)) * np.sqrt(variance)
    rows = np.arange(4000.0)
    found = centroid(
        image, np.tile(variance, (4000, 1)), np.ones(image.shape, bool), rows,
        np.full(4000, 15.0), fwhm=3.0,
    )  # fmt: skip
    assert np.std(found.p) == pytest.approx(np.median(found.sigma), rel=0.1)
    assert np.mean(found.p) == pytest.approx(15.3, abs=4 * np.std(found.p) / np.sqrt(4000))


def test_a_row_with_a_bad_pixel_in_the_line_is_left_out():
    columns = np.tile(np.arange(31.0), (5, 1))
    image = 1e4 * profile("gaussian", columns - 15.3)
    good = np.ones(image.shape, bool)
    image[2, 16], good[2, 16] = 9e5, False
    found = centroid(image, image + 1, good, [2.0], [15.0], rows=5, fwhm=3.0)
    assert found.p[0] == pytest.approx(15.3, abs=0.003)
    assert found.good[0] == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("wider", [0.85, 1.2])
def test_where_the_window_is_cut_off_a_line_of_another_width_is_not_pulled(wider):
    # By the border of the frame, or by a dead column: lines are as wide as the kernel nowhere.
    columns = np.tile(np.arange(31.0), (5, 1))
    good = np.ones(columns.shape, bool)
    for p0 in np.linspace(3.5, 4.5, 5):
        image = 1e4 * profile("gaussian", (columns - p0) / wider) + 300
        near, dead = image, np.roll(image, 10, axis=1)
        missing = good & (columns != 9)
        for frame, usable, where in ((near, good, p0), (dead, missing, p0 + 10)):
            found = centroid(
                frame, frame, usable, [2.0], [where + 0.2], rows=5, fwhm=3.0
            )  # fmt: skip
            assert found.p[0] == pytest.approx(where, abs=0.004)


def test_where_there_is_no_line_there_is_no_position():
    image = np.full((1, 31), 100.0)
    found = centroid(image, image, np.ones(image.shape, bool), [0.0], [15.0], fwhm=3.0)
    assert found.snr[0] < 1 or np.isnan(found.p[0])
    bad = centroid(image, image, np.zeros(image.shape, bool), [0.0], [15.0], fwhm=3.0)
    assert np.isnan(bad.p[0])
    outside = centroid(image, image, np.ones(image.shape, bool), [0.0], [np.nan], fwhm=3.0)
    assert np.isnan(outside.p[0])


# -- spectra ---------------------------------------------------------------------


def test_a_spectrum_is_the_mean_and_ignores_cosmic_rays():
    instrument, mask = longslit()
    wavelength = true_wavelength(np.array([200.0, 500.0, 900.0]))
    frame = paint(wavelength, [500.0, 2e4, 100.0], seed=3, cosmic_rays=150)
    spectra = arc_spectra(*frame, traces_from_mask(mask, instrument), instrument)
    spectrum = spectra.by_flip[0]["1"]
    clean = paint(wavelength, [500.0, 2e4, 100.0], noise=0.0, cosmic_rays=0)[1].mean(axis=0)
    z = (spectrum.flux - clean) / np.sqrt(spectrum.variance)
    assert spectra.by_flip[0] is spectra.by_flip[1]
    assert np.std(z) == pytest.approx(1.0, abs=0.15)
    assert np.abs(z).max() < 6
    assert spectra.fwhm == pytest.approx(3.05, abs=0.15)
    found = find_peaks(spectrum, spectra.fwhm)
    np.testing.assert_allclose(found.p, true_column(wavelength), atol=0.1)


def test_dead_columns_are_bridged_and_make_no_peaks():
    instrument, mask = longslit()
    image, variance, bad = paint(true_wavelength(np.array([300.0])), [5e3])
    bad[:, 700:703] = True
    image[:, 700:703] = -5e4
    bad[:, 298:303] = True
    image[:, 298:303] = 65535.0
    spectra = arc_spectra(image, variance, bad, traces_from_mask(mask, instrument), instrument)
    spectrum = spectra.by_flip[0]["1"]
    assert not spectrum.good[700:703].any()
    assert spectrum.good.sum() == COLUMNS - 8
    found = find_peaks(spectrum, 3.0)
    assert not np.any(np.abs(found.p - 701) < 20)


def test_tilted_slits_are_straightened_in_the_right_flip_only():
    case = simulated(lamp(), shape=(320, 1024), n_slits=6, arc={"cosmic_rays": 0})
    spectra = arc_spectra(*case.frame, case.traces, case.instrument)
    tilted = [n for n, slit in case.traces.mask.items() if slit.rot and not slit.reference]
    assert tilted
    assert not any(
        slit.reference for n, slit in case.traces.mask.items() if n in spectra.by_flip[0]
    )
    for name in tilted:
        right, wrong = (find_peaks(s[name], spectra.fwhm) for s in spectra.by_flip)
        assert np.sort(right.flux)[-5:].sum() > 1.3 * np.sort(wrong.flux)[-5:].sum()


def test_peaks_lie_where_the_ray_trace_puts_the_lines():
    case = simulated(lamp(), shape=(400, 2048), n_slits=8, arc={"missing": 0.0, "unknown": 0})
    spectra = arc_spectra(*case.frame, case.traces, case.instrument)
    name = "01"
    found = find_peaks(spectra.by_flip[0][name], spectra.fwhm)
    columns = np.arange(2048.0)
    wavelength, _ = case.traces.world(name, columns, case.traces.q(name, 0.5, columns))
    seen = np.isfinite(wavelength)
    series = chebyshev.Chebyshev.fit(wavelength[seen], columns[seen], 7)
    for isolated in (5852.488, 7245.167, 7635.106):
        expected = series(isolated)
        assert np.abs(found.p - expected).min() < 0.08


@pytest.mark.parametrize("rotation", [0.0, 4.0])
def test_lines_that_lean_over_high_rows_are_not_blurred(rotation):
    """Over 41 rows, four times as high as wide, they would lean by 12 px."""
    case = simulated(
        lamp(), kind="longslit", shape=(200, 1024), pixel_scale=(0.3, 1.2),
        line_curvature=1.0, rotation=rotation,
    )  # fmt: skip
    spectra = arc_spectra(*case.frame, case.traces, case.instrument)
    assert spectra.fwhm == pytest.approx(3.3, rel=0.05)
