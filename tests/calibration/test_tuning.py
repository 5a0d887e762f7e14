"""Nights simulated by ray trace: what moved is found, what is another set-up is refused."""

import re
from dataclasses import replace
from functools import cache

import calibration_cases as cases
import numpy as np
import pytest
from astropy import units as u

from specwcs import Calibration, FitError, InputError, LineCatalog, calibrate, tune
from specwcs.calibration import edge_markers, moved
from specwcs.calibration.tuning import _catalog
from specwcs.inputs import Mask
from specwcs.simulate import example, lamp, longslit, wrong

pytestmark = pytest.mark.slow


@cache
def small(along=0.0, across=0.0, *, turned=0.0, **options):
    """A small frame: a few short slits, few lines. Of the other directions: test_directions."""
    options = {"n_slits": 6, "line_curvature": 1.0, "seed": 4, **options}
    offset = (12.0 + along, -5.0 + across)
    return example("UB", (960, 240), offset=offset, rotation=0.3 + turned, **options)


def truly_moved(before, after):
    """Median displacement of light by the ray trace, px along and across the dispersion."""
    moved = []
    for key, slit in before.mask.items():
        if not slit.reference:
            wavelength = np.linspace(5500.0, 8500.0, 9)
            one, two = (
                np.array(o.pixel(key, np.full(9, 0.5), wavelength)) for o in (before, after)
            )
            moved.append(before.instrument.direction.split(*(two - one)))
    return np.median(np.hstack(moved), axis=1)


def found(cal, night):
    table = moved(cal, night)
    return [np.nanmedian(table[name].value) for name in ("along", "across")]


@pytest.fixture(scope="module")
def cal():
    obs = small()
    return calibrate(
        wrong(obs.instrument), obs.mask, flat=obs.flat(1), arc=obs.arc(lamp(), 2), catalog=lamp()
    )


@pytest.fixture(scope="module")
def night():
    """The frame turned and moved by more than a slit's edges are looked for at."""
    return small(-7.3, 4.2, turned=0.1)


def test_what_moved_is_told(cal):
    obs = small(3.2, -1.4)
    night = tune(cal, flat=obs.flat(3), arc=obs.arc(lamp(), 4))
    truth = truly_moved(small(), obs)
    assert np.hypot(*truth) > 3.0
    assert found(cal, night) == pytest.approx(truth, abs=0.02)
    assert [row["slit"] for row in night.provenance["moved"]] == list(cal.mask)


def with_isolated(catalog, n, reach):
    """Flag all lines as neighbours but those n that outshine theirs, within some Angstrom, most."""
    wavelength, light = np.asarray(catalog.wavelength), np.asarray(catalog.intensity)
    near = np.abs(wavelength - wavelength[:, None]) < reach
    best = np.argsort(-(light**2) / (near @ light))[:n]
    return replace(catalog, flag=np.isin(np.arange(len(light)), best).astype(int))


def test_five_lines_of_the_sky_tell_both_shifts():
    options = {"shape": (240, 2048), "n_slits": 5, "seed": 4, "line_curvature": 0.5}
    before = example("LR", offset=(30.0, -5.0), **options)
    obs = example("LR", offset=(31.7, -5.6), **options)
    frames = {"flat": before.flat(1), "arc": before.arc(lamp(), 2)}
    cal = calibrate(before.instrument, before.mask, **frames, catalog=lamp())
    sky = with_isolated(LineCatalog.read("sky").select(5500.0, 8900.0), 5, 12.0)
    night = tune(cal, sky=obs.science(5), catalog=sky)
    used = night.residuals[(night.residuals["kind"] == "line") & night.residuals["used"]]
    assert len(np.unique(used["wavelength"])) <= 5
    np.testing.assert_allclose(found(cal, night), truly_moved(before, obs), atol=0.03)


def test_what_is_not_told_stays(cal):
    night = tune(cal, flat=small().flat(6))
    assert night.provenance["fits"][-1].startswith("IDS stays: neither arc nor sky was given")
    assert night.ids is cal.ids
    assert np.nanmax(np.abs(moved(cal, night)["across"].value)) < 0.03


WAYS = {
    "flat and arc": lambda obs: {"flat": obs.flat(3), "arc": obs.arc(lamp(), 4)},
    "arc": lambda obs: {"arc": obs.arc(lamp(), 4, level=20000.0)},
    # A star in every slit that is as bright as the brightest lines of the sky.
    "sky": lambda obs: {"sky": obs.science(5, star=3000.0, position=0.25)},
}


@pytest.mark.parametrize("way", WAYS)
def test_a_small_frame(cal, night, way):
    tuned = tune(cal, **WAYS[way](night))
    assert cases.rms(cases.wavelength_errors(night, tuned)) < 0.05
    assert cases.rms(cases.edge_errors(night, tuned)) < 0.03
    assert "CRV stays" not in " ".join(tuned.provenance["fits"])


@pytest.mark.parametrize("along", [-150.0, -60.0, 45.0])
def test_another_grating_is_refused_by_a_small_frame(cal, along):
    other = small(along)
    with pytest.raises(FitError, match="contradicts the calibration"):
        tune(cal, arc=other.arc(lamp(), 7))


