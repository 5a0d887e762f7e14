import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, StdDevUncertainty
from truth_calibration import small_mos, truth

from specwcs.errors import InputError
from specwcs.extraction import Rectifier, slit_rectifier
from specwcs.inputs import LineCatalog

SHAPE = (90, 160)


def tilted(wavelength, t):
    """A slit 41 to 42 px long, curved and tilted traces and lines, 1.9 to 2.1 Angstrom a px, LR."""
    along = (wavelength - 5000) / 2
    along = along - 2e-4 * along**2
    across = 66 - 41 * t + 0.03 * along
    return along + 6 * t + 8 * (t - 0.5) ** 2, across + 1e-4 * (along - 80) ** 2


def frame(data, variance=None, mask=None):
    sigma = None if variance is None else StdDevUncertainty(np.sqrt(variance))
    return CCDData(data, unit=u.adu, uncertainty=sigma, mask=mask)


def small(**options):
    return Rectifier(tilted, "LR", SHAPE, np.linspace(5010, 5270, 136), **options)


def test_edges_of_bins_may_be_quantities():
    in_nm = np.linspace(501, 527, 136) * u.nm
    wavelength = Rectifier(tilted, "LR", SHAPE, in_nm, keep=False).wavelength
    np.testing.assert_allclose(wavelength, small(keep=False).wavelength, rtol=1e-12)


def density(wavelength, t):
    """Light, per Angstrom and unit of t: smooth on the scale of pixels."""
    line = np.exp(-0.5 * ((wavelength - 5140) / 8.0) ** 2)
    return 100 * (2 + np.sin(wavelength / 15) + line) * np.exp(-0.5 * ((t - 0.45) / 0.12) ** 2)


def image_of(light, pixel, shape):
    """Image of smooth light: its density at each pixel's centre, by the Jacobian there."""
    y, x = np.indices(shape, float)
    wavelength, t = np.full(shape, 5150.0), np.full(shape, 0.5)
    for _ in range(20):  # Newton's method
        (fx, fy), (wx, wy), (tx, ty) = _derivatives(pixel, wavelength, t)
        determinant = wx * ty - wy * tx
        dx, dy = x - fx, y - fy
        wavelength = wavelength + (dx * ty - dy * tx) / determinant
        t = t + (wx * dy - wy * dx) / determinant
    return light(wavelength, t) / np.abs(determinant)


def _derivatives(pixel, wavelength, t):
    here = np.array(pixel(wavelength, t))
    by_wavelength = (np.array(pixel(wavelength + 1e-4, t)) - here) / 1e-4
    by_t = (np.array(pixel(wavelength, t + 1e-6)) - here) / 1e-6
    return here, by_wavelength, by_t


def test_bins_hold_the_light_of_their_wavelengths_and_positions():
    """Against the integral of the light, which no pixel is involved in."""
    rectifier = small()
    result = rectifier.apply(frame(image_of(density, tilted, SHAPE)))
    bin_size = np.diff(rectifier.wavelength)[0] * -np.diff(rectifier.t)[0]
    expected = density(rectifier.wavelength, rectifier.t[:, np.newaxis]) * bin_size
    good = ~result.mask
    assert good.mean() > 0.85
    np.testing.assert_allclose(result.data[good], expected[good], atol=2e-3 * expected.max())


def test_nicks_of_a_slit_are_straightened():
    """Truth as above: the light of all rows but those beside a nick's kinks, where rows mix."""
    nicks = np.zeros(9)
    nicks[[3, 6]] = 0.8, -0.5

    def nicked(wavelength, t):
        x, y = tilted(wavelength, t)
        return x + np.interp(t, np.linspace(0, 1, 9), nicks), y

    image = frame(image_of(density, nicked, SHAPE))
    rectifier = small(roughness=nicks)
    bin_size = np.diff(rectifier.wavelength)[0] * -np.diff(rectifier.t)[0]
    expected = density(rectifier.wavelength, rectifier.t[:, np.newaxis]) * bin_size
    result = rectifier.apply(image)
    good = ~result.mask
    assert good.mean() > 0.85
    np.testing.assert_allclose(result.data[good], expected[good], atol=4e-3 * expected.max())
    again = rectifier.of(tilted, nicks).apply(image)
    assert np.array_equal(again.data, result.data, equal_nan=True)
    smooth = small().apply(image)
    assert np.max(np.abs(smooth.data - expected)[good]) > 0.02 * expected.max()


def test_flux_is_conserved_to_the_last_digits():
    rng = np.random.default_rng(1)
    y, x = np.indices(SHAPE)
    inside = (x > 20) & (x < 120) & (np.abs(y - 66 + 20.5 - 0.03 * x) < 10)
    data = np.where(inside, rng.uniform(0, 60000, SHAPE), 0)
    result = small().apply(frame(data))
    assert np.nansum(result.data) == pytest.approx(data.sum(), rel=1e-12)


