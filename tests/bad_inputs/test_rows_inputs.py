"""Rows 1-64 of the catalogue of bad inputs, as far as the readers meet them.

Each case makes one faulty file and states what the reader must do: an error that names the
file, the place and the remedy, or acceptance with a record of what was odd.
"""

import bz2
import gzip
import warnings

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specwcs.errors import InputError, SpecwcsWarning
from specwcs.inputs import Instrument, LineCatalog, Mask, PixelFlag, read_frame
from specwcs.inputs._fits import MAX_PIXELS

SHAPE = (20, 40)
ICF = (
    "[Detector]\npixel_scale = 0.4\nxpixels = 40\nypixels = 20\n"
    "[Grism]\ndispersion_direction = LR\nlinear_dispersion = 1\nreference_lambda = 5000\n"
)


def row(number, *arguments, sub=""):
    return pytest.param(*arguments, id=f"row-{number}{sub}")


def good_fits(data=None, header=None, **kwargs):
    """Bytes of a FITS file with one image."""
    import io

    stream = io.BytesIO()
    data = np.arange(800, dtype=np.int16).reshape(SHAPE) if data is None else data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hdu = fits.PrimaryHDU(data, fits.Header(header or {"EXPTIME": 1.0}))
        fits.HDUList([hdu]).writeto(stream, **kwargs)
    return stream.getvalue()


def patched(raw, old, new):
    """Replace a card, or a part of it, without changing the length of the file."""
    assert raw.count(old) == 1
    return raw.replace(old, new.ljust(len(old)))


def extensions(*names):
    """Bytes of a FITS file with an empty primary HDU and an image for each name."""
    import io

    stream = io.BytesIO()
    images = [fits.ImageHDU(np.ones(SHAPE, np.float32), name=name) for name in names]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(stream)
    return stream.getvalue()


@pytest.fixture
def instrument(tmp_path):
    path = tmp_path / "demo.icf"
    path.write_text(ICF)
    return Instrument.read(path)


@pytest.fixture
def frame(tmp_path, instrument):
    """Write bytes to a file and read it as a frame."""

    def read(raw, name="frame.fits", **changes):
        from dataclasses import replace

        (tmp_path / name).write_bytes(raw)
        return read_frame(tmp_path / name, replace(instrument, **changes))

    return read


# -- FITS, rows 1-29 ------------------------------------------------------------------

