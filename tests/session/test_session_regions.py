"""Region files in and out of a session; with our tags, and without."""

import re

import calibration_cases as cases
import hand
import numpy as np
import pytest

from specwcs import FitError, InputError, ModelsCalibration
from specwcs.simulate import example, wrong

BAND = (5300.0, 8900.0)


def untagged(path, frame="physical"):
    """Rewrite a region file as the older program, or a hand, would have drawn it."""
    text = re.sub(r" *tag=\{[^}]*\}", "", path.read_text())
    path.write_text(re.sub(r" *text=\{[^}]*\}", "", text).replace("\nimage\n", f"\n{frame}\n"))
    return path


@pytest.mark.parametrize(
    ("direction", "tagged"),
    [*((direction, False) for direction in ("LR", "RL", "BU", "UB")), ("LR", True), ("UB", True)],
)
def test_a_session_replayed_from_its_files(direction, tagged, tmp_path):
    obs = example(direction, n_slits=12, seed=4, flipx=True)
    first = ModelsCalibration(wrong(obs.instrument), obs.mask, viewer=None)
    again = ModelsCalibration(wrong(obs.instrument), obs.mask, viewer=None)
    for session in (first, again):
        session.new_opt_model(2, 2).flipx()

    def replay(name):
        path = tmp_path / f"{name}.reg"
        first.write_regions(path)
        again.read_regions(path if tagged else untagged(path))
        return [getattr(session, f"fit_{name}_model")() for session in (first, again)]

    first.plot_opt_model()
    hand.place(first, obs, delete=0.1)
    replay("opt")
    for session in (first, again):
        session.new_crv_model(2, 2, 2)
        session.plot_crv_model(9)
    hand.place(first, obs, 0.2, delete=0.1)
    replay("crv")
    for session in (first, again):
        session.new_ids_model(4, 2, 2)
        session.plot_ids_model(hand.bright_lamp(40))
    hand.place(first, obs, 0.2, delete=0.1)
    replay("ids")
    a, b = (s.calibration for s in (first, again))
    tolerance = 1e-5 if tagged else 0.1  # px; what is doubtful is left out of the latter
    for key in a.good():
        if obs.mask[key].reference:
            continue
        _, wavelength, x, y = cases.light(obs, key, band=BAND)
        lines = [c.geometry(key).world(x, y)[0] for c in (a, b)]
        slope = a.geometry(key).dispersion.slope(wavelength, 0.5)
        assert np.sqrt(np.mean(((lines[0] - lines[1]) * slope) ** 2)) < tolerance, key
    assert cases.rms(cases.wavelength_errors(obs, b, band=BAND)) < 0.1


def test_files_of_the_slits_one_by_one(fitted, mos, tmp_path):
    """Each slit of the interactive mode has its file, and takes its own lines only."""
    fitted.ids_iter(hand.bright_lamp())
    for n in range(3):
        hand.place(fitted, mos, seed=n)
        fitted.write_regions(tmp_path / f"ids{fitted.markers['slit'][0]}.reg")
        fitted.next()
    order = fitted._state.tour.order[:3]
    fitted.stop_iter(fit=False)
    fitted.ids_iter(hand.bright_lamp())
    for key in order:
        assert fitted.markers["slit"][0] == key
        fitted.read_regions(tmp_path / f"ids{key}.reg")
        fitted.next()
    fitted.prev(fit=False)
    with pytest.raises(InputError, match="0 of 0 markers are left"):
        fitted.read_regions(tmp_path / f"ids{order[0]}.reg")


def test_a_file_that_lacks_slits_drops_them(calib, mos, tmp_path):
    calib.plot_opt_model()
    hand.place(calib, mos)
    calib.write_regions(tmp_path / "all.reg")
    lines = (tmp_path / "all.reg").read_text().splitlines(keepends=True)
    (tmp_path / "some.reg").write_text("".join(line for line in lines if "slit=05" not in line))
    calib.read_regions(tmp_path / "some.reg")
    assert calib.fit_opt_model().n_used == 13


