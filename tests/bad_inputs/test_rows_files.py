"""BAD_INPUTS.md, rows 92-111 and 114, and the ASDF rows of its Security table."""

import errno
import os
import socket
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asdf
import numpy as np
import pytest
from forge import array, asdf_file, block, seal

from specwcs.errors import InputError, SpecwcsWarning
from specwcs.files import atomic_path, read_asdf, write_asdf
from specwcs.models import DetectorToTrace, FieldPolynomial, OpticalModel

TAG = "!<asdf://specwcs.org/tags/"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.opt"


@pytest.fixture
def model():
    return OpticalModel(1, 1, x_domain=(-40.0, 40.0), x0_0=1024.123456789, name="opt")


@pytest.fixture
def raw(path, model):
    """A good file, as bytes."""
    write_asdf(path, {"model": model})
    return path.read_bytes()


@pytest.fixture
def refuse(path):
    """Read some bytes as a file, which must fail."""

    def refuse(content, match, kind=object):
        path.write_bytes(content)
        with pytest.raises(InputError, match=match) as caught:
            read_asdf(path, kind)
        assert str(caught.value).startswith(str(path))
        assert len(str(caught.value)) < 500
        assert "\n" not in str(caught.value)

    return refuse


def edited(raw, old, new):
    """Change what a file says, as one who can compute its checksum."""
    assert raw.count(old) >= 1
    return seal(raw.replace(old, new, 1))


# -- rows ---------------------------------------------------------------------------


@pytest.mark.parametrize("sealed", [True, False])
def test_row_092_newer_schema(raw, refuse, sealed):
    newer = raw.replace(b"optical_model-1.0.0", b"optical_model-1.7.0")
    newer = newer.replace(b"name: specwcs, version: ", b"name: specwcs, version: 9.")
    match = r"optical_model-1\.7\.0 is unknown to this specwcs\. It needs specwcs >= 9\..*\. Update"
    refuse(seal(newer) if sealed else newer, match)


def test_row_092_unknown_class_of_ours(refuse):
    content = asdf_file(f"model: {TAG}rainbow-1.0.0> {{}}")
    refuse(content, "rainbow-1.0.0 is unknown .* the one that wrote it")


def test_row_092_unknown_tag_of_others(raw, refuse):
    refuse(asdf_file("a: !unit/unit-99.0.0 m"), r"line 7: unknown tag .*unit-99.* Update asdf")
    refuse(edited(raw, b"ASDF_STANDARD 1.6.0", b"ASDF_STANDARD 7.6.0"), "ASDF standard 7.6.0")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        (b"degrees: [1, 1]", b"degrees: [1, 2]", r"shape \(2, 2, 2\) for degrees \(1, 2\)"),
        (b"degrees: [1, 1]", b"degrees: [1, -1]", "minimum"),
        (b"degrees: [1, 1]", b"degrees: [1, 1000000]", "maximum"),
        (b"degrees: [1, 1]", b"degrees: [1, 1.5]", "integer"),
        (b"degrees: [1, 1]", b"degreez: [1, 1]", "'degrees' is a required property"),
        (b"x_domain: [-40.0, 40.0]", b"x_domain: [40.0, -40.0]", "low < high"),
        (b"x_domain: [-40.0, 40.0]", b"x_domain: [-40.0, .nan]", "finite"),
        (b"x_domain: [-40.0, 40.0]", b"x_domain: [-40.0, 41.0]", "x_domain .* became"),
        (b"x_domain: [-40.0, 40.0]", b"x_domain: [-40.0]", "too short"),
        (b"x_domain: [-40.0, 40.0]", b"x_domain: wide", "not of type 'array'"),
        (b"[1024.123456789, 0.0]", b"[1024.123456789]", "inhomogeneous"),
        (b"[1024.123456789, 0.0]", b"[north, 0.0]", "not of type 'number'"),
        (b"x_flipped: false", b"x_flipped: 2", "not of type 'boolean'"),
        (b"inputs: [X, Y]", b"inputs: [X, Y, Z]", "inputs"),
    ],
)
def test_row_093_broken_model(raw, refuse, old, new, match):
    refuse(edited(raw, old, new), f"cannot be read as OpticalModel .*{match}", OpticalModel)


