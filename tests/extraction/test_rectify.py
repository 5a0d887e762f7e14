from copy import copy
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from truth_calibration import small_mos, truth

from specwcs.errors import InputError, SpecwcsWarning
from specwcs.extraction import rectify


@pytest.fixture(scope="module")
def observation():
    return small_mos("LR")


@pytest.fixture(scope="module")
def flat(observation):
    return observation.flat(3)


def science_ids(observation):
    return [slit_id for slit_id, slit in observation.mask.items() if not slit.reference]


def test_every_slit_but_the_reference_ones(observation, flat):
    images = rectify(truth(observation), flat)
    assert list(images) == science_ids(observation)
    assert images.skipped == {}


def test_what_is_kept_instead_of_an_image(observation, flat):
    images = rectify(truth(observation), flat)
    sums = rectify(truth(observation), flat, keep=lambda image: np.nansum(image.flux.value))
    assert sums == {key: np.nansum(image.flux.value) for key, image in images.items()}


def test_what_an_image_carries(observation, flat):
    slit_id = science_ids(observation)[1]
    image = rectify(truth(observation), flat, slits=[slit_id])[slit_id]
    assert image.flux.unit == flat.unit
    assert image.spectral_axis.unit == u.AA
    assert image.uncertainty.uncertainty_type == "var"
    assert image.mask.dtype == bool
    assert image.meta["slit"] == slit_id
    assert image.meta["medium"] == "air"
    assert image.flux.shape == (len(image.meta["t"]), len(image.spectral_axis))


def test_reference_slit_on_request(observation, flat):
    (reference,) = set(observation.mask) - set(science_ids(observation))
    assert list(rectify(truth(observation), flat, slits=[reference])) == [reference]


def test_native_grid_fits_the_raw_pixels(observation, flat):
    """Bins are at most as wide as a raw pixel, and cover what is on the detector."""
    cal = truth(observation)
    for slit_id, image in rectify(cal, flat).items():
        wavelength = image.spectral_axis.value
        x, y = observation.pixel(slit_id, np.array([[0.0], [1.0]]), wavelength)
        assert 0.99 < np.diff(x).max() < 1.001
        lengths = np.abs(np.diff(y, axis=0)) / len(image.meta["t"])
        assert 0.9 < lengths.min() <= lengths.max() < 1.001
        n = flat.shape[1]
        passed = observation.passband
        assert x.min() < 2 or wavelength[0] < passed[0] + 10
        assert x.max() > n - 3 or wavelength[-1] > passed[1] - 10


def test_one_grid_for_all_slits(observation, flat):
    grid = np.linspace(0.55, 0.85, 400) * u.um
    images = rectify(truth(observation), flat, wavelength=grid)
    assert len(images) == 4
    for image in images.values():
        np.testing.assert_allclose(image.spectral_axis.to_value("um"), grid.value)


def test_uneven_grid_holds_the_same_light(observation, flat):
    cal, slit_id = truth(observation), science_ids(observation)[2]
    even = np.linspace(6000, 8000, 301)
    uneven = np.concatenate([even[:100], even[100::3]])
    sums = [
        np.nansum(rectify(cal, flat, [slit_id], grid * u.AA)[slit_id].flux.value[5:-5])
        for grid in (even, uneven)
    ]
    # The last bins reach beyond the last centre by half a bin: 3 px of light, of 300.
    assert sums[1] / sums[0] == pytest.approx(1, abs=0.006)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (lambda x, y, _w, _t: (np.nan * x, y), "not finite"),
        (lambda x, y, _w, _t: (x + 5000, y), "off the detector"),
        (lambda x, y, _w, _t: (x, y + 5000), "off the detector"),
        (lambda x, y, _w, t: (x, y.mean() - t), "1 px long"),
        (lambda x, y, _w, t: (x, y - 1e6 * t), "px long"),
        (lambda x, y, w, _t: (x + 0.1 * (w - 7000), y[..., ::-1] + 0 * w), "folds|varies too"),
        (lambda x, y, _w, _t: (320 + 0 * x, y), "not monotonic"),
    ],
)
def test_faulty_slit_is_skipped_with_its_reason(observation, flat, fault, reason):
    cal, faulty = truth(observation), science_ids(observation)[0]
    sound = cal.geometry

    def geometry(slit_id):
        true = sound(slit_id)
        if slit_id != faulty:
            return true

        def pixel(wavelength, t):
            x, y = true.pixel(wavelength, t)
            return fault(x, y, wavelength, t)

        return SimpleNamespace(pixel=pixel, dispersion=true.dispersion)

    cal.geometry = geometry
    with pytest.warns(SpecwcsWarning, match=f"1 slits skipped: {faulty}: .*({reason})"):
        images = rectify(cal, flat)
    assert list(images.skipped) == [faulty]
    assert list(images) == science_ids(observation)[1:]


