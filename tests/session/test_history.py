"""Undo, redo, and the journal: what a session that died is resumed from."""

import json
import os
import signal
import subprocess
import sys
import time

import hand
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from specwcs import InputError, ModelsCalibration, SpecwcsWarning


def open_on(files):
    return ModelsCalibration(files["instrument"], files["mask"], viewer=None)


def test_undo_and_redo_go_through_edits_and_fits(calib, mos):
    calib.plot_opt_model()
    drawn = calib.markers["x"].value.copy()
    nominal = calib.opt.parameters.copy()
    hand.place(calib, mos)
    placed = calib.markers["x"].value.copy()
    calib.fit_opt_model()
    fitted = calib.opt.parameters.copy()
    calib.undo()
    assert np.array_equal(calib.opt.parameters, nominal)
    assert np.array_equal(calib.markers["x"].value, placed)
    calib.undo()
    assert np.array_equal(calib.markers["x"].value, drawn)
    calib.redo()
    calib.redo()
    assert np.array_equal(calib.opt.parameters, fitted)
    calib.undo()
    hand.place(calib, mos, seed=5)
    calib.redo()  # a new edit has no redo
    assert np.array_equal(calib.opt.parameters, nominal)


def test_nothing_to_undo_is_said(mos, capsys):
    calib = ModelsCalibration(mos.instrument, mos.mask, viewer=None)
    calib.undo()
    calib.redo()
    assert capsys.readouterr().out == "nothing to undo.\nnothing to redo.\n"


def same(one, other):
    for name in ("opt", "crv", "ids"):
        mine, theirs = getattr(one, name), getattr(other, name)
        assert (mine is None) == (theirs is None)
        if mine is not None:
            assert mine.degrees == theirs.degrees
            assert np.array_equal(mine.parameters, theirs.parameters)
    a, b = one.markers, other.markers
    assert len(a) == len(b)
    for name in a.colnames:
        left, right = (np.asarray(getattr(t[name], "value", t[name])) for t in (a, b))
        assert np.array_equal(left, right, equal_nan=left.dtype.kind == "f"), name


def whole_session(files, mos):
    calib = open_on(files)
    calib.new_opt_model(2, 2).flipy()
    calib.load_image(files["arc"])
    calib.plot_opt_model()
    hand.place(calib, mos, delete=0.1)
    calib.fit_opt_model()
    calib.new_crv_model(2, 2, 2)
    calib.set_trace_limits(900, 800)
    calib.plot_crv_model(9, pos=(0, 1))
    hand.place(calib, mos)
    calib.fit_crv_model()
    calib.new_ids_model(4, 2, 2)
    calib.ids_iter(hand.bright_lamp(), wend=9000.0)
    hand.place(calib, mos)
    calib.next()
    calib.prev(fit=False)
    calib.stop_iter(fit=False)
    calib.plot_ids_model(hand.bright_lamp(), nsplit=2)
    hand.place(calib, mos)
    calib.fit_ids_model()
    calib.undo()
    calib.fit_ids_model()
    return calib


def test_a_session_resumes_as_it_was(mos_files, mos):
    calib = whole_session(mos_files, mos)
    again = ModelsCalibration.resume(viewer=None)
    same(calib, again)
    assert again.calibration.good() == calib.calibration.good()
    assert again.plot_slice("05") is not None  # the frame is there, too
    calib.undo()
    again.undo()
    same(calib, again)


@pytest.mark.parametrize(
    "step",
    [
        {"call": "write_regions", "args": {"path": "x.reg"}},  # would write a file
        {"call": "_commit", "args": {}},
        {"call": "undo"},
        {"models": {"opt": {}}},
        {"edit": {"rows": "all"}},
    ],
)
def test_a_step_that_no_session_wrote_is_told_and_passed_over(mos_files, tmp_path, step):
    calib = open_on(mos_files)
    calib.new_opt_model(2, 2)
    calib.plot_opt_model()
    with calib.journal.open("a") as journal:
        journal.write(json.dumps(step) + "\n")
    with pytest.warns(SpecwcsWarning, match="line 4: this step could not be repeated"):
        again = ModelsCalibration.resume(calib.journal, viewer=None)
    same(calib, again)
    assert not list(tmp_path.glob("*.reg"))


