"""The main job on simulated frames: no hand, nominal values off, faults of slits.

That the directions are alike is shown in test_directions.
"""

import re
from dataclasses import replace

import calibration_cases as cases
import numpy as np
import pytest

from specwcs import FitError, InputError, LineCatalog, Mask, calibrate
from specwcs.errors import SpecwcsWarning
from specwcs.simulate import Observation, example, lamp, longslit, wrong


def _as_read(obs):
    """The mask as a file gives it: no word of how it falls on the detector."""
    return Mask(list(obs.mask.values())).oriented("LR")


def _run(obs, **options):
    """Calibrate with scale, dispersion (3 %) and position (30, -10 px) off."""
    return calibrate(
        wrong(obs.instrument), _as_read(obs), flat=obs.flat(1), arc=obs.arc(lamp(), 2),
        catalog=lamp(), **options,
    )  # fmt: skip


@pytest.mark.slow
def test_mos():
    """Of a mask that is not mirrored, faulty slits are calibrated below."""
    obs = example("RL", (640, 1280), 12, flipx=True, flipy=True, seed=3)
    cal = _run(obs)
    assert (cal.opt.x_flipped, cal.opt.y_flipped) == (True, True)
    assert cal.good() == list(obs.mask)
    errors = cases.wavelength_errors(obs, cal)
    # The WCS reaches 5 % beyond the lines used, and says NaN further out.
    assert np.mean(np.isfinite(np.concatenate(list(errors.values())))) > 0.9
    assert cases.rms(errors) < 0.05
    assert max(cases.rms(e) for e in errors.values()) < 0.08
    assert cases.rms(cases.edge_errors(obs, cal)) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "shape"), [("RL", (512, 1024)), ("BU", (1280, 640))])
def test_curved_longslit(direction, shape):
    obs = example(direction, shape, kind="longslit")
    cal = _run(obs)
    assert cal.good() == list(obs.mask)
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.05
    assert cases.rms(cases.edge_errors(obs, cal)) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "fill", "shift"), [("BU", 1.3, 0.0), ("RL", 1.0, 6.0)])
def test_a_longslit_is_calibrated_where_it_is_on_the_frame(direction, fill, shift):
    """Both ends beyond the frame; one end that leaves it, the other one seen."""
    shape = (300, 640) if direction == "RL" else (640, 300)
    offset = (0.0, shift) if direction == "RL" else (shift, 0.0)
    obs = example(direction, shape, 1, "longslit", offset=offset, rotation=0.5)
    obs = Observation(
        obs.spectrograph, longslit(obs.instrument, fill=fill), obs.instrument, obs.passband
    )
    cal = _run(obs)
    assert cal.good() == ["1"]
    errors = cases.wavelength_errors(obs, cal)["1"]
    assert cases.rms({"1": errors}) < 0.03
    # In the blue quarter of BU every line is a blend, and none is used.
    assert np.mean(np.isfinite(errors)) > 0.7
    edges = cases.edge_errors(obs, cal, band=cal.slits["1"].known)["1"]
    assert np.abs(edges).max(initial=0.0) < 0.3


@pytest.mark.slow
def test_faulty_slits_are_flagged_and_the_rest_untouched():
    """BAD_INPUTS 41: a slit half off the detector; one without light, one without lines."""
    options = {"direction": "UB", "shape": (960, 480), "n_slits": 8, "half_off": True}
    plain = [k for k, s in example(**options).mask.items() if not s.reference and s.rot == 0]
    dark, arcless = plain[2], plain[3]
    obs = example(**options, dark=(dark,), arcless=(arcless,))
    cal = _run(obs)
    assert (cal.opt.x_flipped, cal.opt.y_flipped) == (False, False)
    assert cal.slits[dark].flag == "no light"
    assert "of the others' light" in cal.slits[dark].reason
    with pytest.warns(SpecwcsWarning, match=f"slit {dark} is flagged, .*: no light"):
        cal.wcs(dark)
    assert cal.slits[arcless].flag == "no lines"
    # Of the first slit one end is off the frame: it is calibrated by the other.
    assert set(cal.good()) == set(obs.mask) - {dark, arcless}
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.05
    assert cases.rms(cases.edge_errors(obs, cal)) < 0.02


@pytest.mark.slow
def test_without_a_flat_the_arc_shows_the_slits():
    obs = example(direction="LR", shape=(512, 1024), n_slits=6)
    cal = calibrate(wrong(obs.instrument), _as_read(obs), arc=obs.arc(lamp(), 2), catalog=lamp())
    assert cal.provenance["edges"] == "from the arc"
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.05


@pytest.mark.slow
def test_a_mask_of_another_night_is_refused():
    obs = example("LR", (512, 1024), 9, seed=1)
    other = example("LR", (512, 1024), 9, seed=99)
    with pytest.raises(FitError, match="Check that mask and frame belong together"):
        calibrate(
            wrong(obs.instrument), _as_read(other), flat=obs.flat(1), arc=obs.arc(lamp(), 2),
            catalog=lamp(),
        )  # fmt: skip