def test_other_lamps_are_refused(cal):
    krypton = LineCatalog.read(["Kr", "Xe"]).to_medium("air")
    with pytest.raises(FitError, match="contradicts the calibration"):
        tune(cal, arc=small().arc(krypton, 7))


def test_another_mask_is_refused(cal):
    with pytest.raises(FitError, match="contradicts the calibration"):
        tune(cal, flat=small(seed=11).flat(8))


def test_edges_of_another_mask_that_happen_to_be_near_are_refused(cal, monkeypatch):
    """Of many slits some are: anywhere within what is searched, and not where a change has them."""

    def near(traces, instrument):
        edges = edge_markers(traces, instrument)
        own = [f"{slit} {t}" for slit, t in zip(edges["slit"], edges["t"], strict=True)]
        group = np.unique(own, return_inverse=True)[1]
        edges["x"] += np.random.default_rng(1).uniform(-0.6, 0.6, group.max() + 1)[group] * u.pix
        return edges

    monkeypatch.setattr("specwcs.calibration.tuning.edge_markers", near)
    with pytest.raises(FitError, match=r"its edges scatter by .* another mask"):
        tune(cal, flat=small().flat(3))
    night = tune(cal, arc=small().arc(lamp(), 4))
    assert any("CRV stays" in note and "scatter" in note for note in night.provenance["fits"])


@pytest.mark.parametrize("millimetres", [(0.6, 0.0), (0.0, 0.3)])
def test_a_slit_that_did_not_move_with_the_others_is_flagged(cal, millimetres):
    """The mask of the night has one slit elsewhere: by some px along, or across."""
    obs = small()
    dy, dx = millimetres
    slit = obs.mask["04"]
    moved = replace(slit, x=slit.x + dx, y=slit.y + dy, control=slit.control + np.array([dx, dy]))
    obs = replace(obs, mask=Mask([moved if s is slit else s for s in obs.mask.values()]))
    tuned = tune(cal, flat=obs.flat(3), arc=obs.arc(lamp(), 4))
    assert set(cal.good()) - set(tuned.good()) == {"04"}
    assert tuned.slits["04"].flag == "doubtful"
    assert re.search(
        "edges are off the others on the flat|IDS by the arc|of the arc", tuned.slits["04"].reason
    )
    errors = cases.wavelength_errors(obs, tuned)
    assert cases.rms({key: errors[key] for key in tuned.good() if key in errors}) < 0.05


def test_how_bright_lines_are_is_remembered(cal, tmp_path):
    """Where lines crowd, it is what tells one shift from another."""
    cal.write(tmp_path / "cal.asdf")
    again = Calibration.read(tmp_path / "cal.asdf")
    lines, known = _catalog(again, None, "arc"), lamp()
    place = np.searchsorted(known.wavelength, lines.wavelength)
    assert np.array_equal(known.wavelength[place], lines.wavelength)
    assert np.array_equal(lines.intensity, known.intensity[place])
    assert np.array_equal(lines.label, known.label[place])
    assert np.any(lines.flag == 1)
    old = replace(again, provenance={k: v for k, v in again.provenance.items() if k != "lamp"})
    assert np.all(np.isnan(_catalog(old, None, "arc").intensity))


def test_the_same_frames_again_change_nothing(cal):
    obs = small()
    tuned = tune(cal, flat=obs.flat(1), arc=obs.arc(lamp(), 2))
    assert tuned.good() == cal.good()
    assert np.nanmax(np.abs(moved(cal, tuned)["along"].value)) < 0.02
    assert np.nanmax(np.abs(moved(cal, tuned)["across"].value)) < 0.01
    lines = tuned.residuals[(tuned.residuals["kind"] == "line") & tuned.residuals["used"]]
    for key in cal.good():
        assert tuned.slits[key].n_lines == np.sum(lines["slit"] == key)


def test_an_arc_after_the_sky(cal):
    """What the calibration rests on is still the lines of the arc."""
    obs = small(2.0, 1.0)
    night = tune(tune(cal, sky=obs.science(5)), arc=obs.arc(lamp(), 4))
    assert cases.rms(cases.wavelength_errors(obs, night)) < 0.02
    used = night.residuals["wavelength"].value[night.residuals["kind"] == "line"]
    assert np.isin(used, lamp().wavelength).all()


def regular(obs):
    """Eight equal slits, 24 px apart, where the mask of an observation was."""
    a_slit = next(slit for slit in obs.mask.values() if not slit.reference)
    slits = []
    for n, x in enumerate((3.5 - np.arange(8)) * 24.0 * 0.3 / 1.7):
        control = np.array([[x, 0.0], [x, 0.0]])
        place = {"x": x, "y": 0.0, "rot": 0.0, "control": control}
        slits.append(replace(a_slit, id=f"{n + 1:02d}", dimx=3.18, length=5.4, **place))
    mask = Mask(slits).oriented(obs.instrument.direction)
    return replace(obs, mask=mask)


