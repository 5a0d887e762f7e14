from copy import copy
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import CCDData, StdDevUncertainty
from scipy.special import gamma
from sky_cases import STAR, night, pixels_of
from sky_cases import expected as sky_expected
from truth_calibration import small_mos, truth

from specwcs.errors import InputError, SpecwcsWarning
from specwcs.extraction import extract, reduce_frame
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


@pytest.mark.parametrize("options", [{}, {"method": "boxcar"}, {"sky": False}])
def test_where_known_wavelengths_end_no_light_is_lost_unsaid(options):
    """Of a tilted line some rows are known, and some are not."""
    observation = small_mos("LR")
    slit_id = max(observation.mask, key=lambda key: abs(observation.mask[key].rot))
    cal, frame = truth(observation), observation.science(None, lines=0.0)
    options |= {"slits": [slit_id], "wavelength": np.arange(6600, 7400, 3.0) * u.AA}
    (whole,) = extract(cal, frame, **options)
    known, narrow = cal.geometry(slit_id), copy(cal)
    known.dispersion = SimpleNamespace(wavelength_domain=(6800.0, 7200.0), rough=False)
    narrow.geometry = {slit_id: known}.get
    (part,) = extract(narrow, frame, **options)
    good = ~part.mask
    assert 0.4 < good.mean() < 0.6
    np.testing.assert_allclose(part.flux.value[good], whole.flux.value[good], rtol=0.12)


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


# -- noise, methods, objects -----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["LR", "UB"])
def test_faint_star_is_as_good_as_the_light_allows(direction):
    """Against the noise of an ideal weighting with the sky known; variance against the truth."""
    case = night(direction)
    square, noise = [], {}
    for seed in range(4):
        frame = case.observation.science(seed, **STAR)
        for spectrum in extract(case.cal, frame, slits=case.slits):
            counts, good = sky_expected(case, spectrum)
            miss = spectrum.flux.value - counts
            square.append((miss**2 / spectrum.uncertainty.array)[good])
            slit_id, block = spectrum.meta["slit"], 8
            n = len(miss) // block
            edges = np.append(spectrum.spectral_axis.value[: n * block : block], np.inf)
            inside, _, _ = pixels_of(case, slit_id)
            bins = np.digitize(case.wavelength[inside], edges) - 1
            share = (case.star**2 / case.variance)[inside]
            known = np.bincount(bins[bins >= 0], share[bins >= 0], n)[:n]
            part = np.where(good, miss / counts, np.nan)[: n * block].reshape(n, block)
            noise.setdefault(slit_id, []).append(part.mean(axis=1) * np.sqrt(known))
    assert np.concatenate(square).mean() == pytest.approx(1, abs=0.05)
    ratio = [1.4826 * np.nanmedian(np.abs(blocks)) for blocks in noise.values()]
    assert np.median(ratio) <= 1.2


def test_boxcar_sums_what_optimal_weighs():
    observation, slits = small_mos("LR"), ordinary(small_mos("LR"))
    cal, frame = truth(observation), observation.science(1, lines=0.0)
    for one, two in zip(
        extract(cal, frame, slits=slits),
        extract(cal, frame, slits=slits, method="boxcar"),
        strict=True,
    ):
        good = inside(observation, one) & ~two.mask
        assert two.flux.value[good].sum() == pytest.approx(one.flux.value[good].sum(), rel=3e-3)
        assert np.median(two.uncertainty.array[good] / one.uncertainty.array[good]) > 1


def test_two_objects_are_told_apart():
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    frame = observation.science(None, position=0.3)
    frame.data += observation.science(None, position=0.7, star=400.0, lines=0, continuum=0).data
    spectra = extract(truth(observation), frame, slits=[slit_id])
    assert [spectrum.meta["object"] for spectrum in spectra] == [1, 2]
    for spectrum, (t, star) in zip(spectra, ((0.3, 2000.0), (0.7, 400.0)), strict=True):
        assert spectrum.meta["object_t"] == pytest.approx(t, abs=0.01)
        good = inside(observation, spectrum)
        ratio = spectrum.flux.value / expected(observation, spectrum, position=t, star=star)
        assert np.median(ratio[good]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("t", "error"), [(0.5, 0.02), (0.53, 0.004)])
def test_the_profile_of_an_object_is_not_made_up_where_another_is(t, error):
    """Two bright stars 8 and 10 px apart: each is seen on one side only."""
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    stars = {0.35: 6000.0, t: 4200.0}
    frame = observation.science(7, position=0.35, star=stars[0.35])
    frame.data += observation.science(None, position=t, star=stars[t], lines=0, continuum=0).data
    spectra = extract(truth(observation), frame, slits=[slit_id])
    assert len(spectra) == 2
    for spectrum, (place, star) in zip(spectra, stars.items(), strict=True):
        assert spectrum.mask.mean() < 0.02
        good = inside(observation, spectrum)
        ratio = spectrum.flux.value / expected(observation, spectrum, position=place, star=star)
        assert np.median(ratio[good]) == pytest.approx(1, abs=error)


def test_given_positions_are_extracted_and_no_others():
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    frame = observation.science(2, position=0.4)
    spectra = extract(truth(observation), frame, slits=[slit_id], objects={slit_id: [0.8, 0.4]})
    assert spectra[0].meta["object_t"] == 0.8
    empty, star = (s.flux.value[inside(observation, s)] for s in spectra)
    assert abs(np.median(empty)) < 0.01 * np.median(star)


