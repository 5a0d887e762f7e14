import gzip
import json
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest
from astropy.io import fits
from hand import place

SHIPPED = {
    "mods1r_g670l": "instrument",
    "kast_longslit_2.0": "mask",
    "Ne": "line catalogue",
}


@pytest.mark.parametrize(("name", "kind"), SHIPPED.items())
def test_what_ships_is_known_by_name(specwcs, name, kind):
    status, out, err = specwcs("info", name, "--json")
    facts = json.loads(out)
    assert (status, err) == (0, "")
    assert (facts["kind"], facts["file"]) == (kind, name)


@pytest.mark.parametrize("suffix", [True, False])
@pytest.mark.parametrize(
    ("which", "kind"),
    [("instrument", "instrument"), ("mask", "mask"), ("catalog", "line catalogue")],
)
def test_text_files_are_known_by_suffix_or_words(specwcs, observed, tmp_path, which, kind, suffix):
    path = getattr(observed, which)
    if not suffix:
        path = tmp_path / "file.txt"
        path.write_bytes(getattr(observed, which).read_bytes())
    status, out, _ = specwcs("info", path)
    assert status == 0
    assert out.startswith(f"{path}: {kind}\n")


def test_facts_of_an_instrument(specwcs, observed):
    _, out, _ = specwcs("info", observed.instrument, "--json")
    facts = json.loads(out)
    assert (facts["xpixels"], facts["ypixels"], facts["direction"]) == (500, 240, "LR")
    _, out, _ = specwcs("info", observed.instrument)
    assert "500 × 240 px" in out
    assert "nominal range 4750 to 9250 Å" in out


def test_facts_of_an_instrument_with_pixels_of_two_sides(specwcs, observed, tmp_path):
    path = tmp_path / "binned.icf"
    path.write_text(observed.instrument.read_text().replace("pixel_scale = ", "pixel_scale = 0.5 "))
    _, out, _ = specwcs("info", path, "--json")
    assert json.loads(out)["pixel_scale"] == [0.5, pytest.approx(0.3, rel=0.05)]
    _, out, _ = specwcs("info", path)
    assert 'px of 0.5" × 0.' in out


def test_facts_of_a_mask_with_faults(specwcs, observed, tmp_path):
    path = tmp_path / "mask.mdf"
    path.write_text(observed.mask.read_text() + "bad nan 1 0 0 0 1 1 0\n")
    status, out, _ = specwcs("info", path)
    assert status == 3
    assert "6, 1 of them reference slits, 2 rotated" in out
    assert "bad  DIMX is nan" in out


def test_facts_of_a_catalogue(specwcs, tmp_path):
    path = tmp_path / "lines.dat"
    path.write_text("# medium: vacuum\n6000 Ne 1\n5000 He 0\n5000 He 0\n")
    status, out, _ = specwcs("info", path, "--json")
    facts = json.loads(out)
    assert status == 0
    assert (facts["n_lines"], facts["n_used"], facts["medium"]) == (2, 1, "vacuum")
    assert facts["range_angstrom"] == [5000, 6000]
    assert facts["labels"] == ["He", "Ne"]
    assert any("there twice" in note for note in facts["notes"])


def test_facts_of_a_calibration(specwcs, observed):
    status, out, _ = specwcs("info", observed.calibration)
    assert status == 3
    assert "5 of 6 calibrated" in out
    assert "03  dark: no light on the flat" in out


def test_facts_of_a_model(specwcs, observed, tmp_path):
    from specwcs.files import write_asdf

    path = tmp_path / "mask.opt"
    write_asdf(path, {"model": observed.cal.opt})
    status, out, _ = specwcs("info", path, "--json")
    assert (status, json.loads(out)["type"]) == (0, "OpticalModel")


def test_facts_of_a_model_with_its_fit(specwcs, tmp_path):
    """A file that a session wrote."""
    from specwcs import ModelsCalibration
    from specwcs.simulate import example

    observation = example("LR", (240, 500), 8, offset=(4.0, -2.0))
    calib = ModelsCalibration(observation.instrument, observation.mask, viewer=None)
    opt = calib.new_opt_model(1, 1)
    calib.plot_opt_model()
    place(calib, observation)
    with redirect_stdout(StringIO()):
        fit = calib.fit_opt_model()
    opt.writeto(tmp_path / "m.opt")
    status, out, _ = specwcs("info", tmp_path / "m.opt", "--json")
    facts = json.loads(out)
    assert status == 0
    assert (facts["type"], facts["degrees"], facts["flipped"]) == ("OpticalModel", [1, 1], [])
    assert (facts["origin"], facts["instrument"]["name"]) == ("fitted", "simulated")
    assert facts["fit"]["rms_px"] == pytest.approx(fit.rms)
    assert (facts["fit"]["points"], facts["fit"]["used"]) == (8, fit.n_used)
    _, out, _ = specwcs("info", tmp_path / "m.opt")
    assert "  degrees      1, 1\n" in out
    assert f"px rms, {fit.n_used} of 8 points" in out


