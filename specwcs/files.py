"""Files that are whole or absent, and ASDF files that may come from anyone.

- `atomic_path`: every product is written through it, so that a fault, a kill or a full disk
  leaves the old file or the new one, never a part.
- `write_asdf`, `read_asdf`: one object a file, sealed with a checksum of all its bytes. What
  is read is inspected before any library converts, validates or unpacks it.
"""

import hashlib
import io
import os
import re
import secrets
import socket
import struct
import warnings
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path

import asdf
import numpy as np
import yaml

from specwcs.errors import InputError, SpecwcsWarning

__all__ = ["atomic_path", "check_suffix", "read_asdf", "write_asdf"]

MAX_BYTES = 512 * 1024**2
MAX_YAML_BYTES = 8 * 1024**2
MAX_NODES = 100_000
MAX_DEPTH = 128
MAX_NUMBER_LENGTH = 64
"""No file of ours comes near these; a file beyond them is refused before it costs time."""


# -- writing any file -----------------------------------------------------------


def check_suffix(path, *allowed):
    """Refuse a file whose name would say that it is something else.

    Parameters
    ----------
    path : str or path-like
    *allowed : str
        Suffixes in lower case, such as ``".asdf"``; those of the name may be in any.

    Raises
    ------
    InputError
        If the name of the file ends in none of them.
    """
    if Path(path).suffix.lower() not in allowed:
        raise InputError(f"output '{path}'", f"Must end in {', '.join(allowed)}")


@contextmanager
def atomic_path(path, overwrite=False):
    """Give a temporary path that becomes `path` when the block ends well.

    The temporary file lies in the same folder, bears the same suffixes, and is flushed to the
    disk before it takes the name. It is removed when the block fails; those of processes that
    died are removed by the next one. Folder and name are tried at the start, so that a file
    that cannot be written is known before the work is done.

    Parameters
    ----------
    path : str or path-like
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Yields
    ------
    pathlib.Path
        Where to write. It does not exist yet.

    Raises
    ------
    InputError
        If `path` exists (and `overwrite` is false), is no regular file, or cannot be written.

    Examples
    --------
    >>> from specwcs.files import atomic_path
    >>> with atomic_path("lines.txt") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("5852.488 NeI")
    """
    target = Path(os.path.realpath(path))  # a link stays a link
    before = _identity(target, path)
    if before and not overwrite:
        raise InputError("exists already", "", "Choose another name, or overwrite it", file=path)
    temporary = target.with_name(f"{_prefix()}{os.getpid()}-{secrets.token_hex(4)}-{target.name}")
    try:
        _remove_abandoned(target.parent)
        temporary.touch(exist_ok=False)
        temporary.unlink()
        yield temporary
        _flush(temporary)
        if _identity(target, path) != before:
            _complain_of_other_writer(path, overwrite)
        temporary.replace(target)
        with suppress(OSError):  # some file systems cannot flush folders
            _flush(target.parent)
    except OSError as err:
        if err.filename not in (None, str(temporary), str(target), str(target.parent)):
            raise  # the fault of another file, in the block
        raise InputError(
            f"cannot be written ({err.strerror or err})",
            "",
            "Check the folder, its permissions and the free space",
            file=path,
        ) from err
    finally:
        with suppress(OSError):
            temporary.unlink()


def _identity(target, path):
    """Tell one state of a file from another; None where there is none."""
    if target.is_dir():
        raise InputError("this is a folder", "Must be the name of a file", file=path)
    try:
        status = target.stat()
    except OSError:
        return None
    if not target.is_file():
        raise InputError("exists and is no regular file", "Must be a file", file=path)
    return status.st_ino, status.st_mtime_ns, status.st_size


def _complain_of_other_writer(path, overwrite):
    if not overwrite:
        raise InputError("another process made it meanwhile", "", "Choose another name", file=path)
    warnings.warn(
        f"{path}: another process changed it meanwhile; it is replaced.",
        SpecwcsWarning,
        stacklevel=4,
    )


def _prefix():
    return f".specwcs-{socket.gethostname()}-"


def _remove_abandoned(folder):
    """Remove the temporary files of processes of this host that no longer run."""
    for entry in folder.glob(".specwcs-*"):
        match = re.fullmatch(re.escape(_prefix()) + r"(\d+)-[0-9a-f]{8}-.+", entry.name)
        if match and not _runs(int(match[1])):
            with suppress(OSError):
                entry.unlink()


