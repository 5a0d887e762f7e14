import re

import numpy as np
import pytest
from astropy import units as u
from hypothesis import given, settings
from hypothesis import strategies as st

from specwcs.errors import InputError
from specwcs.inputs import LineCatalog
from specwcs.inputs.catalog import air_from_vacuum, vacuum_from_air

LAMPS = ["Ne", "Ar", "He", "Hg", "Cd", "Kr", "Xe", "FeAr"]


@pytest.fixture
def read(tmp_path):
    def read(text, **kwargs):
        path = tmp_path / "lines.dat"
        path.write_text(text, encoding="utf-8")
        return LineCatalog.read(path, **kwargs)

    return read


def test_values(read):
    catalog = read(
        "# Medium: AIR\n#UNIT = nm\n# wavelength label flag\n"
        "640.2248\tNe\t1\t2000\r\n"
        "#594.4834 Ne 1\n"
        '585.2488  "Ne I" 0   # not here\n'
        "696.5431 Ar I 1 1e4\n\n",
    )
    assert np.allclose(catalog.wavelength, [5852.488, 6402.248, 6965.431], rtol=1e-12)
    assert list(catalog.label) == ["Ne I", "Ne", "Ar I"]
    assert list(catalog.flag) == [0, 1, 1]
    assert np.isnan(catalog.intensity[0])
    assert list(catalog.intensity[1:]) == [2000, 1e4]
    assert (catalog.medium, len(catalog)) == ("air", 3)
    assert catalog.notes == ("lines were not in order of wavelength: sorted",)


def test_medium_and_unit_by_argument(read):
    assert read("0.58525 Ne 1", medium="vacuum", unit="um").wavelength[0] == pytest.approx(5852.5)
    assert read("5852.5 Ne 1", medium="air").medium == "air"


@pytest.mark.parametrize(
    ("text", "kwargs"),
    [
        ("5852.5 Ne 1", {}),
        ("# medium: air\n5852.5 Ne 1", {"medium": "vacuum"}),
        ("# medium: air\n# medium: vacuum\n5852.5 Ne 1", {}),
        ("# medium: water\n5852.5 Ne 1", {}),
        ("5852.5 Ne 1", {"medium": "water"}),
    ],
)
def test_medium_must_be_known_and_agree(read, text, kwargs):
    with pytest.raises(InputError, match="medium"):
        read(text, **kwargs)


def test_select_takes_units_and_both_ends(read):
    catalog = read("5000 a 1\n6000 b 1\n7000 c 0\n", medium="air")
    assert list(catalog.select(600 * u.nm, 7000).label) == ["b", "c"]
    assert list(catalog.select(wend=5000).label) == ["a"]


def test_merge(read, tmp_path):
    other = tmp_path / "other.dat"
    other.write_text("# medium: air\n5000 again 1\n5500 x 1\n")
    read("# medium: air\n5000 a 1\n6000 b 1\n")
    merged = LineCatalog.read([tmp_path / "lines.dat", other])
    assert list(merged.label) == ["a", "x", "b"]
    assert merged.notes == ("5000.0 again is there twice: dropped",)
    assert [source.path for source in merged.sources] == [str(tmp_path / "lines.dat"), str(other)]
    other.write_text("# medium: vacuum\n5500 x 1\n")
    with pytest.raises(InputError, match="differ in medium"):
        LineCatalog.read([tmp_path / "lines.dat", other])


# -- lines that a resolution separates ------------------------------------------


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        ((float("nan"), 6000), r"^invalid wstart nan\. Must be one wavelength\.$"),
        ((5000, "red"), "^invalid wend 'red'"),
        (([5000, 5500], 6000), "^invalid wstart of type list"),
        ((6000, 5000), "wstart 6000 is not below wend 5000. Exchange the two limits"),
        ((5000, 5000), r"wstart 5000 is not below wend 5000\.$"),
    ],
)
def test_limits_that_select_nothing(read, limits, match):
    with pytest.raises(InputError, match=match):
        read("# medium: air\n5000 a 1\n6000 b 1").select(*limits)


