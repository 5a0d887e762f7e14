"""What holds for every command: statuses, one-line errors, JSON, speed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import specwcs as package
from specwcs.cli.console import Console, Outcome, Status, one_line
from specwcs.errors import FitError, InputError, SpecwcsWarning

SCRIPT = Path(sys.executable).with_name("specwcs")
COMMANDS = ("demo", "calibrate", "view", "extract", "info")


@pytest.fixture
def failing(monkeypatch):
    """Make ``specwcs info`` raise."""

    def fail(error):
        def run(name):
            raise error

        from specwcs.cli import describe

        monkeypatch.setitem(describe.TELL, "line catalogue", run)

    return fail


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)])
def test_help(specwcs, command):
    status, out, err = specwcs(*command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(" ".join(["usage: specwcs", *command]))
    if not command:
        assert all(name in out for name in COMMANDS)


def test_the_package_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "specwcs", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"specwcs {package.__version__}\n"


def test_version(specwcs):
    assert specwcs("--version") == (0, f"specwcs {package.__version__}\n", "")


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        ((), "the following arguments are required: COMMAND. See 'specwcs --help'."),
        (("frobnicate",), "invalid choice: 'frobnicate'"),
        (("info",), "the following arguments are required: FILE|NAME. See 'specwcs info --help'."),
        (("info", "Ne", "--frob"), "unrecognized arguments: --frob"),
        (("extract", "cal.asdf", "-o", "x"), "required: SCIENCE"),
        (("calibrate", "i", "m", "--arc", "a", "--catalog", "Ne"), "required: -o/--output"),
        (("demo", "--direction", "XY"), "invalid choice: 'XY'"),
        (("demo", "--seed", "-3"), "--seed: "),
        (("demo", "--seed", "1.5"), "'1.5' is no whole number from 0"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(specwcs, argv, complaint):
    status, out, err = specwcs(*argv)
    assert (status, out) == (2, "")
    assert complaint in err
    assert err.startswith("specwcs: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("text", ["2", "2,2,2", "2,-2", "a,b", "2,", "", "2.0,2", "²,2"])
def test_wrong_degrees_are_refused_at_once(specwcs, argv, text):
    status, _, err = specwcs(*argv, f"--opt={text}")
    assert status == 2
    assert f"'{text}' is neither 'auto' nor of the form X,Y" in err


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InputError("found 3", "Must be 4.", "Add one", file="f", line=2), 2, "f, line 2: found 3"),
        (FitError("OPT: too\nfew points."), 2, "OPT: too few points."),
        (PermissionError(13, "Permission denied", "a.fits"), 2, "a.fits: Permission denied."),
        (MemoryError(), 1, "not enough memory"),
        (OSError("no file at all"), 1, "a fault of specwcs (OSError: no file at all)"),
        (ZeroDivisionError("by zero"), 1, "a fault of specwcs (ZeroDivisionError: by zero)"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_become_one_line_and_a_status(specwcs, failing, error, status, words):
    failing(error)
    got, out, err = specwcs("info", "Ne")
    assert (got, out) == (status, "")
    assert words in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_debug_shows_where_a_fault_is(specwcs, failing):
    failing(ZeroDivisionError("by zero"))
    status, _, err = specwcs("info", "Ne", "--debug")
    assert status == 1
    assert "Traceback" in err


@pytest.mark.parametrize("argv", [("info", "nowhere.icf", "--json"), ("frob", "--json")])
def test_errors_are_told_as_json_too(specwcs, argv):
    status, out, err = specwcs(*argv)
    facts = json.loads(out)
    assert facts["status"] == status == 2
    assert facts["error"] in err


def test_warnings_of_specwcs_are_lines_and_facts(specwcs, monkeypatch):
    import warnings

    from specwcs.cli import describe

    def warn(name):
        warnings.warn("frame a.fits\nis there twice", SpecwcsWarning, stacklevel=1)
        return {}, []

    monkeypatch.setitem(describe.TELL, "line catalogue", warn)
    status, out, err = specwcs("info", "Ne", "--json")
    assert status == 0
    assert err == "specwcs: warning: frame a.fits is there twice\n"
    assert json.loads(out)["warnings"] == ["frame a.fits is there twice"]


def test_json_is_strict(capsys):
    import numpy as np

    facts = {"nan": np.nan, "inf": -np.inf, "n": np.int32(3), "x": np.float32(0.5), "p": Path("a")}
    facts |= {"yes": np.bool_(True), "none": None, 7: (1, "µ")}
    Console(as_json=True).finish(Outcome(Status.SOME_FAILED, facts))

    def refuse(word):
        raise AssertionError(word)

    told = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert told == {
        "status": 3, "nan": None, "inf": None, "n": 3, "x": 0.5, "p": "a", "yes": True,
        "none": None, "7": [1, "µ"], "warnings": [],
    }  # fmt: skip


def test_progress_only_where_a_person_watches(capsys, monkeypatch):
    Console().step("measuring")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    Console().step("measuring")
    assert capsys.readouterr().err.endswith(" s  measuring\n")


def test_one_line():
    assert one_line(ValueError("a\n  b")) == "a b"


# -- the installed program ------------------------------------------------------------


def installed(*argv, **options):
    return subprocess.run(
        [SCRIPT, *argv], capture_output=True, text=True, check=False, timeout=60, **options
    )


def test_installed_program_knows_its_statuses():
    good, wrong = installed("info", "Ne"), installed("info", "nowhere.icf")
    assert (good.returncode, good.stderr) == (0, "")
    assert "139 of them to be used" in good.stdout
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr.startswith("specwcs: ")


def test_help_costs_no_heavy_import():
    code = (
        "import sys; from specwcs.cli import main; main(['--help']);"
        "heavy = {'numpy', 'scipy', 'astropy', 'asdf', 'gwcs', 'specutils', 'matplotlib'};"
        "sys.exit(len(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert run.returncode == 0


def test_reader_that_goes_away_is_no_fault():
    code = (
        "import sys; from specwcs.cli.console import Outcome; from specwcs.cli import app;"
        "app.info.run = lambda args, console: Outcome(0, {}, ['x' * 80] * 20000);"
        "sys.exit(app.main(['info', 'Ne']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        program.stdout.readline()
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait(30) == 0
