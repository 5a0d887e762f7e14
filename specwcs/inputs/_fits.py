"""Guarded reading of FITS files: size, completeness and checksums before any pixel is used.

A FITS file comes from outside and may be cut short, damaged, or made to fill the memory.
The file is read once, decompressed up to a limit, and its structure walked with our own
arithmetic; only then does `astropy.io.fits` see it.
"""

import bz2
import gzip
import hashlib
import io
import lzma
import math
import warnings
import zlib
from contextlib import contextmanager
from pathlib import Path

from astropy.io import fits

from specwcs.errors import InputError
from specwcs.inputs._text import Source, local_path

MAX_PIXELS = 2**28
"""Pixels in one HDU; a 16k × 16k mosaic. A header that claims more is refused unread."""

IMAGE_HDUS = (fits.PrimaryHDU, fits.ImageHDU, fits.CompImageHDU)

_BLOCK = 2880
_DECOMPRESSORS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}


def open_fits(path, limit):
    """Open a FITS file, plain or compressed by gzip, bzip2, xz or fpack.

    Parameters
    ----------
    path : str or path-like
    limit : int
        The largest number of bytes, after decompression, that the file may have.

    Returns
    -------
    hdus : astropy.io.fits.HDUList
        In memory; scaled on access.
    source : Source
        Path, and checksum of the FITS bytes after decompression.
    remarks : list of str
        What is odd about the file without making it useless.

    Raises
    ------
    InputError
        If the file is no FITS file, too large, cut short, or damaged.
    """
    path = local_path(path)
    raw = _read_bytes(path, limit)
    with warnings.catch_warnings(record=True) as caught, _damage_told(path, "the file"):
        warnings.simplefilter("always")
        remarks = _walk(raw, path)
        hdus = fits.open(io.BytesIO(raw), memmap=False, lazy_load_hdus=False, checksum=False)
        remarks += [r for hdu in hdus for r in _verify_checksum(hdu, path)]
        describe(hdus)  # what is asked of every header later, asked under guard
    remarks += [
        " ".join(str(w.message).split()) for w in caught if "truncated" not in str(w.message)
    ]
    return hdus, Source(str(path), hashlib.sha256(raw).hexdigest()), remarks


def describe(hdus):
    """List the HDUs of a file in words, for an error message."""
    return ", ".join(
        f"{number} {hdu.name or 'unnamed'} ({_shape_text(hdu)})" for number, hdu in enumerate(hdus)
    )


def pixels(hdu, path):
    """Return the data of an HDU, scaled; `InputError` where they cannot be decoded."""
    with warnings.catch_warnings(), _damage_told(path, f"the data of HDU {hdu.name}"):
        warnings.simplefilter("ignore")
        return hdu.data


def card(header, key, path):
    """Return the value of a header card, or None; name the card that cannot be read."""
    try:
        return header.get(key)
    except (fits.VerifyError, ValueError) as err:
        msg = f"broken header card '{_card_text(header, key)}'"
        raise InputError(msg, "", "Mend the card.", file=path) from err


def _card_text(header, key):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return header.cards[key].image.strip()
        except (fits.VerifyError, ValueError):
            return key


@contextmanager
def _damage_told(path, what):
    """Turn whatever a damaged file makes astropy raise into one kind of error."""
    try:
        yield
    except InputError:
        raise
    except Exception as err:
        msg = f"{what} cannot be decoded ({err})"
        raise InputError(msg, "", "It is damaged: copy it again.", file=path) from err


def _shape_text(hdu):
    axes = [hdu.header.get(f"NAXIS{n + 1}", 0) for n in range(hdu.header.get("NAXIS", 0))]
    kind = "" if isinstance(hdu, IMAGE_HDUS) else "table "
    return kind + "×".join(map(str, axes)) if axes else "no data"


