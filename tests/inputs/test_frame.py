import bz2
import gzip
import warnings

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits

from specwcs.errors import InputError, SpecwcsWarning
from specwcs.inputs import Instrument, PixelFlag, read_frame
from specwcs.inputs.instrument import Amplifier, Section

SHAPE = (24, 32)


def make_instrument(**changes):
    values = {
        "name": "demo",
        "pixel_scale": 0.4,
        "xpixels": SHAPE[1],
        "ypixels": SHAPE[0],
        "direction": "LR",
        "linear_dispersion": 1.0,
        "reference_lambda": 5000.0,
        "gain": 2.0,
        "read_noise": 6.0,
    }
    return Instrument(**(values | changes))


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(100, 1000, SHAPE).astype(np.uint16)


def write(path, data, header=None, **kwargs):
    fits.PrimaryHDU(data, fits.Header(header or {"EXPTIME": 30.0})).writeto(path, **kwargs)
    return path


def test_values_and_noise(tmp_path, image):
    frame = read_frame(write(tmp_path / "a.fits", image), make_instrument())
    assert frame.unit == u.adu
    assert frame.data.dtype == np.dtype(float)
    assert frame.data.dtype.isnative
    assert np.array_equal(frame.data, image)
    assert np.allclose(frame.uncertainty.array**2, image / 2.0 + 9.0)
    assert not frame.mask.any()
    assert frame.meta["exposure"] == 30.0
    assert frame.meta["header"]["EXPTIME"] == 30.0
    (file,) = frame.meta["files"]
    assert file["path"] == str(tmp_path / "a.fits")
    assert len(file["sha256"]) == 64


@pytest.mark.parametrize("dtype", [">i2", "<i4", ">f4", "f8", "u1"])
def test_any_kind_of_number(tmp_path, dtype):
    data = np.arange(24 * 32).reshape(SHAPE) % 100
    frame = read_frame(write(tmp_path / "a.fits", data.astype(dtype)), make_instrument())
    assert np.array_equal(frame.data, data)


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz", ".fits.bz2", ".fits.fz", ".weird"])
def test_compressed_files_hold_the_same(tmp_path, image, suffix):
    plain = write(tmp_path / "plain.fits", image)
    path = tmp_path / f"a{suffix}"
    if suffix == ".fits.fz":
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image)]).writeto(path)
    else:
        squeeze = {".fits.gz": gzip.compress, ".weird": gzip.compress, ".fits.bz2": bz2.compress}
        path.write_bytes(squeeze.get(suffix, bytes)(plain.read_bytes()))
    frame = read_frame(path, make_instrument(data_hdu=0))
    assert np.array_equal(frame.data, image)


def test_sum_of_exposures(tmp_path, image):
    """Data and variances add as float64, far beyond the range of the files."""
    first = write(tmp_path / "a.fits", image * 50)
    second = write(tmp_path / "b.fits", image[::-1] * 60, {"EXPTIME": 12.5})
    frame = read_frame([first, second], make_instrument())
    total = image * 50.0 + image[::-1] * 60.0
    assert total.max() > 2**16
    assert np.array_equal(frame.data, total)
    assert np.allclose(frame.uncertainty.array**2, total / 2 + 2 * 9.0)
    assert frame.meta["exposure"] == 42.5
    assert [file["path"] for file in frame.meta["files"]] == [str(first), str(second)]


def test_extensions_by_name_and_number(tmp_path, image):
    variance = np.full(SHAPE, 7.0)
    variance[0, 0] = -1.0
    bad = np.zeros(SHAPE, dtype=np.int16)
    bad[3, 4] = 8
    path = tmp_path / "a.fits"
    primary = fits.PrimaryHDU(header=fits.Header({"EXPTIME": 3.0, "OBJECT": "arc"}))
    hdus = [fits.ImageHDU(d, name=n) for d, n in ((image, "SCI"), (variance, "VAR"), (bad, "DQ"))]
    fits.HDUList([primary, *hdus]).writeto(path)
    frame = read_frame(path, make_instrument(data_hdu="sci", variance_hdu=2, mask_hdu="DQ"))
    assert np.array_equal(frame.data, image)
    good = ~frame.mask
    assert np.allclose(frame.uncertainty.array[good] ** 2, 7.0)
    assert set(zip(*np.nonzero(frame.mask), strict=True)) == {(0, 0), (3, 4)}
    assert np.all(np.isfinite(frame.uncertainty.array))
    assert np.all(frame.uncertainty.array > 0)
    assert frame.meta["header"]["OBJECT"] == "arc"
    # The same without data_hdu: it is the only image that is neither variance nor mask.
    chosen = read_frame(path, make_instrument(variance_hdu="VAR", mask_hdu=3))
    assert np.array_equal(chosen.data, image)


