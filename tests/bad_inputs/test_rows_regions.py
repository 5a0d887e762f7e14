"""Rows 65-78 of the catalogue of bad inputs: region files and what users do to regions.

Each case states what must happen: an error that names the file, the line and the remedy, or a
flag with a sentence that says what to do.
"""

import numpy as np
import pytest

from specwcs.errors import InputError
from specwcs.markers import Markers
from specwcs.regions import (
    check_order,
    check_slits,
    markers_from_shapes,
    match_shapes,
    parse_regions,
    read_regions,
)

HEAD = "# Region file format: DS9 version 4.1\nglobal color=green\nimage\n"
BOXES = Markers.of("box", ["049", "050", "120"], 0.5, [10, 20, 30], [100, 200, 300])
RING = {"t": [0, 0, 1, 1], "side": [-1, 1, 1, -1]}
POLYGON = Markers.of("polygon", "049", x=[1, 5, 5, 1], y=[1, 1, 90, 90], **RING)


def row(number, *arguments, sub=""):
    return pytest.param(*arguments, id=f"row-{number}{sub}")


@pytest.fixture
def read(tmp_path):
    """Write bytes or text to slits.reg and read it."""

    def read(content, **options):
        raw = content if isinstance(content, bytes) else content.encode()
        (tmp_path / "slits.reg").write_bytes(raw)
        return read_regions(tmp_path / "slits.reg", **options)

    return read


ANY_SHAPE = "Must be one of box, polygon, point, vector, text"
SAVE = "Save in image coordinates: Region > Save, coordinate system image"
COMMA = "Write a decimal point, not a comma"
CORRECT = "Correct the line, or delete it"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        row(66, "linear\nbox(1,2,3,4)", f"coordinate system linear.*image or physical.*{SAVE}"),
        row(66, "detector\nbox(1,2,3,4)", f"coordinate system detector.*{SAVE}", sub="detector"),
        row(66, "wcsb; box(1,2,3,4)", f"coordinate system wcsb.*{SAVE}", sub="wcsb"),
        row(68, "bux(1,2,3,4)", f"'bux' is no marker. {ANY_SHAPE}. Did you mean box"),
        row(68, "# vectr(1,2,3,4)", f"'vectr'.*{ANY_SHAPE}. Did you mean vector", sub="vector"),
        row(68, "circle(1,2,3)", "'circle'.*Remove it, or draw one of these", sub="circle"),
        row(68, "# ruler(1,2,3,4) ruler=image", "'ruler'.*Remove it", sub="ruler"),
        row(68, "box(1,2,3,4", f"is no region.*{CORRECT}", sub="open"),
        row(70, "polygon(1,2,3,4,5)", r"polygon with 5 numbers.*polygon\(x1, y1", sub="odd"),
        row(70, "box(1,2,3)", rf"box with 3 numbers. Must be box\(x, y.*{CORRECT}", sub="few"),
        row(70, "# vector(1,2,3)", rf"vector with 3.*x, y, length, angle.*{CORRECT}", sub="vector"),
        row(70, "box(1,2,-3,4)", f"box of size -3 × 4.*not negative.*{CORRECT}", sub="negative"),
        row(71, "box(nan,2,3,4)", "invalid x of box 'nan'. Must be a plain number"),
        row(71, "point(1,inf)", "invalid y of point 'inf'. Must be a plain number", sub="inf"),
        row(71, "point(1e999,2)", "invalid x of point '1e999'. Must be a plain", sub="huge"),
        row(71, "# vector(1,2,1e12,0)", "invalid length of vector 1e12", sub="length"),
        row(71, "point(1_0,2)", "invalid x of point '1_0'", sub="underscore"),
        row(71, "point(１,2)", r"'１'.*FULLWIDTH DIGIT ONE", sub="digits"),
        row(72, "box(10,5,20,5,3,4)", f"box with 6 numbers.*{COMMA}"),
        row(72, "point 10,5 20,5", f"point with 4 numbers.*{COMMA}", sub="point"),
        row(72, "polygon(1,5,2,5,3,5,4)", f"polygon with 7 numbers.*{COMMA}", sub="polygon"),
        row(74, "box(1,2,3,4) # text={a}b}", "do not match at 'text={a}b}'.*Change the label"),
        row(74, "box(1,2,3,4) # text={a", "do not match.*Change the label", sub="open"),
        row(75, "fk5\nbox(1,2,3,4)", f"coordinate system fk5. Must be image or physical. {SAVE}"),
        row(75, "icrs;circle(1,2,3)", f"coordinate system icrs.*{SAVE}", sub="icrs"),
        row(75, "box(12:30:01.5,-2:10:00,3,4)", f"angle '12:30:01.5' as x of box.*{SAVE}", sub="x"),
        row(75, 'box(1,2,3",4)', f"angle '3\"' as width of box.*in pixels. {SAVE}", sub='"'),
    ],
)
def test_broken_lines(read, line, message):
    with pytest.raises(InputError, match=rf"slits\.reg, line 5: .*({message})"):
        read(f"{HEAD}box(1,2,3,4)\n{line}\nbox(1,2,3,4)\n")