def test_a_catalogue_of_quantities():
    columns = (np.array(["a", "b"]), np.ones(2, int), np.full(2, np.nan))
    catalog = LineCatalog([500, 600] * u.nm, *columns, "air")
    np.testing.assert_allclose(catalog.wavelength, [5000, 6000], rtol=1e-14)
    assert type(catalog.wavelength) is np.ndarray
    with pytest.raises(InputError, match="wavelength is a quantity in 's'"):
        LineCatalog([500, 600] * u.s, *columns, "air")


def test_units_that_are_no_wavelength(read):
    catalog = read("# medium: air\n5000 a 1\n6000 b 1")
    with pytest.raises(InputError, match="wstart is a quantity in 's'"):
        catalog.select(5000 * u.s)
    with pytest.raises(InputError, match="fwhm is a quantity in 'pix'"):
        catalog.separable(5 * u.pix)


def test_separable(read):
    """Neighbours within 1.3 FWHM, of 5 % of the line or of unknown intensity, blend."""
    catalog = read(
        "# medium: air\n"
        "5000 a 1 100\n5012 a 1 6\n"  # each has its part of the other
        "5100 a 1 100\n5112 a 1 4\n"  # the fainter one does not matter, the brighter one does
        "5200 a 1 100\n5213.1 a 1 100\n"  # just separate
        "5300 a 1 100\n5312 a 0 100\n"  # not to be used, but there
        "5400 a 1 100\n5412 b 1\n"  # nobody knows
        "5500 a 1 100\n5512 c 1 9\n5560 c 1 300\n"  # 3 % of its species, 9 % of the number
    )
    assert list(catalog.separable(10.0).wavelength) == [5100, 5200, 5213.1, 5500, 5560]
    assert list(catalog.separable(1 * u.nm).wavelength) == [5100, 5200, 5213.1, 5500, 5560]
    assert len(catalog.separable(1.0)) == len(catalog) - 1
    assert len(catalog.separable(1e4)) == 0


def test_separable_looks_beyond_the_next_line(read):
    """A comparable line behind a faint one blends all the same."""
    catalog = read("# medium: air\n5000 a 1 100\n5003 a 1 1\n5006 a 1 100\n")
    assert len(catalog.separable(5.0)) == 0


@pytest.mark.parametrize("fwhm", [0, -1, np.nan, np.inf, [1, 2]])
def test_separable_needs_a_width(read, fwhm):
    with pytest.raises(InputError, match="Must be one width above 0"):
        read("# medium: air\n5000 a 1").separable(fwhm)


# -- lamps by name --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ne", ["Ne"]),
        ("SKY", ["sky"]),
        ("Ne,Ar", ["Ne", "Ar"]),
        ("HgNe", ["Hg", "Ne"]),
        ("HENEAR", ["He", "Ne", "Ar"]),
        ("Hg(Ar) + Neon", ["Hg", "Ar", "Ne"]),
        ("Ne_Ar, ne", ["Ne", "Ar"]),
        ("FeAr", ["FeAr"]),
    ],
)
def test_lamps_by_name(text, names):
    catalog, expected = LineCatalog.read(text), LineCatalog.read(names)
    np.testing.assert_array_equal(catalog.wavelength, expected.wavelength)
    assert catalog.sources == expected.sources
    assert catalog.notes == ()


def test_lamps_of_one_medium():
    catalog = LineCatalog.of_lamps(["Ne", "OH"], "vacuum")
    assert catalog.medium == "vacuum"
    assert len(catalog) == sum(len(LineCatalog.read(name)) for name in ("Ne", "OH"))
    assert LineCatalog.of_lamps("OH").medium == "air"


def test_lines_of_two_catalogues_are_taken_once():
    """FeAr has lines of Ar, to other digits; sky has those of OH."""
    catalog = LineCatalog.read("FeAr,Ar")
    argon = catalog.wavelength[catalog.label == "ArI"]
    assert np.diff(argon).min() > 0.02
    assert re.fullmatch(r"\d+ lines are in two catalogues: taken once", *catalog.notes)
    assert len(LineCatalog.of_lamps("sky,OH")) == len(LineCatalog.read("sky"))


def test_a_lamp_that_is_known_in_part_says_so():
    catalog = LineCatalog.read("CuAr")
    assert set(catalog.label) == {"ArI"}
    assert catalog.notes == ("lamp CuAr: no list of Cu lines ships, they are unknown",)


