"""Mouse and keys on markers: what a hand does is what the session has, to the pixel."""

import hand as truth
import numpy as np
import pytest

from specwcs.simulate import example, wrong

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def obs():
    return example("LR", shape=(512, 1024), n_slits=6, seed=2)


@pytest.fixture(scope="module")
def arc(obs):
    return obs.arc(truth.lamp(), 1)


@pytest.fixture
def slits(at_page, obs, arc):
    """A session with the boxes of its slits on an arc."""
    session, hand = at_page(wrong(obs.instrument), obs.mask, arc)
    hand.press("1 Slits (OPT)")
    return session, hand


def drawn_lines(at_page, obs, arc):
    """Open a session whose OPT and CRV are right, with the lines of a lamp, some px off."""
    session, hand = at_page(wrong(obs.instrument), obs.mask, arc)
    session.new_opt_model(1, 1)
    session.plot_opt_model()
    truth.place(session, obs)
    session.fit_opt_model()
    session.new_crv_model(2, 1, 1)
    session.plot_crv_model(9, pos=(0, 1))
    truth.place(session, obs)
    session.fit_crv_model()
    session.viewer.page.offer_lamp("lamp", truth.bright_lamp(14))
    hand.press("3 Lines (IDS)")
    return session, hand


@pytest.fixture
def lines(at_page, obs, arc):
    return drawn_lines(at_page, obs, arc)


def places(session):
    markers = session.progress.markers
    return np.column_stack([markers["x"].value, markers["y"].value])


def test_a_box_goes_where_it_is_dragged(slits):
    session, hand = slits
    before = places(session)
    hand.look(*before[2])
    per_pixel = np.diff(hand.screen([(0, 0), (1, 1)]), axis=0)[0]
    hand.drag(before[2], before[2] + (12, -7))
    hand.settle()
    moved = places(session) - before
    assert np.all(np.abs(moved[2] - (12, -7)) <= 1 / np.abs(per_pixel))  # half a screen pixel
    assert np.all(np.delete(moved, 2, axis=0) == 0)
    assert session.progress.placed.tolist() == [False, False, True, False, False, False]
    hand.key("u")
    assert np.array_equal(places(session), before)
    assert np.allclose(hand.viewer.read()[2].points, [before[2]])
    hand.key("r")
    assert np.array_equal(places(session) - before, moved)


def test_a_drag_off_a_marker_pans_and_moves_none(slits):
    session, hand = slits
    before, view = places(session), hand.view()
    hand.look(*before[0])
    near = hand.view()
    away = before[0] + (0.2 * (near[1] - near[0]), 0)
    hand.drag(away, np.add(away, (10, 0)))
    hand.settle()
    assert np.array_equal(places(session), before)
    assert hand.view()[0] == pytest.approx(near[0] - 10, abs=1)
    hand.key("w")
    assert hand.view() == view


def test_several_are_selected_and_moved_together(slits):
    session, hand = slits
    before = places(session)
    hand.page.keyboard.press("Escape")
    low, high = before[:3].min(axis=0) - 40, np.add(before[:3].max(axis=0), (40, 20))
    hand.drag(low, high, modifier="Shift")
    hand.drag(before[1], before[1] + (20, 10))
    hand.settle()
    moved = places(session) - before
    assert np.allclose(moved[:3], moved[1])
    assert np.all(np.abs(moved[1] - (20, 10)) < 2)
    assert np.all(moved[3:] == 0)


def test_what_is_drawn_anew_is_not_selected(slits):
    """Shapes are numbered anew then: d would delete others than the user has chosen."""
    session, hand = slits
    hand.page.mouse.click(*hand.screen([places(session)[2]])[0])
    hand.settle()
    assert hand.selected() == [2]
    markers = session.markers
    markers["used"][0] = False
    session.markers = markers
    hand.settle()
    assert hand.selected() == []


