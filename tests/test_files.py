"""Writing any file: whole or not at all."""

import os

import numpy as np
import pytest
from astropy.io import fits

from specwcs.errors import InputError
from specwcs.files import atomic_path


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_the_name_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "a b-ü.txt"
    with atomic_path(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(tmp_path) == ["a b-ü.txt"]


def test_a_string_will_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with atomic_path("x.txt") as temporary:
        temporary.write_text("")
    assert names(tmp_path) == ["x.txt"]


def test_libraries_see_the_suffix_and_no_file(tmp_path):
    with atomic_path(tmp_path / "x.fits.gz") as temporary:
        fits.writeto(temporary, np.eye(3))
    assert (tmp_path / "x.fits.gz").read_bytes()[:2] == b"\x1f\x8b"


def test_overwriting_replaces_all_of_the_old_file(tmp_path):
    path = tmp_path / "x"
    path.write_text("old and long")
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    with atomic_path(tmp_path / "link", overwrite=True) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt, InputError])
def test_a_fault_in_the_block_leaves_the_old_file_alone(tmp_path, fault):
    path = tmp_path / "x"
    path.write_text("old")

    def work():
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_text("half")
            raise fault("stop")

    with pytest.raises(fault):
        work()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_the_fault_of_another_file_is_not_blamed_on_this_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"), atomic_path(tmp_path / "x"):
        (tmp_path / "absent").read_text()


def test_a_block_that_writes_nothing(tmp_path):
    no_file = pytest.raises(InputError, match=r"x: cannot be written \(No such file")
    with no_file, atomic_path(tmp_path / "x"):
        pass


@pytest.mark.parametrize(
    ("name", "match"),
    [
        (".", "this is a folder"),
        ("absent/x", r"cannot be written \(No such file or directory\)"),
        ("file/x", r"cannot be written \(Not a directory\)"),
        ("n" * 250, "File name too long"),
    ],
)
def test_names_that_cannot_be_written(tmp_path, name, match):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=match), atomic_path(tmp_path / name, overwrite=True):
        pytest.fail("the work must not begin")


@pytest.mark.skipif(os.name != "posix", reason="needs devices")
def test_a_device_is_no_file():
    refused = pytest.raises(InputError, match="no regular file")
    with refused, atomic_path("/dev/null", overwrite=True):
        pytest.fail("the work must not begin")
