import json
import subprocess
import sys

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.nddata import VarianceUncertainty
from astropy.wcs import WCS
from specutils import Spectrum, SpectrumList

from specwcs.errors import InputError
from specwcs.io.products import write_products, write_spectra, write_spectrum

WAVELENGTH = 5000.25 + 1.7 * np.arange(40)


def image(medium="air", wavelength=WAVELENGTH):
    rng = np.random.default_rng(1)
    flux = rng.normal(100, 10, (12, len(wavelength)))
    flux[3, 7] = np.nan
    return Spectrum(
        flux=flux * u.adu,
        spectral_axis=wavelength * u.AA,
        uncertainty=VarianceUncertainty(rng.uniform(1, 2, flux.shape)),
        mask=~np.isfinite(flux),
        meta={"slit": "049", "medium": medium, "t": 1 - (np.arange(12) + 0.5) / 12},
    )


def spectrum(medium="air"):
    return Spectrum(
        flux=np.arange(40.0) * u.electron,
        spectral_axis=WAVELENGTH * u.AA,
        uncertainty=VarianceUncertainty(np.full(40, 3.0)),
        mask=np.arange(40) == 5,
        meta={
            **{"slit": "049", "medium": medium, "sky": True, "t_range": (0.3, 0.5)},
            **{"object_t": np.float64(0.4), "object_fwhm": np.float64(3.5)},
        },
    )


@pytest.mark.parametrize("medium", ["air", "vacuum"])
@pytest.mark.parametrize("make", [image, spectrum])
def test_specutils_reads_it_without_being_told_the_format(tmp_path, make, medium):
    written = make(medium)
    write_spectrum(written, tmp_path / "a.fits")
    read = Spectrum.read(tmp_path / "a.fits")
    assert read.flux.unit == written.flux.unit
    kept = np.float32 if make is image else np.float64
    np.testing.assert_array_equal(read.flux.value, written.flux.value.astype(kept))
    np.testing.assert_array_equal(read.mask, written.mask)
    np.testing.assert_array_equal(read.uncertainty.array, written.uncertainty.array.astype(kept))
    assert isinstance(read.uncertainty, VarianceUncertainty)
    np.testing.assert_allclose(read.spectral_axis.to_value(u.AA), WAVELENGTH, rtol=1e-12)


def test_specutils_reads_it_into_a_list(tmp_path):
    write_spectrum(spectrum(), tmp_path / "a.fits")
    (read,) = SpectrumList.read(tmp_path / "a.fits")
    np.testing.assert_array_equal(read.flux.value, spectrum().flux.value)


@pytest.mark.parametrize(("medium", "ctype"), [("air", "AWAV"), ("vacuum", "WAVE")])
def test_header_has_a_linear_wcs_that_names_the_medium(tmp_path, medium, ctype):
    write_spectrum(image(medium), tmp_path / "a.fits")
    for hdu in range(3):
        header = fits.getheader(tmp_path / "a.fits", hdu)
        assert header["CTYPE1"] == ctype
        assert header["CUNIT1"] == "Angstrom"
        assert header["SLIT"] == "049"
        # In FITS the first pixel is 1.
        metres, t = WCS(header).wcs_pix2world([[1, 1], [40, 12]], 1).T
        np.testing.assert_allclose(metres * 1e10, WAVELENGTH[[0, -1]], rtol=1e-12)
        np.testing.assert_allclose(t, image().meta["t"][[0, -1]], rtol=1e-12)


def test_header_of_a_spectrum_tells_of_the_object(tmp_path):
    write_spectrum(spectrum(), tmp_path / "a.fits")
    header = fits.getheader(tmp_path / "a.fits")
    assert (header["SKYSUB"], header["OBJPOS"], header["OBJFWHM"]) == (True, 0.4, 3.5)


def test_file_is_valid_and_sealed(tmp_path):
    write_spectrum(image(), tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits", checksum=True) as hdus:  # a mismatch warns
        hdus.verify("exception")
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "VAR", "MASK"]


def test_without_uncertainty(tmp_path):
    bare = image()
    bare.uncertainty = None
    write_spectrum(bare, tmp_path / "a.fits")
    assert Spectrum.read(tmp_path / "a.fits").uncertainty is None


def test_uneven_wavelengths_are_refused(tmp_path):
    uneven = np.cumsum(np.linspace(1, 2, 40)) + 5000
    with pytest.raises(InputError, match=r"a\.fits: the wavelengths are not evenly spaced"):
        write_spectrum(image(wavelength=uneven), tmp_path / "a.fits")
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_kept_unless_told(tmp_path):
    write_spectrum(image(), tmp_path / "a.fits")
    with pytest.raises(InputError, match="exists already"):
        write_spectrum(spectrum(), tmp_path / "a.fits")
    assert fits.getheader(tmp_path / "a.fits")["NAXIS"] == 2
    write_spectrum(spectrum(), tmp_path / "a.fits", overwrite=True)
    assert fits.getheader(tmp_path / "a.fits")["NAXIS"] == 1


