"""Every writer, struck at any moment or short of space: its file is whole, old or new."""

import signal
from pathlib import Path

import kill
import numpy as np
import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def writers():
    return kill.writers()


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_rows_105_110_111_struck(writers, tmp_path, blow):
    rng = np.random.default_rng(blow)
    for name in ("calibration.asdf", "cutouts.fits", "regions.reg", "task.json"):
        path = tmp_path / Path(name).stem / name
        path.parent.mkdir()
        assert not kill.struck(writers[name], path, rng, blow), name


def test_row_106_no_space(writers, tmp_path):
    for name, calls in writers.items():
        path = tmp_path / Path(name).stem / name
        path.parent.mkdir()
        assert not kill.starved(calls, path), name


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_row_110_a_session_struck(tmp_path, blow):
    rng = np.random.default_rng(blow)
    for _ in range(5):
        assert not kill.struck_journal(tmp_path / "s.jsonl", rng, blow)