def test_uncalibrated_slit_is_skipped_with_its_reason(observation, flat):
    cal, faulty = truth(observation), science_ids(observation)[2]
    cal.slits[faulty] = SimpleNamespace(flag="no lines", reason="3 lines found, 6 are needed")
    with pytest.warns(SpecwcsWarning, match="3 lines found"):
        images = rectify(cal, flat)
    assert images.skipped == {faulty: "3 lines found, 6 are needed"}
    assert len(images) == 3


def test_slit_of_bad_pixels_is_skipped(observation, flat):
    bad = flat.copy()
    slit_id = science_ids(observation)[0]
    _, y = observation.pixel(slit_id, np.array([0.0, 1.0]), 7000.0)
    bad.mask[int(y[1]) - 15 : int(y[0]) + 15] = True
    with pytest.warns(SpecwcsWarning, match="good pixel|masked"):
        images = rectify(truth(observation), bad, slits=[slit_id])
    assert images == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slits": ["01", "x9"]}, "unknown slit 'x9'. Must be one of 01, 02"),
        ({"slits": "x9"}, "unknown slit 'x9'"),
        ({"wavelength": np.arange(5000, 6000)}, "units of length"),
        ({"wavelength": np.arange(5, 6) * u.s}, "units of length"),
        ({"wavelength": [6000, 5000] * u.AA}, "Must be ascending"),
        ({"wavelength": [5000, 5000] * u.AA}, "Must be ascending"),
        ({"wavelength": [np.nan, 5000] * u.AA}, "Must be ascending"),
        ({"wavelength": [5000, np.inf] * u.AA}, "Must be ascending"),
        ({"wavelength": [5000] * u.AA}, "Must be ascending"),
        ({"wavelength": 5000 * u.AA}, "Must be ascending"),
    ],
)
def test_wrong_arguments(observation, flat, arguments, message):
    with pytest.raises(InputError, match=message):
        rectify(truth(observation), flat, **arguments)


def test_frame_of_another_detector(observation, flat):
    with pytest.raises(InputError, match=r"shape is \(319, 640\)"):
        rectify(truth(observation), flat[1:])


# -- kernels, densities, stacks ----------------------------------------------------------


def test_density_is_flux_by_the_width_of_its_bins(observation, flat):
    cal, slit_id = truth(observation), science_ids(observation)[1]
    grid = np.cumsum(np.linspace(4, 8, 300)) + 5500
    counts, density = (
        rectify(cal, flat, [slit_id], grid * u.AA, density=d)[slit_id] for d in (False, True)
    )
    assert density.flux.unit == flat.unit / u.AA
    width = np.gradient(grid)[5:-5]
    ratio = counts.flux.value[20, 5:-5] / density.flux.value[20, 5:-5]
    np.testing.assert_allclose(ratio, width, rtol=0.01)
    ratio = counts.uncertainty.array[20, 5:-5] / density.uncertainty.array[20, 5:-5]
    np.testing.assert_allclose(ratio, width**2, rtol=0.02)


def test_linear_kernel_never_rings(observation):
    cal, slit_id = truth(observation), science_ids(observation)[1]
    frame = observation.flat(None)
    frame.data[...] = 0.0
    x, y = (int(v) for v in observation.pixel(slit_id, 0.5, 7000.0))
    frame.data[y, x] = 1000.0
    linear = rectify(cal, frame, [slit_id], kernel="linear")[slit_id].flux.value
    cubic = rectify(cal, frame, [slit_id])[slit_id].flux.value
    assert np.nanmin(linear) >= 0
    assert np.nanmin(cubic) < -10
    assert np.nansum(linear) == pytest.approx(1000, rel=1e-9)
    assert np.nansum(cubic) == pytest.approx(1000, rel=1e-9)
    with pytest.raises(InputError, match=r"kernel is 'square'. Must be one of linear, cubic"):
        rectify(cal, frame, [slit_id], kernel="square")