@pytest.fixture(scope="module")
def before():
    """A regular mask, and its calibration."""
    obs = regular(small(distortion=0.0))
    frames = {"flat": obs.flat(1), "arc": obs.arc(lamp(), 2)}
    return obs, calibrate(obs.instrument, obs.mask, **frames, catalog=lamp())


@pytest.mark.parametrize("across", [-6.0, 6.0])
def test_a_regular_mask_is_not_tuned_one_slit_further_on(before, across):
    before, cal = before
    night = replace(regular(small(across=across, distortion=0.0)), dark=("08",))
    tuned = tune(cal, sky=night.science(5))
    if tuned.crv is cal.crv:  # a dark slit at the end looks like a mask one slit further on
        assert any("several shifts" in sentence for sentence in tuned.provenance["fits"])
    else:
        assert found(cal, tuned)[1] == pytest.approx(truly_moved(before, night)[1], abs=0.05)


def test_a_catalogue_of_elsewhere(cal):
    infrared = LineCatalog.read("sky").select(20000.0, 24000.0)
    with pytest.raises(InputError, match="no catalogue line between"):
        tune(cal, arc=small().arc(lamp(), 4), catalog=infrared)


def test_pixels_without_a_value(cal):
    arc = small().arc(lamp(), 4)
    arc.data[np.random.default_rng(3).uniform(size=arc.shape) < 0.02] = np.nan
    tuned = tune(cal, arc=arc)
    assert cases.rms(cases.wavelength_errors(small(), tuned)) < 0.02


def test_a_flat_without_light_tells_nothing(cal):
    with pytest.raises(FitError, match="the flat does not tell it: no edges of slits stand out"):
        tune(cal, flat=small().flat(8, level=0.0))


def test_a_frame_without_lines_tells_nothing(cal):
    with pytest.raises(FitError, match="the arc tells nothing: 0 lines are seen"):
        tune(cal, arc=small().flat(8, level=0.0))


def test_what_a_frame_does_not_show_of_edges_stays():
    """The slit is longer than the frame."""
    before, obs = (
        example(kind="longslit", shape=(240, 960), offset=(30.0 + along, -10.0))
        for along in (0.0, 1.5)
    )
    mask = longslit(before.instrument, fill=1.3)
    before, obs = replace(before, mask=mask), replace(obs, mask=mask)
    frames = {"flat": before.flat(1), "arc": before.arc(lamp(), 2)}
    cal = calibrate(before.instrument, mask, **frames, catalog=lamp())
    tuned = tune(cal, flat=obs.flat(1), arc=obs.arc(lamp(), 2))
    assert tuned.crv is cal.crv
    # Nor is it known then where the edges are: they may have moved as much as the lines did.
    key = next(iter(mask))
    sigma = cal.trace_uncertainty(key, 0.0, [0.0, 1.0])
    assert tuned.trace_uncertainty(key, 0.0, [0.0, 1.0]) == pytest.approx(np.hypot(sigma, 1.5), 0.1)
    assert "allow for as much as along it, 1.5" in tuned.provenance["fits"][-1]
    said = "CRV stays: the flat does not tell it: no edges of slits stand out in its light."
    assert said in tuned.provenance["fits"]
    assert cases.rms(cases.wavelength_errors(obs, tuned)) < 0.05


def test_files_keep_it(cal, tmp_path):
    night = tune(cal, flat=small(0.0, 0.5).flat(8))
    night.write(tmp_path / "night.asdf")
    again = Calibration.read(tmp_path / "night.asdf")
    assert again.provenance["moved"] == night.provenance["moved"]


def test_frames_must_be_given(cal):
    with pytest.raises(InputError, match="no frame given"):
        tune(cal)
    with pytest.raises(InputError, match="both given"):
        tune(cal, arc="a.fits", sky="b.fits")


def edges_off(night, tuned):
    """How far the edges that were used are from the ray trace, px across the dispersion."""
    direction, shape = night.instrument.direction, night.instrument.shape
    table = tuned.residuals[(tuned.residuals["kind"] == "edge") & tuned.residuals["used"]]
    off = []
    for row in table:
        wavelength = np.linspace(*night.passband, 200)
        true = direction.canonical_pixel(
            *night.pixel(row["slit"], np.full(200, row["t"]), wavelength), shape
        )
        order = np.argsort(true[0])
        p, q = direction.canonical_pixel(row["x"].value, row["y"].value, shape)
        off.append(q - np.interp(p, true[0][order], true[1][order]))
    return np.array(off)


def test_edges_in_the_light_of_the_sky_where_rows_cross_them():
    # Traces that run across two rows within the lines' surroundings: the continuum of a row is
    # that of another place in the slit.
    obs = small(turned=1.5)
    frames = {"flat": obs.flat(1), "arc": obs.arc(lamp(), 2)}
    cal = calibrate(wrong(obs.instrument), obs.mask, **frames, catalog=lamp())
    night = small(-2.0, 1.2, turned=1.5)
    off = edges_off(night, tune(cal, sky=night.science(5)))
    assert len(off) > 100
    assert cases.rms(off) < 0.05