@pytest.mark.parametrize("text", ["Ne,Qq", "Zn", "NeZ,Ar", "tungsten+Ne"])
def test_unknown_lamps(text):
    for read in (LineCatalog.read, LineCatalog.of_lamps):
        with pytest.raises(InputError, match="The lamps are Ar, Cd, FeAr, He, Hg, Kr, Ne, Xe"):
            read(text)


def test_a_file_comes_before_a_lamp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "NeAr").write_text("# medium: air\n5000 x 1")
    assert list(LineCatalog.read("NeAr").label) == ["x"]


# -- air and vacuum --------------------------------------------------------------


def test_air_wavelengths_of_nist():
    """Pairs that NIST publishes for both media (ASD: Hg I, Ne I, Cd I, Kr I)."""
    vacuum = np.array([4047.708, 5462.268, 6404.0180, 6440.2490, 7603.6384, 8779.1607])
    air = np.array([4046.565, 5460.750, 6402.2480, 6438.4695, 7601.5457, 8776.7505])
    assert np.allclose(air_from_vacuum(vacuum), air, atol=2e-3)


def test_agrees_with_specutils():
    from specutils.utils.wcs_utils import vac_to_air

    vacuum = np.linspace(3000, 25000, 500)
    theirs = vac_to_air(vacuum * u.AA, method="Ciddor1996").value
    assert np.allclose(air_from_vacuum(vacuum), theirs, rtol=0, atol=1e-9)


@given(st.floats(2100, 300000))
def test_air_and_vacuum_are_inverse(wavelength):
    assert abs(air_from_vacuum(vacuum_from_air(wavelength)) - wavelength) < 2e-9


