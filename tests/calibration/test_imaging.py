"""OPT from images with the disperser out, against the ray trace."""

from dataclasses import replace

import calibration_cases as cases
import numpy as np
import pytest
from astropy.nddata import CCDData

from specwcs import FitError, InputError, calibrate
from specwcs.calibration import fit_image, solve
from specwcs.simulate import example, lamp, pinholes, random_mask, wrong

SHAPE = {"LR": (384, 1024), "RL": (384, 1024), "BU": (1024, 384), "UB": (1024, 384)}


def night(direction, n_slits=12, *, flips=(False, False), **more):
    return example(
        direction, SHAPE[direction], n_slits, seed=6, rotation=2.0, distortion=0.02,
        offset=(9.0, -7.0), flipx=flips[0], flipy=flips[1], **more,
    )  # fmt: skip


def off(observation, fit):
    """Distance of OPT from the ray trace with the disperser out, px, over all of the mask."""
    miss = []
    for key, slit in observation.mask.items():
        t = np.linspace(0, 1, 5)
        x, y = observation.pixel(key, t, None)
        on = (x > 0) & (x < observation.instrument.xpixels - 1)
        on &= (y > 0) & (y < observation.instrument.ypixels - 1)
        x0, y0 = fit.model(*slit.curve(t))
        miss.append(np.hypot(x0 - x, y0 - y)[on])
    return np.concatenate(miss)


@pytest.mark.parametrize(
    ("direction", "flips"),
    [
        *((direction, (True, False)) for direction in ("LR", "RL", "BU", "UB")),
        ("LR", (False, False)),
        ("UB", (True, True)),
    ],
)
def test_a_science_mask_tells_opt_and_how_it_is_mirrored(direction, flips):
    obs = night(direction, flips=flips)
    frame = obs.image(1, cosmic_rays=30)
    fit = fit_image(wrong(obs.instrument, scale=0.04), obs.mask, frame)
    assert (fit.model.x_flipped, fit.model.y_flipped) == flips
    # Of slits, the middles were measured: their ends follow from the others' middles.
    assert np.sqrt(np.mean(off(obs, fit) ** 2)) < 0.25
    middles = [np.hypot(*np.subtract(fit.model(*s.curve(0.5)), obs.pixel(k, 0.5, None)))
               for k, s in obs.mask.items()]  # fmt: skip
    assert np.median(middles) < 0.03


@pytest.mark.parametrize(("direction", "scale"), [("LR", -0.05), ("BU", 0.05)])
def test_a_grid_of_pinholes_tells_the_whole_field(direction, scale):
    obs = night(direction)
    grid = replace(obs, mask=pinholes(obs.instrument), dark=("03-05", "07-02", "05-11"))
    frame = grid.image(2, cosmic_rays=20)
    fit = fit_image(wrong(obs.instrument, scale=scale), grid.mask, frame, flips=(False, False))
    assert np.sqrt(np.mean(off(grid, fit) ** 2)) < 0.03


def test_a_grid_that_is_its_own_mirror_image_is_taken_as_drawn_and_that_is_said():
    obs = night("LR")
    grid = replace(obs, mask=pinholes(obs.instrument, rows=5, columns=7))
    fit = fit_image(obs.instrument, grid.mask, grid.image(2))
    assert (fit.model.x_flipped, fit.model.y_flipped) == (False, False)
    assert any("its own mirror image" in note for note in fit.notes)


def test_what_is_no_image_of_the_mask_is_refused():
    obs = night("LR")
    other = random_mask(12, obs.instrument, 99)
    with pytest.raises(FitError, match="no layout of the mask explains the image"):
        fit_image(obs.instrument, other, obs.image(1))
    with pytest.raises(FitError, match=r"at least 4|no layout"):
        fit_image(obs.instrument, obs.mask, obs.arc(lamp(), 1))
    dark = replace(obs, dark=tuple(obs.mask)).image(1)
    with pytest.raises(FitError, match="0 spots"):
        fit_image(obs.instrument, obs.mask, dark)


def test_degrees_are_checked_before_anything_is_measured():
    obs = example(shape=(256, 512), n_slits=4)
    with pytest.raises(InputError, match="2 integers from 0 to 9"):
        fit_image(obs.instrument, obs.mask, "nothing.fits", degrees=(30, 30))


def test_frames_of_another_shape_and_frames_without_errors():
    obs = night("UB")
    frame = obs.image(1)
    plain = CCDData(frame.data, unit="adu")
    fit = fit_image(obs.instrument, obs.mask, plain)
    assert len(fit.residuals) == len(obs.mask)
    with pytest.raises(InputError, match="xpixels × ypixels"):
        fit_image(obs.instrument, obs.mask, CCDData(frame.data[:, :-3], unit="adu"))


@pytest.mark.parametrize("direction", ["RL"])
def test_calibrate_with_an_image(direction):
    obs = night(direction, 7, flips=(True, False))
    flat, arc = obs.flat(3), obs.arc(lamp(), 4)
    cal = calibrate(
        wrong(obs.instrument), obs.mask, flat=flat, arc=arc, image=obs.image(5), catalog=lamp()
    )
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.03
    assert cases.rms(cases.edge_errors(obs, cal)) < 0.03
    # The shape is that of a camera: at the reference wavelength, slits fall where they do.
    for key, slit in cal.mask.items():
        x, y = obs.pixel(key, 0.5, obs.instrument.reference_lambda)
        assert np.hypot(*np.subtract(cal.opt(*slit.curve(0.5)), (x, y))) < 0.3


def test_the_shape_of_pinholes_serves_another_mask():
    obs = night("LR", 7)
    grid = replace(obs, mask=pinholes(obs.instrument, rows=12))
    shape = fit_image(obs.instrument, grid.mask, grid.image(2), flips=(False, False)).model
    flat, arc = obs.flat(3), obs.arc(lamp(), 4)
    cal = calibrate(wrong(obs.instrument), obs.mask, flat=flat, arc=arc, catalog=lamp(), opt=shape)
    # At the blue end all lines are blends: there the slits are not known.
    known = [max(low for low, _ in (cal.slits[key].known for key in cal.good())), 8900.0]
    assert known[0] < 5700
    assert cases.rms(cases.wavelength_errors(obs, cal, band=known)) < 0.02
    assert cases.rms(cases.edge_errors(obs, cal)) < 0.03
    shape.flipx()
    with pytest.raises(InputError, match="flips"):
        solve(obs.instrument, obs.mask, cases.true_markers(obs), medium="air", opt=shape)
