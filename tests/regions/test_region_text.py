"""Region text: what is read, what DS9 and the regions package make of it, what comes back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specwcs.errors import InputError
from specwcs.regions import Shape, format_regions, parse_regions, read_regions, write_regions

# What DS9 8.4.1 returns for shapes that were sent to it (regions system image).
FROM_DS9 = """\
# Region file format: DS9 version 4.1
global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1 highlite=1 \
dash=0 fixed=0 edit=1 move=1 delete=1 include=1 source=1
image
box(100.12346,200.87654,12,24,30) # text={049} tag={slit=049} tag={t=0.5} tag={n=0}
polygon(10,20,30,20.123456,30,40,10,40) # color=blue tag={slit=a}
point(5000.1235,60.5) # point=cross
point(50,60.5) # point=boxcircle
# vector(12.5,10,20,180) vector=1 color=red text={5852.49} tag={slit=1} tag={wavelength=5852.488}
# text(99,88) text={hello; "q" there}
-box(4,5,6,7,0) # select=0 highlite=0 edit=0 move=0 rotate=0 delete=0 tag={background}
# -vector(12.5,10,20,45) vector=1
point(11,20) # point=cross 20 color=#ff0000 font="times 12 bold italic" dash=1 tag={my group}
"""


def test_what_ds9_writes():
    box, polygon, point, circle, vector, text, background, excluded, colored = parse_regions(
        FROM_DS9
    )
    assert box.kind == "box"
    assert box.points == pytest.approx(np.array([[99.12346, 199.87654]]))
    assert (box.size, box.angle, box.text, box.line) == ((12, 24), 30, "049", 4)
    assert box.tags == {"slit": "049", "t": "0.5", "n": "0"}
    assert (polygon.color, len(polygon.points)) == ("blue", 4)
    assert point.points == pytest.approx(np.array([[4999.1235, 59.5]]))
    assert circle.kind == "point"
    assert vector.points == pytest.approx(np.array([[11.5, 9], [-8.5, 9]]))
    assert vector.tags == {"slit": "1", "wavelength": "5852.488"}
    assert text.text == 'hello; "q" there'
    assert (background.fixed, background.excluded, background.tags) == (True, True, {})
    assert (excluded.kind, excluded.excluded, excluded.fixed) == ("vector", True, False)
    assert (colored.color, colored.tags, colored.text) == ("#ff0000", {}, "")


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("image;point(1,2);point(3,4)", [(0, 1), (2, 3)]),
        ("image\npoint 1 2\npoint 3,4", [(0, 1), (2, 3)]),
        ("image\r\nPOINT( 1 , 2 )\r\n\r\n\tpoint(3 4)\t\r\n", [(0, 1), (2, 3)]),
        ("\ufeffimage\rpoint(1,2)\rpoint(3,4)", [(0, 1), (2, 3)]),
        ("point(1,2) # text={a;b} tag={x;y};point(3,4)", [(0, 1), (2, 3)]),
        ('point(1,2) # text="a;b";point(3,4)', [(0, 1), (2, 3)]),
        ("point(1i,2p) # text={don't}\n+point(3,4e0)", [(0, 1), (2, 3)]),
        ("# a comment (5, 3); point(9,9)\npoint(1,2) # a comment\n# x(3) point(9,9)", [(0, 1)]),
        ("image # here\npoint(1,2)", [(0, 1)]),
        ("", []),
        ("# Region file format: DS9 version 4.1\nglobal color=red\nphysical\n", []),
    ],
)
def test_ways_to_write_the_same(text, points):
    assert [shape.points[0] for shape in parse_regions(text)] == points


def test_defaults_of_global_lines():
    red, blue, still = parse_regions(
        "global color=red\npoint(1,1)\npoint(1,1) # color=blue\n"
        "global select=0 edit=0 move=0 delete=0\npoint(1,1)"
    )
    assert (red.color, blue.color, still.color) == ("red", "blue", "red")
    assert (red.fixed, still.fixed) == (False, True)


def test_locked_by_the_user_is_not_background():
    (shape,) = parse_regions("point(1,1) # move=0 select=0 tag={slit=a}")
    assert not shape.fixed


# LTM1_1, LTV1, LTM2_2, LTV2 of frames on which DS9 8.4.1 wrote these in physical coordinates,
# for an image box(100,200,20,10,30) and an image vector(12.5,10,20,45).
@pytest.mark.parametrize(
    ("physical", "lines"),
    [
        ((0.5, -10, 1, -20), "box(220,220,40,10,30)\n# vector(45,30,20,45) vector=1"),
        ((0.5, -10, 0.5, -20), "box(220,440,40,20,30)\n# vector(45,60,40,45) vector=1"),
        ((0.5, -10, 0.25, -20), "box(220,880,40,40,30)\n# vector(45,120,80,45) vector=1"),
        ((1, -10, -1, -20), "box(110,-220,20,-10,30)\n# vector(22.5,-30,-20,45) vector=1"),
        ((-2, -10, -0.5, -20), "box(-55,-440,-10,-20,30)\n# vector(-11.25,-60,-40,45) vector=1"),
    ],
)
@pytest.mark.parametrize("system", ["physical\n", ""])
def test_physical_coordinates_as_ds9_has_them(physical, lines, system):
    box, vector = parse_regions(system + lines, physical=physical)
    assert box.points == pytest.approx(np.array([[99, 199]]))
    assert (box.size, box.angle) == ((20, 10), 30)
    step = 20 * np.sqrt(0.5)
    assert vector.points == pytest.approx(np.array([[11.5, 9], [11.5 + step, 9 + step]]))


def test_image_coordinates_in_a_physical_text():
    shapes = parse_regions("point(10i,20)\nimage\npoint(10,20p)", physical=(2, 1, 3, 2))
    assert [shape.points for shape in shapes] == [((9, 61),), ((9, 61),)]


# -- round trips ----------------------------------------------------------------------

words = st.from_regex(r"[A-Za-z0-9_.+-]{1,8}", fullmatch=True)
labels = st.text(st.characters(exclude_characters="{}\r\n\0", exclude_categories=["Cs"]))
coordinates = st.floats(-2e4, 2e4)
places = st.tuples(coordinates, coordinates)
common = {
    "tags": st.dictionaries(st.sampled_from(["slit", "t", "n", "wavelength"]), words),
    "text": labels,
    "color": st.sampled_from(["green", "red", "#00ff7f"]),
    "fixed": st.booleans(),
    "excluded": st.booleans(),
}
sizes = st.tuples(st.floats(0, 1e4), st.floats(0, 1e4))
shapes = st.one_of(
    st.builds(Shape, st.just("box"), st.tuples(places), sizes, st.floats(-360, 360), **common),
    st.builds(
        Shape, st.just("polygon"), st.lists(places, min_size=2, max_size=6).map(tuple), **common
    ),
    st.builds(Shape, st.sampled_from(["point", "text"]), st.tuples(places), **common),
    st.builds(Shape, st.just("vector"), st.tuples(places, places), **common),
)


def check_same(after, before):
    for name in ("kind", "tags", "text", "color", "fixed", "excluded"):
        assert getattr(after, name) == getattr(before, name), name
    assert np.shape(after.points) == np.shape(before.points)
    assert np.allclose(after.points, before.points, rtol=0, atol=1e-6)
    assert np.allclose(after.size, before.size, rtol=0, atol=1e-6)
    assert abs(after.angle - before.angle) < 1e-6


@settings(deadline=None)
@given(st.lists(shapes, max_size=8))
def test_round_trip(before):
    after = parse_regions(format_regions(before))
    assert [shape.line for shape in after] == [4 + i for i in range(len(before))]
    for pair in zip(after, before, strict=True):
        check_same(*pair)


def test_round_trip_through_a_file(tmp_path):
    path = tmp_path / "slits.reg"
    before = [Shape("point", ((1.25, 2.5),), text="µ Å", tags={"slit": "049"})]
    write_regions(path, before)
    check_same(read_regions(path)[0], before[0])
    with pytest.raises(InputError, match=r"slits\.reg: exists already"):
        write_regions(path, [])
    write_regions(path, [], overwrite=True)
    assert read_regions(path) == []


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (Shape("point", ((np.nan, 1),)), "a point has a coordinate that is not finite"),
        (Shape("point", ((1, 1),), text="a}b"), "has the label 'a}b'. Must be one line without"),
        (Shape("point", ((1, 1),), text="a\nb"), "has the label"),
        (Shape("point", ((1, 1),), tags={"slit": "a;b"}), "slit a;b: .*Give the slit another id"),
        (Shape("point", ((1, 1),), tags={"Slit": "a"}), "has the tag Slit='a'"),
        (Shape("point", ((1, 1),), color="red text={}"), "has color"),
    ],
)
def test_what_would_not_survive_is_not_written(shape, message):
    with pytest.raises(InputError, match=message):
        format_regions([shape])


# -- the regions package as an oracle ------------------------------------------------


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.builds(
                Shape,
                st.just("box"),
                st.tuples(places),
                st.tuples(st.floats(1, 1e4), st.floats(1, 1e4)),
                st.floats(-360, 360),
            ),
            st.builds(
                Shape, st.just("polygon"), st.lists(places, min_size=3, max_size=6).map(tuple)
            ),
            st.builds(Shape, st.just("point"), st.tuples(places)),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_the_regions_package_reads_the_same(before):
    regions = pytest.importorskip("regions")
    after = regions.Regions.parse(format_regions(before), format="ds9")
    for theirs, ours in zip(after, before, strict=True):
        if ours.kind == "polygon":
            found = np.column_stack([theirs.vertices.x, theirs.vertices.y])
        else:
            found = np.array([theirs.center.xy])
        assert np.allclose(found, ours.points, rtol=0, atol=1e-6)
        if ours.kind == "box":
            assert np.allclose((theirs.width, theirs.height), ours.size, rtol=0, atol=1e-6)
            assert np.isclose(theirs.angle.to_value("deg"), ours.angle, rtol=0, atol=1e-6)


@settings(deadline=None)
@given(st.text(st.sampled_from("box()polygn,;{}#\"' 1.5\n\t-image tag={slit=a}vector")))
def test_any_text_is_read_or_refused(text):
    try:
        found = parse_regions(text, source="any.reg")
    except InputError as err:
        assert str(err).startswith("any.reg, line ")  # noqa: PT017 - either way is right
    else:
        assert all(np.isfinite(shape.points).all() for shape in found)


@pytest.mark.parametrize(
    "text",
    [
        "point(" + "1" * 10**5,
        "point(" + "1" * 10**5 + ",1)",
        "point(" + "1d" * 10**5 + "x,1)",
        "point(1,2) # text=" + "{" * 10**5,
        "polygon(" + "1 " * 10**5 + "x)",
        "{;" * 10**5,
        "a" * 10**5,
        "-" * 10**5,
    ],
    ids=range(8),
)
def test_long_nonsense_is_refused_briefly(text):
    with pytest.raises(InputError) as info:
        parse_regions(text)
    assert len(str(info.value)) < 400