def test_row_093_broken_step(path, refuse):
    curve = [[0.0, 1.0], [0.5, 0.25]]
    step = DetectorToTrace([1.0, 2.0], [3.0, 4.0], curve, direction="LR", d_domain=(-9, 9))
    write_asdf(path, {"model": step})
    raw = path.read_bytes()
    refuse(edited(raw, b"along: [1.0, 2.0]", b"along: [1.0]"), "series of different lengths")
    refuse(edited(raw, b"direction: LR", b"direction: XY"), "'XY' is not one of")
    refuse(edited(raw, b"d_domain: [-9.0, 9.0]", b"d_domain: [9.0, 9.0]"), "low < high")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_row_094_nan_coefficients(raw, refuse, path, bad):
    new = b".nan" if np.isnan(bad) else b".inf"
    refuse(edited(raw, b"1024.123456789", new), "coefficients has values that are not finite")
    broken = FieldPolynomial(0, 0, 0, c0_0_0=bad)
    before = path.read_bytes()
    with pytest.raises(InputError, match="not finite"):
        write_asdf(path, {"model": broken}, overwrite=True)
    assert path.read_bytes() == before


@pytest.fixture
def raw_with_block(path):
    write_asdf(path, {"thing": {"numbers": np.arange(100.0)}})
    return path.read_bytes()


def test_row_095_truncated(raw_with_block, refuse):
    for size in {*range(0, len(raw_with_block), 97), len(raw_with_block) - 1}:
        refuse(raw_with_block[:size], "checksum|no ASDF|SHA256", dict)
    start = raw_with_block.index(b"\xd3BLK")
    for size in (start + 3, start + 20, start + 54, len(raw_with_block) - 1):
        refuse(seal(raw_with_block[:size]), "block 0 is cut off", dict)
    refuse(seal(raw_with_block[: start - 4]), "no end", dict)


def test_row_096_bit_flip_in_a_block(raw_with_block, refuse):
    flipped = bytearray(raw_with_block)
    flipped[-5] ^= 1
    refuse(bytes(flipped), "checksum does not match: .* Copy it again", dict)
    refuse(seal(bytes(flipped)), "does not match given checksum", dict)


def test_row_097_digit_flip_in_the_text(raw, refuse):
    refuse(raw.replace(b"1024.12", b"1024.13"), "checksum does not match", OpticalModel)


def test_row_098_duplicate_keys(raw, refuse):
    twice = edited(raw, b"name: opt", b"name: opt\n  name: tpo")
    refuse(twice, r"line \d+: key 'name' is there twice", OpticalModel)


def test_row_099_arrays_live_on_when_the_file_is_gone(path):
    write_asdf(path, {"thing": {"numbers": np.arange(100.0)}})
    thing = read_asdf(path, dict)
    path.unlink()
    assert thing["numbers"].sum() == 4950
    assert type(thing["numbers"]) is np.ndarray


def test_row_100_meta_and_bounds_are_kept(path, model):
    model.meta["by"] = "hand"
    model.x0_0.bounds, model.x0_1.bounds = (0.0, None), (None, 0.0)
    write_asdf(path, {"model": model})
    new = read_asdf(path, OpticalModel)
    assert dict(new.meta) == {"by": "hand"}
    assert (new.x0_0.bounds, new.x0_1.bounds) == ((0.0, None), (None, 0.0))


def test_row_100_ties_and_model_sets_are_refused(path, model):
    model.x1_1.tied = lambda _: 0.0
    with pytest.raises(InputError, match=r"x1_1 is tied .* Untie it"):
        write_asdf(path, {"model": model})
    models = DetectorToTrace(
        *(np.ones((2, 1)), np.ones((2, 1)), np.ones((2, 1, 1))),
        **{"direction": "LR", "d_domain": (-9, 9), "n_models": 2},
    )
    with pytest.raises(InputError, match="model set"):
        write_asdf(path, {"model": models})


@pytest.mark.filterwarnings("ignore:Invalid interval:RuntimeWarning")  # astropy's; no error
@pytest.mark.parametrize("bad", [(9.0, 1.0), (np.nan, 9.0)])
def test_row_102_bounding_box(path, refuse, model, bad):
    model.bounding_box = ((0.0, 5.0), (1.0, 9.0))  # astropy's order: Y first
    write_asdf(path, {"model": model})
    assert read_asdf(path, OpticalModel).bounding_box["X"] == (1.0, 9.0)
    raw = path.read_bytes()
    new = f"[{bad[0]}, {bad[1]}]".replace("nan", ".nan").encode()
    refuse(edited(raw, b"[1.0, 9.0]", new), "bounding box of X", OpticalModel)
    model.bounding_box = ((0.0, 5.0), bad)
    with pytest.raises(InputError, match="bounding box of X"):
        write_asdf(path, {"model": model}, overwrite=True)


