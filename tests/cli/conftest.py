"""Files of a small simulated observation, and its calibration from the truth."""

from pathlib import Path
from types import SimpleNamespace

import calibration_cases as cases
import pytest

from specwcs.calibration import solve
from specwcs.calibration.measured import frame_of
from specwcs.files import atomic_path
from specwcs.simulate import example, lamp

DARK = "03"


@pytest.fixture(scope="session")
def observed(tmp_path_factory):
    """Files as an observer has them; `calibration` is solved for true markers, one slit dark."""
    folder = tmp_path_factory.mktemp("observed")
    observation = example("LR", (240, 500), 6, dark=(DARK,), offset=(4.0, -2.0))
    files = observation.write(folder, lamp(), 1)
    cal = solve(
        observation.instrument,
        observation.mask,
        cases.true_markers(observation, scatter=0.2, skip=(DARK,)),
        medium="air",
        opt=(2, 2),
        crv=(2, 1, 1),
        ids=(4, 1, 1),
        faults={DARK: ("dark", "no light on the flat")},
        provenance={  # as calibrate records it
            "identification": {"fwhm_px": 3.0, "explained": 0.9, "held_out_px": 0.05}
        },
    )
    path = folder / "truth.asdf"
    cal.write(path)
    return SimpleNamespace(folder=folder, calibration=path, cal=cal, **files)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """Folder of the journals of sessions: not that of the user."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder / "specwcs" / "sessions"


@pytest.fixture
def quick(observed, monkeypatch):
    """Let ``calibrate`` give the calibration from the truth; return what it was called with.

    As the real one it reads the frames.
    """
    calls = []

    def calibrate(instrument, mask, **given):
        given["progress"]("pretending")
        for kind in ("flat", "arc", "image"):
            if given[kind] is not None:
                given[kind] = frame_of(given[kind], instrument, given["bias"])
        calls.append((instrument, mask, given))
        return observed.cal

    monkeypatch.setattr("specwcs.calibration.calibrate", calibrate)
    return calls


@pytest.fixture
def blank_page(monkeypatch):
    """Leave the report empty, where a test is about something else: its pictures take long."""

    def write_report(_cal, path, *, overwrite=False, **_):
        with atomic_path(path, overwrite) as temporary:
            Path(temporary).touch()

    monkeypatch.setattr("specwcs.report.write_report", write_report)


@pytest.fixture
def argv(observed, tmp_path):
    """Arguments of a sound ``specwcs calibrate``."""
    return [
        "calibrate", observed.instrument, observed.mask, "--flat", observed.flat, "--arc",
        observed.arc, "--catalog", observed.catalog, "-o", tmp_path / "cal.asdf",
    ]  # fmt: skip


@pytest.fixture
def specwcs(capsys):
    """Run the command line in this process; return (status, stdout, stderr)."""
    from specwcs.cli import main

    def run(*argv):
        status = main([str(word) for word in argv])
        return (status, *capsys.readouterr())

    return run
