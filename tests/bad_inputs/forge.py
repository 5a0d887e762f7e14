"""Files as somebody else could make them: forged ASDF with a valid checksum."""

import hashlib
import struct

from fuzz import seal

__all__ = ["array", "asdf_file", "block", "seal"]

HEAD = b"#ASDF 1.0.0\n#ASDF_STANDARD 1.6.0\n"
YAML = b"%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n"


def asdf_file(yaml, *blocks):
    """Make a sealed file of some YAML below the root, and blocks."""
    return seal(HEAD + YAML + yaml.encode() + b"\n...\n" + b"".join(blocks))


def block(data, *, compression=b"", data_size=None, used_size=None, flags=0):
    """Make a binary block; the sizes may lie."""
    used = len(data) if used_size is None else used_size
    sizes = (used, used, used if data_size is None else data_size)
    digest = hashlib.new("md5", data, usedforsecurity=False).digest()
    header = struct.pack(">I4sQQQ16s", flags, compression.ljust(4, b"\0"), *sizes, digest)
    return b"\xd3BLK" + struct.pack(">H", len(header)) + header + data


def array(extra="", *, source="0", shape="[3]", datatype="float64"):
    """Describe an array that is stored in a block."""
    body = f"source: {source}, shape: {shape}, datatype: {datatype}, byteorder: little{extra}"
    return f"!core/ndarray-1.1.0 {{{body}}}"