FLIPPED = bytearray(bz2.compress(good_fits()))
FLIPPED[len(FLIPPED) // 2] ^= 0x10
ZIPPED = gzip.compress(good_fits(np.random.default_rng(0).integers(0, 999, SHAPE)))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        row(1, b"", r"empty \(0 bytes\)", sub="a"),
        row(1, b"x" * 100, r"no FITS header \(100 bytes", sub="b"),
        row(2, good_fits()[: 2880 + 700], r"need 1600 bytes, the file has 700.*copy it again"),
        row(2, good_fits()[:1000], "header of HDU 0 is incomplete", sub="header"),
        row(4, bz2.compress(good_fits())[:-40], r"ends at byte \d+", sub="bz2"),
        row(4, ZIPPED[: len(ZIPPED) // 2], r"ends at byte \d+", sub="gz"),
        row(5, bz2.compress(good_fits())[:-4], r"ends at byte \d+", sub="bz2"),
        row(5, ZIPPED[:-4], r"ends at byte \d+", sub="gz"),
        row(5, ZIPPED[:-8] + b"\0\0\0\0" + ZIPPED[-4:], "damaged.*CRC", sub="crc"),
        row(6, bytes(FLIPPED), "damaged", sub="bz2"),
        row(6, ZIPPED[:99] + bytes([ZIPPED[99] ^ 255]) + ZIPPED[100:], "damaged|ends", sub="gz"),
        row(10, extensions("SCI", "SCI2"), r"2 images.*1 SCI \(40×20\), 2 SCI2.*data_hdu", sub="2"),
        row(10, good_fits(np.zeros(0)), "no image in the file", sub="none"),
        row(17, good_fits(np.zeros((2, 20, 40))), "axes 40×20×2"),
        row(18, good_fits(np.zeros((40, 20))), "20×40 pixels.*Must be 40×20.*transposed"),
        row(19, good_fits(np.zeros((10, 20))), "20×10 pixels.*Check binning"),
        row(23, b"<!DOCTYPE html><html>moved</html>", "looks like HTML"),
    ],
)
def test_broken_frames(frame, raw, message):
    with pytest.raises(InputError, match=rf"frame\.fits: .*({message})"):
        frame(raw)


def test_row_3_padding_missing(frame):
    short = frame(good_fits()[:-1])
    assert np.array_equal(short.data.ravel(), np.arange(800))
    assert any("1 bytes of padding are missing" in line for line in short.meta["history"])


def test_row_7_bomb(frame):
    """860 bytes that hold gigabytes: refused from the header, or at the limit."""
    claims = patched(
        good_fits(), b"NAXIS1  =                   40", b"NAXIS1  =            400000000"
    )
    with pytest.raises(InputError, match=rf"claims 8000000000 pixels.*At most {MAX_PIXELS}"):
        frame(bz2.compress(claims))
    with pytest.raises(InputError, match="bytes after decompression"):
        frame(bz2.compress(good_fits() + bytes(80_000_000)))


def test_row_8_huge_axes(frame):
    raw = patched(good_fits(), b"NAXIS1  =                   40", b"NAXIS1  =  1000000000000000000")
    with pytest.raises(InputError, match=r"frame\.fits: .*claims 20000000000000000000 pixels"):
        frame(raw)


def test_row_9_empty_primary(frame):
    only = frame(extensions("SCI"))
    assert np.array_equal(only.data, np.ones(SHAPE))
    assert any("HDU 1 SCI, the only image" in line for line in only.meta["history"])


@pytest.mark.parametrize("hdu", [5, "FLUX"])
def test_row_10_wrong_extension(frame, hdu):
    with pytest.raises(InputError, match=rf"no HDU {hdu} \(data_hdu\).*0 PRIMARY.*1 SCI \(40×20\)"):
        frame(extensions("SCI"), data_hdu=hdu)


def test_row_11_datasum(frame):
    raw = good_fits(checksum=True)
    assert frame(raw).shape == SHAPE
    damaged = raw[:2890] + bytes([raw[2890] ^ 1]) + raw[2891:]
    with pytest.raises(InputError, match=r"do not match their DATASUM.*copy the file"):
        frame(damaged)
    edited = frame(
        patched(raw, b"EXPTIME =                  1.0", b"EXPTIME =                  2.0")
    )
    assert any("edited after its CHECKSUM" in line for line in edited.meta["history"])


def test_row_12_13_14_unsigned_sums(tmp_path, instrument):
    """Scaled unsigned integers are read as what they mean, and their sum does not overflow."""
    paths = []
    for n in range(2):
        paths.append(tmp_path / f"{n}.fits")
        paths[-1].write_bytes(good_fits(np.full(SHAPE, 40000, np.uint16), {"EXPTIME": n}))
    assert np.all(read_frame(paths, instrument).data == 80000)


def test_row_15_blank(frame):
    data = np.arange(800, dtype=np.int32).reshape(SHAPE)
    data[1, 2] = -99
    blank = frame(good_fits(data, {"BLANK": -99, "EXPTIME": 1.0}))
    assert blank.flags[1, 2] == PixelFlag.NOT_FINITE
    assert np.count_nonzero(blank.mask) == 1
    assert any("1 pixels masked: not finite" in line for line in blank.meta["history"])


def test_row_16_nothing_finite(frame):
    nothing = frame(good_fits(np.full(SHAPE, np.nan)))
    assert nothing.mask.all()
    assert np.all(np.isfinite(nothing.data))
    assert np.all(nothing.uncertainty.array > 0)


def test_row_17_axes_of_length_one(frame):
    squeezed = frame(good_fits(np.ones((1, *SHAPE))))
    assert squeezed.shape == SHAPE
    assert any("axes of length 1" in line for line in squeezed.meta["history"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        row(19, {"CCDSUM": "2 2"}, "CCDSUM is '2 2', but '1 1' in"),
        row(27, {"GRATING": "600/5000"}, "GRATING is '600/5000', but '316/7500' in"),
        row(27, {"INSTRUME": "other"}, "INSTRUME is 'other', but 'demo' in", sub="instrument"),
    ],
)
def test_unlike_frames_in_a_sum(tmp_path, instrument, changes, message):
    header = {"CCDSUM": "1 1", "GRATING": "316/7500", "INSTRUME": "demo", "EXPTIME": 1}
    (tmp_path / "a.fits").write_bytes(good_fits(header=header))
    (tmp_path / "b.fits").write_bytes(good_fits(header=header | changes))
    with pytest.raises(InputError, match=rf"b\.fits: {message}"):
        read_frame([tmp_path / "a.fits", tmp_path / "b.fits"], instrument)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        row(20, {"OBJECT": "arc"}, "exposure time unknown: none of EXPTIME"),
        row(21, {"EXPTIME": "30.0 s"}, "EXPTIME is '30.0 s', not a number"),
    ],
)
def test_exposure_time(frame, header, said):
    read = frame(good_fits(header=header))
    assert read.meta["exposure"] is None
    assert any(said in line for line in read.meta["history"])