def test_masked_pixels_say_why(tmp_path, image):
    data = image.astype(np.float32)
    data[2, 3], data[4, 5], data[6, 7] = np.nan, np.inf, 5e4
    frame = read_frame(write(tmp_path / "a.fits", data), make_instrument(saturation=4e4))
    assert np.count_nonzero(frame.mask) == 3
    assert frame.flags[2, 3] == PixelFlag.NOT_FINITE
    assert PixelFlag.NOT_FINITE in PixelFlag(int(frame.flags[4, 5]))
    assert frame.flags[6, 7] == PixelFlag.SATURATED
    assert np.all(np.isfinite(frame.data))
    assert any("1 pixels masked: not finite" in h or "2 pixels" in h for h in frame.meta["history"])


def test_converter_limit_is_saturation(tmp_path, image):
    image[5, 5] = 65535
    frame = read_frame(write(tmp_path / "a.fits", image), make_instrument())
    assert frame.flags[5, 5] == PixelFlag.SATURATED
    assert np.count_nonzero(frame.mask) == 1


def test_numbers_from_the_header(tmp_path, image):
    header = {"GAIN": 4.0, "MY RN": 8.0, "SATURATE": 500, "EXPTIME": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = write(tmp_path / "a.fits", image, header)
    frame = read_frame(path, make_instrument(gain=None, read_noise="MY RN"))
    assert np.allclose(frame.uncertainty.array**2, image / 4.0 + 4.0)
    assert np.array_equal(frame.mask, image >= 500)
    assert any("gain 4 from the header card GAIN" in line for line in frame.meta["history"])


def test_unknown_noise_is_measured_and_said(tmp_path):
    noise = np.random.default_rng(2).normal(100.0, 5.0, (200, 300))
    instrument = make_instrument(xpixels=300, ypixels=200, gain=None, read_noise=None)
    frame = read_frame(write(tmp_path / "a.fits", noise), instrument)
    history = " ".join(frame.meta["history"])
    assert "1 electron per adu assumed" in history
    assert np.median(frame.uncertainty.array**2) == pytest.approx(100 + 25, rel=0.15)


def test_electrons_stay_electrons(tmp_path, image):
    path = write(tmp_path / "a.fits", image, {"BUNIT": "electron", "EXPTIME": 1})
    frame = read_frame(path, make_instrument())
    assert frame.unit == u.electron
    assert np.allclose(frame.uncertainty.array**2, image + 36.0)


# -- raw frames ------------------------------------------------------------------


def raw_frame(image, levels, rng=None):
    """Two amplifiers, the overscan of each behind the last column; 4 columns dark before."""
    ny, nx = image.shape
    raw = np.zeros((ny, nx + 4 + 20))
    raw[:, 4 : nx + 4] = image
    raw[:, 4 : 4 + nx // 2] += levels[0][:, None]
    raw[:, 4 + nx // 2 : 4 + nx] += levels[1][:, None]
    raw[:, nx + 4 : nx + 14] = levels[0][:, None]
    raw[:, nx + 14 :] = levels[1][:, None]
    return raw


AMPLIFIERS = (
    Amplifier(Section(5, 20, 1, 24), Section(37, 46, 1, 24)),
    Amplifier(Section(21, 36, 1, 24), Section(47, 56, 1, 24)),
)


@pytest.mark.parametrize("along_y", [False, True])
def test_overscan_of_two_amplifiers(tmp_path, image, along_y):
    """Each amplifier's own level, drifting along the detector, goes; the light stays."""
    lines = np.arange(24)
    raw = raw_frame(image.astype(float), (1000 + 0.0 * lines, 1200 + 0.0 * lines))
    trim, amplifiers, shape = Section(5, 36, 1, 24), AMPLIFIERS, SHAPE
    if along_y:
        raw, shape = raw.T, SHAPE[::-1]
        trim = Section(trim.y1, trim.y2, trim.x1, trim.x2)
        amplifiers = tuple(
            Amplifier(*(Section(s.y1, s.y2, s.x1, s.x2) for s in pair)) for pair in amplifiers
        )
    instrument = make_instrument(
        xpixels=shape[1], ypixels=shape[0], trim=trim, amplifiers=amplifiers
    )
    frame = read_frame(write(tmp_path / "a.fits", raw), instrument)
    assert np.allclose(frame.data, image.T if along_y else image)


def test_drifting_overscan(tmp_path):
    image = np.full((400, 32), 50.0)
    lines = np.arange(400)
    raw = raw_frame(image, (1000 + 0.5 * lines, 900 - 0.2 * lines))
    noise = np.random.default_rng(4).normal(0, 3, raw.shape)
    sections = [Amplifier(*(s._replace(y2=400) for s in pair)) for pair in AMPLIFIERS]
    instrument = make_instrument(
        ypixels=400, trim=Section(5, 36, 1, 400), amplifiers=tuple(sections)
    )
    frame = read_frame(write(tmp_path / "a.fits", raw + noise), instrument)
    # Away from the ends, where a running mean of a slope is biased by a few lines' worth.
    level = frame.data[30:-30].mean(axis=1) - 50
    assert np.abs(level).max() < 4 * 3 / np.sqrt(32)
    assert abs(level.mean()) < 0.3


def test_bias_frames(tmp_path, image):
    structure = np.linspace(0, 30, 32)[None, :] * np.ones((24, 1))
    rng = np.random.default_rng(5)
    biases = [
        write(tmp_path / f"bias{n}.fits", 300 + structure + rng.normal(0, 3, SHAPE), {"EXPTIME": 0})
        for n in range(9)
    ]
    light = [write(tmp_path / f"a{n}.fits", image * (n + 1) + 300 + structure) for n in range(2)]
    instrument = make_instrument()
    frame = read_frame(light, instrument, bias=biases)
    assert np.abs(frame.data - 3.0 * image).mean() < 2 * 3 / np.sqrt(9)
    # The bias has no photons.
    # Twice the same mean: its error counts twice over, not by the root of two.
    read = (6.0 / 2.0) ** 2
    level = np.mean([fits.getdata(path) for path in biases], axis=0) - 300 - structure
    photons = (3.0 * image - 2 * level) / 2.0
    assert np.allclose(frame.uncertainty.array**2, photons + 2 * read + 4 * read / 9)
    assert [f["path"] for f in frame.meta["bias"]] == [str(path) for path in biases]


@pytest.mark.parametrize("direction", ["LR", "UB"])
def test_the_gap_between_two_chips_is_masked(tmp_path, image, direction):
    along = (slice(None), slice(10, 13)) if direction == "LR" else (slice(10, 12), slice(None))
    image[along] = 300
    frame = read_frame(write(tmp_path / "a.fits", image), make_instrument(direction=direction))
    expected = np.zeros(SHAPE, int)
    expected[along] = PixelFlag.DEAD
    assert np.array_equal(frame.flags, expected)
    assert np.array_equal(frame.mask, expected != 0)
    # Frames without noise are even where they are dark.
    image[:, 20:] = image[20:] = 300
    frame = read_frame(write(tmp_path / "b.fits", image), make_instrument(direction=direction))
    assert not frame.mask.any()


def test_sections_of_the_header(tmp_path, image):
    raw = np.pad(image, ((0, 0), (4, 8)), constant_values=100)
    header = {"DATASEC": "[5:36,1:24]", "BIASSEC": "[37:44,1:24]", "EXPTIME": 1}
    frame = read_frame(write(tmp_path / "a.fits", raw, header), make_instrument())
    assert np.allclose(frame.data, image - 100.0)
    assert "trimmed to [5:36,1:24] (DATASEC)" in " ".join(frame.meta["history"])


def test_trimmed_frames_pass_a_raw_instrument(tmp_path, image):
    instrument = make_instrument(trim=Section(5, 36, 1, 24), amplifiers=AMPLIFIERS)
    frame = read_frame(write(tmp_path / "a.fits", image), instrument)
    assert np.array_equal(frame.data, image)


# -- real frames ------------------------------------------------------------------


@pytest.mark.real
def test_kast_raw_frames(real_data):
    """Overscan and bias leave nothing where no light falls; the noise is what gain says."""
    kast = real_data / "kast_blue"
    instrument = Instrument.read("kast_blue_600_4310")
    biases = [kast / f"b2{n}.fits.gz" for n in (1, 2, 3)]
    one = read_frame(biases[0], instrument)
    assert one.shape == (350, 2048)
    # Overscan alone removes the level of both amplifiers, and so their seam.
    assert abs(np.median(one.data)) < 2
    assert abs(np.median(one.data[:, 900:1024]) - np.median(one.data[:, 1024:1148])) < 2
    assert abs(np.median(read_frame(biases[0], instrument, bias=biases).data)) < 0.5
    two = read_frame(biases[1], instrument)
    scatter = 1.4826 * np.median(np.abs(one.data - two.data)) / np.sqrt(2)
    assert scatter == pytest.approx(np.median(one.uncertainty.array), rel=0.25)
    flat = read_frame([kast / f"b1{n}.fits.gz" for n in (1, 2, 3)], instrument, bias=biases)
    profile = np.median(flat.data[:, 900:1100], axis=1)
    lit = np.flatnonzero(profile > profile.max() / 2)
    assert (lit[0], lit[-1]) == pytest.approx((21, 327), abs=3)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("efosc2_gr11", "efosc2/*Gr11*.fits"),
        ("efosc2_gr13", "efosc2/*Gr13*.fits"),
        ("sofi_gb", "sofi/*.fits"),
        ("dbsp_red_316", "dbsp_red/red*.fits"),
    ],
)
def test_real_frames_fit_their_instrument(real_data, name, pattern):
    instrument = Instrument.read(name)
    for path in sorted(real_data.glob(pattern)):
        frame = read_frame(path, instrument)
        assert frame.shape == instrument.shape
        assert np.all(frame.uncertainty.array > 0)
        assert np.mean(frame.mask) < 0.05


def test_same_frame_twice_warns(tmp_path, image):
    path = write(tmp_path / "a.fits", image)
    with pytest.warns(SpecwcsWarning, match=r"a\.fits is the same frame as"):
        frame = read_frame([path, path], make_instrument())
    assert len(frame.meta["warnings"]) == 1


def test_empty_list():
    with pytest.raises(InputError, match="empty list"):
        read_frame([], make_instrument())