def test_row_109_no_overwrite(raw, path, model):
    with pytest.raises(InputError, match=r"model\.opt: exists already\. .* overwrite"):
        write_asdf(path, {"model": model})
    assert path.read_bytes() == raw


@pytest.mark.parametrize("alien", [object(), {"f": lambda: 0}, {1, 2}, {"a": np.array([object()])}])
def test_row_114_what_cannot_be_stored(raw, path, alien):
    with pytest.raises(InputError, match="the thing cannot be stored"):
        write_asdf(path, {"thing": alien}, overwrite=True)
    assert path.read_bytes() == raw
    assert [p.name for p in path.parent.iterdir()] == ["model.opt"]


# -- what is no ASDF file at all ----------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [b"", b"#ASDF 1.0.0\n", b"\0" * 100, b"SIMPLE  =", b"#ASDF 2.0.0\n#ASDF_STANDARD 1\n"],
)
def test_no_asdf(refuse, content):
    refuse(content, "no ASDF file")


def test_asdf_of_others(path, refuse, model):
    with asdf.AsdfFile({"model": model}) as file:
        file.write_to(path)
    refuse(path.read_bytes(), "no #SHA256 line. Must be a file of specwcs")


def test_paths_that_are_no_files(tmp_path):
    for name, match in [
        (tmp_path, "folder"),
        (tmp_path / "absent.opt", "no such file"),
        ("/dev/zero", "no such file"),
        ("http://localhost:1/x.opt", "URL"),
        ("file:///etc/passwd", "URL"),
    ]:
        with pytest.raises(InputError, match=match):
            read_asdf(name, object)


def test_a_file_holds_one_thing(path, refuse, model):
    refuse(asdf_file("{}"), "holds nothing")
    refuse(asdf_file("a: 1\nb: 2"), "holds int, int. Must hold one dict", dict)
    with pytest.raises(InputError, match=r"2 objects to store\. Must be one"):
        write_asdf(path, {"a": model, "b": model}, overwrite=True)


# -- hostile files -----------------------------------------------------------------------