def test_models_of_a_journal_that_cannot_be_read(mos_files):
    calib = open_on(mos_files)
    calib.new_opt_model(2, 2)
    head, *steps = calib.journal.read_text().splitlines()
    head = json.loads(head) | {"models": {"opt": {"class": "os.system"}}}
    calib.journal.write_text("\n".join([json.dumps(head), *steps, ""]))
    with pytest.raises(InputError, match="line 1: its models cannot be read"):
        ModelsCalibration.resume(calib.journal, viewer=None)


def test_a_resumed_session_goes_on_in_a_journal_of_its_own(mos_files, mos):
    calib = open_on(mos_files)
    calib.new_opt_model(2, 2)
    calib.plot_opt_model()
    again = ModelsCalibration.resume(calib.journal, viewer=None)
    hand.place(again, mos)
    same(again, ModelsCalibration.resume(again.journal, viewer=None))
    assert again.journal != calib.journal  # which may still be open
    hand.place(calib, mos, seed=5)
    same(calib, ModelsCalibration.resume(calib.journal, viewer=None))


def test_flips_and_coefficients_set_by_hand_are_kept(mos_files):
    calib = open_on(mos_files)
    opt = calib.new_opt_model(1, 1)
    opt.flipx()
    calib.plot_opt_model()
    opt.x0_0 = 1000.0
    calib.plot_opt_model()
    again = ModelsCalibration.resume(calib.journal, viewer=None)
    assert again.opt.x_flipped
    assert again.opt.parameters[0] == 1000.0
    same(calib, again)


def test_models_given_as_objects_are_in_the_journal(mos_files, fitted):
    given = {"opt": fitted.opt, "crv": fitted.crv}
    calib = ModelsCalibration(mos_files["instrument"], mos_files["mask"], **given, viewer=None)
    calib.plot_crv_model(3)
    again = ModelsCalibration.resume(calib.journal, viewer=None)
    same(calib, again)


def test_model_files_that_changed_since_are_not_taken(mos_files, fitted, tmp_path):
    """The tutorial itself overwrites the file that a session was opened with."""
    path = tmp_path / "a.opt"
    fitted.opt.writeto(path)
    calib = ModelsCalibration(
        mos_files["instrument"], mos_files["mask"], opt=str(path), viewer=None
    )
    calib.plot_opt_model()
    before = calib.opt.parameters.copy()
    same(calib, ModelsCalibration.resume(calib.journal, viewer=None))
    fitted.opt.x0_0 = fitted.opt.x0_0.value + 30.0
    fitted.opt.writeto(path, overwrite=True)
    with pytest.warns(SpecwcsWarning, match=r"a\.opt is no longer the file"):
        again = ModelsCalibration.resume(calib.journal, viewer=None)
    assert np.array_equal(again.opt.parameters, before)


def test_what_was_seen_last_is_taken(mos_files):
    """The viewer died after an edit that no call had taken: the journal has it."""
    calib = open_on(mos_files)
    calib.new_opt_model(1, 1)
    calib.plot_opt_model()
    shapes = calib._shapes(calib._state.layer)
    moved = [shapes[0].__class__(**{**vars(shapes[0]), "points": ((11.0, 12.0),)}), *shapes[2:]]
    calib._notice(moved)
    again = ModelsCalibration.resume(calib.journal, viewer=None)
    assert (again.markers["x"][0].value, again.markers["y"][0].value) == (11.0, 12.0)
    assert np.asarray(again.markers["used"]).tolist()[:3] == [True, False, True]
    again.new_crv_model(1, 0, 0)  # what was seen is not lost by what follows
    same(again, ModelsCalibration.resume(again.journal, viewer=None))


def test_a_line_cut_off_is_passed_over(mos_files, mos):
    calib = open_on(mos_files)
    calib.new_opt_model(2, 2)
    calib.plot_opt_model()
    kept = ModelsCalibration.resume(calib.journal, viewer=None)
    before = calib.journal.read_bytes()
    hand.place(calib, mos)
    whole = calib.journal.read_bytes()
    for cut in (len(before) + 1, len(before) + 100, len(whole) - 2):
        calib.journal.write_bytes(whole[:cut])
        same(ModelsCalibration.resume(calib.journal, viewer=None), kept)


