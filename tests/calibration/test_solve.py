"""From markers to a calibration: against the ray trace that the markers come from."""

import calibration_cases as cases
import numpy as np
import pytest
from astropy import units as u

from specwcs import FitError, InputError, Markers
from specwcs.calibration import solve
from specwcs.simulate import example

DIRECTIONS = ("LR", "RL", "BU", "UB")


@pytest.fixture(scope="module", params=["LR", "UB"])  # of all four: test_directions
def mos(request):
    obs = example(direction=request.param)
    markers = cases.true_markers(obs)
    return obs, markers, solve(obs.instrument, obs.mask, markers, medium="air")


def test_mos_wavelengths_and_edges(mos):
    obs, _, cal = mos
    assert cal.good() == list(obs.mask)
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.01
    assert cases.rms(cases.edge_errors(obs, cal)) < 0.02


def test_every_slit_is_right_not_only_the_mean(mos):
    obs, _, cal = mos
    worst = max(np.sqrt(np.mean(e**2)) for e in cases.wavelength_errors(obs, cal).values())
    assert worst < 0.03


def test_uncertainty_is_of_the_size_of_the_errors(mos):
    obs, _, cal = mos
    ratios = []
    for key in cal.good():
        if obs.mask[key].reference:
            continue
        _, wavelength, x, y = cases.light(obs, key)
        sigma = cal.wavelength_uncertainty(key, x, y)
        found, t = cal.geometry(key).world(x, y)
        known = np.isfinite(sigma)
        assert np.all(np.isfinite(sigma) == ((t >= 0) & (t <= 1)))
        ratios.append((found - wavelength)[known] / sigma[known])
    # What the polynomial family itself leaves out (some .003 px) is not in the covariance.
    assert 0.3 < np.median(np.abs(np.concatenate(ratios))) < 2.5


def test_uncertainties_take_units(mos):
    _, _, cal = mos
    key = cal.good()[0]
    x, y = cal.geometry(key).pixel(7000.0, 0.5)
    sigma = cal.wavelength_uncertainty(key, x, y)
    assert cal.wavelength_uncertainty(key, x * u.pix, y * u.pix) == sigma
    assert cal.trace_uncertainty(key, 10 * u.pix, 0.0) == cal.trace_uncertainty(key, 10, 0.0)
    for call in (cal.wavelength_uncertainty, cal.trace_uncertainty):
        with pytest.raises(InputError, match="is a quantity in 'nm'"):
            call(key, 700 * u.nm, 0.5)


def test_the_uncertainty_of_a_whole_frame_is_that_of_its_parts(mos):
    _, _, cal = mos
    key = cal.good()[0]
    y, x = np.indices(cal.instrument.shape)[:, ::4, ::4]
    sigma = cal.wavelength_uncertainty(key, x, y)
    known = np.isfinite(sigma)
    assert sigma.shape == x.shape
    assert known.any()
    some = np.flatnonzero(known)[::97]
    alone = cal.wavelength_uncertainty(key, x.flat[some], y.flat[some])
    np.testing.assert_allclose(sigma.flat[some], alone, rtol=1e-9)


def test_residual_table_holds_every_marker(mos):
    _, markers, cal = mos
    table = cal.residuals
    assert set(table.colnames) >= {
        *("kind", "slit", "t", "wavelength", "x", "y", "residual", "used"),
    }
    for kind in ("edge", "line"):
        assert np.sum(table["kind"] == kind) == len(markers.select(kind))
    lines = table[(table["kind"] == "line") & table["used"]]
    assert np.std(lines["residual"].value) == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_curved_longslit(direction):
    obs = example(direction=direction, kind="longslit")
    markers = cases.true_markers(obs, n_t=40)
    cal = solve(obs.instrument, obs.mask, markers, medium="air")
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.01
    assert cases.rms(cases.edge_errors(obs, cal)) < 0.02
    # The slit lies along one axis of the mask: no degree is spent on the other.
    assert cal.opt.degrees[0 if obs.instrument.direction.along_x else 1] == 0


@pytest.mark.parametrize("flips", [(True, False), (False, True), (True, True)])
def test_flipped_masks(flips):
    obs = example("LR", (512, 1024), 8, flipx=flips[0], flipy=flips[1])
    markers = cases.true_markers(obs)
    cal = solve(obs.instrument, obs.mask, markers, medium="air", flips=flips)
    assert (cal.opt.x_flipped, cal.opt.y_flipped) == flips
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.01
    key = next(iter(cal.mask))
    x, y = cal.opt(*cal.mask[key].curve(0.5))
    true_x, true_y = obs.pixel(key, 0.5, obs.instrument.reference_lambda)
    assert np.hypot(x - true_x, y - true_y) < 0.5


def test_a_wrong_line_everywhere_is_rejected():
    """One catalogue line misnamed in all slits: 0.5 px off, some 25 sigma."""
    obs = example("LR", (512, 1024), 8)
    markers = cases.true_markers(obs)
    lines = np.unique(markers["wavelength"].value[np.isfinite(markers["wavelength"])])
    wrong = markers["wavelength"].value == lines[20]
    markers["x"][wrong] += 0.5 * markers["x"].unit
    cal = solve(obs.instrument, obs.mask, markers, medium="air")
    table = cal.residuals[cal.residuals["kind"] == "line"]
    off = table["wavelength"].value == lines[20]
    assert not np.any(table["used"][off])
    assert np.mean(table["used"][~off]) > 0.98
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.01