def test_a_bent_trace_is_followed():
    """A star that drifts by 3 px along the slit, as the atmosphere refracts."""
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    frame = observation.science(None, lines=0.0)
    cal = truth(observation)
    sound = cal.geometry

    def geometry(name):
        true = sound(name)

        def drift(w):
            return 1.5 * (np.asarray(w) - 7000) / 2000

        return SimpleNamespace(
            pixel=lambda w, t: (true.pixel(w, t)[0], true.pixel(w, t)[1] + drift(w)),
            world=lambda x, y: _moved_world(true, x, y, drift),
            dispersion=true.dispersion,
        )

    cal.geometry = geometry
    (spectrum,) = extract(cal, frame, slits=[slit_id])
    good = inside(observation, spectrum)
    ratio = spectrum.flux.value / expected(observation, spectrum)
    np.testing.assert_allclose(ratio[good], 1, atol=0.02)


def _moved_world(true, x, y, drift):
    wavelength, t = true.world(x, y)
    for _ in range(4):
        wavelength, t = true.world(x, y - drift(wavelength))
    return wavelength, t


def test_linear_widths_do_not_change_the_flux():
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    frame, cal = observation.science(None, lines=0.0), truth(observation)
    for step in (2.0, 5.0, 20.0):
        grid = np.arange(5200.0, 6400.0, step) * u.AA
        (spectrum,) = extract(cal, frame, slits=[slit_id], wavelength=grid)
        ratio = spectrum.flux.value / expected(observation, spectrum)
        np.testing.assert_allclose(ratio[2:-2], 1, atol=0.004)


def test_neighbouring_bins_share_pixels():
    observation, slit_id = small_mos("LR"), ordinary(small_mos("LR"))[0]
    cal = truth(observation)
    misses = []
    for seed in range(12):
        (spectrum,) = extract(cal, observation.science(seed, lines=0.0), slits=[slit_id])
        miss = spectrum.flux.value - expected(observation, spectrum)
        misses.append((miss / np.sqrt(spectrum.uncertainty.array))[inside(observation, spectrum)])
    seen = np.mean([np.mean(m[1:] * m[:-1]) for m in misses])
    assert seen == pytest.approx(spectrum.meta["correlation"], abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "method is 'magic'. Must be one of optimal, boxcar"),
        ({"objects": {"x9": [0.5]}}, "unknown slit 'x9'"),
        ({"objects": {"01": [1.5]}}, "an object at t = 1.5"),
        ({"wavelength": [2, 1] * u.AA}, "Must be ascending"),
    ],
)
def test_options_that_cannot_be(options, message):
    observation = small_mos("LR")
    with pytest.raises(InputError, match=message):
        extract(truth(observation), observation.science(None), **options)


def star_profile(x, beta):
    """Light of a star in a px, x FWHM of 9 px away: Moffat, or Gaussian."""
    if not beta:
        return np.exp(-4 * np.log(2) * x**2) / (9.0 * np.sqrt(np.pi / (4 * np.log(2))))
    width = 4 * (2 ** (1 / beta) - 1)
    area = np.sqrt(np.pi / width) * gamma(beta - 0.5) / gamma(beta)
    return (1 + width * x**2) ** -beta / (9.0 * area)


def test_wings_of_a_star_are_not_taken_for_sky():
    """In slits of 5 to 7 FWHM they are on all of it; a Gaussian has none."""
    case, flux = night("LR"), {}
    detector = case.observation.detector
    for beta in (0, 3.0):
        total, share = case.sky.copy(), {}
        for slit_id in case.slits:
            inside, off, _ = pixels_of(case, slit_id)
            total[inside] += 2000.0 * star_profile(off[inside] / 9.0, beta)
            whole = np.linspace(off[inside].min(), off[inside].max(), 2000)
            share[slit_id] = np.mean(star_profile(whole / 9.0, beta)) * np.ptp(whole)
        variance = total / detector.gain + (detector.read_noise / detector.gain) ** 2
        noise = np.random.default_rng(1).normal(size=total.shape) * np.sqrt(variance)
        variance = np.maximum(variance + noise / detector.gain, 1.0)
        frame = CCDData(total + noise, unit="adu", uncertainty=StdDevUncertainty(np.sqrt(variance)))
        for spectrum in reduce_frame(case.cal, frame, slits=case.slits).spectra:
            _, good = sky_expected(case, spectrum)
            slit_id = spectrum.meta["slit"]
            flux[slit_id, beta] = np.sum(spectrum.flux.value[good]) / share[slit_id]
    for slit_id in case.slits:
        shorter = slit_id == "06"  # by a third, of which the star's wings fall off at one end
        ratio = flux[slit_id, 3.0] / flux[slit_id, 0]
        assert ratio == pytest.approx(1, abs=0.015 if shorter else 0.004)


def test_the_variance_may_be_that_of_the_light_expected():
    """Not of the noisy values: a pixel whose noise is above it has no less variance for that."""
    case = night("LR")
    total = {}
    for known in ("seen", "expected"):
        frame = case.observation.science(3, **STAR)
        if known == "expected":
            frame.uncertainty = StdDevUncertainty(np.sqrt(case.variance))
        for spectrum in reduce_frame(case.cal, frame, slits=case.slits).spectra:
            _, good = sky_expected(case, spectrum)
            total[spectrum.meta["slit"], known] = np.sum(spectrum.flux.value[good])
    for slit_id in case.slits:
        assert total[slit_id, "expected"] == pytest.approx(total[slit_id, "seen"], rel=0.015)
