from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.image import imread
from report_cases import calibrated

from specwcs.errors import InputError
from specwcs.report import calibration_figure, write_figure
from specwcs.report.canvas import BAD, EDGE, LINE, binned, label_step, stretched
from specwcs.simulate import example, lamp


def visible_texts(figure):
    """All texts with something to read, and their boxes in px of the picture."""
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    texts = [
        text
        for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))
        if text.get_visible() and text.get_text().strip()
    ]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    # Ticks beyond the limits of an axis keep a label that is never drawn.
    hidden = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_ticklabels(which="both")
        if not axes.get_window_extent().padded(2).overlaps(_ray(label, axis, renderer))
    }
    return [b for b, t in zip(boxes, texts, strict=True) if id(t) not in hidden]


def _ray(label, axis, renderer):
    """Box of a tick label, stretched across the axes: beside an axis or beyond its end."""
    box, area = label.get_window_extent(renderer), axis.axes.get_window_extent()
    if axis.axis_name == "x":
        middle = 0.5 * (box.x0 + box.x1)
        return type(box).from_extents(middle, area.y0, middle, area.y1)
    middle = 0.5 * (box.y0 + box.y1)
    return type(box).from_extents(area.x0, middle, area.x1, middle)


def assert_legible(figure):
    """No text on another one, none cut off by the border of the picture."""
    texts = visible_texts(figure)
    assert len(texts) > 10
    names = [text for text, _ in texts]
    x0, y0, x1, y1 = np.array([box.extents for _, box in texts]).T
    border = figure.bbox
    cut = (x0 < border.x0 - 1) | (y0 < border.y0 - 1) | (x1 > border.x1 + 1) | (y1 > border.y1 + 1)
    assert not cut.any(), f"cut off: {np.array(names)[cut]}"
    apart = (x0[:, None] > x1 - 2) | (y0[:, None] > y1 - 2)  # 2 px: boxes are wider than ink
    touching = np.argwhere(np.triu(~(apart | apart.T), 1))
    assert not len(touching), [(names[a], names[b]) for a, b in touching]


def drawn(figure, panel, color):
    """The curves of one colour in a panel, found by the start of its title."""
    axes = next(a for a in figure.axes if a.get_title(loc="left").startswith(panel))
    return [
        curve
        for collection in axes.collections
        if isinstance(collection, LineCollection)
        and to_hex(collection.get_edgecolor()[0]).upper() == color
        for curve in collection.get_segments()
    ]


@pytest.fixture(scope="module")
def figure(case):
    _, cal, flat, arc, _ = case
    return calibration_figure(cal, flat, arc)


def test_picture_is_legible(figure):
    assert_legible(figure)


def test_picture_is_written(figure, tmp_path):
    path = tmp_path / "cal.png"
    write_figure(figure, path)
    pixels = imread(path)[..., :3]
    assert min(pixels.shape[:2]) > 500
    assert 0.05 < np.mean(pixels < 0.9) < 0.6  # neither empty nor black
    with pytest.raises(InputError, match="exists already"):
        write_figure(figure, path)


