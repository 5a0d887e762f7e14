"""Damaged files: none is ever read as something else, or fails in an unforeseen way."""

import subprocess
import sys
from pathlib import Path

import fuzz
import numpy as np
import pytest

from specwcs.errors import InputError
from specwcs.files import read_asdf
from specwcs.models import OpticalModel

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_was_once_a_fault(path, tmp_path):
    name = path.name.partition("-")[0]
    (tmp_path / "frame.fits").write_bytes(fuzz.kinds()["fits"].seeds[0])
    assert fuzz.tried(name, path.read_bytes(), tmp_path) in ("good", "refused")


def test_every_change_of_a_byte_of_a_model_is_noticed(tmp_path):
    kind, path = fuzz.kinds()["asdf"], tmp_path / "m.opt"
    rng = np.random.default_rng(97)
    for _ in range(300):
        raw = fuzz.damaged(kind.seeds[0], rng)
        path.write_bytes(raw)
        if raw != kind.seeds[0]:
            with pytest.raises(InputError):
                read_asdf(path, OpticalModel)


def test_the_fuzzer_finds_nothing_new(tmp_path):
    tool = [sys.executable, fuzz.__file__, *fuzz.KINDS]
    options = ["--runs", "25", "--first", "1000000", "--corpus", str(tmp_path)]
    done = subprocess.run([*tool, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" 0 faults") == len(fuzz.KINDS)


def test_the_fuzzer_finds_a_fault(monkeypatch, tmp_path):
    """A reader that takes what it should not is told, with where it went wrong."""
    broken = fuzz.Kind(".txt", (b"1 2 3",), lambda path: int(path.read_text().split()[9]))
    monkeypatch.setattr(fuzz, "kinds", lambda: {"mdf": broken})
    assert "IndexError" in fuzz.tried("mdf", b"1 2", tmp_path)
