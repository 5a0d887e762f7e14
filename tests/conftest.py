"""Fixtures that every layer shares."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data():
    """Folder of the real frames: SPECWCS_REAL_DATA, else ../shared/data beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data"
    folder = Path(os.environ.get("SPECWCS_REAL_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set SPECWCS_REAL_DATA")
    return folder
