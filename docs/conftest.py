"""The pages are doctests; each runs in a folder of its own."""

import shutil
from pathlib import Path

import pytest

# They are run by Sphinx, when it builds the pages.
collect_ignore_glob = ["conf.py", "pictures/*", "tutorial/*.py"]

# Pages that begin where the quickstart ends.
GO_ON = {"wcs.rst", "extraction.rst"}

TUTORIAL = Path(__file__).parent / "tutorial"


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory):
    """Folder with files and a calibration as of the quickstart."""
    import specwcs
    from specwcs import simulate

    folder = tmp_path_factory.mktemp("quickstart")
    observation = simulate.example(n_slits=10, seed=2, shape=(480, 1024))
    believed = simulate.wrong(observation.instrument, scale=0.03, dispersion=-0.03)
    files = observation.write(folder, simulate.lamp(), seed=1, instrument=believed)
    cal = specwcs.calibrate(
        specwcs.Instrument.read(files["instrument"]),
        specwcs.Mask.read(files["mask"]),
        flat=files["flat"],
        arc=files["arc"],
        catalog=specwcs.LineCatalog.read(files["catalog"]),
    )
    cal.write(folder / "cal.asdf")
    return folder


@pytest.fixture(autouse=True)
def own_folder(request, tmp_path, tmp_path_factory, monkeypatch):
    """Run a page in a temporary folder, with journals of sessions in another."""
    page = request.node.path
    if page.name in GO_ON:
        shutil.copytree(request.getfixturevalue("quickstart"), tmp_path, dirs_exist_ok=True)
    if page.parent == TUTORIAL:
        shutil.copytree(TUTORIAL / "regions", tmp_path / "regions")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
