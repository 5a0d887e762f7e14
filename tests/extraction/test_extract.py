import numpy as np
import pytest
from truth_calibration import small_mos, truth

from specwcs.errors import SpecwcsWarning
from specwcs.extraction import extract
from specwcs.simulate import Detector, example

TILT = 1.0  # degrees; the simulated star of a tilted slit is 0.3 % too bright


def ordinary(observation):
    """Ids of the slits that are neither tilted nor holes."""
    return [k for k, s in observation.mask.items() if not s.reference and abs(s.rot) < TILT]


def expected(observation, spectrum, **star):
    """Counts of the star in each bin."""
    wavelength = spectrum.spectral_axis.value
    electrons = observation.star_electrons(spectrum.meta["slit"], wavelength, **star)
    return electrons * np.gradient(wavelength) / observation.instrument.gain


def inside(observation, spectrum):
    """Bins that are good, off the edges of the passband and the star's lines, which blur."""
    wavelength = spectrum.spectral_axis.value
    low, high = observation.passband
    smooth = (np.abs(wavelength - 6563) > 80) & (np.abs(wavelength - 8200) > 120)
    return smooth & ~spectrum.mask & (wavelength > low + 100) & (wavelength < high - 100)


@pytest.mark.parametrize("direction", ["LR", "RL", "BU", "UB"])
def test_flux_and_position_of_the_star(direction):
    observation = small_mos(direction)
    frame = observation.science(None, position=0.35, lines=0.0)
    slits = ordinary(observation)
    spectra = extract(truth(observation), frame, slits=slits)
    assert [spectrum.meta["slit"] for spectrum in spectra] == slits
    for spectrum in spectra:
        good = inside(observation, spectrum)
        ratio = spectrum.flux.value / expected(observation, spectrum, position=0.35)
        np.testing.assert_allclose(ratio[good], 1, atol=0.002)
        assert good.mean() > 0.8
        assert spectrum.meta["object_t"] == pytest.approx(0.35, abs=0.002)
        low, high = spectrum.meta["t_range"]
        assert low < 0.35 < high


def test_sky_lines_leave_little():
    """Lines ten times as bright as the star: the flux over the spectrum stays."""
    observation = small_mos("LR")
    frame = observation.science(None)
    for spectrum in extract(truth(observation), frame, slits=ordinary(observation)):
        good = inside(observation, spectrum)
        total = spectrum.flux.value[good].sum() / expected(observation, spectrum)[good].sum()
        assert total == pytest.approx(1, abs=0.002)


def test_variance_is_honest():
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    cal, misses = truth(observation), []
    for seed in range(8):
        (spectrum,) = extract(cal, observation.science(seed, lines=0.0), slits=[slit_id])
        good = inside(observation, spectrum)
        miss = (spectrum.flux.value - expected(observation, spectrum))[good]
        misses.append(miss / np.sqrt(spectrum.uncertainty.array[good]))
    assert np.concatenate(misses).std() == pytest.approx(1, abs=0.05)
    assert abs(np.concatenate(misses).mean()) < 0.1


def test_star_near_an_end_has_sky_on_one_side():
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    frame = observation.science(None, position=0.12, lines=0.0)
    (spectrum,) = extract(truth(observation), frame, slits=[slit_id])
    assert spectrum.meta["object_t"] == pytest.approx(0.12, abs=0.01)
    good = inside(observation, spectrum)
    ratio = spectrum.flux.value / expected(observation, spectrum, position=0.12)
    assert 0.9 < np.median(ratio[good]) < 1.001


def test_slope_of_the_sky_is_followed():
    """A sky that grows by a tenth along the slit, star off the centre."""
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    frame = observation.science(None, position=0.35, lines=0.0, continuum=0.0)
    _, t, _ = observation.maps()
    frame.data += 1000 * (1 + 0.1 * np.nan_to_num(t))
    frame.uncertainty.array[...] = np.sqrt(frame.data / 1.5 + (4 / 1.5) ** 2)
    (spectrum,) = extract(truth(observation), frame, slits=[slit_id])
    good = inside(observation, spectrum)
    ratio = spectrum.flux.value / expected(observation, spectrum, position=0.35)
    np.testing.assert_allclose(ratio[good], 1, atol=0.005)


