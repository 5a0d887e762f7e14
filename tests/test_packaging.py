"""What is shipped: source distribution and wheel, installed and used outside the checkout."""

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from configparser import ConfigParser
from importlib import resources
from pathlib import Path

import pytest

import specwcs

ROOT = Path(__file__).parents[1]
BESIDE = {"specwcs.asdf_schemas": "asdf_schemas", "specwcs.conf": "conf"}
DATA = sorted([*ROOT.glob("asdf_schemas/*.yaml"), *ROOT.glob("conf/[!_]*/*.*")])  # no __pycache__


def setup_cfg():
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    return config


def test_every_package_is_listed():
    on_disk = {
        ".".join(init.parent.relative_to(ROOT).parts)
        for init in ROOT.glob("specwcs/**/__init__.py")
    }
    assert set(setup_cfg()["options"]["packages"].split()) == on_disk | set(BESIDE)


@pytest.mark.parametrize(("package", "folder"), BESIDE.items())
def test_the_editable_install_reads_the_checkout(package, folder):
    found = resources.files(package)
    assert found.joinpath("__init__.py").is_file()
    assert {path.name for path in found.iterdir()} == {
        p.name for p in ROOT.joinpath(folder).iterdir()
    }


def test_the_readme_shows_what_is_there():
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    extras = setup_cfg()["options.extras_require"]
    commands = [line for line in readme.splitlines() if "python3 -m venv" in line]
    assert len(commands) == 2
    for command in commands:
        assert command.partition(".[")[2].partition("]")[0] in extras
    for line in readme.splitlines():
        if line.startswith(".. image:: "):
            assert (ROOT / line.removeprefix(".. image:: ")).is_file()


def test_every_schema_and_name_that_ships_stands_in_the_documentation():
    page = (ROOT / "docs" / "formats.rst").read_text(encoding="utf-8")
    names = {path.stem for path in DATA if "masks" not in path.parts}
    names -= {path.stem for path in ROOT.glob("asdf_schemas/specwcs-*.yaml")}
    assert {name for name in names if f"``{name}``" not in page} == set()


# -- the distributions ---------------------------------------------------------------


def build(kind, source, out):
    """Run the build backend in `source` as `pip` does; return the file that it makes."""
    code = f"from setuptools import build_meta as b; print(b.build_{kind}({str(out)!r}))"
    done = run(sys.executable, "-c", code, cwd=source)
    return out / done.stdout.split()[-1]


def run(*command, cwd):
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """Build a source distribution from a copy of the checkout, so that nothing is left in it."""
    copy = tmp_path_factory.mktemp("checkout")
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, copy)
    for name in ("specwcs", "asdf_schemas", "conf", "docs", "tests", "changes", ".ci"):
        ignore = shutil.ignore_patterns("__pycache__", "_build", "api")
        shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    return build("sdist", copy, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    """Build a wheel from the source distribution, the long way round that `pip` may take."""
    source = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="data")
    return build("wheel", next(source.iterdir()), tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """Interpreter of a new environment: the wheel, and this environment's other packages.

    They are found through a path file; folders named in one have their own path files left
    unread, so that an editable specwcs is not seen.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    bin_ = folder / ("Scripts" if sys.platform == "win32" else "bin")
    python = bin_ / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index")
    run(*pip, wheel, cwd=folder)
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", code, cwd=folder).stdout.strip())
    site.joinpath("others.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return python


@pytest.mark.slow
def test_the_source_distribution_is_complete(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = ["README.rst", "LICENSE.rst", "CHANGES.rst", "pyproject.toml", "setup.cfg", ".ci/run"]
    wanted += ["docs/index.rst", "docs/conf.py", "changes/README.rst", "tests/conftest.py"]
    wanted += [str(path.relative_to(ROOT)) for path in DATA]
    assert set(wanted) <= names
    assert not [name for name in names if "__pycache__" in name or name.startswith("docs/_build")]


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    data = {f"specwcs/{path.relative_to(ROOT)}" for path in DATA}
    code = {str(path.relative_to(ROOT)) for path in ROOT.glob("specwcs/**/*.py")}
    code |= {str(path.relative_to(ROOT)) for path in ROOT.glob("specwcs/**/*.js")}
    code |= {f"specwcs/{folder}/__init__.py" for folder in BESIDE.values()}
    shipped = {name for name in names if ".dist-info/" not in name}
    assert shipped == data | code
    assert any(name.endswith("licenses/LICENSE.rst") for name in names)


@pytest.mark.slow
def test_the_installed_wheel_works(python, tmp_path):
    """Schemas and conf are found, a model comes back from ASDF, far from the checkout."""
    code = """
import sys
from pathlib import Path
import specwcs
from specwcs.files import read_asdf, write_asdf
from specwcs.models import OpticalModel

assert Path(specwcs.__file__).is_relative_to(sys.prefix), specwcs.__file__
assert specwcs.__version__
instrument = specwcs.Instrument.read("mods1r_g670l")
assert instrument.shape == (3088, 8288), instrument
assert len(specwcs.LineCatalog.read(["Ne", "Ar"])) > 100
assert len(specwcs.Mask.read("mods_longslit_1.0")) == 5

model = OpticalModel(1, 1, x_domain=(-9, 9), y_domain=(-9, 9), x1_0=0.1, y0_1=1 / 3)
write_asdf("model.opt", {"model": model})
assert (read_asdf("model.opt", OpticalModel).parameters == model.parameters).all()
"""
    run(python, "-W", "error", "-c", code, cwd=tmp_path)


@pytest.mark.slow
def test_the_installed_command_works(python, tmp_path):
    done = run(python.with_name("specwcs"), "--help", cwd=tmp_path)
    for command in ("demo", "calibrate", "extract", "info"):
        assert command in done.stdout
    done = run(python.with_name("specwcs"), "info", "mods1r_g670l", cwd=tmp_path)
    assert "8288" in done.stdout


def test_the_version_is_that_of_the_metadata():
    assert specwcs.__version__ == setup_cfg()["metadata"]["version"]