def test_an_added_corner_names_the_slit(calib, mos, tmp_path, capsys):
    calib.plot_opt_model(edit=True)
    hand.place(calib, mos, 0.0)
    path = tmp_path / "opt.reg"
    calib.write_regions(path)
    text = path.read_text()
    line = next(x for x in text.splitlines() if x.startswith("polygon") and "slit=08" in x)
    path.write_text(text.replace(line, line.replace("polygon(", "polygon(100,100,")))
    calib.read_regions(path)
    said = capsys.readouterr().out
    assert "slit 08" in said
    assert "5 corners" in said
    summary = calib.fit_opt_model()
    assert summary.n_used == 4 * 13


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("image\n", "0 shapes are left: the models are unchanged"),
        ("image\nbox(5,5,3,3,0) # tag={slit=99}\n", "r.reg, line 2: unknown slit id '99'"),
        ("image\nbox(5,5,3,3,0)\npoint(5,5) # point=cross\n", "shapes for CRV and OPT"),
        ("image\nbox(5,5,3,3,0)\npolygon(1,1,2,2,3,1,4,4)\n", "boxes and polygons"),
        ("fk5\nbox(5,5,3,3,0)\n", "image"),
        ("image\nbux(5,5,3,3,0)\n", "r.reg, line 2: "),
        ("image\n# vector(5,5,3,0) vector=1\n", "Call plot_ids_model"),
    ],
)
def test_files_that_cannot_be_used_change_nothing(calib, tmp_path, text, match):
    calib.plot_opt_model()
    path = tmp_path / "r.reg"
    path.write_text("# Region file format: DS9 version 4.1\n" + text)
    before = calib._pull()
    with pytest.raises(InputError) as caught:
        calib.read_regions(path)
    assert match.replace("line 2", "line 3") in str(caught.value)
    assert calib._pull() is before


def test_what_was_drawn_by_hand_beside_is_taken(fitted, mos):
    """A cross that the user adds in the viewer, without tags, joins the trace that it is on."""
    fitted.plot_crv_model(9)
    layer = fitted._state.layer
    shapes = fitted._shapes(layer)
    mine = next(s for s in shapes if s.tags["slit"] == "08")
    x, y = mine.points[0]
    new = type(mine)("point", ((x + 3.0, y),))
    fitted._take_markers([*shapes, new])
    added = fitted.markers[-1]
    assert (added["slit"], added["x"].value) == ("08", pytest.approx(x + 3.0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("direction", "seed", "n_lines"),
    [("RL", 3, 12), ("BU", 4, 50), ("RL", 3, 160)],
)
def test_lines_without_tags_are_found_however_crowded(direction, seed, n_lines, tmp_path):
    """What cannot be told by places alone is told by the model that the others give."""
    obs = example(direction, n_slits=14, seed=seed)
    calib = ModelsCalibration(wrong(obs.instrument), obs.mask, viewer=None)
    calib.new_opt_model(2, 2)
    calib.plot_opt_model()
    hand.place(calib, obs)
    calib.fit_opt_model()
    calib.new_crv_model(2, 2, 2)
    calib.plot_crv_model(9)
    hand.place(calib, obs)
    calib.fit_crv_model()
    calib.new_ids_model(3, 2, 2)
    calib.plot_ids_model(hand.bright_lamp(n_lines))
    nominal = calib.markers.copy()
    hand.place(calib, obs, delete=0.1)
    path = tmp_path / "ids.reg"
    calib.write_regions(path)
    calib.markers = nominal
    calib.read_regions(untagged(path))
    calib.fit_ids_model()
    errors = cases.wavelength_errors(obs, calib.calibration, band=BAND)
    worst = max(np.sqrt(np.nanmean(e**2)) for e in errors.values())
    assert worst < 0.5


def test_shapes_that_were_matched_wrongly_are_refused(fitted, mos, tmp_path):
    """Arrows drawn for another lamp: no model fits them, and none is made."""
    fitted.plot_ids_model(hand.bright_lamp(25))
    hand.place(fitted, mos)
    rng = np.random.default_rng(2)
    markers = fitted.markers
    markers["x"] += rng.uniform(-40, 40, len(markers)) * markers["x"].unit
    fitted.markers = markers
    path = tmp_path / "ids.reg"
    fitted.write_regions(path)
    before = fitted.ids.parameters.copy()
    fitted.read_regions(untagged(path))
    with pytest.raises(FitError, match=r"matched by their places.*Label|Lower the degrees"):
        fitted.fit_ids_model()
    assert np.array_equal(fitted.ids.parameters, before)