def test_cosmic_rays_in_the_sky_are_left_out():
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    clean = observation.science(5, lines=0.0)
    hit = clean.copy()
    x, y = (np.rint(v).astype(int) for v in observation.pixel(slit_id, 0.8, 7000.0))
    hit.data[y, x] += 30000
    for frame in (clean, hit):
        (spectrum,) = extract(truth(observation), frame, slits=[slit_id])
        sigma = np.sqrt(spectrum.uncertainty.array)
        miss = (spectrum.flux.value - expected(observation, spectrum)) / sigma
        assert np.abs(miss[inside(observation, spectrum)]).max() < 5


def test_bad_pixel_under_the_star_masks_its_bins():
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    frame = observation.science(None, lines=0.0)
    x, y = (np.rint(v).astype(int) for v in observation.pixel(slit_id, 0.4, 7000.0))
    frame.data[y, x] = np.nan
    (spectrum,) = extract(truth(observation), frame, slits=[slit_id])
    masked = spectrum.spectral_axis.value[spectrum.mask]
    near = np.abs(masked - 7000) < 40
    assert 1 <= near.sum() <= 10
    ratio = spectrum.flux.value / expected(observation, spectrum)
    here = np.abs(spectrum.spectral_axis.value - 7000) < 100
    np.testing.assert_allclose(ratio[here], 1, atol=0.01)  # it is bridged along the star


def test_bad_pixel_beside_the_star_masks_nothing():
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    frame = observation.science(None, lines=0.0)
    (clean,) = extract(truth(observation), frame, slits=[slit_id])
    x, y = (np.rint(v).astype(int) for v in observation.pixel(slit_id, 0.8, 7000.0))
    frame.mask[y, x] = True
    (spectrum,) = extract(truth(observation), frame, slits=[slit_id])
    np.testing.assert_array_equal(spectrum.mask, clean.mask)


def test_without_sky_it_is_the_sum_of_the_whole_rows():
    """The light of a slit, from end to end: against the sum of the raw pixels in it."""
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[1]
    cal, flat = truth(observation), observation.flat(1)
    (spectrum,) = extract(cal, flat, sky=False, slits=[slit_id])
    wavelength, t, slit = observation.maps()
    length = np.ptp(observation.pixel(slit_id, np.array([0.0, 1.0]), 7000.0)[1])
    # Pixels whose own ends are in the slit, as well as their centres.
    inside = slit == list(observation.mask).index(slit_id)
    inside &= np.minimum(t, 1 - t) * length >= 0.5
    low, high = spectrum.spectral_axis.value[[100, -100]]
    inside &= (wavelength >= low) & (wavelength < high)
    total = np.nansum(spectrum.flux.value[100:-99])
    assert total == pytest.approx(flat.data[inside].sum(), rel=2e-3)
    variance = flat.uncertainty.array[inside] ** 2
    # Light is shared out between neighbouring bins: each bin's own variance is smaller.
    assert 0.5 < spectrum.uncertainty.array[100:-99].sum() / variance.sum() < 1


def test_slit_without_an_object_is_skipped():
    observation, slits = small_mos("LR"), ordinary(small_mos("LR"))
    with pytest.warns(SpecwcsWarning, match="no object stands out"):
        spectra = extract(truth(observation), observation.science(2, star=0.0), slits=slits)
    assert len(spectra) == 0
    assert list(spectra.skipped) == slits


def test_dark_slit_does_not_stop_the_others():
    observation = example("LR", (320, 640), n_slits=5, detector=Detector(), dark=("05",))
    slits = ordinary(observation)
    with pytest.warns(SpecwcsWarning, match="1 slits skipped: 05"):
        spectra = extract(truth(observation), observation.science(2), slits=slits)
    assert [s.meta["slit"] for s in spectra] == [k for k in slits if k != "05"]


def test_frame_without_uncertainty():
    observation = small_mos("LR")
    frame = observation.science(None)
    frame.uncertainty = None
    (spectrum,) = extract(truth(observation), frame, slits=ordinary(observation)[:1])
    assert spectrum.uncertainty is None
