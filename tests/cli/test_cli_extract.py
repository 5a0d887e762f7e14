import json
import sys

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from matplotlib.image import imread
from specutils import Spectrum

from specwcs.errors import InputError

SCIENCE = {"01", "04", "05", "06"}  # 02 is a reference slit, 03 is dark


@pytest.fixture
def argv(observed, tmp_path):
    command = ["extract", observed.calibration, observed.science, "-o", tmp_path / "out"]
    return [*command, "--no-pictures"]


def test_products_of_each_slit_and_a_picture(specwcs, argv, observed, tmp_path):
    status, out, err = specwcs(*argv[:-1])
    assert (status, err) == (3, "")
    assert "    03  no light on the flat" in out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    expected = {f"science_{key}_{n}d.fits" for key in SCIENCE for n in (1, 2)}
    expected |= {"science.png", "science.html", "science_slits"}
    assert names == expected | {"science_spectra.fits", "science_cutouts.fits"}
    pictures = {path.stem for path in (tmp_path / "out" / "science_slits").iterdir()}
    assert pictures == SCIENCE
    assert min(imread(tmp_path / "out" / "science.png").shape[:2]) > 500
    spectrum = Spectrum.read(tmp_path / "out" / "science_01_1d.fits")
    low, high = spectrum.spectral_axis.to_value(u.AA)[[0, -1]]
    assert 4000 < low < high < 10000


def test_facts(specwcs, argv, observed, tmp_path):
    status, out, err = specwcs(*argv[:-1], "--json")
    facts = json.loads(out)
    assert (facts["status"], err) == (status, "")
    (exposure,) = facts["exposures"].values()
    assert set(exposure["rectified"]) == set(exposure["extracted"]) == SCIENCE
    assert exposure["failed"] == {"03": "no light on the flat"}
    assert exposure["picture"] == str(tmp_path / "out" / "science.png")
    assert exposure["page"] == str(tmp_path / "out" / "science.html")
    assert len(exposure["files"]) == 10
    assert {spectrum["slit"] for spectrum in exposure["spectra"]} == SCIENCE
    assert all(abs(spectrum["object_t"] - 0.4) < 0.02 for spectrum in exposure["spectra"])


def test_flat_objects_and_grid(specwcs, argv, observed, tmp_path):
    options = ["--flat", observed.flat, "--object", "01=0.4", "--object", "04=0.2,0.7"]
    options += ["--log", "--medium", "vacuum", "--method", "boxcar", "--no-pictures"]
    status, out, err = specwcs(*argv, *options, "--json")
    assert (status, err) == (3, "")
    (exposure,) = json.loads(out)["exposures"].values()
    found = [(s["slit"], s["object"]) for s in exposure["spectra"]]
    assert found == [("01", 1), ("04", 1), ("04", 2), ("05", 1), ("06", 1)]
    assert {spectrum["method"] for spectrum in exposure["spectra"]} == {"boxcar"}
    assert (exposure["picture"], exposure["page"]) == (None, None)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert "science_04_obj2_1d.fits" in names
    assert not any(name.endswith((".png", ".html", "_slits")) for name in names)
    spectrum = Spectrum.read(tmp_path / "out" / "science_04_2d.fits")
    steps = np.diff(np.log(spectrum.spectral_axis.value))
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


def test_without_sky_subtraction(specwcs, argv, tmp_path):
    status, out, _ = specwcs(*argv, "--no-sky", "--no-pictures", "--json")
    (exposure,) = json.loads(out)["exposures"].values()
    assert status == 3
    assert set(exposure["extracted"]) == SCIENCE
    assert not fits.getheader(tmp_path / "out" / "science_01_1d.fits")["SKYSUB"]


def test_barycentre_by_the_header(specwcs, argv, observed, tmp_path):
    where = {"DATE-OBS": "2024-03-01T03:00:00", "EXPTIME": 600.0, "RA": 180.0, "DEC": -30.0}
    where |= {"SITELONG": -70.4, "SITELAT": -24.6, "SITEALT": 2600.0}
    told = tmp_path / "told.fits"
    with fits.open(observed.science) as hdus:
        hdus[0].header.update(where)
        hdus.writeto(told)
    specwcs(*argv, "--no-pictures")
    status, _, err = specwcs(
        "extract", observed.calibration, told, "-o", tmp_path / "b", "--barycentric",
        "--no-pictures",
    )  # fmt: skip
    assert (status, err) == (3, "")
    header = fits.getheader(tmp_path / "b" / "told_01_1d.fits")
    assert header["SPECSYS"] == "BARYCENT"
    still = fits.getheader(tmp_path / "out" / "science_01_1d.fits")
    ratio = header["CRVAL1"] / still["CRVAL1"]
    assert ratio == pytest.approx(1 + header["VELCORR"] / 299792.458, rel=1e-12)
    assert 1 < abs(header["VELCORR"]) < 31


def test_barycentre_that_nobody_knows(specwcs, argv):
    status, out, _ = specwcs(*argv, "--barycentric")
    assert status == 2
    assert "science.fits: the header does not tell the date (MJD-OBS or DATE-OBS)" in out