@pytest.mark.parametrize("convert", [air_from_vacuum, vacuum_from_air])
def test_conversions_take_units(convert):
    assert convert(700 * u.nm) == pytest.approx(convert(7000.0), rel=1e-15)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.floats(3000, 25000),
            st.from_regex(r"[A-Za-z][A-Za-z-]{0,6}", fullmatch=True),
            st.integers(0, 1),
            st.floats(1e-3, 1e6),
        ),
        min_size=1,
        max_size=20,
        unique_by=lambda row: row[0],
    )
)
def test_round_trip(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("catalog") / "lines.dat"
    path.write_text("# medium: vacuum\n" + "".join(f"{w!r} {n} {f} {i!r}\n" for w, n, f, i in rows))
    catalog = LineCatalog.read(path)
    columns = (catalog.wavelength, catalog.label, catalog.flag, catalog.intensity)
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == sorted(rows)


# -- the catalogues that ship ------------------------------------------------------


@pytest.mark.parametrize("name", [*LAMPS, "OH", "sky"])
def test_shipped_catalogues(name):
    catalog = LineCatalog.read(name)
    assert catalog.medium == ("vacuum" if name == "OH" else "air")
    assert catalog.notes == ()
    assert np.all(np.diff(catalog.wavelength) > 0)
    assert np.all(catalog.flag == 1)
    assert np.isnan(catalog.intensity).all() == (name == "FeAr")
    other = catalog.to_medium("air" if name == "OH" else "vacuum")
    assert np.all(np.abs(other.wavelength - catalog.wavelength) > 0.8)
    assert np.allclose(other.to_medium(catalog.medium).wavelength, catalog.wavelength, atol=1e-8)


def test_sky_has_the_bright_lines_and_those_of_oh():
    """[O I], Na I D and street lamps as in the NIST tables, and OH, all in air."""
    sky, hydroxyl = LineCatalog.read("sky"), LineCatalog.read("OH").to_medium("air")
    for label, lines in (
        ("OI", [5577.3387, 6300.304, 6363.776]),
        ("NaI", [5889.951, 5895.924]),
        ("HgI", [4046.565, 4358.335, 5460.750, 5769.610, 5790.670]),
    ):
        assert np.allclose(sky.wavelength[sky.label == label], lines, atol=0.001)
    ours, theirs = (c.wavelength[c.label == "OH"] for c in (sky, hydroxyl))
    assert np.allclose(ours, theirs, atol=0.0051)


def test_neon_lines_are_differences_of_levels():
    """Ne I 2p5 4s - 2p5 3p: the levels of NIST ASD (1/cm) give the lines beyond 9400 Å."""
    upper = {"2s5": 158601.1152, "2s4": 158795.9924, "2s3": 159379.9935, "2s2": 159534.6196}
    lower = {
        **{"2p10": 148257.7898, "2p9": 149657.0393, "2p8": 149824.2215, "2p7": 150121.5922},
        **{"2p6": 150315.8612, "2p5": 150772.1118, "2p4": 150858.5079, "2p3": 150917.4307},
        **{"2p2": 151038.4524, "2p1": 152970.7328},
    }
    transitions = (
        "2s5-2p10 2s4-2p10 2s5-2p9 2s5-2p8 2s4-2p8 2s4-2p7 2s5-2p7 2s5-2p6 2s4-2p6 2s4-2p5 2s2-2p5 "
        "2s2-2p4 2s3-2p5 2s2-2p2 2s3-2p2 2s2-2p1 2s4-2p3 2s5-2p4 2s5-2p2 2s4-2p1"
    )
    pairs = [pair.split("-") for pair in transitions.split()]
    vacuum = np.array([1e8 / (upper[a] - lower[b]) for a, b in pairs])
    neon = LineCatalog.read("Ne").to_medium("vacuum").wavelength
    nearest = np.abs(neon[:, None] - vacuum).min(axis=0)
    assert np.all(nearest < 0.01)


def pypeit_table(path, ions):
    """Wavelengths of a table with columns between bars."""
    rows = [[cell.strip() for cell in line.split("|")] for line in path.read_text().splitlines()]
    head = next(row for row in rows if "wave" in row)
    wave, ion = head.index("wave"), head.index("ion")
    return np.array([float(r[wave]) for r in rows if len(r) == len(head) and r[ion] in ions])


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "share"),
    [("Ne", 1.0), ("Ar", 0.7), ("Hg", 1.0), ("Cd", 1.0), ("Kr", 1.0), ("Xe", 0.95), ("He", 1.0)],
)
def test_lamps_against_an_independent_vacuum_list(real_data, name, share):
    """Lines that both have agree to 0.02 Å, in vacuum; and both have most of them."""
    theirs = pypeit_table(real_data / "linelists" / "pypeit" / f"{name}I_lines.dat", {f"{name}I"})
    catalog = LineCatalog.read(name).to_medium("vacuum")
    theirs = theirs[(theirs > catalog.wavelength[0] - 1) & (theirs < 10500)]
    nearest = np.abs(catalog.wavelength[:, None] - theirs).min(axis=0)
    same = nearest < 0.3
    assert np.mean(same) >= share
    assert np.median(nearest[same]) < 0.003
    assert np.mean(nearest[same] < 0.02) > 0.93


@pytest.mark.real
def test_lamps_against_an_independent_air_list(real_data):
    text = (real_data / "linelists" / "iraf" / "henearhres.dat").read_text()
    rows = [line.split()[:2] for line in text.splitlines() if line.strip() and line[0] != "#"]
    for name in ("He", "Ne", "Ar", "Kr"):
        theirs = np.array([float(w) for w, ion in rows if ion == f"{name}I"])
        ours = LineCatalog.read(name).wavelength
        nearest = np.abs(ours[:, None] - theirs).min(axis=0)
        same = nearest < 0.3
        assert np.mean(same) > 0.7
        assert np.quantile(nearest[same], 0.9) < 0.01


@pytest.mark.real
def test_sky_against_an_independent_list(real_data):
    """The infrared OH list of IRAF, vacuum, to 0.1 Å; bright lines only: it blends otherwise."""
    text = (real_data / "linelists" / "iraf" / "ohlines.dat").read_text()
    rows = [line.split() for line in text.splitlines() if line[0] != "#"]
    theirs = np.array([float(row[0]) for row in rows if len(row) == 2 and float(row[1]) > 0.5])
    ours = LineCatalog.read("OH").wavelength
    nearest = np.abs(ours[:, None] - theirs).min(axis=0)
    assert np.median(nearest) < 0.15
    assert np.mean(nearest < 1.0) > 0.85