def test_a_damaged_line_within_is_named(mos_files):
    calib = open_on(mos_files)
    calib.new_opt_model(2, 2)
    calib.plot_opt_model()
    lines = calib.journal.read_text().split("\n")
    calib.journal.write_text("\n".join([lines[0], "{broken", *lines[1:]]))
    with pytest.raises(InputError, match=r"\.jsonl, line 2: no step"):
        ModelsCalibration.resume(calib.journal, viewer=None)


def test_journals_that_cannot_be_resumed_say_why(mos, tmp_path, state_home):
    with pytest.raises(InputError, match="no journal"):
        ModelsCalibration.resume(viewer=None)
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"a": 1}) + "\n")
    with pytest.raises(InputError, match="no journal of this specwcs"):
        ModelsCalibration.resume(other, viewer=None)
    calib = ModelsCalibration(mos.instrument, mos.mask, viewer=None)
    calib.new_opt_model(1, 1)
    with pytest.raises(InputError, match="the icf was no file"):
        ModelsCalibration.resume(calib.journal, viewer=None)


def test_a_disk_that_takes_no_journal_is_a_warning(mos_files, state_home):
    state_home.parent.mkdir(exist_ok=True)
    state_home.write_text("a file where the folder should be")
    calib = open_on(mos_files)
    with pytest.warns(SpecwcsWarning, match="could not be resumed"):
        calib.new_opt_model(1, 1)
    calib.plot_opt_model()
    assert len(calib.markers) == 14


EDITING = """
import sys
import numpy as np
from specwcs import ModelsCalibration

calib = ModelsCalibration(sys.argv[1], sys.argv[2], viewer=None)
calib.new_opt_model(1, 1)
calib.plot_opt_model()
for n in range(10_000):
    markers = calib.markers
    markers["x"][n % len(markers)] += 1 * markers["x"].unit
    calib.markers = markers
    print(float(np.sum(calib.markers["x"].value)), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.05, 0.2, 0.6])
def test_a_kill_loses_no_edit_that_was_made(mos_files, delay):
    """Row 110: kill -9 at any moment; every edit that the session had taken is resumed."""
    command = [sys.executable, "-c", EDITING, mos_files["instrument"], mos_files["mask"]]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ)
    first = process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    said = [first, *process.communicate()[0].splitlines()]
    sums = [float(line) for line in said if line.strip()]
    found = np.sum(ModelsCalibration.resume(viewer=None).markers["x"].value)
    # The last edit may have been written but not yet said.
    assert found == pytest.approx(sums[-1], abs=1e-6) or found == pytest.approx(
        sums[-1] + 1, abs=1e-6
    )


@settings(
    deadline=None, max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(steps=st.lists(st.sampled_from("emdufpr"), max_size=12), seed=st.integers(0, 1000))
def test_any_sequence_of_steps_resumes(mos_files, mos, steps, seed):
    """Edit, move all, delete, undo, fit, plot, redo: the journal gives the same session."""
    calib = open_on(mos_files)
    calib.new_opt_model(1, 1)
    calib.plot_opt_model()
    rng = np.random.default_rng(seed)
    for step in steps:
        markers = calib.markers
        if not len(markers) and step in "emdf":
            continue  # the plot was undone
        if step == "p" and calib.opt is None:
            continue  # the model was
        if step == "e":
            markers["y"][rng.integers(len(markers))] += rng.normal() * markers["y"].unit
        elif step == "m":
            markers["x"] += 5 * rng.normal(size=len(markers)) * markers["x"].unit
        elif step == "d":
            markers["used"][rng.integers(len(markers))] = False
        if step in "emd":
            if np.sum(markers["used"]) > 8:
                calib.markers = markers
        else:
            {"u": calib.undo, "f": calib.fit_opt_model, "p": calib.plot_opt_model,
             "r": calib.redo}[step]()  # fmt: skip
    same(calib, ModelsCalibration.resume(calib.journal, viewer=None))
