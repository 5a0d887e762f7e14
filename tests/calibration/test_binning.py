"""Pixels of two sides: frames that are binned differently along their axes."""

from dataclasses import replace

import calibration_cases as cases
import numpy as np
import pytest

from specwcs import Direction, Mask, calibrate, rectify, tune
from specwcs.calibration import fit_image
from specwcs.simulate import example, lamp, wrong

pytestmark = pytest.mark.slow
SHAPE = 480, 960  # across and along the dispersion, of a detector that is not binned
SCALE = 0.3  # arcsec per pixel of it
BLUR = 3.0  # px of it: the optics are hardly sharper than the binned pixels
POSITION, SEEING = 0.4, 1.1  # of the star: t, arcsec


def binned(direction, binning, n_slits=6, kind="mos", *, moved=(0.0, 0.0), **options):
    """What the detector sees, binned so often along x and y."""
    direction = Direction(direction)
    along, across = direction.split(*binning)
    shape = SHAPE[0] // across, SHAPE[1] // along
    offset = (12.0 + moved[0]) / along, (-5.0 + moved[1]) / across
    return example(
        direction, shape if direction.along_x else shape[::-1], n_slits, kind, seed=4,
        pixel_scale=tuple(SCALE * pixels for pixels in binning), offset=offset,
        line_curvature=1.0 / along, psf=BLUR / along, **options,
    )  # fmt: skip


def calibrated(obs, instrument):
    """Calibrate without what a mask file may not know: how it falls, the lengths in arcsec."""
    mask = Mask([replace(slit, length=0.0) for slit in obs.mask.values()]).oriented("LR")
    return calibrate(instrument, mask, flat=obs.flat(1), arc=obs.arc(lamp(), 2), catalog=lamp())


def assert_right(obs, cal):
    """Hold a calibration against the ray trace, as closely as with square pixels."""
    # Of the few binned rows across it, a reference hole shows too little.
    assert {key for key, slit in obs.mask.items() if not slit.reference} <= set(cal.good())
    errors = cases.wavelength_errors(obs, cal)
    assert np.mean(np.isfinite(np.concatenate(list(errors.values())))) > 0.9
    assert cases.rms(errors) < 0.05
    assert max(cases.rms(e) for e in errors.values()) < 0.08
    assert cases.rms(cases.edge_errors(obs, cal)) < 0.02


def assert_portable_wcs_right(obs, cal):
    t, wavelength, x, y = cases.light(obs, "1")
    found, _ = cal.wcs("1", portable=True)(x, y)
    slope = cal.geometry("1").dispersion.slope(wavelength, t)
    assert cases.rms((found - wavelength) * slope) < 0.05


def assert_in_arcsec(obs, cal):
    """A star is where it is and as wide as it is, on the scale of the field's centre."""
    science = obs.science(5, position=POSITION, seeing=SEEING, lines=0.0)
    image = rectify(cal, science)["1"]
    profile = np.nanmean(image.flux.value, axis=1)
    profile -= np.median(profile)
    arcsec, near = image.meta["arcsec"], profile > 0.01 * profile.max()
    centre = np.average(arcsec[near], weights=profile[near])
    width = 2.3548 * np.sqrt(np.average((arcsec[near] - centre) ** 2, weights=profile[near]))
    assert centre == pytest.approx((0.5 - POSITION) * 1.7 * np.ptp(obs.mask["1"].control), rel=0.01)
    assert width == pytest.approx(np.hypot(SEEING, BLUR * SCALE), rel=0.1)


@pytest.mark.parametrize(("direction", "binning"), [("LR", (1, 2)), ("UB", (4, 1))])
def test_a_mask(direction, binning):
    obs = binned(direction, binning)
    assert_right(obs, calibrated(obs, wrong(obs.instrument)))


@pytest.mark.parametrize(("direction", "binning"), [("RL", (2, 1)), ("BU", (2, 1))])
def test_a_longslit_and_its_next_night(direction, binning):
    obs, night = (
        binned(direction, binning, 1, "longslit", moved=moved, rotation=rotation)
        for moved, rotation in (((0.0, 0.0), 0.3), ((-7.3, 4.2), 0.4))
    )
    cal = calibrated(obs, wrong(obs.instrument))
    assert_right(obs, cal)
    assert_right(night, tune(cal, flat=night.flat(3), arc=night.arc(lamp(), 4)))
    assert_portable_wcs_right(obs, cal)
    # Of wrong scales the arcsec are as wrong.
    assert_in_arcsec(obs, replace(cal, instrument=obs.instrument))


def test_an_image_of_a_rotated_mask_is_matched():
    obs = binned("LR", (1, 4), rotation=3.5, flipx=True)
    fit = fit_image(wrong(obs.instrument), obs.mask, obs.image(1))
    assert (fit.model.x_flipped, fit.model.y_flipped) == (True, False)
    middles = [
        np.hypot(*np.subtract(fit.model(*slit.curve(0.5)), obs.pixel(key, 0.5, None)))
        for key, slit in obs.mask.items()
    ]
    assert np.median(middles) < 0.03
