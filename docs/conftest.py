"""The pages are doctests; each runs in a folder of its own."""

import pytest

# They are run by Sphinx, when it builds the pages.
collect_ignore_glob = ["conf.py", "pictures/*"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