@pytest.mark.parametrize("width", [0.4, 1.0, 3.7])
def test_flux_is_conserved_on_any_grid(width):
    edges = np.linspace(5010, 5270, int(130 / width))
    data = np.zeros(SHAPE)
    data[40:50, 60:70] = np.random.default_rng(2).uniform(size=(10, 10))
    result = Rectifier(tilted, "LR", SHAPE, edges).apply(frame(data))
    assert np.nansum(result.data) == pytest.approx(data.sum(), rel=1e-12)


def test_position_descends_and_row_0_is_the_right_end():
    rectifier = small()
    assert rectifier.t[0] > 0.98
    assert rectifier.t[-1] < 0.02
    assert len(rectifier.t) == 42
    data = np.zeros(SHAPE)
    x, y = (int(np.round(v)) for v in tilted(5140.0, 0.2))
    data[y, x] = 1.0
    row, column = np.unravel_index(np.nanargmax(small().apply(frame(data)).data), (42, 135))
    assert rectifier.t[row] == pytest.approx(0.2, abs=0.02)
    assert rectifier.wavelength[column] == pytest.approx(5140, abs=2)


def test_variance_is_that_of_many_exposures():
    rng = np.random.default_rng(7)
    rectifier = small()
    variance = rng.uniform(1, 25, SHAPE)
    weights = rng.uniform(-1, 1, (42, 135))
    first = rectifier.apply(frame(np.zeros(SHAPE), variance))
    good = np.isfinite(first.data)
    weights[~good] = 0
    sums, squares, n = [], np.zeros(good.shape), 300
    for _ in range(n):
        data = rectifier.apply(frame(rng.normal(0, np.sqrt(variance)))).data
        squares += np.where(good, data, 0) ** 2
        sums.append((weights * np.where(good, data, 0)).sum(axis=0))
    ratio = squares[good] / n / first.variance[good]
    assert ratio.mean() == pytest.approx(1, abs=0.01)
    assert ratio.std() == pytest.approx(np.sqrt(2 / n), rel=0.1)
    of_sum = rectifier.variance_of_sum(frame(np.zeros(SHAPE), variance), weights)
    columns = of_sum > 0
    assert (np.var(sums, axis=0)[columns] / of_sum[columns]).mean() == pytest.approx(1, abs=0.03)


def test_variance_of_one_bin_is_that_of_the_image():
    rectifier = small()
    exposure = frame(np.zeros(SHAPE), np.random.default_rng(1).uniform(1, 9, SHAPE))
    weights = np.zeros((42, 135))
    weights[17] = 1
    of_sum = rectifier.variance_of_sum(exposure, weights)
    np.testing.assert_allclose(of_sum, rectifier.apply(exposure).variance[17])


def test_mask_is_what_a_bad_pixel_changes():
    """All bins that the value of the pixel would change are masked, and no others."""
    rectifier = small()
    data = np.random.default_rng(4).normal(100, 5, SHAPE)
    other, bad = data.copy(), np.zeros(SHAPE, bool)
    other[45, 70] += 1000
    bad[45, 70] = True
    plain = rectifier.apply(frame(data))
    changed = np.abs(rectifier.apply(frame(other)).data - plain.data) > 1e-9
    masked = rectifier.apply(frame(data, mask=bad))
    assert 9 < changed.sum() < 40
    np.testing.assert_array_equal(masked.mask, plain.mask | changed)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_value_of_a_bad_pixel_does_not_spread(value):
    data = np.tile(np.linspace(100, 200, SHAPE[1]), (SHAPE[0], 1))
    bad = np.zeros(SHAPE, bool)
    bad[40:44, 70] = True
    result = small().apply(frame(np.where(bad, value, data), np.ones(SHAPE), bad))
    clean = small().apply(frame(data, np.ones(SHAPE)))
    np.testing.assert_allclose(result.data, clean.data, rtol=1e-9)
    np.testing.assert_allclose(result.variance, clean.variance, rtol=1e-9)
    assert result.mask.sum() > clean.mask.sum()


def test_nan_is_bad_without_a_mask():
    data = np.ones(SHAPE)
    data[45, 70] = np.nan
    result = small().apply(frame(data))
    assert result.mask.sum() > small().apply(frame(np.ones(SHAPE))).mask.sum()


def test_rows_cut_by_the_ends_are_masked():
    """The raw rows that the slit's ends cut are read by no unmasked bin's own area."""
    rectifier = small()
    result = rectifier.apply(frame(np.ones(SHAPE)))
    column = 67
    _, q = tilted(rectifier.wavelength[column], np.array([0.0, 1.0]))
    half = 0.5 / 42
    _, upper = tilted(rectifier.wavelength[column], rectifier.t - half)
    _, lower = tilted(rectifier.wavelength[column], rectifier.t + half)
    cut_low, cut_high = np.floor(q[1] + 0.5), np.floor(q[0] + 0.5)
    reads_cut = (lower < cut_low + 0.5) | (upper > cut_high - 0.5)
    np.testing.assert_array_equal(result.mask[:, column], reads_cut)
    assert 2 <= reads_cut.sum() <= 4


