"""Fixtures that every layer shares."""

import os
import signal
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data():
    """Folder of the real frames: SPECWCS_REAL_DATA, else ../shared/data beside the checkout.

    Where it is absent the test is skipped, or fails if SPECWCS_REQUIRE_REAL is set: what
    checks a change must not pass for want of data.
    """
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SPECWCS_REAL_DATA", beside))
    if not folder.is_dir():
        give_up = pytest.fail if os.environ.get("SPECWCS_REQUIRE_REAL") else pytest.skip
        give_up(f"no real data at {folder}: set SPECWCS_REAL_DATA")
    return folder


def pytest_configure():
    """Let the programs that tests start hear Ctrl-C, also where a shell runs the tests behind."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Begin with what takes longest: the tests marked so, and the pages of the documentation."""

    def long(item):
        return item.get_closest_marker("first") is not None or item.path.suffix == ".rst"

    items.sort(key=lambda item: not long(item))
