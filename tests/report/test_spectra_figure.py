import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import VarianceUncertainty
from specutils import Spectrum
from test_calibration_figure import assert_legible, visible_texts

from specwcs.errors import SpecwcsWarning
from specwcs.extraction import extract, rectify
from specwcs.report import spectra_figure


@pytest.fixture(scope="module")
def extracted(case):
    _, cal, _, _, science = case
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpecwcsWarning)
        return rectify(cal, science), extract(cal, science)


def panels(figure, key):
    """Image and spectrum of a slit."""
    number = [a.get_title(loc="left") for a in figure.axes].index(f"slit {key}")
    return figure.axes[number : number + 2]


def test_picture_is_legible(extracted):
    images, spectra = extracted
    figure = spectra_figure(images, spectra, title="science.fits", failed=images.skipped)
    assert_legible(figure)
    assert any("slit 03 failed: no light on the flat" in text for text, _ in visible_texts(figure))


def test_spectrum_stands_under_its_own_image(extracted):
    images, spectra = extracted
    figure = spectra_figure(images, spectra)
    for spectrum in spectra:
        above, below = panels(figure, spectrum.meta["slit"])
        shown = below.lines[0].get_ydata()
        expected = np.where(spectrum.mask, np.nan, spectrum.flux.value)
        np.testing.assert_array_equal(shown, expected)
        assert above.get_xlim() == below.get_xlim()
        low, high = sorted(line.get_ydata()[0] for line in above.lines)
        assert low < 0.4 < high  # the star of the simulation


def test_slit_without_a_spectrum_says_why(extracted):
    images, spectra = extracted
    key = spectra[0].meta["slit"]
    figure = spectra_figure(images, spectra[1:], failed={key: "no object stands out"})
    _, below = panels(figure, key)
    assert [text.get_text() for text in below.texts] == ["no object stands out"]


def made_up(key, n=50):
    rng = np.random.default_rng(int(key))
    axis = np.linspace(5000, 6000, n) * u.AA
    meta = {"slit": key, "medium": "air"}
    image = Spectrum(
        flux=rng.normal(0, 1, (4, n)) * u.adu, spectral_axis=axis, mask=np.zeros((4, n), bool),
        meta=meta,
    )  # fmt: skip
    spectrum = Spectrum(
        flux=rng.normal(0, 1, n) * u.adu, spectral_axis=axis, mask=np.zeros(n, bool), meta=meta,
        uncertainty=VarianceUncertainty(np.ones(n)),
    )  # fmt: skip
    return image, spectrum


@pytest.mark.parametrize("n", [1, 60])
def test_any_number_of_slits_is_legible(n):
    images, spectra = {}, []
    for number in range(n):
        images[str(number)], spectrum = made_up(str(number))
        spectra.append(spectrum)
    failed = {f"x{number}": "no light on the flat " * 20 for number in range(20)}
    figure = spectra_figure(images, spectra, title="many", failed=failed)
    assert len(figure.axes) == 2 * n
    assert_legible(figure)


def test_no_slit_at_all():
    figure = spectra_figure({}, [], title="nothing", failed={"1": "dark"})
    texts = sorted(text for text, _ in visible_texts(figure))
    assert texts == ["nothing", "slit 1 failed: dark"]


def test_flux_that_is_not_finite_is_no_fault():
    image, spectrum = made_up("1")
    flux = np.full(50, np.nan) * u.adu
    dead = Spectrum(
        flux=flux, spectral_axis=spectrum.spectral_axis, mask=np.ones(50, bool), meta=spectrum.meta
    )
    dead_image = Spectrum(
        flux=np.full((4, 50), np.nan) * u.adu,
        spectral_axis=spectrum.spectral_axis,
        mask=np.ones((4, 50), bool),
        meta=image.meta,
    )
    assert_legible_enough(spectra_figure({"1": dead_image}, [dead]))


def assert_legible_enough(figure):
    figure.draw_without_rendering()
    assert len(figure.axes) == 2