def test_row_22_broken_card(frame):
    raw = patched(good_fits(), b"EXPTIME =                  1.0", b"EXPTIME =         1.0.0.0 what")
    with pytest.raises(InputError, match=r"broken header card 'EXPTIME = .*1\.0\.0\.0 what"):
        frame(raw)


def test_row_24_folder(tmp_path, instrument):
    with pytest.raises(InputError, match="this is a folder"):
        read_frame(tmp_path, instrument)


@pytest.mark.parametrize("read", [Instrument.read, Mask.read, LineCatalog.read, read_frame])
@pytest.mark.parametrize("url", ["http://host/a.fits", "file:///etc/passwd", "s3://bucket/a"])
def test_row_25_url(instrument, read, url):
    arguments = (url, instrument) if read is read_frame else (url,)
    with pytest.raises(InputError, match=r"is a URL.*Download it first"):
        read(*arguments)


def test_row_26_same_frame_twice(tmp_path, instrument):
    for name in "ab":
        (tmp_path / f"{name}.fits").write_bytes(good_fits())
    with pytest.warns(SpecwcsWarning, match=r"b\.fits is the same frame as .*a\.fits"):
        read_frame([tmp_path / "a.fits", tmp_path / "b.fits"], instrument)


def test_row_28_saturation(frame):
    saturated = frame(good_fits(header={"SATURATE": 790.0}))
    assert np.count_nonzero(saturated.flags == PixelFlag.SATURATED) == 10
    assert any("10 pixels masked: saturated" in line for line in saturated.meta["history"])


def test_row_29_big_endian(frame):
    read = frame(good_fits(np.ones(SHAPE, ">f4")))
    assert read.data.dtype.isnative
    assert read.uncertainty.array.dtype.isnative


# -- masks, rows 30-46 ------------------------------------------------------------------

HEADER = "#ID DIMX DIMY X Y ROT WID LEN REF\n"
GOOD = "1 0.6 6 0 0 0 1 10 0\n"


