from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from truth_calibration import small_mos, truth

from specwcs.errors import InputError, SpecwcsWarning
from specwcs.extraction import extract, rectify
from specwcs.extraction.grids import position_edges, slit_grid
from specwcs.inputs.catalog import vacuum_from_air


@pytest.fixture(scope="module")
def cal():
    return truth(small_mos("LR"))


def test_logarithmic_bins_are_no_wider_than_pixels(cal):
    grid = slit_grid(cal, "01", "log")
    steps = np.diff(np.log(grid.edges))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    x, _ = cal.geometry("01").pixel(grid.edges, 0.5)
    assert 0.98 < np.diff(x).max() < 1.001


def test_other_medium_is_even_in_its_own_wavelengths(cal):
    air, vacuum = slit_grid(cal, "01"), slit_grid(cal, "01", medium="vacuum")
    assert (air.medium, vacuum.medium) == ("air", "vacuum")
    steps = np.diff(vacuum.edges)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-9)
    np.testing.assert_allclose(vacuum_from_air(vacuum.calibrated), vacuum.edges, rtol=1e-11)
    assert vacuum.calibrated[0] == pytest.approx(air.edges[0], abs=1e-6)


def test_light_is_at_its_wavelength_in_either_medium(cal):
    frame = small_mos("LR").science(None, lines=0.0)
    for product in (rectify, extract):
        ends = []
        for medium in ("air", "vacuum"):
            found = product(cal, frame, slits=["01"], medium=medium)
            spectrum = found["01"] if product is rectify else found[0]
            flux = np.nan_to_num(np.atleast_2d(spectrum.flux.value)).sum(axis=0)
            near = np.abs(spectrum.spectral_axis.value - 6563) < 40
            wavelength = spectrum.spectral_axis.value[near]
            depth = flux[near].max() - flux[near]
            ends.append(np.sum(depth * wavelength) / depth.sum())
            assert spectrum.meta["medium"] == medium
        shift = vacuum_from_air(np.array([6563.0]))[0] - 6563.0
        assert ends[1] - ends[0] == pytest.approx(shift, abs=0.15)


@pytest.mark.parametrize(
    ("row", "number"),
    [(1 * u.pix, 50), (2.5 * u.pix, 20), (0.5 * u.arcsec, 24), (0.1, 10), (500 * u.mas, 24)],
)
def test_rows_of_a_given_height(row, number):
    edges = position_edges(row, 50.0, 12.0)
    assert len(edges) == number + 1
    assert np.all(np.diff(edges) < 0)
    assert edges[0] + edges[-1] == pytest.approx(1)
    assert edges[0] <= 1 + 1e-12


@pytest.mark.parametrize("row", [0 * u.pix, -1 * u.pix, 60 * u.pix, 1 * u.m, [1, 2] * u.pix])
def test_rows_that_cannot_be(row):
    with pytest.raises(InputError, match="row is"):
        position_edges(row, 50.0, 12.0)


def test_rows_in_arcsec_hold_all_the_light(cal):
    observation = small_mos("LR")
    frame = observation.science(None, lines=0.0, continuum=0.0)
    fine = rectify(cal, frame, ["01"])["01"]
    coarse = rectify(cal, frame, ["01"], row=0.5 * u.arcsec)["01"]
    sums = [np.nansum(image.flux.value[:, 100:-100]) for image in (fine, coarse)]
    assert sums[1] == pytest.approx(sums[0], rel=1e-3)
    np.testing.assert_allclose(np.diff(coarse.meta["arcsec"]), 0.5, rtol=1e-6)


def turning(observation, low, high):
    """Return the truth, known from `low` to `high`; beyond, wavelengths turn as polynomials do."""
    cal = truth(observation)

    def geometry(slit_id):
        exact = truth(observation).geometry(slit_id)
        exact.dispersion.wavelength_domain = low, high

        def pixel(wavelength, t):
            inner = np.clip(wavelength, low - 200.0, high + 200.0)
            return exact.pixel(2 * inner - wavelength, t)

        return SimpleNamespace(pixel=pixel, world=exact.world, dispersion=exact.dispersion)

    cal.geometry = geometry
    return cal


@pytest.mark.parametrize("ends", [(5500.0, 8500.0), (1000.0, 20000.0)])
@pytest.mark.parametrize("product", [rectify, extract])
def test_bins_beyond_the_wavelengths_of_a_slit_are_nan_and_masked(product, ends):
    observation, low, high = small_mos("LR"), 6200.0, 7800.0
    frame = observation.science(None, lines=0.0)
    wavelength = np.linspace(*ends, 600) * u.AA
    found = product(turning(observation, low, high), frame, ["01"], wavelength=wavelength)
    spectrum = found["01"] if product is rectify else found[0]
    seen = np.atleast_2d(np.isfinite(spectrum.flux.value)).any(axis=0)
    used = ~np.atleast_2d(spectrum.mask).all(axis=0)
    step = wavelength[1] - wavelength[0]
    inside = (wavelength - step / 2 >= low * u.AA) & (wavelength + step / 2 <= high * u.AA)
    beyond = (wavelength + step < low * u.AA) | (wavelength - step > high * u.AA)
    assert np.all(used[inside] & seen[inside])
    assert not np.any(used[beyond] | seen[beyond])


@pytest.mark.parametrize("product", [rectify, extract])
def test_a_grid_beyond_the_wavelengths_of_a_slit_says_so(cal, product):
    frame = small_mos("LR").science(None, lines=0.0)
    with pytest.warns(SpecwcsWarning, match=r"01: no bin of the grid is within .* known from 4900"):
        assert not product(cal, frame, slits=["01"], wavelength=[20000, 20003, 20006] * u.AA)


@pytest.mark.parametrize("product", [rectify, extract])
@pytest.mark.parametrize(
    ("options", "message"),
    [({"wavelength": "linear"}, "wavelength is 'linear'"), ({"medium": "water"}, "medium is")],
)
def test_a_grid_that_no_slit_can_have_is_refused_at_once(cal, product, options, message):
    frame = small_mos("LR").science(None, lines=0.0)
    with pytest.raises(InputError, match=message):
        product(cal, frame, **options)


@pytest.mark.parametrize("row", [0 * u.pix, np.nan * u.pix, 1 * u.m, [1, 2] * u.pix, "high"])
def test_a_row_that_no_slit_can_have_is_refused_at_once(cal, row):
    frame = small_mos("LR").science(None, lines=0.0)
    with pytest.raises(InputError, match=r"row is .* Must be one height above 0"):
        rectify(cal, frame, row=row)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wavelength": "linear"}, "wavelength is 'linear'"),
        ({"medium": "water"}, "medium is 'water'. Must be air or vacuum"),
    ],
)
def test_grids_that_cannot_be(cal, options, message):
    with pytest.raises(InputError, match=message):
        slit_grid(cal, "01", **options)