def _read_bytes(path, limit):
    """Return the decompressed content of a file, read to its end mark."""
    with Path(path).open("rb") as stream:
        magic = stream.read(6)
    opener = next((o for m, o in _DECOMPRESSORS.items() if magic.startswith(m)), None)
    size = path.stat().st_size
    chunks, total = [], 0
    try:
        with opener(path) if opener else path.open("rb") as stream:
            # One chunk past the limit is enough to know; the end is reached otherwise, and
            # with it the checksum of the compressed stream.
            while chunk := stream.read(1 << 20):
                chunks.append(chunk)
                total += len(chunk)
                if total > limit:
                    msg = f"more than {limit} bytes after decompression"
                    raise InputError(
                        msg,
                        "No frame of this instrument is that large.",
                        "Check the file and xpixels, ypixels of the instrument.",
                        file=path,
                    )
    except EOFError as err:
        msg = f"the compressed stream ends at byte {size}, before its end mark"
        raise InputError(msg, "", "Copy the file again.", file=path) from err
    except (OSError, zlib.error, lzma.LZMAError) as err:
        msg = f"the compressed stream is damaged ({err})"
        raise InputError(msg, "", "Copy the file again.", file=path) from err
    return b"".join(chunks)


def _walk(raw, path):
    """Check that every HDU is complete and of a sane size, from the headers alone."""
    if not raw.startswith(b"SIMPLE  ="):
        raise InputError(_what_it_is(raw), "Must be a FITS file.", file=path)
    stream, position, number, remarks = io.BytesIO(raw), 0, 0, []
    while position < len(raw) and raw[position : position + _BLOCK].strip(b"\0 "):
        stream.seek(position)
        try:
            header = fits.Header.fromfile(stream)
        except (OSError, EOFError, ValueError, fits.VerifyError) as err:
            msg = f"the header of HDU {number} is incomplete or damaged ({err})"
            raise InputError(msg, "", "Copy the file again.", file=path) from err
        start = stream.tell()
        size = _data_size(header, number, path)
        if start + size > len(raw):
            msg = f"the data of HDU {number} need {size} bytes, the file has {len(raw) - start}"
            raise InputError(msg, "", "It is cut short: copy it again.", file=path)
        position = start + math.ceil(size / _BLOCK) * _BLOCK
        number += 1
    if position > len(raw):
        remarks.append(f"{position - len(raw)} bytes of padding are missing at the end")
    return remarks


def _data_size(header, number, path):
    """Return the bytes of data that a header announces."""

    def count(prefix):
        axes = card(header, f"{prefix}NAXIS", path) or 0
        sizes = [card(header, f"{prefix}NAXIS{n + 1}", path) for n in range(axes)]
        if not all(isinstance(size, int) and size >= 0 for size in sizes):
            msg = f"{prefix}NAXISn of HDU {number} are {sizes}"
            raise InputError(msg, "Must be whole numbers.", "Mend the header.", file=path)
        total = math.prod(sizes) if sizes else 0
        if total > MAX_PIXELS:
            msg = f"the header of HDU {number} claims {total} pixels"
            raise InputError(msg, f"At most {MAX_PIXELS}.", "Check the file.", file=path)
        return total

    count("Z")  # the image inside a tile-compressed table
    extra = card(header, "PCOUNT", path) or 0
    groups = card(header, "GCOUNT", path) or 1
    return abs(card(header, "BITPIX", path) or 8) // 8 * groups * (extra + count(""))


def _what_it_is(raw):
    """Say what a file that is no FITS file looks like."""
    if not raw:
        return "the file is empty (0 bytes)"
    start = raw[:512].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "this looks like HTML, an error page that was saved as a frame"
    return f"no FITS header ({len(raw)} bytes, beginning with {raw[:12]!r})"


def _verify_checksum(hdu, path):
    """Refuse data that do not match their DATASUM; a header that was edited is a remark."""
    if hdu.header.get("DATASUM") is not None and hdu.verify_datasum() == 0:
        msg = f"the data of HDU {hdu.name} do not match their DATASUM"
        raise InputError(msg, "", "They were damaged or changed: copy the file again.", file=path)
    if hdu.header.get("CHECKSUM") is not None and hdu.verify_checksum() == 0:
        yield f"the header of HDU {hdu.name} was edited after its CHECKSUM was written"