def read_mask(tmp_path, text):
    path = tmp_path / "mask.mdf"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Mask.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        row(31, HEADER + GOOD + GOOD, "line 3: id 1 is used twice, in lines 2 and 3"),
        row(32, HEADER + "1 0.6 6 0 0 0 1 10\n", "line 2: found 8 values. Expected 9: ID", sub="-"),
        row(32, HEADER + GOOD[:-1] + " 7\n", "line 2: found 10 values", sub="+"),
        row(33, GOOD, r"line 1: no header line.*#ID DIMX DIMY X Y ROT WID LEN REF"),
        row(33, "#ID DIMX DIMY X Y ROT WID LEN\n" + GOOD, "column REF is missing", sub="column"),
        row(33, "#ID DIMX DIMM X Y ROT WID LEN REF\n", "unknown column DIMM.*dim", sub="typo"),
        row(
            35,
            HEADER + "1 2.0mm 6 0 0 0 1 10 0",
            r"line 2, slit 1: .*DIMX.*'2\.0mm'.*unit",
        ),
        row(35, HEADER + "1 2,0 6 0 0 0 1 10 0", "'2,0'.*decimal point, not a comma", sub="comma"),
        row(36, "", "mask.mdf: no slit in mask"),
        row(37, HEADER, "mask.mdf: no slit in mask"),
        row(39, HEADER + "1 1.0µ 6 0 0 0 1 10 0", r"contains 'µ' \(MICRO SIGN\)"),
        row(39, HEADER.encode() + b"# \xe9\n", "line 2: byte 0xe9 is not UTF-8", sub="latin"),
        row(39, HEADER.encode() + b"\0", "line 2: a NUL byte", sub="nul"),
        row(46, HEADER + GOOD.replace("0 0 0 1", "0 0 400 1"), "1: ROT is 400: must be from -180"),
        row(47, HEADER + GOOD.replace("10 0\n", "10 2\n"), "invalid REF '2'", sub="ref"),
        row(74, HEADER + GOOD.replace("1 ", "a;b ", 1), "invalid ID 'a;b'"),
    ],
)
def test_broken_masks(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_mask(tmp_path, text)
    assert "mask.mdf" in str(caught.value)


def test_row_30_ids_stay_text(tmp_path):
    mask = read_mask(tmp_path, HEADER + "049" + GOOD[1:] + "49" + GOOD[1:].replace("6 0", "6 20"))
    assert list(mask) == ["049", "49"]


def test_row_38_form(tmp_path):
    text = "\ufeff# ID\tDIMX  DIMY\tX Y ROT WID LEN REF\r\n1\t0.6\t6  0 0 0 1 10 0\r\n"
    assert read_mask(tmp_path, text)["1"].dimy == 6


def test_row_40_one_slit(tmp_path):
    assert len(read_mask(tmp_path, HEADER + GOOD)) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        row(34, "2 0.6 6 nan 0 0 1 10 0", "X is nan"),
        row(34, "2 0.6 6 0 -inf 0 1 10 0", "Y is -inf", sub="inf"),
        row(42, "2 0 6 9 9 0 1 10 0", "DIMX is 0: must be above 1e-06 mm", sub="zero"),
        row(42, "2 0.6 -6 9 9 0 1 10 0", "DIMY is -6", sub="negative"),
        row(42, "2 0.6 6 9 9 0 -1 10 0", "WID is -1: must be above 0 arcsec", sub="width"),
        row(42, "2 0.6 6 9 9 0 1 -10 0", "LEN is -10", sub="length"),
    ],
)
def test_faulty_slits_are_named_and_left_out(tmp_path, line, reason):
    mask = read_mask(tmp_path, HEADER + GOOD + line + "\n")
    assert list(mask) == ["1"]
    assert mask.faults["2"].startswith(reason)


def test_row_43_overlap(tmp_path):
    lines = "2 0.6 6 0.1 5 0 1 10 0\n3 0.6 6 0 20 0 1 10 0\n"
    mask = read_mask(tmp_path, HEADER + GOOD + lines)
    assert len(mask) == 3
    assert mask.faults == {
        "1": "overlaps slit 2 on the mask",
        "2": "overlaps slit 1 on the mask",
    }


def test_row_46_mixed_units(tmp_path):
    """A slit whose sides are given in arcsec among slits in mm."""
    lines = "".join(f"{n} 0.6 6 0 {10 * n} 0 1 10 0\n" for n in range(2, 6))
    mask = read_mask(tmp_path, HEADER + GOOD + lines + "9 6 60 0 100 0 1 10 0\n")
    assert list(mask.faults) == ["9"]
    assert "mixed units" in mask.faults["9"]