DOUBLES = block(np.arange(3.0).tobytes())
BOMB = "\n".join(
    ["a: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
)
MERGES = "\n".join(
    ["b: &b0 {x: 1}"] + [f"b{i}: &b{i} {{<<: [*b{i - 1}, *b{i - 1}]}}" for i in range(1, 30)]
)

HOSTILE = {
    "python object": ("a: !!python/object/apply:os.system ['true']", "not allowed"),
    "python name": ("a: !!python/name:os.system", "not allowed"),
    "python module": ("a: !!python/module:os", "not allowed"),
    "local tag": ("a: !<os.system> {}", "not allowed"),
    "set": ("a: !!set {x, y}", "not allowed"),
    "external array, relative": ("a: " + array(source="other.asdf"), "in other files"),
    "external array, file": ("a: " + array(source="'file:///etc/passwd'"), "in other files"),
    "external array, http": ("a: " + array(source="'http://localhost:1/x'"), "in other files"),
    "externalarray tag": ("a: !core/externalarray-1.0.0 {fileuri: /etc/passwd}", "not allowed"),
    "reference": ("a: {$ref: 'file:///etc/passwd#/x'}", r"\$ref"),
    "reference, deep": ("a: [[{b: {$ref: '#/a'}}]]", r"\$ref"),
    "alias bomb": (BOMB, "too large"),
    "merge bomb": (MERGES, "too large|not allowed"),
    "alias to itself": ("a: &a [1, *a]", "too large"),
    "many nodes": ("a: [" + "1," * 200_000 + "]", "too large"),
    "deep lists": ("a: " + "[" * 5000 + "]" * 5000, "too large|parsed"),
    "deep maps": ("a: " + "{b: " * 5000 + "1" + "}" * 5000, "too large|parsed"),
    "long number": ("a: " + "9" * 100_000, "too many digits"),
    "long sexagesimal": ("a: 1" + ":59" * 100_000, "too many digits"),
    "key that is a list": ("? [1, 2]\n: 3", "no plain word"),
    "not UTF-8": ("a: \udcff", "parsed"),
    "NUL": ("a: \0", "parsed"),
    "unclosed": ("a: [1, 2", "parsed"),
    "array without block": ("a: " + array(source="1"), "in block 1"),
    "streamed array": ("a: " + array(source="-1", shape="['*']"), "whose source is '-1'"),
    "array of any length": ("a: " + array(shape="['*']"), r"whose shape is '\*'"),
    "array without shape": ("a: !core/ndarray-1.1.0 {source: 0}", "without a shape"),
    "array of 1 TiB": ("a: " + array(shape="[137438953472]"), "Must fit"),
    "array of no stride": ("a: " + array(", strides: [0]", shape="[9999999]"), "Must fit"),
    "array of small strides": ("a: " + array(", strides: [1]", shape="[999999]"), "Must fit"),
    "wide strings": ("a: " + array(datatype="[ucs4, 99999999]"), "Must fit"),
    "structured": ("a: " + array(datatype="[{datatype: int8, name: n}]"), "unknown datatype"),
    "objects": ("a: " + array(datatype="object"), "unknown datatype"),
    "array with a larger shape": ("a: " + array(shape="[4]"), "cannot be read"),
    "array beyond its block": ("a: " + array(", offset: 8"), "cannot be read"),
    "array before its block": ("a: " + array(", offset: -8"), "cannot be read"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_file(case, refuse, time_limit):
    yaml, match = HOSTILE[case]
    content = asdf_file(yaml.encode("utf-8", "surrogateescape").decode("latin-1"), DOUBLES)
    if case == "not UTF-8":
        content = seal(content.replace("ÿ".encode(), b"\xff"))
    with time_limit(1.0):
        refuse(content, match)


@pytest.fixture
def time_limit():
    with asdf.AsdfFile() as file:
        assert file.extension_manager  # the first file costs the imports of all converters

    @contextmanager
    def time_limit(seconds):
        start = time.process_time()
        yield
        assert time.process_time() - start < seconds

    return time_limit


# -- processes -------------------------------------------------------------------------


def write(path, *, overwrite=False, then=lambda: None):
    """Write a file, and let something happen before it is done."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text("mine")
        then()


def test_row_106_disk_full(tmp_path):
    def fill():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(InputError, match=r"No space left on device.*free space"):
        write(path, overwrite=True, then=fill)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_row_107_read_only_folder(tmp_path, monkeypatch):
    def deny(self, **_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(Path, "touch", deny)  # to root, every folder is open
    with pytest.raises(InputError, match=r"Permission denied.*permissions"):
        write(tmp_path / "x", then=lambda: pytest.fail("the work must not begin"))


def test_row_108_two_writers(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(InputError, match="another process made it meanwhile"):
        write(path, then=lambda: path.write_text("theirs"))
    assert path.read_text() == "theirs"
    with pytest.warns(SpecwcsWarning, match="another process changed it meanwhile") as caught:
        write(path, overwrite=True, then=lambda: path.write_text("theirs again"))
    assert caught[0].filename == __file__
    assert path.read_text() == "mine"


def test_row_108_two_threads(tmp_path, model):
    def write(n):
        write_asdf(tmp_path / f"{n % 3}.opt", {"model": model}, overwrite=True)
        return read_asdf(tmp_path / f"{n % 3}.opt", OpticalModel).x0_0.value

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpecwcsWarning)
        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(write, range(24))) == {1024.123456789}
    assert len(list(tmp_path.iterdir())) == 3


def test_row_111_litter(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        pass
    host = socket.gethostname()
    litter = tmp_path / f".specwcs-{host}-{dead.pid}-0123abcd-x.fits"
    kept = [
        tmp_path / f".specwcs-{host}-{os.getpid()}-0123abcd-x.fits",
        tmp_path / f".specwcs-another-{dead.pid}-0123abcd-x.fits",
        tmp_path / ".specwcs-notes",
        tmp_path / "y",
    ]
    for entry in [litter, *kept]:
        entry.touch()
    with atomic_path(tmp_path / "z") as temporary:
        temporary.touch()
    assert sorted(tmp_path.iterdir()) == sorted([*kept, tmp_path / "z"])