def test_correlation_is_that_of_white_noise(observation):
    cal, slit_id = truth(observation), science_ids(observation)[0]
    frame = observation.flat(None)
    frame.data[...] = np.random.default_rng(1).normal(size=frame.shape)
    image = rectify(cal, frame, [slit_id])[slit_id]
    noise = np.where(image.mask, np.nan, image.flux.value)
    noise /= np.sqrt(rectify(cal, _unit_noise(frame), [slit_id])[slit_id].uncertainty.array)
    correlation = image.meta["correlation"]
    assert correlation[0, 0] == pytest.approx(1)
    assert np.nanmean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(correlation[0, 1], abs=0.02)
    assert np.nanmean(noise[1:] * noise[:-1]) == pytest.approx(correlation[1, 0], abs=0.02)


def _unit_noise(frame):
    frame = frame.copy()
    frame.uncertainty.array[...] = 1.0
    return frame


def test_exposures_are_averaged_without_their_bad_pixels(observation):
    cal, slit_id = truth(observation), science_ids(observation)[1]
    frames = [observation.science(seed) for seed in (1, 2, 3)]
    x, y = (int(v) for v in observation.pixel(slit_id, 0.5, 7000.0))
    frames[1].data[y, x], frames[1].mask[y, x] = 60000.0, True
    alone = [rectify(cal, frame, [slit_id])[slit_id] for frame in frames]
    stack = rectify(cal, frames, [slit_id])[slit_id]
    good = np.array([~image.mask for image in alone])
    data = np.array([image.flux.value for image in alone])
    mean = np.where(good, data, 0).sum(axis=0) / np.maximum(good.sum(axis=0), 1)
    np.testing.assert_allclose(stack.flux.value[~stack.mask], mean[~stack.mask])
    assert np.any(good.sum(axis=0) == 2)
    np.testing.assert_array_equal(stack.mask, ~good.any(axis=0))
    three = good.all(axis=0)
    variance = sum(image.uncertainty.array for image in alone) / 9
    np.testing.assert_allclose(stack.uncertainty.array[three], variance[three])


def test_exposures_that_moved_are_resampled_once_to_one_grid(observation):
    """The second exposure is 2.3 px off along the dispersion; its calibration knows."""
    cal, slit_id = truth(observation), science_ids(observation)[0]
    frame = observation.science(None)
    moved = frame.copy()
    moved.data = np.roll(frame.data, 3, axis=1)
    other = truth(observation)
    sound = other.geometry

    def geometry(slit_id):
        true = sound(slit_id)
        return SimpleNamespace(
            pixel=lambda w, t: (true.pixel(w, t)[0] + 3.0, true.pixel(w, t)[1]),
            dispersion=true.dispersion,
        )

    other.geometry = geometry
    single = rectify(cal, frame, [slit_id])[slit_id]
    stack = rectify([cal, other], [frame, moved], [slit_id])[slit_id]
    both = ~single.mask & ~stack.mask
    both[:, :6] = both[:, -6:] = False
    np.testing.assert_allclose(stack.flux.value[both], single.flux.value[both], rtol=1e-6)
    with pytest.raises(InputError, match="2 calibrations for 1 frames"):
        rectify([cal, other], [frame], [slit_id])


@pytest.mark.parametrize("order", [1, -1])
def test_each_exposure_counts_where_its_own_calibration_is_known(observation, order):
    """That of the second knows the slit 400 A less far: beyond, the first alone is seen."""
    cal, slit_id = truth(observation), science_ids(observation)[0]
    frame, other = observation.science(None), truth(observation)
    brighter, sound = frame.copy(), other.geometry
    brighter.data = 3 * frame.data

    def geometry(slit_id):
        true = sound(slit_id)
        low, high = true.dispersion.wavelength_domain
        dispersion = copy(true.dispersion)
        dispersion.wavelength_domain = (low, high - 400.0)
        return SimpleNamespace(pixel=true.pixel, dispersion=dispersion)

    other.geometry = geometry
    single = rectify(cal, frame, [slit_id])[slit_id]
    cals, frames = [cal, other][::order], [frame, brighter][::order]
    stack = rectify(cals, frames, [slit_id], wavelength=single.spectral_axis)[slit_id]
    single = rectify(cal, frame, [slit_id], wavelength=single.spectral_axis)[slit_id]
    wavelength, both = single.spectral_axis.value, ~single.mask & ~stack.mask
    end = cal.geometry(slit_id).dispersion.wavelength_domain[1] - 400.0
    for part, ratio in ((wavelength < end - 5, 2.0), (wavelength > end + 5, 1.0)):
        seen = both & part
        assert seen.sum() > 100
        np.testing.assert_allclose(stack.flux.value[seen], ratio * single.flux.value[seen])