def test_products_of_an_exposure(tmp_path):
    paths = write_products(tmp_path / "new", "b27", {"049": image()}, [spectrum()])
    names = ["b27_049_2d.fits", "b27_049_1d.fits", "b27_spectra.fits"]
    assert [path.name for path in paths] == names
    assert sorted(tmp_path.glob("new/*")) == sorted(paths)
    assert [Spectrum.read(path).flux.ndim for path in paths] == [2, 1, 1]


def test_all_checksums_are_right(tmp_path):
    for path in write_products(tmp_path, "b27", {"049": image()}, [spectrum()]):
        with fits.open(path) as hdus:
            assert all(hdu.verify_checksum() == hdu.verify_datasum() == 1 for hdu in hdus)


def test_second_object_has_its_own_file(tmp_path):
    second = spectrum()
    second.meta["object"] = 2
    paths = write_products(tmp_path, "b27", {}, [spectrum(), second])
    names = ["b27_049_1d.fits", "b27_049_obj2_1d.fits", "b27_spectra.fits"]
    assert [path.name for path in paths] == names


def test_logarithmic_axis_is_kept(tmp_path):
    written = image("vacuum", np.geomspace(5000, 5070, 40))
    write_spectrum(written, tmp_path / "a.fits")
    assert fits.getheader(tmp_path / "a.fits")["CTYPE1"] == "WAVE-LOG"
    read = Spectrum.read(tmp_path / "a.fits")
    expected = written.spectral_axis.value
    np.testing.assert_allclose(read.spectral_axis.to_value(u.AA), expected, rtol=1e-12)


def test_cards_of_the_exposure_are_kept(tmp_path):
    header = fits.Header({"OBJECT": "Feige 66", "EXPTIME": 30.0, "FILTER": "none"})
    write_products(tmp_path, "b24", {"049": image()}, [spectrum()], header)
    for name in ("b24_049_1d.fits", "b24_049_2d.fits", "b24_spectra.fits"):
        written = fits.getheader(tmp_path / name)
        assert (written["OBJECT"], written["EXPTIME"]) == ("Feige 66", 30.0)
        assert "FILTER" not in written


def test_correlation_is_told(tmp_path):
    one, two = spectrum(), image()
    one.meta["correlation"] = 0.2
    two.meta["correlation"] = np.array([[1, 0.1], [0.3, 0.03]])
    for number, product in enumerate((one, two)):
        write_spectrum(product, tmp_path / f"{number}.fits")
    assert fits.getheader(tmp_path / "0.fits")["CORRWAVE"] == 0.2
    header = fits.getheader(tmp_path / "1.fits")
    assert (header["CORRWAVE"], header["CORRPOS"]) == (0.1, 0.3)


# -- all spectra of an exposure ------------------------------------------------------------


def several():
    spectra = [spectrum(), spectrum("vacuum")]
    spectra[1].meta |= {"slit": "50", "object": 2, "sky_flux": np.full(40, 7.0)}
    return spectra


def read_alone(path, *, with_specwcs):
    """Read a file in a process of its own: loaders stay registered in this one."""
    lines = ["import specwcs.io.loaders"] if with_specwcs else []
    lines += [
        "import sys, json",
        "from specutils import Spectrum, SpectrumList",
        f"one, all = Spectrum.read({str(path)!r}), SpectrumList.read({str(path)!r})",
        "shown = [[s.flux.value.tolist(), s.meta.get('slit'), s.uncertainty.array.tolist()]",
        "         for s in (one, *all)]",
        "print(json.dumps(shown))",
    ]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_specutils_reads_all_spectra_of_an_exposure(tmp_path):
    write_spectra(several(), tmp_path / "all.fits")
    one, *every = read_alone(tmp_path / "all.fits", with_specwcs=True)
    assert [slit for _, slit, _ in every] == ["049", "50"]
    assert one == every[0]
    assert one[0] == np.arange(40.0).tolist()
    assert one[2] == [3.0] * 40


def test_specutils_reads_the_first_without_specwcs(tmp_path):
    write_spectra(several(), tmp_path / "all.fits")
    one, *every = read_alone(tmp_path / "all.fits", with_specwcs=False)
    assert one[0] == np.arange(40.0).tolist()
    assert one[2] == [3.0] * 40
    assert every == [one]


def test_what_the_loader_gives_is_what_was_written(tmp_path):
    from specwcs.io.loaders import read_spectra, read_spectrum

    write_spectra(several(), tmp_path / "all.fits", fits.Header({"OBJECT": "NGC 1"}))
    first, second = read_spectra(tmp_path / "all.fits")
    np.testing.assert_allclose(first.spectral_axis.to_value(u.AA), WAVELENGTH, rtol=1e-12)
    assert (first.meta["medium"], second.meta["medium"]) == ("air", "vacuum")
    assert second.meta["object"] == 2
    np.testing.assert_array_equal(second.meta["sky_flux"], 7.0)
    np.testing.assert_array_equal(first.mask, spectrum().mask)
    assert first.meta["header"]["OBJECT"] == "NGC 1"
    assert read_spectrum(tmp_path / "all.fits", number=2).meta["slit"] == "50"


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        write_products(tmp_path / "file", "b27", {}, [])