def test_bad_exposure_does_not_stop_the_others(specwcs, argv, observed, tmp_path):
    cut = tmp_path / "cut.fits"
    cut.write_bytes(observed.science.read_bytes()[:9000])
    argv[2:3] = [cut, observed.arc, tmp_path / "missing.fits"]
    status, out, _ = specwcs(*argv, "--json")
    exposures = json.loads(out)["exposures"]
    assert status == 3
    assert "copy it again" in exposures[str(cut)]["error"]
    assert "no such file" in exposures[str(tmp_path / "missing.fits")]["error"]
    assert set(exposures[str(observed.arc)]["rectified"]) == SCIENCE
    assert (tmp_path / "out" / "arc_01_2d.fits").exists()


def test_nothing_but_bad_exposures_is_wrong_input(specwcs, argv, tmp_path):
    argv[2] = tmp_path / "missing.fits"
    status, out, _ = specwcs(*argv)
    assert status == 2
    assert "extracted 0 of 1 exposures" in out
    assert "missing.fits: no such file" in out
    assert out.count("missing.fits") == 1


def test_fault_with_one_exposure_does_not_stop_the_others(
    specwcs, argv, observed, tmp_path, monkeypatch
):
    from specwcs.io import products

    write = products.write_products

    def faulty(folder, name, *given, **options):
        if name == "flat":
            raise ZeroDivisionError("by zero")
        return write(folder, name, *given, **options)

    monkeypatch.setattr(products, "write_products", faulty)
    argv[2:3] = [observed.flat, observed.science]
    status, out, err = specwcs(*argv)
    assert status == 1
    assert "ZeroDivisionError: by zero" in out
    assert "please report it" in err
    assert (tmp_path / "out" / "science_01_1d.fits").exists()


def test_bad_slit_does_not_stop_the_others(specwcs, argv, monkeypatch):
    for name in ("rectify", "extract"):
        module = sys.modules[f"specwcs.extraction.{name}"]

        def faulty(cal, slit_id, *given, make=module.slit_grid, **options):
            if slit_id == "04":
                raise InputError("the geometry folds")
            return make(cal, slit_id, *given, **options)

        monkeypatch.setattr(module, "slit_grid", faulty)
    status, out, _ = specwcs(*argv, "--json")
    (exposure,) = json.loads(out)["exposures"].values()
    assert status == 3
    assert set(exposure["rectified"]) == SCIENCE - {"04"}
    assert exposure["failed"]["04"] == "the geometry folds."


def test_bias_is_subtracted(specwcs, argv, observed, tmp_path):
    specwcs(*argv)
    folder = tmp_path / "biased"
    specwcs(*argv[:4], folder, "--no-pictures", "--bias", observed.science)
    biased = Spectrum.read(folder / "science_01_2d.fits")
    assert np.nanmax(np.abs(biased.flux.value)) == 0


# -- wrong input -------------------------------------------------------------------------


def assert_refused(specwcs, argv, words):
    status, out, err = specwcs(*argv)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


PRODUCTS = (
    "science.png", "science.html", "science_01_1d.fits", "science_05_2d.fits",
    "science_spectra.fits", "science_cutouts.fits",
)  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_existing_products_are_kept(specwcs, argv, tmp_path, name):
    old = tmp_path / "out" / name
    old.parent.mkdir()
    old.write_text("precious")
    assert_refused(specwcs, argv, [str(old), "exists already"])
    assert [p.name for p in old.parent.iterdir()] == [name]
    assert old.read_text() == "precious"


def test_existing_products_are_replaced_if_asked(specwcs, argv, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    for name in PRODUCTS:
        (folder / name).write_text("precious")
    status, _, _ = specwcs(*argv[:-1], "--overwrite")
    assert status == 3
    assert min((folder / name).stat().st_size for name in PRODUCTS) > 1000


def test_output_that_is_a_file(specwcs, argv, tmp_path):
    argv[4] = tmp_path / "file"
    argv[4].write_text("precious")
    assert_refused(specwcs, argv, [str(argv[4]), "cannot be made"])


@pytest.mark.parametrize("other", ["science.fit", "science.fits"])
def test_exposures_of_the_same_name(specwcs, argv, observed, tmp_path, other):
    other = observed.science if other == observed.science.name else tmp_path / other
    argv[2:3] = [observed.science, other]
    assert_refused(specwcs, argv, ["2 exposures would be called 'science'", "Rename"])


@pytest.mark.parametrize("name", ["science.fits.gz", "science.FITS", "science.fts", "science"])
def test_products_are_called_after_the_frame(name):
    from specwcs.cli.extract import _names

    assert _names([f"night/{name}"]) == {f"night/{name}": "science"}


def test_calibration_that_is_none(specwcs, argv, observed):
    argv[1] = observed.science
    assert_refused(specwcs, argv, [str(observed.science)])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("01", "as in 49=0.35"),
        ("01=", "as in 49=0.35"),
        ("01=1.2", "positions between 0 and 1"),
        ("01=nan", "positions between 0 and 1"),
        ("x9=0.5", "unknown slit"),
    ],
)
def test_object_that_cannot_be(specwcs, argv, text, words):
    assert_refused(specwcs, [*argv, "--object", text], [f"--object {text}", words])