def test_beyond_the_detector_is_nan_never_zero():
    def half_off(wavelength, t):
        x, y = tilted(wavelength, t)
        return x - 60, y + 40

    edges = np.linspace(5010, 5270, 136)
    rectifier = Rectifier(half_off, "LR", SHAPE, edges)
    result = rectifier.apply(frame(np.full(SHAPE, 10.0), np.ones(SHAPE)))
    x, y = half_off(rectifier.wavelength, rectifier.t[:, np.newaxis])
    outside = (x < -0.5) | (y > SHAPE[0] - 0.5)
    well_inside = (x > 4) & (y < SHAPE[0] - 4)
    assert np.isnan(result.data[outside]).all()
    assert result.mask[outside].all()
    assert np.isnan(result.variance[outside]).all()
    assert np.isfinite(result.data[well_inside]).all()
    assert np.nanmin(result.data) > 8
    assert outside.any()
    assert well_inside.any()


def test_keeping_the_operator_changes_nothing():
    exposure = frame(image_of(density, tilted, SHAPE), np.ones(SHAPE))
    kept, fresh = small(keep=True).apply(exposure), small(keep=False).apply(exposure)
    np.testing.assert_array_equal(kept.data, fresh.data)
    np.testing.assert_array_equal(kept.variance, fresh.variance)


def test_frame_is_not_changed():
    data, variance = np.ones(SHAPE), np.full(SHAPE, 4.0)
    data[45, 70] = np.nan
    exposure = frame(data.copy(), variance)
    small().apply(exposure)
    np.testing.assert_array_equal(exposure.data, data)
    np.testing.assert_array_equal(exposure.uncertainty.array, 2.0)


def test_unit_and_missing_uncertainty():
    result = small().apply(CCDData(np.ones(SHAPE), unit=u.electron))
    assert result.unit == u.electron
    assert result.variance is None


@pytest.mark.parametrize("shift", [(0, 500), (0, -500), (900, 0), (-900, 0)])
def test_slit_off_the_detector_is_told(shift):
    def away(wavelength, t):
        x, y = tilted(wavelength, t)
        return x + shift[0], y + shift[1]

    with pytest.raises(InputError, match="falls off the detector"):
        Rectifier(away, "LR", SHAPE, np.linspace(5010, 5270, 136)).apply(frame(np.ones(SHAPE)))


def test_huge_slit_is_told():
    def huge(wavelength, t):
        return tilted(wavelength, 1e5 * t)

    with pytest.raises(InputError, match="px long on a frame of 90"):
        Rectifier(huge, "LR", SHAPE, np.linspace(5010, 5270, 136))


def test_wrong_frames_are_told():
    with pytest.raises(InputError, match=r"shape is \(160, 90\). Must be \(90, 160\)"):
        small().apply(frame(np.ones(SHAPE[::-1])))
    with pytest.raises(InputError, match="no good pixel"):
        small().apply(frame(np.full(SHAPE, np.nan)))


def straightness(rectifier, arc, lines):
    """Departures of isolated lines from their wavelengths, px, over the rows of a slit."""
    data = rectifier.apply(arc).data
    step = np.diff(rectifier.wavelength)[0]
    offsets = np.arange(-8, 9)
    misses = []
    for line in lines:
        place = (line - rectifier.wavelength[0]) / step
        if not 10 < place < len(rectifier.wavelength) - 10:
            continue
        cut = data[10:-10, round(place) + offsets]
        misses.append(cut @ offsets / cut.sum(axis=1) + round(place) - place)
    return np.array(misses)


@pytest.mark.parametrize("direction", ["LR", "RL", "BU", "UB"])
def test_lines_are_straight(direction):
    """With the true geometry, to 0.001 px rms along the slit, tilted slits too."""
    observation = small_mos(direction)
    lines = np.arange(5150.0, 9100, 240)
    arc = observation.arc(_catalog(lines), None)
    scatter = []
    for slit_id in observation.mask:
        rectifier = slit_rectifier(truth(observation), slit_id)
        if len(rectifier.t) < 25:  # the reference hole
            continue
        misses = straightness(rectifier, arc, lines)
        misses = misses[np.isfinite(misses).all(axis=1)]
        assert len(misses) >= 8
        scatter.append(np.std(misses - misses.mean(axis=1, keepdims=True)))
        assert np.abs(misses).max() < 0.005
    assert len(scatter) == 4
    assert max(scatter) < 0.001


def test_a_bent_trace_is_resampled_as_a_straight_one():
    """A short slit that drifts across the frame by thrice its length: bins hold their light."""

    def bent(wavelength, t):
        x, y = tilted(wavelength, t)
        return x, 0.4 * y + 2e-3 * (x - 30) ** 2 / 1.5

    rectifier = Rectifier(bent, "LR", SHAPE, np.linspace(5010, 5270, 136))
    result = rectifier.apply(frame(image_of(density, bent, SHAPE)))
    bin_size = np.diff(rectifier.wavelength)[0] * -np.diff(rectifier.t)[0]
    expected = density(rectifier.wavelength, rectifier.t[:, np.newaxis]) * bin_size
    good = ~result.mask
    assert good.mean() > 0.6
    np.testing.assert_allclose(result.data[good], expected[good], atol=5e-3 * expected.max())


def _catalog(lines):

    n = len(lines)
    return LineCatalog(lines, np.full(n, "line"), np.ones(n, int), np.ones(n), "air")