def test_facts_of_a_model_that_nothing_is_known_of(specwcs, observed, tmp_path):
    for name in ("opt", "crv", "ids"):
        path = tmp_path / f"m.{name}"
        getattr(observed.cal, name).writeto(path)
        _, out, _ = specwcs("info", path, "--json")
        facts = json.loads(out)
        assert facts["degrees"] == list(getattr(observed.cal, name).degrees)
        assert "fit" not in facts
        assert ("domain" in facts) == (name != "opt")


REGIONS = """\
# Region file format: DS9 version 4.1
image
box(9,9,3,4,0) # tag={slit=01}
-box(19,9,3,4,0) # tag={slit=03}
polygon(1,1,2,1,2,2,1,2) # select=0 edit=0 move=0 delete=0
point(5,6)
# vector(7,8,3,0) # tag={slit=02} tag={t=0.5} tag={wavelength=5852.488}
"""


@pytest.mark.parametrize("name", ["a.reg", "regions.txt"])
def test_facts_of_a_region_file(specwcs, tmp_path, name):
    path = tmp_path / name
    path.write_text(REGIONS)
    status, out, _ = specwcs("info", path, "--json")
    facts = json.loads(out)
    assert (status, facts["kind"]) == (0, "region file")
    assert facts["shapes"] == {"box": 2, "polygon": 1, "point": 1, "vector": 1}
    assert facts["slits"] == ["01", "02"]
    assert [facts[key] for key in ("untagged", "fixed", "excluded")] == [1, 1, 1]
    assert facts["frames"] == ["image"]
    _, out, _ = specwcs("info", path)
    assert out.startswith(f"{path}: region file\n")
    assert "  shapes       2 box, 1 polygon, 1 point, 1 vector\n" in out
    assert "  tags         2 of 3 tell which marker they are\n" in out


@pytest.mark.parametrize(
    ("text", "frames"),
    [("point(1,2)\n", ["physical"]), ("image; point(1,2)\nphysical\n", ["image", "physical"])],
)
def test_frame_of_a_region_file(specwcs, tmp_path, text, frames):
    path = tmp_path / "a.reg"
    path.write_text(text)
    _, out, _ = specwcs("info", path, "--json")
    assert json.loads(out)["frames"] == frames


def test_facts_of_frames(specwcs, tmp_path):
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    image[0, 0] = np.nan
    table = fits.BinTableHDU.from_columns([fits.Column("a", "E", array=[1.0, 2.0])])
    primary = fits.PrimaryHDU(header=fits.Header({"OBJECT": "arc"}))
    path = tmp_path / "frame.fits.gz"
    hdus = [primary, fits.ImageHDU(image, name="SCI"), table]
    with gzip.open(path, "wb") as stream:
        fits.HDUList(hdus).writeto(stream)
    status, out, err = specwcs("info", path)
    assert (status, err) == (0, "")
    assert "OBJECT       arc" in out
    assert "SCI: 4 × 3 px, 1 to 11, median 6, 1 not finite" in out
    assert "table of 2 rows" in out


def test_products_are_understood(specwcs, observed):
    status, out, _ = specwcs("info", observed.science)
    assert status == 0
    assert "500 × 240 px" in out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.fits", b"", "the file is empty (0 bytes)"),
        ("a.fits", b"<html>not found</html>", "HTML"),
        ("a.asdf", b"#ASDF 1.0.0\n", "a.asdf"),
        ("a.icf", b"[Detector]\nxpixel = 4\n", "line 2: "),
        ("a.mdf", b"nothing here\n", "no header line"),
        ("a.reg", b"image\ncircle(1,2,3)\n", "line 2: 'circle' is no marker"),
        (
            "a.reg",
            b"image\nbox(1,2,3,4) # tag={slit=1}\nbox(1,2,3,4) # tag={slit=1}\n",
            "slit 1: two",
        ),
        ("a.txt", b"Dear observer,\n", "neither an instrument, a mask, a line catalogue"),
    ],
)
def test_faults_are_told_in_one_line(specwcs, tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    status, out, err = specwcs("info", path)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    assert str(path) in err
    assert words in err


def test_unknown_name_lists_what_ships(specwcs):
    status, _, err = specwcs("info", "Neon")
    assert status == 2
    assert "'Neon' is neither a file nor a name that ships" in err
    assert "mods1r_g670l" in err


def test_folder(specwcs, tmp_path):
    status, _, err = specwcs("info", tmp_path)
    assert status == 2
    assert "this is a folder" in err
