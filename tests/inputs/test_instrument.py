import copy
import dataclasses
import itertools
import pickle
import re

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given
from hypothesis import strategies as st

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.inputs import Instrument
from specwcs.inputs._text import parse_number
from specwcs.inputs.instrument import Amplifier, Section

ICF = """\
# an instrument
[Description]
name = Demo 50% # interpolation means nothing here
grism = Gr#11
[Detector]
pixel_scale = 0.43
xpixels = 64
ypixels = 48
[Grism]
dispersion_direction = LR
linear_dispersion = 1.02
reference_lambda = 5460.7
[Files]
data_hdu = SCI
gain = 1.2
"""

SHIPPED = {
    "kast_blue_600_4310": (Direction.LR, (350, 2048)),
    "mods1r_g670l": (Direction.RL, (3088, 8288)),
    "luci1_g200lores": (Direction.LR, (2048, 2048)),
    "efosc2_gr11": (Direction.BU, (1011, 851)),
    "efosc2_gr13": (Direction.BU, (1015, 851)),
    "sofi_gb": (Direction.UB, (1024, 971)),
    "dbsp_red_316": (Direction.LR, (440, 4114)),
}


@pytest.fixture
def read(tmp_path):
    """Write the text to a file and read it as an instrument."""

    def read(text, **kwargs):
        path = tmp_path / "demo.icf"
        path.write_bytes(text.encode(**kwargs) if isinstance(text, str) else text)
        return Instrument.read(path)

    return read


NUMBERS = [
    ("pixel_scale", -0.5, "from 0.0001 to 100"),
    ("pixel_scale", 0, "from 0.0001 to 100"),
    ("xpixels", 1, "whole number from 2 to 65536"),
    ("ypixels", 48.5, "whole number from 2 to 65536"),
    ("linear_dispersion", -1.0, "from 0.0001 to 1000"),
    ("reference_lambda", 600.0, "from 2000 to 300000"),
    ("data_hdu", -1, "whole number from 0 to 9999"),
    ("gain", 0.0, "from 0.001 to 10000"),
    ("read_noise", -1.0, "from 0 to 10000"),
    ("saturation", 0.5, "from 1 to 1e+12"),
]


@pytest.mark.parametrize(("key", "value", "allowed"), NUMBERS)
def test_the_same_ranges_in_a_file_and_in_python(read, key, value, allowed):
    match = re.escape(f"invalid {key} ") + f"'?{value}'?.*Must be a .*{re.escape(allowed)}"
    kept = [line for line in ICF.splitlines() if not line.startswith(key)]
    section = next(n for n, line in enumerate(kept) if line == f"[{_SECTIONS.get(key, 'Files')}]")
    kept.insert(section + 1, f"{key} = {value}")
    with pytest.raises(InputError, match=rf"demo\.icf, line {section + 2}: {match}"):
        read("\n".join(kept))
    with pytest.raises(InputError, match=match):
        dataclasses.replace(read(ICF), **{key: value})


_SECTIONS = {
    **dict.fromkeys(("pixel_scale", "xpixels", "ypixels"), "Detector"),
    **dict.fromkeys(("linear_dispersion", "reference_lambda"), "Grism"),
}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"pixel_scale": (0.4, float("nan"))}, "invalid pixel_scale nan"),
        ({"pixel_scale": (0.4, 0.4, 0.4)}, "invalid pixel_scale of type tuple"),
        ({"pixel_scale": "0.4"}, "invalid pixel_scale '0.4'"),
        ({"xpixels": 64.0}, "invalid xpixels 64.0. Must be a whole number"),
        ({"reference_lambda": 600 * u.nm}, "invalid reference_lambda of type Quantity"),
        ({"gain": float("inf")}, "invalid gain inf"),
        ({"trim": "[1:64,1:48]"}, "trim is .* Must be a Section, as Section.parse gives it"),
        (
            {"trim": Section(1, 60, 1, 48)},
            r"holds 60×48\. Must hold xpixels × ypixels, 64×48",
        ),
        (
            {"amplifiers": (Amplifier(Section(1, 9, 1, 9), Section(20, 29, 20, 29)),)},
            "does not lie beside or above",
        ),
    ],
)
def test_what_an_instrument_cannot_be(read, changes, match):
    with pytest.raises(InputError, match=match):
        dataclasses.replace(read(ICF), **changes)


def test_keywords_and_numbers_of_numpy(read):
    changes = {"xpixels": np.int64(64), "gain": "EGAIN", "read_noise": np.float32(3), "data_hdu": 1}
    assert dataclasses.replace(read(ICF), **changes).xpixels == 64


def test_values(read):
    instrument = read(ICF)
    assert instrument.name == "demo"
    assert (instrument.pixel_scale, instrument.linear_dispersion) == (0.43, 1.02)
    assert instrument.shape == (48, 64)
    assert instrument.direction is Direction.LR
    assert instrument.description == {"name": "Demo 50%", "grism": "Gr#11"}
    assert (instrument.data_hdu, instrument.gain) == ("SCI", 1.2)
    assert instrument.trim is None


@pytest.mark.parametrize(
    ("direction", "scales", "aspect"), [("LR", (0.25, 0.5), 2.0), ("UB", (0.5, 0.25), 0.5)]
)
def test_pixels_may_have_two_sides(read, direction, scales, aspect):
    text = ICF.replace("= 0.43", "= 0.25  0.5  # along x and y").replace("= LR", f"= {direction}")
    instrument = read(text)
    assert instrument.pixel_scale == (0.25, 0.5)
    assert (instrument.scales, instrument.aspect) == (scales, aspect)
    assert pickle.loads(pickle.dumps(instrument)) == instrument
    assert hash(instrument) != hash(read(ICF))