def test_arrow_keys_move_by_a_pixel_and_a_tenth(slits):
    session, hand = slits
    before = places(session)
    x, y = hand.screen([before[4]])[0]
    hand.page.mouse.click(x, y)
    for key, times in (("ArrowRight", 3), ("ArrowUp", 2), ("Shift+ArrowLeft", 4)):
        for _ in range(times):
            hand.key(key)
    assert places(session)[4] - before[4] == pytest.approx((2.6, 2.0), abs=1e-9)


def test_deleted_and_marked_again(slits):
    session, hand = slits
    before = places(session)
    hand.key("d", at=before[3])
    assert session.progress.markers["used"].tolist() == [True, True, True, False, True, True]
    assert len(hand.viewer.read()) == 5
    hand.key("m", at=before[3] + (5, 3))
    assert session.progress.markers["used"].all()
    assert np.all(np.abs(places(session)[3] - before[3] - (5, 3)) < 2)
    hand.key("m", at=before[0])
    assert "every slit has its marker" in hand.said()


def test_a_corner_moves_alone(slits):
    _, hand = slits
    hand.page.locator("input[type=checkbox]").nth(1).click()
    hand.settle()
    polygon = np.array(hand.viewer.read()[0].points)
    hand.look(*polygon[2], turns=2)
    hand.drag(polygon[2], polygon[2] + (2, 3))
    hand.settle()
    moved = np.array(hand.viewer.read()[0].points) - polygon
    assert np.all(np.abs(moved[2] - (2, 3)) < 0.2)
    assert np.all(np.delete(moved, 2, axis=0) == 0)


def test_lines_are_marked_named_and_fitted(lines, obs):
    session, hand = lines
    assert session.progress.model == "ids"
    markers = session.progress.markers
    row = int(np.flatnonzero(np.asarray(markers["used"]))[10])
    here, slit = places(session)[row], markers["slit"][row]
    wavelength = markers["wavelength"].value[row]
    hand.key("d", at=here)
    hand.key("Escape")
    at = np.add(here, (3, 0))
    hand.look(*here)
    hand.key("m", at=at)
    added = session.progress.markers[-1]
    assert (added["slit"], added["wavelength"].value) == (slit, wavelength)
    assert abs(added["x"].value - at[0]) < 0.5
    assert f"{wavelength:.2f} Å marked in slit {slit}" in hand.said()
    # It is another line: named from the list that opens when it is clicked.
    x, y = hand.screen([(added["x"].value, added["y"].value)])[0]
    hand.page.mouse.click(x, y)
    hand.settle()
    options = hand.page.get_by_label("The selected line is").locator("option")
    options.nth(1).wait_for(state="attached")
    other = next(
        text for text in options.all_inner_texts() if not text.startswith(f"{wavelength:.2f}")
    )
    hand.choose("The selected line is", other)
    used = session.progress.markers[np.asarray(session.progress.markers["used"])]
    last = used[-1]
    assert other.startswith(f"{last['wavelength'].value:.2f}")
    assert abs(last["x"].value - at[0]) < 0.5
    same = (used["slit"] == slit) & (used["wavelength"] == last["wavelength"])
    assert np.sum(same) == 1
    hand.key("u")
    hand.key("u")
    assert len(session.progress.markers) == len(markers)


