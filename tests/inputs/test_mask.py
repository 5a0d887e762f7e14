import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specwcs.conventions import Direction
from specwcs.errors import InputError
from specwcs.inputs import Mask, Slit

HEADER = "#ID DIMX DIMY X Y ROT WID LEN REF\n"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def one_slit(dimx=0.6, dimy=6.0, x=10.0, y=20.0, rot=0.0):
    half = np.array([0.0, dimy / 2])
    centre = np.array([x, y])
    control = np.array([centre + half, centre - half])
    return Slit("1", x, y, dimx, dimy, rot, 1.0, 10.0, False, control)


def test_values(tmp_path):
    path = write(
        tmp_path / "m.mdf",
        "# a mask\r\n# id   dimx DIMY X Y ROT WID LEN REF # mm and arcsec\r\n"
        "049\t0.6  6. -1e1 +0 -30 1 10 0\t# a science slit\r\n\r\n"
        "A.1  2.4 2.4 .5 30 0 4 4 1\r\n",
    )
    mask = Mask.read(path)
    assert list(mask) == ["049", "A.1"]
    slit = mask["049"]
    assert (slit.x, slit.y, slit.rot, slit.width, slit.length) == (-10, 0, -30, 1, 10)
    assert (slit.reference, mask["A.1"].reference) == (False, True)
    assert not mask.faults


def test_columns_are_found_by_name(tmp_path):
    path = write(tmp_path / "m.mdf", "ID REF X Y DIMX DIMY ROT WID LEN\n7 1 1 2 3 4 5 6 8\n")
    slit = Mask.read(path)["7"]
    assert (slit.reference, slit.x, slit.dimy, slit.length) == (True, 1, 4, 8)


def test_rotation_is_clockwise(tmp_path):
    """Seen with X to the right and Y up, the upper end of a slit turned by 30° goes right."""
    path = write(tmp_path / "m.mdf", HEADER + "1 0.6 6 10 20 30 1 10 0\n")
    X, Y = Mask.read(path)["1"].curve([0.0, 0.5, 1.0])
    assert np.allclose(X, [11.5, 10.0, 8.5])
    assert np.allclose(Y, 20 + 3 * np.cos(np.pi / 6) * np.array([1, 0, -1]))


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("flipx", [False, True])
@pytest.mark.parametrize("flipy", [False, True])
def test_left_end_on_the_frame(direction, flipx, flipy):
    """t = 0 is on the left hand when one walks along the dispersion, blue to red."""
    slit = Mask([one_slit(rot=20.0)]).oriented(direction, flipx=flipx, flipy=flipy)["1"]
    frame = slit.control * [-1 if flipx else 1, -1 if flipy else 1]
    red = {"LR": (1, 0), "RL": (-1, 0), "BU": (0, 1), "UB": (0, -1)}[direction]
    left = np.array([-red[1], red[0]])
    assert (frame[0] - frame[1]) @ left > 0
    length = np.linalg.norm(frame[0] - frame[1])
    assert length == pytest.approx(6.0 if direction.along_x else 0.6)
    assert 2 * np.linalg.norm(slit.half_width) == pytest.approx(0.6 if direction.along_x else 6.0)


@settings(max_examples=50, deadline=None)
@given(
    st.floats(0.1, 20),
    st.floats(0.1, 20),
    st.floats(-100, 100),
    st.floats(-100, 100),
    st.floats(-180, 180),
    st.sampled_from(list(Direction)),
)
def test_corners_are_those_of_the_rectangle(dimx, dimy, x, y, rot, direction):
    slit = Mask([one_slit(dimx, dimy, x, y, rot)]).oriented(direction)["1"]
    corners = slit.corners()
    assert np.allclose(corners.mean(axis=0), [x, y])
    turn = np.radians(rot)
    # Turn the corners back, counter-clockwise: an upright rectangle about the origin.
    back = (corners - [x, y]) @ np.array(
        [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    )
    assert np.allclose(np.abs(back), [dimx / 2, dimy / 2])
    sides = np.roll(corners, -1, axis=0) - corners
    assert np.allclose(np.abs(np.sum(sides * np.roll(sides, -1, axis=0), axis=1)), 0, atol=1e-9)
    assert np.allclose(slit.curve(0.0), corners[:2].mean(axis=0))


def test_curve_is_a_bezier_curve():
    """Three control points make a parabola through the ends, half way to the middle one."""
    control = np.array([[0.0, 1.0], [2.0, 0.0], [0.0, -1.0]])
    slit = Slit("1", 0, 0, 1, 2, 0, 0, 0, False, control)
    X, Y = slit.curve(np.array([0.0, 0.5, 1.0]))
    assert np.allclose(X, [0, 1, 0])
    assert np.allclose(Y, [1, 0, -1])
    turned = Mask([slit]).oriented("RL")["1"]
    assert np.allclose(turned.curve(0.25), slit.curve(0.75))


@pytest.mark.parametrize("direction", ["+x", "lr", None])
def test_a_direction_that_is_none_names_the_four(direction):
    with pytest.raises(InputError, match=r"invalid direction .* Must be one of LR, RL, BU, UB"):
        Mask([one_slit()]).oriented(direction)


def test_longer_in_x_is_read_for_dispersion_along_y(tmp_path):
    path = write(tmp_path / "m.mdf", HEADER + "1 6 0.6 0 0 0 1 10 0\n")
    assert np.allclose(Mask.read(path)["1"].control, [[-3, 0], [3, 0]])


def test_slits_compare_by_value():
    assert Mask([one_slit()]) == Mask([one_slit()])
    assert Mask([one_slit()]) != Mask([one_slit(rot=1.0)])


def test_touching_is_no_overlap(tmp_path):
    rows = "1 1 6 0 0 0 0 0 0\n2 1 6 0 6 0 0 0 0\n3 1 6 0.9 11.9 0 0 0 0\n"
    mask = Mask.read(write(tmp_path / "m.mdf", HEADER + rows))
    assert set(mask.faults) == {"2", "3"}
    assert "overlaps slit 3" in mask.faults["2"]
    assert list(mask) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("name", "along_y"),
    [
        ("kast_longslit_0.5", True),
        ("kast_longslit_2.0", True),
        ("mods_longslit_1.0", True),
        ("luci_longslit_0.75", True),
        ("dbsp_longslit_1.0", True),
        ("efosc2_longslit_1.0", False),
        ("sofi_longslit_2.0", False),
    ],
)
def test_shipped_masks(name, along_y):
    """The scale of the two sides, arcsec per mm, agrees: mm and arcsec are consistent."""
    mask = Mask.read(name)
    assert not mask.faults
    for slit in mask.values():
        across, along = (slit.dimy, slit.dimx) if along_y else (slit.dimx, slit.dimy)
        assert across > along
        assert slit.length / across == pytest.approx(slit.width / along, rel=0.01)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z0-9_.-]{1,8}", fullmatch=True),
        st.tuples(st.floats(-500, 500), st.floats(-500, 500), st.floats(-90, 90), st.booleans()),
        min_size=1,
        max_size=6,
    )
)
def test_round_trip(tmp_path_factory, slits):
    rows = "".join(
        f"{i} 0.5 4 {x!r} {y!r} {rot!r} 0 0 {int(ref)}\n" for i, (x, y, rot, ref) in slits.items()
    )
    mask = Mask.read(write(tmp_path_factory.mktemp("mask") / "m.mdf", HEADER + rows))
    assert {s.id: (s.x, s.y, s.rot, s.reference) for s in mask.values()} == slits
    assert list(mask) == list(slits)
