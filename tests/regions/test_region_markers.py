"""Markers to shapes and back, by their tags."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specwcs.errors import InputError
from specwcs.markers import Markers
from specwcs.regions import (
    Shape,
    check_slits,
    format_regions,
    markers_from_shapes,
    parse_regions,
    shapes_from_markers,
)
from specwcs.regions.draw import RING

BOXES = Markers.of("box", ["049", "7", "x_1"], 0.5, [10, 20, 30], [100, 200, 300])
EDGES = Markers.of("edge", "049", [0, 0, 1], [10, 60, 10], [100, 101, 150])
LINES = Markers.of(
    "line", "049", 0.5, [10, 60, 90], [100, 100, 100], wavelength=[5852.488, 5881.895, 5944.834]
)
POLYGONS = Markers.of(
    "polygon",
    ["a"] * 4 + ["b"] * 4,
    [t for t, _ in RING] * 2,
    [10, 20, 20, 10, 10, 20, 20, 10],
    [10, 10, 90, 90, 110, 110, 190, 190],
    side=[side for _, side in RING] * 2,
)


def drawn(markers, **changes):
    return shapes_from_markers(markers, **({"direction": "LR"} | changes))


def moved(shape, dx=0.0, dy=0.0):
    return replace(shape, points=tuple((x + dx, y + dy) for x, y in shape.points))


def places(markers):
    return np.column_stack([markers["x"].value, markers["y"].value])


# -- markers to shapes ----------------------------------------------------------------


def test_boxes():
    box, _, other = drawn(BOXES, outlines={"049": (5, 60, -2.5)}, color="red")
    assert (box.kind, box.points, box.size, box.angle) == ("box", ((10, 100),), (5, 60), -2.5)
    assert (box.text, box.color) == ("049", "red")
    assert box.tags == {"slit": "049", "t": "0.5", "n": "0"}
    assert (other.size, other.angle) == ((12, 12), 0)


def test_polygons_are_rings_whatever_the_order_of_rows():
    order = [6, 3, 1, 0, 2, 4, 7, 5]
    polygons = {shape.text: shape for shape in drawn(POLYGONS[order])}
    assert polygons["a"].points == ((10, 10), (20, 10), (20, 90), (10, 90))
    assert polygons["a"].tags == {"slit": "a", "n": "3"}
    assert polygons["b"].tags == {"slit": "b", "n": "5"}


@pytest.mark.parametrize(
    ("direction", "tail"),
    [("LR", (-20, 100)), ("RL", (40, 100)), ("BU", (10, 70)), ("UB", (10, 130))],
)
def test_vectors_come_from_the_blue(direction, tail):
    vector = drawn(LINES, direction=direction, shaft=30)[0]
    assert (vector.kind, vector.points) == ("vector", (tail, (10, 100)))
    assert vector.text == "5852.49"
    assert vector.tags["wavelength"] == "5852.488"


def test_what_is_not_drawn():
    edges = EDGES.copy()
    edges["used"] = [False, True, True]
    edges["x"] = [10, np.nan, 10] * edges["x"].unit
    assert [shape.tags["n"] for shape in drawn(edges)] == ["2"]
    assert [shape.text for shape in drawn(POLYGONS[1:])] == ["b"]
    assert drawn(Markers.join([])) == []


def test_corners_given_twice():
    with pytest.raises(InputError, match=r"slit a: two markers of one polygon corner"):
        drawn(Markers.join([POLYGONS, POLYGONS]))


# -- and back -------------------------------------------------------------------------


@pytest.mark.parametrize("table", [BOXES, EDGES, LINES, POLYGONS])
def test_untouched_markers_come_back_as_they_were(table):
    shapes = parse_regions(format_regions(drawn(table)[::-1]))
    edited = markers_from_shapes(shapes, table)
    assert (edited.untagged, edited.notes) == ((), ())
    assert edited.markers.pformat() == table.pformat()
    assert np.array_equal(places(edited.markers), places(table))


@pytest.mark.parametrize("table", [BOXES, EDGES, LINES, POLYGONS])
def test_moved_and_deleted(table):
    first, *others, _last = drawn(table)
    edited = markers_from_shapes([*others, moved(first, 3.5, -1.25)], table).markers
    n = 4 if first.kind == "polygon" else 1
    assert np.allclose(places(edited)[:n], places(table)[:n] + np.array([3.5, -1.25]))
    assert np.array_equal(places(edited)[n:], places(table)[n:])
    assert edited["used"].tolist() == [True] * (len(table) - n) + [False] * n
    assert edited["reason"].tolist() == [""] * (len(table) - n) + ["deleted"] * n


@pytest.mark.parametrize("table", [EDGES, LINES])
def test_a_copy_is_added(table):
    shapes = drawn(table)
    edited = markers_from_shapes([moved(shapes[0], 7), *shapes], table).markers
    assert len(edited) == len(table) + 1
    assert np.array_equal(places(edited)[:-1], places(table))
    assert np.array_equal(places(edited)[-1], places(table)[0] + np.array([7, 0]))
    for name in ("kind", "slit", "t", "used"):
        assert edited[name][-1] == table[name][0]
    assert np.array_equal(edited["wavelength"][-1], table["wavelength"][0], equal_nan=True)


@pytest.mark.parametrize(("table", "what"), [(BOXES, "boxes"), (POLYGONS, "polygons")])
def test_a_copied_slit_is_an_error(table, what):
    shapes = parse_regions(format_regions(drawn(table)))
    for known in (None, table):
        with pytest.raises(InputError, match=rf"slit {shapes[0].text}: two {what}, in lines 4 and"):
            markers_from_shapes([*shapes, replace(shapes[0], line=9)], known)


def test_the_nearest_of_copies_is_the_original():
    shapes = drawn(EDGES)
    edited = markers_from_shapes([moved(shapes[0], 9), moved(shapes[0], 2), *shapes[1:]], EDGES)
    assert edited.markers["x"].value.tolist() == [12, 60, 10, 19]


@pytest.mark.parametrize("n", [2, 3, 5])
def test_corners_added_or_lost(n):
    first, other = drawn(POLYGONS)
    broken = replace(first, points=((0, 0), (4, 0), (4, 4), (2, 5), (0, 4))[:n])
    edited = markers_from_shapes([broken, other], POLYGONS)
    assert edited.markers["used"].tolist() == [False] * 4 + [True] * 4
    assert f"polygon with {n} corners" in edited.markers["reason"][3]
    assert np.array_equal(places(edited.markers), places(POLYGONS))
    (note,) = edited.notes
    assert note.startswith(f"slit a: polygon with {n} corners: ")
    alone = markers_from_shapes([broken, other])
    assert alone.notes == edited.notes
    assert alone.markers["used"].tolist() == edited.markers["used"].tolist()


def test_crossed_corners():
    first, other = drawn(POLYGONS)
    a, b, c, d = first.points
    for points in ((b, a, c, d), (b, a, d, c), (a, b, d, c)):
        edited = markers_from_shapes([replace(first, points=points), other], POLYGONS)
        assert edited.markers["used"].tolist() == [False] * 4 + [True] * 4
        assert "slit a: corners of the polygon have changed places" in edited.notes[0]


def test_rows_that_were_not_drawn_stay():
    table = EDGES.copy()
    table["used"] = [True, False, True]
    table["reason"] = ["", "an outlier", ""]
    edited = markers_from_shapes(drawn(table), table).markers
    assert edited.pformat() == table.pformat()


def test_what_is_fixed_is_no_marker():
    fixed = replace(drawn(BOXES)[0], fixed=True)
    assert len(markers_from_shapes([fixed]).markers) == 0
    assert markers_from_shapes([fixed, *drawn(BOXES)], BOXES).markers["used"].all()


def test_nothing_left():
    edited = markers_from_shapes([], BOXES)
    assert not edited.markers["used"].any()
    assert edited.notes[0].startswith("0 of 3 markers are left")


def test_row_numbers_of_another_table_do_not_count():
    shapes = drawn(LINES[::-1])
    edited = markers_from_shapes(shapes, LINES).markers
    assert edited.pformat() == LINES.pformat()


def test_without_tags():
    some = [
        Shape("box", ((1, 2),), (3, 4)),
        Shape("text", ((1, 2),), text="a", tags={"slit": "a"}),
        Shape("point", ((1, 2),), tags={"slit": "a"}),
        Shape("vector", ((1, 2), (3, 4)), tags={"slit": "a", "t": "0.5"}),
    ]
    edited = markers_from_shapes(some)
    assert edited.untagged == tuple(some)
    assert len(edited.markers) == 0


def test_tags_by_hand():
    edited = markers_from_shapes([Shape("box", ((5, 6),), tags={"slit": "7"})], BOXES).markers
    assert edited["used"].tolist() == [False, True, False]
    assert places(edited)[1].tolist() == [5, 6]


def test_a_tag_that_is_no_number():
    with pytest.raises(InputError, match="line 1, slit a: invalid tag t 'zero'"):
        markers_from_shapes(parse_regions("point(1,1) # tag={slit=a} tag={t=zero}"))


def test_unknown_slits():
    shapes = parse_regions("image\nbox(1,1,2,2) # tag={slit=12}\nbox(1,1,2,2) # tag={slit=l3}")
    check_slits(shapes, ["12", "l3"])
    with pytest.raises(InputError, match=r"a\.reg, line 3: unknown slit id 'l3'.* 13") as info:
        check_slits(shapes, ["12", "13", "140"], "a.reg")
    assert "Correct the tag" in str(info.value)


# -- nothing is lost, in any order ------------------------------------------------------

slits = st.from_regex(r"[A-Za-z0-9_.+-]{1,4}", fullmatch=True)
pixels = st.floats(-100, 9800)


@st.composite
def tables(draw):
    """Any boxes, polygons, edges and lines; one box and one polygon a slit."""
    n = draw(st.integers(0, 12))
    column = lambda values: draw(st.lists(values, min_size=n, max_size=n))  # noqa: E731
    kind = column(st.sampled_from(["edge", "line"]))
    wavelength = np.where(np.array(kind) == "line", column(st.floats(1e3, 1e5)), np.nan)
    t = column(st.floats(0, 1))
    points = Markers.of(kind, column(slits), t, column(pixels), column(pixels),
                        wavelength=wavelength, used=column(st.booleans()))  # fmt: skip
    ids = draw(st.lists(slits, unique=True, max_size=4))
    boxes = Markers.of("box", ids, 0.5, [draw(pixels) for _ in ids], [draw(pixels) for _ in ids])
    ring = {"t": [t for t, _ in RING], "side": [side for _, side in RING]}
    x, y = np.array([[0, 5, 6, 1], [0, 1, 90, 91]])
    corners = [
        Markers.of("polygon", slit, x=draw(pixels) + x, y=draw(pixels) + y, **ring)
        for slit in draw(st.lists(slits, unique=True, max_size=3))
    ]
    table = Markers.join([points, boxes, *corners])
    return table[draw(st.permutations(range(len(table))))]


def through_ds9(text):
    """Keep eight digits, as DS9 does."""
    lines = []
    for line in text.splitlines():
        head, bracket, rest = line.partition("(")
        numbers, _, tail = rest.partition(")")
        if bracket and "," in numbers:
            numbers = ",".join(f"{float(number):.8g}" for number in numbers.split(","))
            line = f"{head}({numbers}){tail}"
        lines.append(line)
    return "\n".join(lines)


def check_round_trip(table, direction, order):
    shapes = shapes_from_markers(table, direction=direction)
    shapes = [shapes[i] for i in sorted(range(len(shapes)), key=lambda i: order[i % len(order)])]
    read = parse_regions(through_ds9(format_regions(shapes)))
    edited = markers_from_shapes(read, table)
    assert (edited.untagged, edited.notes) == ((), ())
    for name in ("kind", "slit", "t", "side", "wavelength", "used", "reason"):
        after, before = np.asarray(edited.markers[name]), np.asarray(table[name])
        assert np.array_equal(after, before, equal_nan=before.dtype.kind == "f"), name
    if len(table):
        assert np.abs(places(edited.markers) - places(table)).max() <= 1e-4
    alone = markers_from_shapes(sorted(read, key=lambda s: int(s.tags["n"]))).markers
    known = [int(s.tags["n"]) for s in read if s.kind != "polygon"]
    known = table[sorted(known)]
    same = alone[np.asarray(alone["kind"]) != "polygon"]
    for name in ("kind", "slit", "wavelength"):
        after, before = np.asarray(same[name]), np.asarray(known[name])
        assert np.array_equal(after, before, equal_nan=before.dtype.kind == "f"), name
    assert np.allclose(places(same), places(known), rtol=0, atol=1.5e-4)
    assert len(alone) == np.count_nonzero(table["used"])


directions = st.sampled_from(["LR", "RL", "BU", "UB"])
orders = st.lists(st.integers(0, 99), min_size=1, max_size=20)


@settings(deadline=None, max_examples=40)
@given(tables(), directions, orders)
def test_round_trip_of_any_table(table, direction, order):
    check_round_trip(table, direction, order)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(tables(), directions, orders)
def test_round_trip_of_many_tables(table, direction, order):
    check_round_trip(table, direction, order)


def test_frames_of_more_than_ten_thousand_pixels():
    table = Markers.of("edge", "a", 0.5, [12345.678912], [20001.234567])
    read = parse_regions(through_ds9(format_regions(drawn(table))))
    assert np.array_equal(places(markers_from_shapes(read, table).markers), places(table))
