import numpy as np
import pytest
from sky_cases import STAR, cosmic_rays, expected, night, pixels_of, unevenly_lit
from truth_calibration import small_mos, truth

from specwcs.errors import InputError
from specwcs.extraction import FlatField, flat_field, reduce_frame
from specwcs.extraction.objects import SlitObject, near_objects
from specwcs.extraction.pixels import PhotonNoise, SlitPixels
from specwcs.extraction.sky import fit_sky


@pytest.mark.parametrize("direction", ["LR", "UB"])
def test_sky_without_noise_is_the_truth(direction):
    """Under the object too, on bright lines too: to a quarter of a standard deviation."""
    case = night(direction)
    reduction = reduce_frame(case.cal, case.observation.science(None, **STAR), slits=case.slits)
    for slit_id in case.slits:
        inside, _, from_end = pixels_of(case, slit_id)
        inside &= from_end > 3
        miss = (reduction.sky - case.sky)[inside] / np.sqrt(case.variance[inside])
        assert np.sqrt(np.mean(miss**2)) < 0.25
        assert reduction.slits[slit_id].sky_chi2 < 0.06


def test_sky_leaves_the_noise_alone():
    """After the flat: on all pixels of the sky, and on its brightest lines."""
    case = night("UB", response=0.01, slit_function=0.03)
    flat = flat_field(case.cal, case.observation.flat(77), case.slits)
    frame = case.observation.science(3, **STAR)
    reduction = reduce_frame(case.cal, frame, slits=case.slits, flat=flat)
    left = frame.data / flat.response - reduction.sky
    chi, bright = [], []
    for slit_id in case.slits:
        inside, off, from_end = pixels_of(case, slit_id)
        sky = inside & (np.abs(off) > 10) & (from_end > 3)
        square = (left**2 * flat.response**2 / case.variance)[sky]
        lines = case.sky[sky] > np.percentile(case.sky[sky], 95)
        chi.append(np.sqrt(square.mean()))
        bright.append(np.sqrt(square[lines].mean()))
    assert np.median(chi) < 1.05
    assert np.median(bright) <= 1.1
    assert max(bright) <= 1.3


@pytest.mark.parametrize("direction", ["LR", "UB"])
@pytest.mark.parametrize(("seen", "flatten"), [(0.35, False), (0.5, False), (0.35, True)])
def test_sky_under_an_object_at_an_end_is_not_an_extrapolation(direction, seen, flatten):
    """Sky is seen on one side alone: 3 % of illumination are no 14 % beyond it."""
    case = night(direction, slit_function=0.03)
    frame = case.observation.science(7, star=0.0)
    noise, flat = PhotonNoise.of(frame), None
    if flatten:
        flat = flat_field(case.cal, case.observation.flat(5), case.slits)
        frame = flat.apply(frame)
    for slit_id in case.slits:
        pixels = SlitPixels(case.cal.geometry(slit_id), case.observation.instrument, frame, noise,
                            flat)  # fmt: skip
        model = np.zeros(frame.shape)
        pixels.strip.paste(fit_sky(pixels, pixels.t > seen).model, model, pixels.inside)
        inside, _, from_end = pixels_of(case, slit_id)
        under = inside & (from_end > 4) & (case.t > seen + 0.1)
        true = case.sky / flat.response if flatten else case.sky
        assert np.sum(model[under]) / np.sum(true[under]) == pytest.approx(
            1, abs=0.006 if flatten else 0.02
        )


@pytest.mark.parametrize("slope", [0.3, -0.3])
def test_a_slit_that_is_lit_unevenly_has_no_more_objects_for_it(slope):
    """Without a flat: the brighter half is no object, and its sky is subtracted."""
    case = night("LR")
    frame = unevenly_lit(case.observation, slope=slope).science(3, **STAR | {"star": 20.0})
    reduction = reduce_frame(case.cal, frame, slits=case.slits)
    for slit_id in case.slits:
        (item,) = reduction.slits[slit_id].objects
        assert item.t == pytest.approx(STAR["position"], abs=0.01)
        inside, off, from_end = pixels_of(case, slit_id)
        for half in (off < -8, off > 8):
            sky = inside & half & (from_end > 4)
            left = np.sum((frame.data - reduction.sky)[sky]) / np.sum(reduction.sky[sky])
            assert abs(left) < 0.003