def test_all_slits_faulty(tmp_path):
    with pytest.raises(InputError, match=r"no usable slit \(2: X is nan\)"):
        read_mask(tmp_path, HEADER + "2 0.6 6 nan 0 0 1 10 0\n")


# -- instruments, rows 47-56 --------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        row(48, "= LR", "= XY", r"line 6: .*'XY'.*one of LR, RL, BU, UB"),
        row(49, "xpixels = 40\n", "", r"missing: xpixels in \[Detector\]"),
        row(
            49,
            "[Grism]",
            "[Grysm]",
            r"unknown section \[grysm\].*Did you mean grism",
            sub="section",
        ),
        row(49, ICF, "pixel_scale = 1\n", "line 1: .*before any section", sub="none"),
        row(49, ICF, "", "missing: pixel_scale.*reference_lambda", sub="empty"),
        row(50, "xpixels = 40", "xpixels = 40\nXPixels = 41", "line 4: .*twice, first in line 3"),
        row(50, "[Grism]", "[DETECTOR]\n[Grism]", "line 5: .*section .*twice", sub="section"),
        row(53, "xpixels = 40", "xpixels = 40\n   41", "line 4: '41' is indented", sub="bare"),
        row(53, "xpixels = 40\n", "xpixels = 40\n ", "line 4: 'ypixels = 20' is indented"),
        row(54, "xpixels = 40", "xpixels = nan", "invalid xpixels 'nan'", sub="nan"),
        row(54, "pixel_scale = 0.4", "pixel_scale = inf", "invalid pixel_scale 'inf'", sub="inf"),
        row(54, "pixel_scale = 0.4", "pixel_scale = 1e999", "invalid pixel_scale", sub="overflow"),
        row(54, "xpixels = 40", "xpixels = 1_000", "'1_000'", sub="underscore"),
        row(54, "xpixels = 40", "xpixels = ４０", "FULLWIDTH DIGIT FOUR", sub="fullwidth"),
        row(54, "xpixels = 40", "xpixels = 40.5", "whole number", sub="fraction"),
        row(55, "pixel_scale = 0.4", "pixel_scale = 0", "line 2: .*from 0.0001 to 100", sub="zero"),
        row(55, "= 0.4", "= 0.4 0", "line 2: invalid pixel_scale 0.*0.0001 to 100", sub="second"),
        row(54, "= 0.4", "= 0.4 x", "line 2: invalid pixel_scale 'x'", sub="second"),
        row(54, "= 0.4", "= 0.4, 0.2", "line 2: .*'0.4, 0.2'.*as in 0.25 0.5", sub="comma"),
        row(54, "= 0.4", "= 1 2 3", "line 2: .*or two: along x and y", sub="three"),
        row(55, "linear_dispersion = 1", "linear_dispersion = -1", "line 7: ", sub="negative"),
        row(56, "pixel_scale", "pixel_scael", "line 2: .*'pixel_scael'.*Did you mean pixel_scale"),
    ],
)
def test_broken_instruments(tmp_path, old, new, message):
    assert ICF.count(old) == 1
    path = tmp_path / "demo.icf"
    path.write_text(ICF.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=message) as caught:
        Instrument.read(path)
    assert "demo.icf" in str(caught.value)


def test_row_47_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.icf: no such file"):
        Instrument.read(tmp_path / "nothing.icf")
    with pytest.raises(InputError, match=r"nothing\.icf: no such file"):
        Instrument.read("nothing.icf")


def test_row_51_inline_comment(tmp_path):
    path = tmp_path / "demo.icf"
    path.write_text(ICF.replace("xpixels = 40", "xpixels = 40 # px"))
    assert Instrument.read(path).xpixels == 40


def test_row_52_interpolation(tmp_path):
    """Percent signs are text: no lookup, no expansion."""
    bomb = "[Description]\nnote = 50%\na = %(b)s%(b)s\nb = %(a)s ${x}\n"
    path = tmp_path / "demo.icf"
    path.write_text(bomb + ICF)
    description = Instrument.read(path).description
    assert description == {"note": "50%", "a": "%(b)s%(b)s", "b": "%(a)s ${x}"}