def _runs(pid):
    if os.name != "posix":  # elsewhere signal 0 is no mere question
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _flush(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- ASDF -------------------------------------------------------------------------

_HEAD = re.compile(rb"#ASDF 1\.0\.0\n#ASDF_STANDARD (\d+\.\d+\.\d+)\n")
_SEAL = re.compile(_HEAD.pattern + rb"#SHA256 ([0-9a-f]{64})\n")
_YAML_END = re.compile(rb"\n\.\.\.\n")
_OUR_TAG = re.compile(rb"asdf://specwcs\.org/tags/[a-z_]+-\d+\.\d+\.\d+")
_WRITER = re.compile(rb"name: specwcs, version: ([\w.+]+)")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_EXTENSIONS = re.compile(rb"^history:\n  extensions:\n((?:  [ -].*\n)+)", re.MULTILINE)


def write_asdf(path, tree, overwrite=False):
    """Write one object to an ASDF file, validated against its schema.

    The third line of the file, a comment to ASDF, is the SHA-256 of all other bytes: ASDF
    itself has checksums of its binary blocks, but none of the digits in its YAML.

    Parameters
    ----------
    path : str or path-like
    tree : dict
        One item: what the object is, such as ``"model"``, and the object.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the object cannot be stored (an old file stays as it is), or see `atomic_path`.
    """
    if len(tree) != 1:
        raise InputError(f"{len(tree)} objects to store", "Must be one", file=path)
    with atomic_path(path, overwrite) as temporary:
        try:
            raw = _serialised(tree)
            _inspect(raw, None)  # never write what could not be read again
        except Exception as err:  # any converter of any package may raise anything
            found = f"the {next(iter(tree))} cannot be stored ({_sentence(err)})"
            raise InputError(found, file=path) from err
        temporary.write_bytes(raw)


def _serialised(tree):
    """Return the bytes of the file, sealed."""
    with asdf.config_context() as config:
        config.all_array_storage = "internal"
        config.all_array_compression = None
        config.array_inline_threshold = None
        config.default_array_save_base = False  # a view is stored without what it is cut from
        raw = asdf_bytes(tree, include_block_index=False)
    head = _HEAD.match(raw).end()
    return raw[:head] + b"#SHA256 %s\n" % _digest(raw) + raw[head:]


def asdf_bytes(tree, **options):
    """Return a tree as an ASDF file, the same bytes for the same tree.

    Parameters
    ----------
    tree : dict
    **options
        Of `asdf.AsdfFile.write_to`.
    """
    stream = io.BytesIO()
    with asdf.AsdfFile(dict(tree)) as file:
        file.write_to(stream, **options)
    raw = stream.getvalue()
    # asdf lists the extensions that it used in the order of a set: of addresses in memory.
    found = _EXTENSIONS.search(raw)
    if found is None:
        return raw
    entries = re.split(rb"(?m)^(?=  - )", found[1])
    return raw[: found.start(1)] + b"".join(sorted(entries)) + raw[found.end(1) :]


def _digest(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode()


def read_asdf(path, kind):
    """Read the object of an ASDF file that specwcs wrote, trusting nothing in it.

    The bytes are read once and inspected as text, before asdf sees them: size, number and
    depth of nodes (aliases counted as what they stand for), duplicate keys, tags, references
    and arrays in other files, sizes of arrays and blocks, checksum. Then asdf reads them with
    schemas validated and no conversion failing in silence.

    Parameters
    ----------
    path : str or path-like
    kind : type
        What the file must hold.

    Returns
    -------
    object
        An instance of `kind`.

    Raises
    ------
    InputError
        If anything is wrong with the file.
    """
    raw = _read_bytes(path)
    _inspect(raw, path)
    try:
        with asdf.config_context() as config:
            config.validate_on_read = True
            config.warn_on_failed_conversion = False
            config.lazy_tree = False
            with asdf.open(
                io.BytesIO(raw),
                mode="r",
                lazy_load=False,
                memmap=False,
                validate_checksums=True,
                ignore_missing_extensions=True,  # the tags tell what is missing
            ) as file:
                content = {k: v for k, v in file.tree.items() if k not in _ASDF_KEYS}
    except Exception as err:  # any converter of any package may raise anything
        found = f"cannot be read as {kind.__name__} ({_sentence(err)})"
        raise InputError(found, file=path) from err
    if len(content) != 1 or not isinstance(*content.values(), kind):
        held = ", ".join(type(value).__name__ for value in content.values()) or "nothing"
        raise InputError(f"holds {held}", f"Must hold one {kind.__name__}", file=path)
    return next(iter(content.values()))


_ASDF_KEYS = ("asdf_library", "history")


def _sentence(err):
    """Return what an error says, but not the schema or the tree that it may print along."""
    if isinstance(err, InputError):
        return str(err).rstrip(".")
    lines = str(err.args[0]).strip().splitlines() if err.args else []
    return ": ".join([type(err).__name__, *lines[:1]]).rstrip(". ")


def _read_bytes(path):
    if "://" in str(path):
        raise InputError(f"'{path}' is a URL", "Only local files are read", "Download it first")
    path = Path(path)
    if path.is_dir():
        raise InputError("this is a folder", "Must be a file", file=path)
    if not path.is_file():
        raise InputError("no such file", "", "Check the path", file=path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as err:
        raise InputError(f"cannot be read ({err.strerror})", file=path) from err
    return raw


# -- the inspection -----------------------------------------------------------------


def _inspect(raw, path):
    """Raise an error unless these are the bytes of a file that is safe to hand to asdf."""
    if len(raw) > MAX_BYTES:
        raise InputError("too large", f"At most {MAX_BYTES} bytes", file=path)
    head = _HEAD.match(raw)
    if head is None:
        raise InputError("this is no ASDF file", "", "Check the path", file=path)
    version = head[1].decode()
    try:
        manager = asdf.AsdfFile(version=version).extension_manager
    except ValueError as err:
        raise InputError(f"ASDF standard {version}", "", "Update asdf", file=path) from err
    # First what a newer specwcs wrote: its other rules may differ, too.
    end = _YAML_END.search(raw, 0, MAX_YAML_BYTES)
    _check_our_tags(raw[: end.end() if end else MAX_YAML_BYTES], manager, path)
    seal = _SEAL.match(raw)
    if seal is None:
        remedy = "Write it anew with specwcs"
        raise InputError("has no #SHA256 line", "Must be a file of specwcs", remedy, file=path)
    if seal[2] != _digest(raw[: head.end()], memoryview(raw)[seal.end() :]):
        raise InputError(
            "the checksum does not match: it was changed or damaged after it was written",
            "",
            "Copy it again, or write it anew with specwcs",
            file=path,
        )
    if end is None:
        raise InputError("its YAML has no end, or is too long", file=path)
    n_blocks = _check_blocks(raw, end.end(), path)
    _check_yaml(raw[: end.end()], _Arrays(n_blocks, len(raw)), manager, path)


def _check_our_tags(text, manager, path):
    for tag in sorted(set(_OUR_TAG.findall(text))):
        if not manager.handles_tag(tag.decode()):
            writer = _WRITER.search(text)
            raise InputError(
                f"{tag.decode()} is unknown to this specwcs",
                f"It needs specwcs >= {writer[1].decode() if writer else 'the one that wrote it'}",
                "Update specwcs",
                file=path,
            )


_BLOCK = struct.Struct(">4sHI4sQQQ16s")


def _check_blocks(raw, start, path):
    """Return how many binary blocks follow; each must be plain, whole, and as long as it says."""
    number = 0
    while start < len(raw):
        if len(raw) - start < _BLOCK.size:
            raise InputError(f"block {number} is cut off", "", "Copy it again", file=path)
        magic, header, flags, compression, *sizes, _ = _BLOCK.unpack_from(raw, start)
        plain = (b"\xd3BLK", _BLOCK.size - 6, 0, bytes(4))
        if (magic, header, flags, compression) != plain or len(set(sizes)) > 1:
            allowed = "Must be a block of one size, neither compressed nor streamed"
            raise InputError(f"block {number} is not plain", allowed, file=path)
        start += _BLOCK.size + sizes[0]
        number += 1
    if start > len(raw):
        raise InputError(f"block {number - 1} is cut off", "", "Copy it again", file=path)
    return number


_YAML = "tag:yaml.org,2002:"
_NUMBERS = (f"{_YAML}int", f"{_YAML}float")
_PLAIN_TAGS = {f"{_YAML}{t}" for t in ("bool", "map", "null", "seq", "str", "timestamp")}
_PLAIN_TAGS |= set(_NUMBERS)
_NDARRAY = "tag:stsci.edu:asdf/core/ndarray-"
_ALLOWED_TAGS = re.compile(
    r"asdf://specwcs\.org/tags/.+"
    r"|tag:astropy\.org:(astropy/(coordinates|nddata|table|time|transform|units)|specutils)/.+"
    r"|tag:stsci\.edu:gwcs/.+"
    r"|tag:stsci\.edu:asdf/(table|time|transform|unit)/.+"
    r"|tag:stsci\.edu:asdf/core/"
    r"(asdf|complex|extension_metadata|history_entry|ndarray|software)-.+"
)


def _check_yaml(text, arrays, manager, path):
    """Check the tree as YAML nodes: nothing is built from it yet."""
    try:
        _count(text, path)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        raise InputError(
            f"its YAML cannot be parsed ({getattr(err, 'problem', None) or _sentence(err)})",
            file=path,
            line=mark.line + 1 if mark else None,
        ) from err

    def check(node):
        place = {"file": path, "line": node.start_mark.line + 1}
        _check_tag(node, manager, place)
        if isinstance(node, yaml.MappingNode):
            _check_keys(node, place)
            if node.tag.startswith(_NDARRAY):
                arrays.check(node, place)
        elif node.tag in _NUMBERS and len(node.value) > MAX_NUMBER_LENGTH:
            raise InputError("a number of too many digits", **place)

    _walk(root, check, {}, path)


def _count(text, path):
    """Refuse trees too large or too deep to be composed."""
    nodes = depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        nodes += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            _refuse_size(path, event.start_mark.line + 1)


def _refuse_size(path, line):
    allowed = f"At most {MAX_NODES} nodes and {MAX_DEPTH} levels, aliases followed"
    raise InputError("the tree is too large", allowed, file=path, line=line)


def _walk(node, check, sizes, path):
    """Check each node once; return how many nodes and levels it is when aliases are followed.

    An alias stands after what it refers to, so that the recursion is no deeper than the text.
    """
    if id(node) in sizes:
        return sizes[id(node)]
    line = node.start_mark.line + 1
    sizes[id(node)] = (MAX_NODES + 1, 0)  # met again while it is open: it contains itself
    check(node)
    children = [] if isinstance(node, yaml.ScalarNode) else node.value
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in children for part in pair]
    below = [_walk(child, check, sizes, path) for child in children]
    size = 1 + sum(nodes for nodes, _ in below)
    depth = 1 + max((levels for _, levels in below), default=0)
    if size > MAX_NODES or depth > MAX_DEPTH + 1:
        _refuse_size(path, line)
    sizes[id(node)] = (size, depth)
    return size, depth


def _check_tag(node, manager, place):
    if node.tag in _PLAIN_TAGS:
        return
    if not _ALLOWED_TAGS.fullmatch(node.tag):
        raise InputError(f"tag {node.tag} is not allowed", **place)
    if not manager.handles_tag(node.tag):
        remedy = "Update asdf, asdf-astropy and gwcs"
        raise InputError(f"unknown tag {node.tag}", "", remedy, **place)


def _check_keys(node, place):
    keys = [key.value if isinstance(key, yaml.ScalarNode) else None for key, _ in node.value]
    if None in keys:
        raise InputError("a key is no plain word", **place)
    if "$ref" in keys:
        raise InputError("$ref: references are not followed", **place)
    if len(set(keys)) < len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise InputError(f"key '{twice}' is there twice", **place)


class _Arrays:
    """What an array of the file may be: in a block of it, and no larger than the file."""

    def __init__(self, n_blocks, n_bytes):
        self.n_blocks, self.n_bytes = n_blocks, n_bytes

    def check(self, node, place):
        """Check the description of an array; data within the YAML are bounded by its nodes."""
        items = {key.value: value for key, value in node.value}
        if "source" not in items:
            return
        source = self._integer(items["source"], "source", place)
        if source >= self.n_blocks:
            allowed = f"Must be the number of one of the {self.n_blocks} blocks"
            raise InputError(f"an array in block {source}", allowed, **place)
        if not isinstance(items.get("shape"), yaml.SequenceNode):
            raise InputError("an array without a shape", **place)
        shape = [self._integer(n, "shape", place) for n in items["shape"].value]
        # With strides, a small block can pose as an endless array.
        if prod(shape) * self._item_size(items.get("datatype"), place) > self.n_bytes:
            raise InputError(f"an array of shape {shape}", "Must fit in the file", **place)

    @staticmethod
    def _integer(node, what, place):
        if isinstance(node, yaml.ScalarNode) and re.fullmatch(r"\d{1,18}", node.value, re.ASCII):
            return int(node.value)
        allowed = "Must be a whole number: arrays in other files are not read"
        raise InputError(f"an array whose {what} is '{node.value}'", allowed, **place)

    def _item_size(self, node, place):
        if isinstance(node, yaml.SequenceNode) and len(node.value) == 2:
            width = {"ascii": 1, "ucs4": 4}.get(node.value[0].value)
            if width:
                return width * self._integer(node.value[1], "datatype", place)
        elif isinstance(node, yaml.ScalarNode) and re.fullmatch(r"[a-z]+\d+", node.value):
            name = "bool" if node.value == "bool8" else node.value
            with suppress(TypeError):
                return np.dtype(name).itemsize
        raise InputError("an array of unknown datatype", **place)
