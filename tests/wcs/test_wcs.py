"""The WCS of a slit and the maps of a frame."""

import json
import subprocess
import sys

import asdf
import model_cases as cases
import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SpectralCoord
from astropy.wcs import WCS

from specwcs import Direction, FitError, InputError
from specwcs.inputs.sky import SlitSky
from specwcs.models import SlitGeometry
from specwcs.wcs import frame_maps, portable, portable_slit_wcs, slit_wcs
from specwcs.wcs.strip import SlitStrip

DIRECTIONS = list(cases.SHAPE)


def slit_of(direction):
    *models, slit = cases.field_models(direction)
    return (
        SlitGeometry.from_models(*models, slit, direction),
        slit,
        cases.SHAPE[direction],
    )


@pytest.fixture(params=DIRECTIONS)
def slit(request):
    return slit_of(request.param)


def _light(geometry, shape, n=3000, seed=0):
    """Wavelengths, positions and pixels of light that falls on the detector."""
    rng = np.random.default_rng(seed)
    t, wavelength = rng.uniform(0, 1, n), rng.uniform(5000, 9000, n)
    x, y = geometry.pixel(wavelength, t)
    on = (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
    d = geometry.dispersion.distance_from_wavelength(wavelength, t)
    on &= np.abs(d) < 1100
    return wavelength[on], t[on], x[on], y[on]


def test_exact_wcs_both_ways(slit):
    geometry, mask_slit, shape = slit
    w = slit_wcs(geometry, mask_slit, shape)
    assert w.available_frames == ["detector", "trace", "slit"]
    wavelength, t, x, y = _light(geometry, shape)
    found, position = w(x, y)
    assert np.max(np.abs(found - wavelength)) < 1e-8
    assert np.max(np.abs(position - t)) < 1e-11
    x2, y2 = w.invert(found, position)
    assert np.max(np.hypot(x2 - x, y2 - y)) < 1e-6


def test_world_coordinates_have_units_and_physical_types(slit):
    geometry, mask_slit, shape = slit
    w = slit_wcs(geometry, mask_slit, shape)
    assert tuple(w.world_axis_physical_types) == ("em.wl", "custom:pos.slit")
    wavelength, t, x, y = _light(geometry, shape)
    spectral, position = w.pixel_to_world(x[0], y[0])
    assert isinstance(spectral, SpectralCoord)
    assert spectral.to_value(u.nm) == pytest.approx(wavelength[0] / 10)
    assert position.unit == u.dimensionless_unscaled
    assert position.value == pytest.approx(t[0])
    back = w.world_to_pixel(spectral, position)
    assert np.allclose(back, (x[0], y[0]), atol=1e-6)


def test_mask_frame_gives_millimetres(slit):
    geometry, mask_slit, shape = slit
    w = slit_wcs(geometry, mask_slit, shape, to="mask")
    _, t, x, y = _light(geometry, shape)
    found, X, Y = w(x, y)
    (a, b), (c, d) = mask_slit.control
    assert np.allclose(X, a + t * (c - a), atol=1e-9)
    assert np.allclose(Y, b + t * (d - b), atol=1e-9)
    x2, y2 = w.invert(found, X, Y)
    assert np.max(np.hypot(x2 - x, y2 - y)) < 1e-6


def test_outside_is_nan(slit):
    geometry, mask_slit, shape = slit
    w = slit_wcs(geometry, mask_slit, shape)
    for t in (-0.02, 1.02):
        x, y = geometry.pixel(7000.0, t)
        assert np.isnan(w(float(x), float(y))).any()
    for wavelength in (4990.0, 9010.0):
        assert np.isnan(w.invert(wavelength, 0.5)).any()
    assert np.isnan(w(-5000.0, 10.0)).any()


def test_portable_wcs_is_within_its_bound_and_made_of_astropy_only(slit):
    geometry, mask_slit, shape = slit
    exact = slit_wcs(geometry, mask_slit, shape)
    standard = portable_slit_wcs(geometry, mask_slit, shape)
    assert standard.error_bound <= 1e-3
    _, _, x, y = _light(geometry, shape, seed=8)
    inside = np.isfinite(exact(x, y)[0])
    x, y = x[inside], y[inside]
    back = exact.invert(*standard(x, y), with_bounding_box=False)
    miss = np.hypot(back[0] - x, back[1] - y)
    assert np.nanmax(miss) <= standard.error_bound
    there = standard.invert(*exact(x, y), with_bounding_box=False)
    assert np.nanmax(np.hypot(there[0] - x, there[1] - y)) <= standard.error_bound
    modules = {type(m).__module__ for m in standard.forward_transform.traverse_postorder()}
    assert all(name.startswith("astropy.") for name in modules)


def test_portable_wcs_opens_without_specwcs(tmp_path):
    """Of every direction, in one process."""
    light, given = {}, {}
    for direction in DIRECTIONS:
        geometry, mask_slit, shape = slit_of(direction)
        path = tmp_path / f"{direction}.asdf"
        asdf.AsdfFile({"wcs": portable_slit_wcs(geometry, mask_slit, shape)}).write_to(path)
        wavelength, t, x, y = (v[:5] for v in _light(geometry, shape))
        light[direction] = np.column_stack([wavelength, t])
        given[str(path)] = np.column_stack([x, y]).tolist()
    script = f"""
import json, sys
class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "specwcs":
            raise ImportError(name)
sys.meta_path.insert(0, Forbid())
import asdf
for path, places in {given}.items():
    with asdf.open(path) as f:
        w = f["wcs"]
        print(json.dumps([w.name, [list(map(float, w(*place))) for place in places]]))
"""
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for true, line in zip(light.values(), out, strict=True):
        name, found = json.loads(line)
        assert "standard models, within" in name
        miss = np.abs(np.array(found) - true).max(axis=0)
        assert np.all(miss < (0.01, 1e-3))


@pytest.mark.parametrize("to", ["mask", "sky", "nowhere"])
def test_portable_wcs_ends_at_the_slit(slit, to):
    with pytest.raises(InputError, match=f"slit 7: a portable WCS to '{to}'. Must be to 'slit'"):
        portable_slit_wcs(*slit, to=to)


def test_a_slit_beyond_polynomials_is_refused(slit, monkeypatch):
    monkeypatch.setattr(portable, "_FORMS", [(3, 1)])
    with pytest.raises(FitError, match=r"slit 7: portable WCS off by .* px, allowed 0\.001 px"):
        portable_slit_wcs(*slit)


def test_a_slit_off_the_detector_is_named(slit):
    geometry, mask_slit, _ = slit
    with pytest.raises(InputError, match="slit 7: the slit does not fall on the detector"):
        slit_wcs(geometry, mask_slit, (10, 10))


def test_unknown_frame_is_refused(slit):
    with pytest.raises(InputError, match="invalid frame 'galaxy'"):
        slit_wcs(*slit, to="galaxy")
    with pytest.raises(InputError, match="its place on the sky is not known"):
        slit_wcs(*slit, to="sky")


def test_the_sky_is_that_of_a_fits_tangent_plane(slit):
    geometry, mask_slit, shape = slit
    cd = np.array([[-3e-4, 2e-5], [1e-5, 3.1e-4]])
    on_sky = cases.StraightSlit(mask_slit.control, sky=SlitSky(210.0, -32.0, *cd.ravel()))
    w = slit_wcs(geometry, on_sky, shape, to="sky")
    wavelength, t, x, y = _light(geometry, shape, 50)
    found, ra, dec = w(x, y)
    plane = WCS(naxis=2)
    plane.wcs.ctype, plane.wcs.crval = ["RA---TAN", "DEC--TAN"], [210.0, -32.0]
    plane.wcs.crpix, plane.wcs.cd = [0.0, 0.0], cd
    X, Y = mask_slit.curve(t)
    expected = plane.all_pix2world(X - on_sky.x - 1, Y - on_sky.y - 1, 0)
    np.testing.assert_allclose(found, wavelength, atol=1e-7)
    np.testing.assert_allclose(ra, expected[0], atol=1e-9)
    np.testing.assert_allclose(dec, expected[1], atol=1e-9)
    x2, y2 = w.invert(found, ra, dec)
    np.testing.assert_allclose([x2, y2], [x, y], atol=1e-4)


def test_maps_agree_with_the_exact_solution(slit):
    geometry, _, shape = slit
    maps = frame_maps({3: geometry}, shape)
    y, x = np.nonzero(maps.slit == 3)
    wavelength, t = geometry.world(x, y)
    assert np.max(np.abs(maps.wavelength[y, x] - wavelength)) < 1e-5
    assert np.max(np.abs(maps.t[y, x] - t)) < 1e-7
    rows, columns = np.indices(shape)
    every, position = geometry.world(columns, rows)
    inside = (position >= 0) & (position <= 1) & (every >= 5000) & (every <= 9000)
    # Pixels right on an edge may go either way by rounding.
    clear = inside & (np.abs(position - 0.5) < 0.4999) & (every > 5001) & (every < 8999)
    assert np.all(maps.slit[clear] == 3)
    assert np.all(maps.slit[~inside & ~np.isclose(position, 1) & ~np.isclose(position, 0)] == -1)
    assert np.all(np.isnan(maps.wavelength[maps.slit < 0]))


def test_the_first_of_two_overlapping_slits_has_the_pixel(slit):
    geometry, _, shape = slit
    maps = frame_maps({0: geometry, 1: geometry}, shape)
    assert set(np.unique(maps.slit)) == {-1, 0}


def test_maps_of_slits_that_abut_overlap_and_leave_the_frame(slit):
    # As many copies of a slit, side by side, out of order, one within others, two half off.
    geometry, _, shape = slit
    ends = geometry.trace.pixel_from_trace(0.0, np.array([0.0, 1.0]))
    height = np.ptp(geometry.trace.direction.split(*ends)[1])
    places = np.array([1.0, -1.0, 0.0, 0.4, 2.5, -40.0, *np.arange(-9, -1, 1.02)]) * height
    geometries = {
        3 * n: SlitGeometry(geometry.trace.shifted(offset, 0.0), geometry.dispersion)
        for n, offset in enumerate(places)
    }
    maps = frame_maps(geometries, shape)
    rng = np.random.default_rng(5)
    y, x = (rng.integers(0, size, 40_000) for size in shape)
    owner, near = np.full(len(x), -1), np.zeros(len(x), bool)
    expected = np.full((2, len(x)), np.nan)
    for number, one in reversed(geometries.items()):
        wavelength, t = one.world(x, y)
        inside = (t >= 0) & (t <= 1) & (wavelength >= 5000) & (wavelength <= 9000)
        owner[inside] = number
        expected[:, inside] = wavelength[inside], t[inside]
        # Pixels right on an edge may go either way by rounding.
        near |= np.isclose(t, 0) | np.isclose(t, 1) | (np.abs(wavelength - 7000) > 1999)
    assert len(set(np.unique(owner))) > 6
    y, x, owner, expected = y[~near], x[~near], owner[~near], expected[:, ~near]
    np.testing.assert_array_equal(maps.slit[y, x], owner)
    np.testing.assert_allclose(maps.wavelength[y, x], expected[0], rtol=0, atol=2e-5)
    np.testing.assert_allclose(maps.t[y, x], expected[1], rtol=0, atol=1e-6)
    assert np.array_equal(np.isnan(maps.t), maps.slit < 0)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_strip_of_a_slit_shorter_than_what_lies_beside_it(direction):
    """Its rows reach farther than the geometry does, relative to its length: none is NaN."""
    *models, slit = cases.field_models(direction)
    middle = np.mean(slit.control, axis=0)
    short = cases.StraightSlit(middle + 0.05 * (slit.control - middle))
    geometry = SlitGeometry.from_models(*models, short, direction)
    strip = SlitStrip(geometry, Direction(direction), cases.SHAPE[direction])
    wavelength, t, u = strip.world()
    assert np.all(np.isfinite([wavelength, t, u]))
    p, q = np.broadcast_arrays(strip.columns, strip.rows)
    x, y = strip.direction.detector_pixel(p, q, strip.shape)
    exact = geometry.world(x, y)
    inside = (exact[1] >= 0) & (exact[1] <= 1)
    assert np.array_equal(inside, (t >= 0) & (t <= 1))
    assert 3 < inside.sum(axis=0).mean() < 8
    np.testing.assert_allclose(t[inside], exact[1][inside], rtol=0, atol=1e-5)
    steps = np.diff(t, axis=0)
    assert np.all(steps * steps[0] > 0)
