"""Slit by slit: the way, what is carried over, and the fit of the whole."""

import calibration_cases as cases
import hand
import numpy as np
import pytest

from specwcs import FitError, InputError

BAND = (5300.0, 8900.0)


@pytest.fixture
def touring(fitted):
    fitted.ids_iter(hand.bright_lamp(), wstart=5100.0)
    return fitted


def at_hand(calib):
    return calib.markers["slit"][0]


def test_it_begins_in_the_middle_and_goes_to_the_nearest(touring, mos):
    centres = {k: np.array(s.curve(0.5)) for k, s in mos.mask.items() if not s.reference}
    first = min(centres, key=lambda k: np.hypot(*centres[k]))
    assert at_hand(touring) == first
    assert set(touring.markers["slit"]) == {first}
    assert touring.markers["wavelength"].value.min() >= 5100.0
    left = {k: c for k, c in centres.items() if k != first}
    hand.place(touring, mos)
    touring.next()
    assert at_hand(touring) == min(left, key=lambda k: np.hypot(*(left[k] - centres[first])))


def test_the_solution_is_carried_over(touring, mos):
    """The next slit's arrows stand nearly right; by the nominal dispersion they did not."""
    nominal = np.abs(touring.markers["x"].value - hand.true_places(mos, touring.markers)[0])
    hand.place(touring, mos)
    touring.next()
    carried = np.abs(touring.markers["x"].value - hand.true_places(mos, touring.markers)[0])
    assert np.median(nominal) > 10
    assert np.median(carried) < 3


def test_the_whole_way(touring, mos):
    visited = [at_hand(touring)]
    for seed in range(12):
        hand.place(touring, mos, seed=seed)
        touring.next()
        visited.append(at_hand(touring))
    assert sorted(visited) == sorted(k for k, s in mos.mask.items() if not s.reference)
    hand.place(touring, mos, seed=99)
    touring.next()  # the last one
    assert at_hand(touring) == visited[-1]
    summary = touring.stop_iter()
    assert summary.model == "IDS"
    assert set(touring.markers["slit"]) == set(visited)
    errors = cases.wavelength_errors(mos, touring.calibration, band=BAND)
    assert cases.rms(errors) < 0.1


def test_back_and_forth_keeps_what_was_placed(touring, mos):
    hand.place(touring, mos)
    first, placed = at_hand(touring), touring.markers["x"].value.copy()
    touring.next()
    second = at_hand(touring)
    touring.prev(fit=False)
    assert at_hand(touring) == first
    assert np.array_equal(touring.markers["x"].value, placed)
    touring.next(fit=False)
    assert at_hand(touring) == second
    with pytest.raises(InputError, match=f"slit {first} is the first one"):
        touring.prev() or touring.prev()


def test_only_slits_that_were_fitted_count(touring, mos):
    """Browsing without a fit leaves a slit out of the whole."""
    touring.stop_iter(fit=False)
    touring.new_ids_model(4, 0, 1)
    touring.ids_iter(hand.bright_lamp())
    hand.place(touring, mos)
    first = at_hand(touring)
    touring.next()
    browsed = at_hand(touring)
    touring.next(fit=False)
    hand.place(touring, mos)
    last = at_hand(touring)
    touring.stop_iter()
    assert set(touring.markers["slit"]) == {first, last}
    assert browsed not in touring.calibration.residuals.group_by("kind").groups[-1]["slit"]


def test_stop_without_a_fit_leaves_the_model(touring, mos):
    hand.place(touring, mos)
    touring.next()
    before = touring.ids.parameters.copy()
    assert touring.stop_iter(fit=False) is None
    assert np.array_equal(touring.ids.parameters, before)
    touring.plot_ids_model(hand.bright_lamp())
    assert len(set(touring.markers["slit"])) == 13


def test_too_few_lines_name_the_slit_and_the_way_on(touring, mos):
    slit = at_hand(touring)
    hand.place(touring, mos)
    markers = touring.markers
    markers["used"] = np.arange(len(markers)) < 4
    touring.markers = markers
    with pytest.raises(FitError, match=rf"slit {slit}: .*4 points for 5 .*next\(fit=False\)"):
        touring.next()
    assert at_hand(touring) == slit
    touring.next(fit=False)


def test_a_fit_on_the_way_is_of_the_slit_at_hand(touring, mos):
    hand.place(touring, mos)
    before = touring.ids.parameters.copy()
    summary = touring.fit_ids_model()
    assert summary.degrees == (4, 0, 0)
    assert np.array_equal(touring.ids.parameters, before)


def test_other_plots_wait_for_the_end(touring):
    with pytest.raises(InputError, match="End with stop_iter"):
        touring.plot_opt_model()


def test_the_way_can_be_undone(touring, mos):
    first = at_hand(touring)
    hand.place(touring, mos)
    touring.next()
    touring.undo()
    assert at_hand(touring) == first
    touring.redo()
    assert at_hand(touring) != first


def test_a_slit_that_was_only_entered_does_not_count(touring, mos):
    touring.stop_iter(fit=False)
    touring.new_ids_model(3, 0, 0)
    touring.ids_iter(hand.bright_lamp())
    hand.place(touring, mos)
    first = at_hand(touring)
    touring.next()
    touring.stop_iter()
    assert set(touring.markers["slit"]) == {first}


def test_nothing_fitted_is_said(touring):
    with pytest.raises(InputError, match=r"no slit was fitted.*stop_iter\(fit=False\)"):
        touring.stop_iter()


def test_only_lines_of_the_slit_at_hand_are_taken(touring, mos, fitted):
    lines = touring.markers
    lines["slit"] = "12"
    with pytest.raises(InputError, match="Only lines of slit 07 are at hand"):
        touring.markers = lines
    assert at_hand(touring) == "07"


def test_lines_at_several_places_of_each_slit(fitted, mos):
    fitted.ids_iter(hand.bright_lamp(), nsplit=3)
    assert len(set(np.asarray(fitted.markers["t"]).tolist())) == 3
    hand.place(fitted, mos)
    fitted.next()
    assert len(set(np.asarray(fitted.markers["t"]).tolist())) == 3
