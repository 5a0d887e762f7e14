import gzip
import json

import numpy as np
import pytest
from astropy.io import fits

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