def test_row_65_nothing_left(read):
    for text in ("", HEAD):
        edited = markers_from_shapes(read(text), BOXES)
        assert not np.any(edited.markers["used"])
        assert edited.notes[0].startswith("0 of 3 markers are left: there is nothing to fit")


def test_row_66_physical_and_frameless(read):
    """Physical is image, or what LTM and LTV say; it is also what a file without a system is."""
    for system in ("physical\n", ""):
        assert read(f"{system}point(11,21)")[0].points == ((10, 20),)
        binned = read(f"{system}point(11,21)", physical=(0.5, 1.5, 0.5, 0.5))
        assert binned[0].points == ((6, 10),)


def test_row_67_vectors_are_read(read):
    (vector,) = read(f"{HEAD}# vector(11,21,20,90) vector=1 tag={{slit=049}}")
    assert vector.kind == "vector"
    assert np.allclose(vector.points, [(10, 20), (10, 40)])


@pytest.mark.parametrize(
    ("corners", "remedy"),
    [
        row(69, "1,1,5,1,5,50,5,90,1,90", "delete the added corner"),
        row(69, "1,1,5,90", "put the missing corner back", sub="two"),
    ],
)
def test_corners_of_polygons(read, corners, remedy):
    n = (corners.count(",") + 1) // 2
    for tags in (" # tag={slit=049} tag={n=0}", " # text={049}", ""):
        shapes = read(f"{HEAD}polygon({corners}){tags}")
        edited = markers_from_shapes(shapes, POLYGON)
        if edited.untagged:
            edited = match_shapes(edited.untagged, POLYGON, direction="LR")
        assert not np.any(edited.markers["used"])
        assert f"polygon with {n} corners: {remedy}" in edited.markers["reason"][0]
        assert f"slit 049: polygon with {n} corners: {remedy}" in edited.notes[0]


def test_row_73_latin_1(read):
    with pytest.raises(InputError, match=r"slits\.reg, line 4: byte 0xb5 is not UTF-8.*Save the"):
        read(HEAD.encode() + b"box(1,2,3,4) # text={1.0 \xb5m}\n")


def test_row_74_semicolons_in_braces(read):
    first, second = read(f"{HEAD}box(1,2,3,4) # text={{a;b}} tag={{x;y}};box(5,6,7,8)")
    assert (first.text, first.tags) == ("a;b", {})
    assert second.points == ((4, 5),)


def test_row_76_unknown_slit(read, tmp_path):
    shapes = read(f"{HEAD}box(1,2,3,4) # tag={{slit=049}}\nbox(1,2,3,4) # tag={{slit=0500}}")
    message = r"slits\.reg, line 5: unknown slit id '0500'.*nearest ids.*050.*Correct the tag"
    with pytest.raises(InputError, match=message):
        check_slits(shapes, BOXES["slit"], tmp_path / "slits.reg")


def test_row_76_same_slit_twice(read):
    shapes = read(f"{HEAD}box(1,2,3,4) # tag={{slit=049}}\nbox(5,6,3,4) # tag={{slit=049}}")
    with pytest.raises(InputError, match=r"slit 049: two boxes, in lines 4 and 5.*Delete the copy"):
        markers_from_shapes(shapes, BOXES)
    labelled = read(f"{HEAD}box(1,2,3,4) # text={{049}}\nbox(5,6,3,4) # text={{049}}")
    with pytest.raises(InputError, match=r"line 5, slit 049: two shapes are labelled.*Delete the"):
        match_shapes(labelled, BOXES, direction="LR")


def test_row_77_excluded_is_deleted(read):
    shapes = read(f"{HEAD}-box(11,101,3,4) # tag={{slit=049}} tag={{n=0}}")
    edited = markers_from_shapes(shapes, BOXES)
    assert edited.markers["reason"].tolist() == ["deleted"] * 3
    assert edited.notes[0] == "1 of 1 shapes bear a minus sign: they count as deleted."
    untagged = match_shapes(parse_regions("-box(11,101,3,4)"), BOXES, direction="LR")
    assert untagged.notes[0] == "1 shape with a minus sign: taken for deleted."


def test_row_78_swapped_neighbours():
    lines = Markers.of(
        "line", "049", 0.5, [10, 60, 90], [50, 50, 50], wavelength=[5852.488, 5881.895, 5944.834]
    )
    swapped = lines.copy()
    swapped["x"] = [60, 10, 90] * lines["x"].unit
    ((rows, sentence),) = check_order(swapped, lines, "LR")
    assert sorted(rows) == [0, 1]
    assert sentence == (
        "slit 049: line 5852.49 stands redwards of 5881.90 (t = 0.5). "
        "Put them in order, or delete the wrong one."
    )
    many = Markers.of("box", list("abcdef"), 0.5, np.zeros(6), np.arange(6) * 50.0)
    moved = many.copy()
    moved["y"] = [0, 100, 50, 150, 200, 250] * many["y"].unit
    ((rows, sentence),) = check_order(moved, many, "LR")
    assert sorted(rows) == [1, 2]
    assert sentence.startswith("slit b and slit c are not in the expected order")