@pytest.mark.slow
def test_two_slits_of_unlike_lengths_tell_that_the_mask_is_turned():
    """The arc cannot: turned by 180 degrees, the other slit lies where the one did."""
    obs = example("LR", (400, 640), 7, flipx=True, flipy=True, seed=3)
    px = 0.3 / 1.7  # mm
    slits = []
    for slit, x, y, length in zip(
        obs.mask.values(), (-8.0, 8.0), (-110 * px, 110 * px), (72 * px, 69 * px), strict=False
    ):
        control = np.array([[x, y + length / 2], [x, y - length / 2]])
        slits.append(replace(slit, x=x, y=y, rot=0.0, reference=False, dimx=0.7, dimy=length,
                             width=1.2, length=length * 1.7, control=control))  # fmt: skip
    mask = Mask(slits).oriented("LR", flipx=True, flipy=True)
    obs = Observation(obs.spectrograph, mask, obs.instrument, obs.passband)
    cal = _run(obs)
    assert (cal.opt.x_flipped, cal.opt.y_flipped) == (True, True)
    # As the other slit they are off by tens of px; in the corners two slits tell little.
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("other", ["Kr", "Hg"])
def test_a_catalogue_of_another_lamp_is_not_identified(other):
    obs = example(direction="LR", shape=(300, 800), n_slits=5)
    with pytest.raises(FitError, match="not identified"):
        calibrate(
            wrong(obs.instrument), _as_read(obs), flat=obs.flat(1), arc=obs.arc(lamp(), 2),
            catalog=LineCatalog.read(other).to_medium("air"),
        )  # fmt: skip


@pytest.mark.slow
def test_degrees_may_be_given():
    obs = example(direction="LR", shape=(512, 1024), n_slits=9)
    cal = _run(obs, opt=(2, 2), crv=(2, 1, 1), ids=(4, 2, 2))
    assert (cal.opt.degrees, cal.crv.degrees, cal.ids.degrees) == ((2, 2), (2, 1, 1), (4, 2, 2))
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.1


@pytest.mark.parametrize(
    ("degrees", "match"),
    [
        ({"opt": (30, 30)}, r"invalid degrees of OPT \(30, 30\)\. .* 2 integers from 0 to 9"),
        ({"crv": (2, 2)}, r"invalid degrees of CRV \(2, 2\)\. .* 3 integers from 0 to 9"),
        ({"ids": (0, 1, 1)}, "IDS of degree 0"),
    ],
)
def test_degrees_are_checked_before_anything_is_measured(degrees, match):
    obs, steps = example(shape=(256, 512), n_slits=4), []
    with pytest.raises(InputError, match=match):
        _run(obs, progress=steps.append, **degrees)
    assert not steps


def test_frames_in_memory_are_not_added_in_silence():
    obs = example(shape=(300, 1024), n_slits=5, line_curvature=1.0)
    arc = obs.arc(lamp(), 2)
    with pytest.raises(InputError, match=r"a list of frames in memory.*Must be one CCDData"):
        calibrate(obs.instrument, obs.mask, arc=[arc, arc], catalog=lamp())


@pytest.mark.slow
@pytest.mark.parametrize("px", [0.4, 2.0])
def test_a_slit_cut_off_its_place_says_so_and_harms_no_other(px):
    obs = example("LR", (320, 800), n_slits=9, seed=4, line_curvature=1.0)
    slit = obs.mask["04"]
    mm = px * obs.instrument.pixel_scale / 1.7
    cut = replace(slit, y=slit.y + mm, control=slit.control + np.array([0.0, mm]))
    real = replace(obs, mask=Mask([cut if s is slit else s for s in obs.mask.values()]))
    cal = calibrate(
        wrong(obs.instrument), obs.mask, flat=real.flat(1), arc=real.arc(lamp(), 2), catalog=lamp()
    )
    assert set(cal.mask) - set(cal.good()) == {"04"}
    assert cal.slits["04"].flag == "off its place"
    assert re.search(rf"{px:.1f} px from where the others put them", cal.slits["04"].reason)
    assert cases.rms(cases.wavelength_errors(real, cal)) < 0.03
    assert cases.rms(cases.edge_errors(real, cal)) < 0.02


@pytest.mark.parametrize("kind", ["mos", "longslit"])
def test_a_flat_of_another_setting_is_refused(kind):
    obs = example("BU", (1024, 480), 7, kind=kind, seed=31)
    flat = obs.flat(1)
    flat.data = np.roll(flat.data, 4, axis=1)
    with pytest.raises(FitError, match=r"the arc lie 4\.0 px off those of the flat.*or no flat"):
        calibrate(obs.instrument, obs.mask, flat=flat, arc=obs.arc(lamp(), 2), catalog=lamp())
