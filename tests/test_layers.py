"""The architecture, guarded: imports point down, modules stay small, importing is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import specwcs

PACKAGE = Path(specwcs.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted(Path(__file__).parent.rglob("*.py"))

# Top to bottom. What stands on one line does not import each other.
LAYERS = (
    {"__main__"},
    {"cli"},
    {"session", "pipeline"},
    {"desk"},
    {"report", "io", "viewers"},
    {"extraction"},
    {"calibration"},
    {"wcs", "measure", "fitting", "regions"},
    {"markers"},
    {"simulate"},
    {"models"},
    {"inputs"},
    {"files", "conventions", "threads"},
    {"errors"},
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# The simulation is what the models are judged against: it must owe them nothing.
INDEPENDENT = {("simulate", "models")}

MOST_LINES = 700
HEAVY = ("astropy", "gwcs", "asdf", "specutils", "matplotlib", "scipy")


def layers_imported(source, module):
    """Names of the layers that a module imports, anywhere in it; line numbers with them.

    `module` is the tuple of its names, such as ("specwcs", "io", "products"); for a package's
    ``__init__`` the last one is "__init__".
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = module[: -node.level] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            targets = [(*base, alias.name) for alias in node.names]
        else:
            continue
        for target in targets:
            if target[0] == "specwcs" and len(target) > 1:
                # Public names at the top are resolved lazily: what counts is their home.
                yield specwcs._HOME.get(target[1], target[1]), node.lineno


def violations(source, module):
    """Sentences on the imports that do not point down."""
    mine = module[1]
    for layer, line in layers_imported(source, module):
        allowed = layer == mine or LEVEL.get(layer, -1) > LEVEL[mine]
        if not allowed or (mine, layer) in INDEPENDENT:
            yield f"{'/'.join(module)}.py, line {line}: {mine} imports {layer}"


def name_of(path):
    return (PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)


@pytest.mark.parametrize(
    ("module", "source", "number"),
    [
        ("models.field", "from specwcs.errors import InputError", 0),
        ("models.field", "from .slit import T_DOMAIN", 0),
        ("models.__init__", "from .slit import T_DOMAIN", 0),
        ("models.field", "import specwcs.calibration", 1),
        ("models.field", "from specwcs import wcs", 1),
        ("models.field", "from specwcs import calibrate", 1),
        ("models.field", "from ..calibration.solve import solve", 1),
        ("models.__init__", "from ..calibration import solve", 1),
        ("models.field", "from .. import io, errors, cli", 2),
        ("models.field", "def f():\n    from specwcs.io import products", 1),
        ("measure.edges", "from specwcs.fitting import fit_linear", 1),
        ("simulate.render", "from specwcs.models import SlitGeometry", 1),
        ("errors", "from specwcs.unheard_of import x", 1),
    ],
)
def test_the_guard_sees(module, source, number):
    assert len(list(violations(source, ("specwcs", *module.split("."))))) == number


def test_every_module_belongs_to_a_layer():
    names = {name_of(path)[1] for path in MODULES} - {"__init__"}
    assert names == set(LEVEL)


def test_imports_point_down():
    found = [
        sentence
        for path in MODULES
        if name_of(path) != ("specwcs", "__init__")
        for sentence in violations(path.read_text(encoding="utf-8"), name_of(path))
    ]
    assert found == []


def test_modules_stay_small():
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in MODULES + TESTS}
    assert {path.name: n for path, n in lines.items() if n > MOST_LINES} == {}


@pytest.mark.parametrize("module", ["specwcs", "specwcs.cli"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert loaded.isdisjoint(HEAVY)


def test_public_names_resolve():
    assert {name: getattr(specwcs, name).__name__ for name in specwcs.__all__} == {
        name: name for name in specwcs.__all__
    }


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'calibrat'"):
        specwcs.calibrat  # noqa: B018 - the access is the test
