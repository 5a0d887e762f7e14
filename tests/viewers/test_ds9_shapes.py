"""What is drawn in DS9 is read back: nothing lost, nothing moved."""

import numpy as np
import pytest

from specwcs.regions import Shape

IMAGE = np.random.default_rng(5).normal(100, 5, (600, 900))


@pytest.fixture
def shown(warm_ds9):
    warm_ds9.show(IMAGE, "an arc frame, d'accord (Å)")
    return warm_ds9


def by_slit(shapes):
    return {shape.tags["slit"]: shape for shape in shapes}


def compare(found, drawn):
    found, drawn = by_slit(found), by_slit(drawn)
    assert found.keys() == drawn.keys()
    for key, shape in drawn.items():
        other = found[key]
        assert (other.kind, other.tags, other.text) == (shape.kind, shape.tags, shape.text)
        assert other.color == shape.color
        np.testing.assert_allclose(other.points, shape.points, rtol=0, atol=1e-4)
        np.testing.assert_allclose(other.size, shape.size, rtol=0, atol=1e-4)
        assert other.angle == pytest.approx(shape.angle, abs=1e-4)


SHAPES = [
    Shape("box", ((300.25, 200.5),), (100.125, 50.0), 0.0, {"slit": "box"}, "slit 7", "red"),
    Shape("box", ((310.0, 400.0),), (50.0, 20.0), 12.5, {"slit": "tilted"}),
    Shape(
        "polygon", ((500.0, 100.0), (600.0, 100.5), (600.0, 200.0)), tags={"slit": "p", "role": "a"}
    ),
    Shape("vector", ((200.5, 400.25), (210.75, 500.5)), tags={"slit": "v"}, color="yellow"),
    Shape("point", ((700.123, 400.456),), tags={"slit": "x"}, text="5852.488", color="cyan"),
    Shape("text", ((100.0, 50.0),), tags={"slit": "t"}, text="a label"),
]


def test_every_kind_comes_back(shown):
    shown.draw(SHAPES)
    compare(shown.read(), SHAPES)


def test_drawing_replaces_and_nothing_may_be_drawn(shown):
    shown.draw(SHAPES)
    shown.draw(SHAPES[:1])
    compare(shown.read(), SHAPES[:1])
    shown.draw([])
    assert shown.read() == []


def test_fixed_shapes_are_replaced_but_not_read(shown):
    fixed = Shape("box", ((300.0, 200.0),), (10.0, 10.0), text="7", fixed=True)
    shown.draw([fixed, *SHAPES])
    compare(shown.read(), SHAPES)
    shown.draw([])
    assert "box" not in shown._console.get("regions -format ds9 -system image")


def test_five_thousand_points(shown):
    places = np.random.default_rng(6).uniform((0, 0), (900, 600), (5000, 2)).tolist()
    drawn = [
        Shape("point", ((x, y),), tags={"slit": f"{i}"}, text=f"{i}")
        for i, (x, y) in enumerate(places)
    ]
    shown.draw(drawn)
    compare(shown.read(), drawn)


def test_a_large_frame_keeps_its_digits(warm_ds9):
    warm_ds9.show(np.zeros((10, 8288)), "wide")
    drawn = [Shape("point", ((8287.4321, 3.1234),), tags={"slit": "1"})]
    warm_ds9.draw(drawn)
    compare(warm_ds9.read(), drawn)


def test_labels_beyond_ascii(shown):
    drawn = [Shape("point", ((10.0, 10.0),), tags={"slit": "1"}, text="λ 5852 Å")]
    shown.draw(drawn)
    compare(shown.read(), drawn)


def test_a_shown_image_bears_no_shapes_and_its_title(shown):
    shown.draw(SHAPES)
    shown.show(IMAGE[:300], "the next one")
    assert shown.read() == []
    assert shown._console.get("fits header keyword OBJECT") == "the next one"
    assert shown._console.get("fits size") == "900 300"


def test_values_are_those_of_the_image(warm_ds9):
    image = np.zeros((20, 30), dtype=">i2")
    image[12, 7] = 42
    warm_ds9.show(image, "one pixel")
    assert float(warm_ds9._console.get("data image 8 13 1 1 yes")) == 42


def test_looking_fills_the_frame(shown):
    shown.look(450, 300, 100, 20)
    ask = shown._console.get
    zoom, x, y = (float(word) for word in f"{ask('zoom')} {ask('pan image')}".split())
    assert (x, y) == (451, 301)
    across, up = int(ask("width")) / zoom, int(ask("height")) / zoom
    assert 100 <= across < 110
    assert up > 20


def test_split_frames_are_independent(shown):
    shown.draw(SHAPES)
    for columns in (True, False):
        shown.split(columns)
        assert shown.read(2) == []
        shown.draw(SHAPES[:2], 2)
        shown.look(300, 200, 100, 50, 2)
        compare(shown.read(1), SHAPES)
        compare(shown.read(2), SHAPES[:2])
    shown.join()
    compare(shown.read(), SHAPES)
    assert shown._console.get("frame active") == "1"
    assert shown._console.get("tile") == "no"
    with pytest.raises(ValueError, match="after split only"):
        shown.read(2)


def test_split_puts_the_reference_first(shown):
    def corner(frame):
        out = shown._folder / "corner"
        item = f"$ds9(canvas) itemcget Frame{frame}"
        script = f"set specwcs [open {out} w]; puts $specwcs [{item} -x]; "
        shown._console.set(f"tcl {{{script} puts $specwcs [{item} -y]; close $specwcs}}")
        return [int(word) for word in out.read_text().split()]

    shown.split(True)
    (x1, y1), (x2, y2) = corner(1), corner(2)
    assert x1 < x2
    assert y1 == y2
    shown.split(False)
    (x1, y1), (x2, y2) = corner(1), corner(2)
    assert x1 == x2
    assert y1 < y2
    assert shown._console.get("frame") == "2"
