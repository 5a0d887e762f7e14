"""Real frames, no hand, against the independent solutions that come with them."""

import numpy as np
import pytest
import real_cases as cases
from astropy.io import fits

from specwcs import Instrument, LineCatalog, Mask, calibrate, extract, read_frame
from specwcs.calibration.field_fit import fit_field
from specwcs.calibration.points import Points
from specwcs.errors import FitError
from specwcs.models import CurvatureModel

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    # Frames of SPECWCS_REAL_DATA say little of themselves, and read_frame says so.
    pytest.mark.filterwarnings("ignore::specwcs.errors.SpecwcsWarning"),
    pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning"),
]


def _rms(values):
    return float(np.sqrt(np.mean(values**2)))


@pytest.fixture(scope="module")
def kast(real_data):
    folder = real_data / "kast_blue"

    def path(*numbers):
        return [str(folder / f"b{n}.fits.gz") for n in numbers]

    instrument = Instrument.read("kast_blue_600_4310")
    cal = calibrate(
        instrument,
        Mask.read("kast_longslit_0.5"),
        arc=path(1),
        flat=path(11, 12, 13),
        bias=path(21, 22, 23),
        catalog=LineCatalog.read(["He", "Hg", "Cd"]).to_medium("vacuum"),
    )
    science = read_frame(path(27), instrument, bias=path(21, 22, 23))
    return folder, cal, science


def test_kast_lines_are_where_another_program_found_them(kast):
    folder, cal, _ = kast
    pixel, wavelength, _ = cases.pypeit_lines(folder / "kastb_600_PYPIT.json")
    off = cases.pixel_differences(cal, np.full(len(pixel), 175.0), pixel, wavelength)
    off -= np.median(off)  # it was measured at one row, which is not told
    assert np.all(np.isfinite(off))
    assert _rms(off[2:]) < 0.15  # the two bluest are blends
    assert cal.good() == list(cal.mask)


def test_kast_edges_are_where_the_eye_sees_them(kast):
    """Lower edge from y 23 to 19, upper from 329 to 326, from blue to red."""
    _, cal, _ = kast
    geometry = cal.geometry(next(iter(cal.mask)))
    low, high = geometry.dispersion.wavelength_domain
    for t, seen in ((1.0, (23, 19)), (0.0, (329, 326))):
        _, y = geometry.pixel(np.array([low, high]), t)
        assert np.all(np.abs(y - seen) < 2.5)


def test_kast_science_wavelengths_are_those_of_another_reduction(kast):
    """Both in vacuum; theirs are heliocentric by VEL_CORR, and shifted by sky flexure."""
    folder, cal, _ = kast
    with fits.open(folder / "spec1d_b27.fits") as hdus:
        table, factor = hdus[1].data, hdus[1].header["VEL_CORR"]
        theirs = np.array(table["OPT_WAVE"], float) / factor
        row = np.array(table["TRACE_SPAT"], float)
    ours, _ = cal.geometry(next(iter(cal.mask))).world(np.arange(len(row), dtype=float), row)
    between_lines = (theirs > 3650) & (theirs < 5460)
    assert np.max(np.abs(ours - theirs)[between_lines]) < 0.3


def test_kast_science_spectrum_is_that_of_another_reduction(kast):
    """PypeIt's optimal spectrum of the same frame: wavelengths, shape and noise.

    Ours is in counts, theirs in electrons. Theirs is heliocentric by VEL_CORR.
    """
    folder, cal, science = kast
    (spectrum,) = extract(cal, science)
    with fits.open(folder / "spec1d_b27.fits") as hdus:
        table, factor = hdus[1].data, hdus[1].header["VEL_CORR"]
        good = np.array(table["OPT_MASK"], bool)
        theirs = np.array(table["OPT_WAVE"], float)[good] / factor
        flux, noise = (np.array(table[f"OPT_COUNTS{c}"], float)[good] for c in ("", "_SIG"))
    wavelength, ours = spectrum.spectral_axis.value, spectrum.flux.value
    sigma = np.sqrt(spectrum.uncertainty.array)
    step = np.gradient(theirs)
    ratio, signal = [], []
    for low in np.arange(3800, 5200, 200):  # to where wavelengths are known
        here = (wavelength > low) & (wavelength < low + 200) & ~spectrum.mask
        there = (theirs > low) & (theirs < low + 200)
        ratio.append(ours[here].sum() / flux[there].sum())
        # S/N of an Angstrom; ours shares pixels between bins, which their rows do not.
        correlated = 1 + 2 * np.sum(spectrum.meta["correlation"])
        bins = np.gradient(wavelength)[here]
        mine = np.median(ours[here] / sigma[here] / np.sqrt(bins * correlated))
        signal.append(mine / np.median(flux[there] / noise[there] / np.sqrt(step[there])))
    assert np.ptp(ratio) / np.mean(ratio) < 0.05
    assert abs(np.median(signal) - 1) < 0.10
    # Wavelengths: the shift that makes the two spectra agree best, by half of the range.
    for low, high in ((3800, 4600), (4600, 5400)):
        here = (wavelength > low) & (wavelength < high)
        shifts = np.arange(-2, 2.01, 0.1)
        mine = _features(wavelength[here], ours[here])
        match = []
        for shift in shifts:
            other = np.interp(wavelength[here] - shift, theirs, flux)
            match.append(np.corrcoef(mine, _features(wavelength[here], other))[0, 1])
        assert abs(shifts[int(np.argmax(match))]) <= 0.31
        assert max(match) > 0.9


def _features(wavelength, flux):
    """Divide by a smooth continuum, less 1."""
    return flux / np.polynomial.Chebyshev.fit(wavelength, flux, 6)(wavelength) - 1