def test_a_slit_that_contradicts_the_others_is_flagged_and_spoils_none():
    obs = example("LR", (512, 1024), 8)
    markers = cases.true_markers(obs)
    victim = next(key for key, slit in obs.mask.items() if not slit.reference)
    mine = (markers["slit"] == victim) & (markers["kind"] == "line")
    markers["x"][mine] += 8 * markers["x"].unit
    cal = solve(obs.instrument, obs.mask, markers, medium="air")
    assert cal.slits[victim].flag == "inconsistent"
    assert "contradict the model" in cal.slits[victim].reason
    others = [key for key in cal.good() if key != victim]
    assert len(others) == len(obs.mask) - 1
    assert cases.rms(cases.wavelength_errors(obs, cal, others)) < 0.02


def test_a_slit_without_lines_is_flagged_yet_predicted():
    obs = example(direction="BU", n_slits=12)
    markers = cases.true_markers(obs)
    victim = [key for key, slit in obs.mask.items() if not slit.reference][5]
    keep = ~((markers["slit"] == victim) & (markers["kind"] == "line"))
    cal = solve(obs.instrument, obs.mask, markers[keep], medium="air")
    assert cal.slits[victim].flag == "no lines"
    assert cases.rms(cases.wavelength_errors(obs, cal, [victim])) < 0.1


def test_degrees_beyond_the_data_say_what_the_data_allow():
    obs = example(direction="LR", kind="longslit")
    markers = cases.true_markers(obs, n_t=20)
    with pytest.raises(FitError, match=r"determine only .* The data allow"):
        solve(obs.instrument, obs.mask, markers, medium="air", opt=(2, 2))


def test_local_degrees_beyond_the_automatic_ones_may_be_given():
    obs = example(direction="LR", n_slits=12)
    markers = cases.true_markers(obs)
    degrees = {"crv": (6, 1, 1), "ids": (8, 2, 2)}
    cal = solve(obs.instrument, obs.mask, markers, medium="air", **degrees)
    assert (cal.crv.degrees, cal.ids.degrees) == ((6, 1, 1), (8, 2, 2))
    assert cases.rms(cases.wavelength_errors(obs, cal)) < 0.02


@pytest.mark.parametrize("degrees", [(2,), (1, -1), "high", (1.5, 2), None, (10, 2)])
def test_invalid_degrees_are_named(degrees):
    obs = example(direction="LR", n_slits=12)
    allowed = r"invalid degrees of OPT .*Must be 'auto' or 2 integers from 0 to 9\."
    with pytest.raises(InputError, match=allowed):
        solve(obs.instrument, obs.mask, cases.true_markers(obs), medium="air", opt=degrees)


def test_wavelengths_without_a_dispersion_are_refused():
    obs = example(direction="LR", n_slits=12)
    with pytest.raises(InputError, match=r"IDS of degree 0 in wavelength\. Must be at least 1"):
        solve(obs.instrument, obs.mask, cases.true_markers(obs), medium="air", ids=(0, 1, 1))


def test_markers_of_a_slit_that_the_mask_lacks_are_refused():
    obs = example(direction="LR", n_slits=12)
    stray = Markers.of("edge", "nobody", 0.0, [5.0], [6.0], sigma=0.1)
    markers = Markers.join([cases.true_markers(obs), stray])
    with pytest.raises(InputError, match="markers of unknown slits nobody"):
        solve(obs.instrument, obs.mask, markers, medium="air")


def test_no_lines_at_all_is_said():
    obs = example(direction="LR", n_slits=12)
    edges = cases.true_markers(obs).select("edge")
    with pytest.raises(FitError, match="no lines to derive it from"):
        solve(obs.instrument, obs.mask, edges, medium="air")


def test_a_calibration_is_written_and_read_exactly(mos, tmp_path):
    _, _, cal = mos
    path = tmp_path / "cal.asdf"
    cal.write(path)
    twin = type(cal).read(path)
    key = cal.good()[0]
    x, y = np.linspace(100, 900, 50), np.linspace(100, 900, 50)
    assert np.array_equal(
        cal.geometry(key).world(x, y), twin.geometry(key).world(x, y), equal_nan=True
    )
    assert repr(twin.slits) == repr(cal.slits)  # NaN is not equal to itself
    assert twin.medium == "air"
    assert np.array_equal(twin.residuals["residual"], cal.residuals["residual"])
    assert all(np.array_equal(twin.covariance[k], v) for k, v in cal.covariance.items())
    with pytest.raises(InputError, match="exists already"):
        cal.write(path)


@pytest.mark.parametrize("name", ["cal.fits", "cal", "cal.asdf.gz"])
def test_a_calibration_is_called_what_it_is(mos, tmp_path, name):
    with pytest.raises(InputError, match=rf"output '.*{name}'\. Must end in \.asdf\."):
        mos[2].write(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_unknown_slit_is_named(mos):
    with pytest.raises(InputError, match="unknown slit 'XYZ'"):
        mos[2].wcs("XYZ")
    with pytest.raises(InputError, match=r"unknown slit 5\. The mask has .* Ids are text"):
        mos[2].wcs(5)
