"""The private folder through which images and regions are handed to DS9."""

import re
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from specwcs.errors import ViewerError

__all__ = ["private_folder", "write_image"]


def private_folder():
    """Make a temporary folder that only we can read.

    Its name goes into commands of DS9 and is that of sockets: short, ASCII, without spaces.
    """
    parent = tempfile.gettempdir()
    if not re.fullmatch(r"[\w/.+-]{1,60}", parent, re.ASCII):
        parent = "/tmp"
    return Path(tempfile.mkdtemp(prefix="specwcs-", dir=parent))


def write_image(path, image, title):
    """Write an image as a FITS file whose OBJECT is the title, as far as FITS allows."""
    header = fits.Header()
    plain = "".join(c if " " <= c <= "~" else "?" for c in title)
    header["OBJECT"] = plain[:68]
    try:
        fits.PrimaryHDU(np.asarray(image, dtype=">f4"), header).writeto(path)
    except OSError as err:
        raise ViewerError(
            f"the image cannot be handed to DS9: {path.parent} is full or gone ({err}). Make "
            "room there, or set TMPDIR to another folder, and open the viewer again"
        ) from err