@pytest.mark.parametrize("name", ["f.xyz", "f"])
def test_a_picture_of_no_format_is_refused(figure, tmp_path, name):
    with pytest.raises(InputError, match=rf"output '.*{name}'\. Must end in .*\.pdf, .*\.png"):
        write_figure(figure, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_suffix_may_be_in_capitals(figure, tmp_path):
    write_figure(figure, tmp_path / "cal.PNG")
    assert imread(tmp_path / "cal.PNG").size


def test_edges_are_drawn_where_they_are(case, figure):
    observation, cal, *_ = case
    direction = cal.instrument.direction
    curves = drawn(figure, "flat", EDGE)
    assert len(curves) == 2 * len(cal.good())
    wavelength = np.linspace(5500, 8500, 50)
    for key in cal.good():
        for x, y in observation.edges(key, wavelength):
            along, across = direction.split(x, y)
            misses = []
            for curve in curves:
                order = np.argsort(direction.split(*curve.T)[0])
                a, c = (v[order] for v in direction.split(*curve.T))
                misses.append(np.abs(np.interp(along, a, c) - across).max())
            assert min(misses) < 0.3


def test_lines_are_drawn_where_they_are(case, figure):
    observation, cal, *_ = case
    curves = drawn(figure, "arc", LINE)
    assert len(curves) >= 5 * (len(cal.good()) - 1)
    used = cal.residuals["wavelength"].value[cal.residuals["kind"] == "line"]
    truth = np.concatenate(
        [
            np.column_stack(observation.pixel(key, np.full(len(used), 0.5), used))
            for key in cal.good()
        ]
    )
    middles = np.array([curve[len(curve) // 2] for curve in curves])
    miss = np.linalg.norm(middles[:, None] - truth, axis=-1).min(axis=1)
    assert np.median(miss) < 0.3


def test_flagged_slit_is_marked_with_its_reason(figure):
    assert len(drawn(figure, "flat", BAD)) == 2
    words = {text for text, _ in visible_texts(figure)}
    assert any("no light on the flat" in " ".join(text.split()) for text in words)
    assert "simulated: 5 of 6 slits calibrated" in words


def test_rejected_point_is_counted(case, figure):
    _, cal, *_ = case
    lines = cal.residuals[cal.residuals["kind"] == "line"]
    n = np.sum(~lines["used"])
    assert n > 0
    assert any(a.get_title(loc="left").endswith(f"{n} rejected") for a in figure.axes)


@pytest.mark.parametrize("frames", [(), ("flat",), ("arc",)])
def test_frames_are_optional(case, frames):
    _, cal, flat, arc, _ = case
    given = {name: {"flat": flat, "arc": arc}[name] for name in frames}
    figure = calibration_figure(cal, **given)
    assert_legible(figure)
    assert len(figure.axes) == 4 + max(1, len(frames)) + 2 * ("arc" in frames)


@pytest.mark.slow
@pytest.mark.parametrize(("direction", "shape"), [("UB", (500, 2600))])
def test_seventy_slits_are_legible(direction, shape):
    observation = example(direction, shape, 70, offset=(0.0, 0.0))
    faults = dict.fromkeys(list(observation.mask)[9:25], ("dark", "no light on the flat " * 3))
    figure = calibration_figure(calibrated(observation, faults))
    assert_legible(figure)
    assert any("… and 10 more" in text for text, _ in visible_texts(figure))


def test_longslit_is_legible():
    observation = example("LR", (120, 500), kind="longslit", offset=(4.0, -2.0))
    cal = calibrated(observation, opt=(0, 1), crv=(2, 0, 1), ids=(4, 0, 1))
    figure = calibration_figure(cal, flat=observation.flat(1), arc=observation.arc(lamp(), 2))
    assert_legible(figure)
    flat, arc = (axes.get_position() for axes in figure.axes[:2])
    assert flat.y0 > arc.y1  # so wide a frame needs the width of the sheet


@pytest.mark.parametrize("case", ["LR"], indirect=True)
def test_threads_do_not_disturb_each_other(case, tmp_path):
    _, cal, flat, *_ = case

    def draw(number):
        path = tmp_path / f"{number}.png"
        write_figure(calibration_figure(cal, flat), path)
        return imread(path)

    with ThreadPoolExecutor(3) as pool:
        pictures = list(pool.map(draw, range(3)))
    alone = draw("alone")
    assert all(np.array_equal(picture, alone) for picture in pictures)


def test_pyplot_knows_nothing_of_it(case):
    from matplotlib import pyplot

    calibration_figure(case[1])
    assert not pyplot.get_fignums()


def test_binned_averages_finite_pixels():
    image = np.ones((5, 3000))
    image[0, :3] = np.nan, 4.0, 2.0
    image[:3, 3:6] = np.nan
    coarse, extent = binned(image)
    assert coarse.shape == (1, 1000)
    assert extent == (-0.5, 2999.5, -0.5, 2.5)
    assert coarse[0, 0] == pytest.approx((6 * 1 + 4 + 2) / 8)
    assert np.isnan(coarse[0, 1])


def test_binned_leaves_a_small_image_as_it_is():
    image = np.arange(12.0).reshape(3, 4)
    coarse, extent = binned(image)
    assert np.array_equal(coarse, image)
    assert extent == (-0.5, 3.5, -0.5, 2.5)


@pytest.mark.parametrize("level", [0.0, -50.0, 1e6])
def test_stretch_keeps_the_order_of_pixels(level):
    rng = np.random.default_rng(1)
    image = level + rng.normal(0, 1, 2000)
    image[:20] += np.geomspace(10, 1e5, 20)
    image[20] = np.nan
    out = stretched(image)
    assert np.isnan(out[20])
    assert np.nanmin(out) == 0
    assert np.nanmax(out) == 1
    order = np.argsort(image)
    assert np.all(np.diff(out[order][:-1]) >= 0)
    assert out[5] > 0.2  # 10 σ … 1000 σ show together


@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_stretch_of_an_even_image_is_finite(value):
    out = stretched(np.full((4, 4), value))
    assert not np.any(np.isinf(out))


def test_labels_have_room():
    assert label_step(10, 5.0, 8) == 1
    assert label_step(87, 4.0, 8) == 4  # 87 labels of 10 points on 288 points