def test_residuals_follow_a_drop_and_lead_to_the_marker(lines, obs, tmp_path):
    session, hand = lines
    assert "no fit yet" in hand.page_text("residuals_at")
    truth.place(session, obs, scatter=0.05)
    hand.press("Fit (f)")
    rms = session.viewer.page.facts.rms
    assert rms < 1.0
    row = int(np.flatnonzero(np.asarray(session.progress.markers["used"]))[7])
    here = places(session)[row]
    hand.look(*here)
    hand.drag(here, np.add(here, (8, 0)))
    hand.settle()
    facts = session.viewer.page.facts
    slit = session.progress.markers["slit"][row]
    assert facts.live
    assert facts.progress.models["ids"].summary.rms < 1.0
    off = facts.residuals["residual"].value
    worst = int(np.nanargmax(np.abs(off)))
    assert facts.residuals["slit"][worst] == slit
    assert abs(abs(off[worst]) - 8) < 2
    assert not facts.residuals["used"][worst]  # it is told apart, and does not drag the others
    # A click on the point of the residuals goes to the marker, and selects it.
    hand.key("w")
    hand.key("Escape")
    data = hand.source("residuals_at")
    n = int(np.nanargmax(np.abs(data["residual"])))
    # It is far off the others: a triangle at the edge.
    assert "triangle" in data["marker"][n]
    assert abs(data["shown"][n]) < 8
    x, y = hand.screen([(data["at"][n], data["shown"][n])], "residuals_at")[0]
    hand.page.mouse.click(x, y)
    hand.settle()
    assert hand.selected() == [row]
    x0, x1, y0, y1 = hand.view()
    assert x0 < here[0] + 8 < x1
    assert y0 < here[1] < y1
    assert x1 - x0 < 200
    hand.key("d")
    assert not session.progress.markers["used"][row]


def test_slits_are_listed_worst_first_and_gone_to(at_page):
    obs = example("LR", shape=(512, 1024), n_slits=12, seed=3)
    session, hand = drawn_lines(at_page, obs, obs.arc(truth.lamp(), 1))
    truth.place(session, obs, scatter=0.05)
    bad = session.markers
    mine = np.flatnonzero((np.asarray(bad["slit"]) == "03") & np.asarray(bad["used"]))
    bad["x"][mine[3]] += 9 * bad["x"].unit
    session.markers = bad
    hand.settle()
    hand.fill("degree y", 2)
    rows = session.viewer.page.facts.slits
    assert max(rows, key=lambda row: np.nan_to_num(row.scatter)).slit == "03"
    flagged = [row.state != "ok" for row in rows]
    assert flagged == sorted(flagged, reverse=True)
    shown = hand.page.locator(".slick-row").all()
    assert [row.inner_text().split()[0] for row in shown] == [row.slit for row in rows]
    good = next(row.slit for row in rows if row.state == "ok" and row.drawn)
    shown[[row.slit for row in rows].index(good)].click()
    hand.settle()
    x, y = session.geometry(good).pixel(np.array([7000.0]), np.array([0.5]))
    _, _, y0, y1 = hand.view()
    assert y0 < y[0] < y1
    assert y1 - y0 < 250
    assert f"slit {good}" in hand.page_text("slice")
    hand.press("Rectified")
    hand.wait_for_text("rectified", f"slit {good}, rectified")
    hand.press("Spectrum along the slit")
    hand.key("n", at=(x[0], y[0]))
    assert f"slit {good}" not in hand.page_text("slice")


def test_degrees_are_changed_and_advised(lines, obs):
    session, hand = lines
    truth.place(session, obs, scatter=0.05)
    hand.press("Fit (f)")
    coarse = session.viewer.page.facts.rms
    hand.fill("degree λ", 4)
    assert session.ids.degrees == (4, 1, 1)
    assert session.viewer.page.facts.rms < coarse
    advice = session.viewer.page.advice
    assert advice[0] == "ids"
    assert f"Cross-validated: {advice[1]}" in hand.text()
    if advice[1] != (4, 1, 1):
        hand.press("Use")
        assert session.ids.degrees == advice[1]


def test_keys_in_a_field_are_text(slits):
    session, hand = slits
    field = hand.page.get_by_label("Save as", exact=True)
    field.click()
    field.press("End")
    hand.page.keyboard.type("fdu")
    hand.settle()
    assert field.input_value() == "calibration.asdffdu"
    assert not session.progress.models["opt"].residuals
    hand.page.mouse.click(*hand.screen([(5, 5)])[0])
    hand.key("?")
    assert "delete what is selected" in hand.page.locator(".help .bk-clearfix").inner_text()
    hand.key("Escape")
    assert not hand.page.locator(".help").is_visible()