@pytest.mark.parametrize("line", ["row", "column"])
def test_dead_pixels_of_the_flat_are_as_masked_ones(line):
    """Whether knots are fine is told by the noise: a pixel without any does not count.

    A column crosses both ends of the slit.
    """
    case, slit_id = night("LR"), night("LR").slits[0]
    frame = case.observation.science(3, **STAR)
    inside, _, _ = pixels_of(case, slit_id)
    dead = np.zeros(frame.shape, bool)
    if line == "row":
        dead[np.flatnonzero(inside.any(axis=1))[20]] = True
    else:
        dead[:, 600] = True
    flat = FlatField(np.where(dead, np.nan, 1.0), np.zeros(frame.shape))
    divided = reduce_frame(case.cal, frame, slits=[slit_id], flat=flat)
    frame.mask = dead if frame.mask is None else frame.mask | dead
    masked = reduce_frame(case.cal, frame, slits=[slit_id])
    np.testing.assert_allclose(divided.sky[inside], masked.sky[inside], rtol=1e-6)
    (one,), (other,) = divided.spectra, masked.spectra
    np.testing.assert_allclose(one.flux.value, other.flux.value, rtol=1e-6)
    assert np.median(one.flux.value) > 0


def test_cosmic_rays_are_found_and_little_else():
    case, number = night("LR"), 60
    hits, found, lost, of = 0, 0, 0, 0
    for seed in (1, 2, 3):
        frame = case.observation.science(seed, cosmic_rays=number, **STAR)
        reduction = reduce_frame(case.cal, frame, slits=case.slits)
        added = cosmic_rays(case, number, seed)
        for slit_id in case.slits:
            inside, _, _ = pixels_of(case, slit_id)
            hit = inside & (added > 6 * np.sqrt(case.variance))
            hits, found = hits + hit.sum(), found + (hit & reduction.cosmics).sum()
            lost, of = lost + (reduction.cosmics & inside & (added == 0)).sum(), of + inside.sum()
    assert hits > 300
    assert found / hits >= 0.95
    assert lost / of < 0.001


def test_tracks_along_the_slit_do_not_take_the_sky_along():
    """A long exposure: of the rows at a wavelength, ten may be on the track of a cosmic ray."""
    case = night("LR")
    frame = case.observation.science(1, cosmic_rays=600, **STAR)
    reduction = reduce_frame(case.cal, frame, slits=case.slits)
    for slit_id in case.slits:
        inside, off, from_end = pixels_of(case, slit_id)
        sky = inside & (np.abs(off) > 10) & (from_end > 3)
        miss = (reduction.sky - case.sky)[sky] / np.sqrt(case.variance[sky])
        assert np.sqrt(np.mean(miss**2)) < 0.4


def test_noise_of_a_frame_follows_its_signal():
    observation = small_mos("LR")
    assert PhotonNoise.of(observation.science(1)).slope == pytest.approx(1 / 1.5, rel=1e-6)
    frame = observation.science(1)
    frame.uncertainty.array[...] = 5.0
    assert PhotonNoise.of(frame).slope == 0
    frame.uncertainty = None
    assert PhotonNoise.of(frame).slope == 0


@pytest.mark.parametrize("reach", [2.5, 2.0, 1.5])
def test_less_is_left_to_objects_in_short_slits(reach):
    """As many times the FWHM as leave four rows of sky between object and blurred ends."""
    observation = small_mos("LR")
    slit_id = next(iter(observation.mask))
    cal, frame = truth(observation), observation.science(1)
    pixels = SlitPixels(cal.geometry(slit_id), cal.instrument, frame, PhotonNoise.of(frame))
    length = float(np.median(pixels.length))
    fwhm = (length - 2 * 2.5 - 5.0) / (2 * reach)  # five rows are left
    near = near_objects(pixels, [SlitObject(0.5, fwhm, 100.0)])
    away = np.abs(pixels.t - 0.5) * length / fwhm
    assert away[near & pixels.inside].max() == pytest.approx(reach, abs=0.2)
    assert near_objects(pixels, [SlitObject(0.5, 10 * length, 100.0)]).all()
    assert not near_objects(pixels, []).any()


def test_too_few_rows_of_sky():
    observation = small_mos("LR")
    slit_id = next(iter(observation.mask))
    cal, frame = truth(observation), observation.science(1)
    pixels = SlitPixels(cal.geometry(slit_id), cal.instrument, frame, PhotonNoise.of(frame))
    taken = np.abs(pixels.t - 0.5) < 0.46
    with pytest.raises(InputError, match=r"rows of sky beside the objects. Must be at least 4"):
        fit_sky(pixels, taken)


def test_saturated_lines_and_bad_columns_are_left_out():
    case = night("LR")
    frame = case.observation.science(4, **STAR)
    bad = np.zeros(frame.shape, bool)
    bad[:, 500:503] = True
    frame.data[bad] = 60000.0
    frame.mask = frame.mask | bad
    reduction = reduce_frame(case.cal, frame, slits=case.slits)
    for spectrum in reduction.spectra:
        counts, good = expected(case, spectrum)
        miss = (spectrum.flux.value - counts)[good] / np.sqrt(spectrum.uncertainty.array[good])
        assert np.abs(miss).max() < 5.5
        assert (~good).sum() > 3