def test_a_list_of_half_of_the_lamps_lines_is_not_enough(real_data):
    """Iron and argon for helium, neon and argon: half of it right, its blue end 1.5 px off."""
    folder = real_data / "dbsp_red"
    catalog = LineCatalog.read(["FeAr"]).to_medium("vacuum")
    with pytest.raises(FitError, match=r"explains only \d+% of the lines that are as bright"):
        calibrate(
            Instrument.read("dbsp_red_316"), Mask.read("dbsp_longslit_1.0"),
            arc=str(folder / "red0022.fits"), flat=str(folder / "red0033.fits"), catalog=catalog,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("grism", "night", "physical", "limit"),
    [("Gr11", "20120824", 4.0, 0.055), ("Gr13", "20120825", 0.0, 0.052)],
)
def test_efosc2_along_the_whole_slit(real_data, grism, night, physical, limit):
    """From the full lists of He, Ar and Cd; Gr11's positions are physical, LTV2 = -4.

    The limits are what the best of specreduce and PypeIt reaches with the right identifications.
    """
    name = f"arc_{night}_{grism}_Free_slit1.0_56442_1"
    catalog = LineCatalog.read(["He", "Ar", "Cd"]).to_medium("air")
    cal = calibrate(
        Instrument.read(f"efosc2_{grism.lower()}"),
        Mask.read("efosc2_longslit_1.0"),
        arc=str(real_data / "efosc2" / f"{name}.fits"),
        catalog=catalog,
    )
    column, pixel, wavelength = cases.iraf_identifications(
        real_data / "efosc2" / "database" / f"id{name}"
    )
    own = cases.own_wavelength(catalog, wavelength)
    assert np.all(np.isfinite(own))
    off = cases.pixel_differences(cal, column, pixel - physical, own)
    low, high = cal.ids.domain
    assert np.all((own > low) & (own < high))
    assert _rms(off) < limit


def test_sofi_agrees_with_the_experts(real_data):
    """Lines 6 px wide, many of them blends; the experts scatter by 0.03 px themselves."""
    catalog = LineCatalog.read(["Xe", "Ne"]).to_medium("vacuum")
    cal = calibrate(
        Instrument.read("sofi_gb"),
        Mask.read("sofi_longslit_2.0"),
        arc=str(real_data / "sofi" / "arc_GD71_1_GB_20111220.fits"),
        catalog=catalog,
    )
    column, pixel, wavelength = cases.iraf_identifications(
        real_data / "sofi" / "database" / "idarc_GD71_1_GB_20111220"
    )
    own = cases.own_wavelength(catalog, wavelength)
    low, high = cal.slits[next(iter(cal.mask))].known
    known = np.isfinite(own) & (own > low) & (own < high)
    assert known.mean() > 0.6
    off = cases.pixel_differences(cal, column[known], pixel[known], own[known])
    assert 1.4826 * np.median(np.abs(off)) < 0.1


def test_dbsp_red_agrees_with_the_arc_template(real_data):
    """The template's lines and ours: the same wavelengths where both have a bright peak."""
    folder = real_data / "dbsp_red"
    cal = calibrate(
        Instrument.read("dbsp_red_316"),
        Mask.read("dbsp_longslit_1.0"),
        arc=str(folder / "red0022.fits"),
        flat=str(folder / "red0033.fits"),
        catalog=LineCatalog.read(["He", "Ne", "Ar"]).to_medium("vacuum"),
    )
    frame = read_frame(str(folder / "red0022.fits"), cal.instrument)
    row = 220
    flux = np.median(frame.data[row - 10 : row + 11], axis=0)
    x = np.arange(len(flux), dtype=float)
    wavelength, _ = cal.geometry(next(iter(cal.mask))).world(x, np.full(len(x), float(row)))
    with fits.open(folder / "p200_dbsp_red_316_7500_d55.fits") as hdus:
        table = hdus[1].data
        template = np.interp(wavelength, table["wave"], table["flux"])
    low, high = cal.ids.domain
    known = (wavelength > low) & (wavelength < high) & (x > 720)
    a, b = (np.sqrt(np.clip(v[known] - np.percentile(v[known], 30), 0, None))
            for v in (flux, template))  # fmt: skip
    lags = np.arange(-20, 21)
    match = np.array([np.corrcoef(a[25:-25], np.roll(b, lag)[25:-25])[0, 1] for lag in lags])
    assert abs(lags[match.argmax()]) <= 1
    assert match.max() > 0.6


@pytest.mark.parametrize(
    ("degrees", "limit"), [((2, 0, 1), 0.09), ((3, 0, 2), 0.08), ((4, 0, 4), 0.075)]
)
def test_one_curvature_model_holds_the_deimos_slits(real_data, degrees, limit):
    """68 real edges, bent by up to 28 px: rms of what the robust fit keeps, at least 85 %."""
    with np.load(real_data / "deimos" / "edges_1200G_M_7750.npz") as file:
        center = file["center"].astype(float)
    p, y = np.arange(4096.0)[::64], center[::64]
    middle = np.broadcast_to(center[2048], y.shape)
    d = np.broadcast_to(p[:, None] - 2048, y.shape)
    slit = np.broadcast_to(np.arange(68) // 2, y.shape).astype(str)
    n = y.size
    points = Points(
        np.full(n, 2048.0), middle.ravel(), d.ravel(), (y - middle).ravel(), np.full(n, 0.05),
        slit.ravel(), np.zeros(n),
    )  # fmt: skip
    _, fit, _, _ = fit_field(
        CurvatureModel, points, (degrees, degrees), what="CRV", x_domain=(-0.5, 4095.5),
        y_domain=(middle.min(), middle.max()),
    )  # fmt: skip
    assert fit.used.mean() > 0.85
    assert fit.rms < limit
    assert np.median(np.abs(fit.residuals)) < 0.05