# -- catalogues, rows 57-64 ----------------------------------------------------------------


def read_catalog(tmp_path, text, **kwargs):
    path = tmp_path / "lines.dat"
    path.write_text(text, encoding="utf-8")
    return LineCatalog.read(path, **({"medium": "air"} | kwargs))


def test_row_57_no_header(tmp_path):
    catalog = read_catalog(tmp_path, "5852.48 Ne 1\n6402.25 Ne 1\n")
    assert list(catalog.wavelength) == [5852.48, 6402.25]


def test_row_58_one_line(tmp_path):
    assert read_catalog(tmp_path, "5852.48 Ne 1").wavelength.shape == (1,)


def test_row_60_unsorted_and_twice(tmp_path):
    catalog = read_catalog(tmp_path, "6000 b 1\n5000 a 1\n6000 c 1\n")
    assert list(catalog.label) == ["a", "b"]
    assert catalog.notes == (
        "lines were not in order of wavelength: sorted",
        "6000.0 c is there twice: dropped",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        row(57, "wavelength label flag\n5852.48 Ne 1\n", "line 1: .*wavelength 'wavelength'"),
        row(59, "# nothing\n\n", "lines.dat: no line in the catalogue"),
        row(61, "5852.48 Ne 1\n58x2 Ne 1\n", "line 2: invalid wavelength '58x2'"),
        row(61, "5852.48\n", "line 1: found 1 values. Expected wavelength, label", sub="columns"),
        row(61, "5852.48 Ne 3\n", "line 1: invalid flag '3'", sub="flag"),
        row(61, "5852.48 Ne 1 -\n", "line 1: invalid intensity '-'", sub="intensity"),
        row(62, "585.248 Ne 1\n", "look like nm: declare '# unit: nm'", sub="nm"),
        row(62, "2.0581 He 1\n", "look like um", sub="um"),
        row(62, "# unit: nm\n5852 Ne 1\n999999 Ne 1\n", "Check the unit", sub="none"),
        row(62, "# unit: furlong\n5852.48 Ne 1\n", "line 1: invalid unit 'furlong'", sub="unknown"),
        row(62, "# unit: nm\n# unit: um\n0.58 Ne 1\n", "line 2: a second, differ", sub="two"),
        row(63, "# medium: vacuum\n5852.48 Ne 1\n", "the medium in the file is not the medium"),
    ],
)
def test_broken_catalogues(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_catalog(tmp_path, text)
    assert "lines.dat" in str(caught.value)


def test_row_63_medium_unknown(tmp_path):
    with pytest.raises(InputError, match=r"medium is not known.*# medium: air"):
        read_catalog(tmp_path, "5852.48 Ne 1\n", medium=None)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ((7000, 5000), "wstart 7000 is not below wend 5000"),
        ((7000, 8000), "no line between 7000 and 8000 Å.*from 5852.48"),
    ],
)
def test_row_64_limits(tmp_path, limits, message):
    catalog = read_catalog(tmp_path, "5852.48 Ne 1\n6402.25 Ne 1\n")
    with pytest.raises(InputError, match=message):
        catalog.select(*limits)


# -- what no row foresees ------------------------------------------------------------------

WHOLE = {"plain": good_fits(checksum=True), "extension": extensions("SCI"), "gzip": ZIPPED}


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.integers(0, 5759), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_damage_is_one_kind_of_error(frame, kind, changes):
    """Whatever bytes are changed, a frame is read or refused by InputError."""
    raw = bytearray(WHOLE[kind])
    for position, value in changes:
        raw[position % len(raw)] = value
    try:
        read = frame(bytes(raw))
    except InputError as error:
        told = str(error)
    else:
        told = f"frame.fits {read.shape} {np.isfinite(read.data).all()}"
    assert "frame.fits" in told
    assert "False" not in told