def test_two_equal_sides_are_one_number(read):
    plain, pair = read(ICF), read(ICF.replace("0.43", "0.43 0.430"))
    assert (pair, pair.pixel_scale) == (plain, 0.43)
    assert (plain.scales, plain.aspect) == ((0.43, 0.43), 1.0)


def test_frozen(read):
    with pytest.raises(dataclasses.FrozenInstanceError):
        read(ICF).xpixels = 3


def test_copies_are_equal(read):
    instrument = read(ICF)
    for copied in (copy.deepcopy(instrument), pickle.loads(pickle.dumps(instrument))):
        assert copied == instrument
        assert copied.direction is Direction.LR
    assert hash(dataclasses.replace(instrument, direction="RL")) != hash(instrument)


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace(" = ", "="),
        lambda text: text.replace(" = ", "\t:  "),
        lambda text: text.replace("64", "64   # columns").replace("48", "48#rows"),
        lambda text: "\n".join("   " + line for line in text.splitlines()),
        lambda text: text.replace("[Grism]", "\n\n; a comment\n[ grism ]"),
        lambda text: text.replace("= LR", "= lr"),
    ],
)
def test_liberal_in_form(read, change):
    plain, changed = read(ICF), read(change(ICF))
    for field in ("pixel_scale", "shape", "direction", "reference_lambda", "data_hdu", "gain"):
        assert getattr(changed, field) == getattr(plain, field)


def test_optional_keys_may_stand_with_the_detector(read):
    moved = ICF.replace("gain = 1.2\n", "").replace("xpixels", "gain = 1.2\nxpixels")
    assert read(moved).gain == 1.2


def test_keywords_name_header_cards(read):
    instrument = read(ICF + "read_noise = ESO DET OUT1 RON\nsaturation = 65000\n")
    assert (instrument.read_noise, instrument.saturation) == ("ESO DET OUT1 RON", 65000.0)


def test_one_overscan_belongs_to_the_trim_section(read):
    instrument = read(ICF + "trim = [3:66,1:48]\noverscan = [67:80,1:48]\n")
    assert instrument.trim.shape == instrument.shape
    ((data, overscan),) = instrument.amplifiers
    assert (data, overscan.x1, instrument.amplifiers[0].axis) == (instrument.trim, 67, 1)


def test_several_amplifiers(read):
    pairs = "[1:32,1:48] [65:70,1:48]; [33:64,1:48] [71:76,1:48]"
    instrument = read(ICF + f"trim = [1:64,1:48]\namplifiers = {pairs}\n")
    assert [str(amplifier.overscan) for amplifier in instrument.amplifiers] == [
        "[65:70,1:48]",
        "[71:76,1:48]",
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("trim = [1:60,1:48]", r"line 16: .*holds 60×48.*64×48"),
        ("overscan = [65:70,1:48]", "overscan without trim"),
        ("trim = [1:64,1:48]\noverscan = [65:70,1:40]", "does not lie beside or above"),
        ("amplifiers = [1:32,1:48]", "pairs of a data and an overscan section"),
        ("trim = [64:1,1:48]", "invalid section"),
        ("trim = 1:64", "invalid section"),
        ("gain = 2", "there twice, first in line 14"),
        ("gain=", "no setting"),
        ("read_noise = -1", "from 0 to 10000"),
        ("data_hdu = -1", "data_hdu"),
    ],
)
def test_wrong_values_of_optional_keys(read, lines, message):
    with pytest.raises(InputError, match=message):
        read(ICF.replace("data_hdu = SCI\n", "") + "#\n" + lines)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_instruments(name):
    instrument = Instrument.read(name)
    assert (instrument.direction, instrument.shape) == SHIPPED[name]
    assert instrument.source.path == f"specwcs.conf/instruments/{name}.icf"


def test_unknown_name_lists_what_ships():
    with pytest.raises(InputError, match=r"one of dbsp_red_316, .*Did you mean kast_blue_600_4310"):
        Instrument.read("kast_blue_600_431")


@given(st.tuples(*[st.integers(1, 5000)] * 4))
def test_section_round_trip(corners):
    x1, x2, y1, y2 = *sorted(corners[:2]), *sorted(corners[2:])
    section = Section(x1, x2, y1, y2)
    assert Section.parse(str(section)) == section
    rows, columns = section.slices
    assert (rows.stop - rows.start, columns.stop - columns.start) == section.shape


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_number_round_trip(value):
    assert parse_number(repr(value), "x") == value


@given(st.text(max_size=8))
def test_number_accepts_nothing_but_plain_numbers(text):
    """What is read is what float() reads, and made of these characters only."""
    try:
        value = parse_number(text, "x")
    except InputError:
        return
    assert value == float(text)
    assert set(text) <= set("0123456789+-.eE")


def test_every_missing_key_is_named_at_once(read):
    keys = ("pixel_scale", "ypixels", "linear_dispersion")
    for number in range(1, 4):
        for missing in itertools.combinations(keys, number):
            text = "\n".join(
                line for line in ICF.splitlines() if line.partition(" ")[0] not in missing
            )
            with pytest.raises(InputError) as caught:
                read(text)
            assert all(f"{key} in" in str(caught.value) for key in missing)
