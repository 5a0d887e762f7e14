"""FORS slits, in the FITS headers of its frames: masks (MXU) and movable slitlets (MOS).

MXU: slit *n* (101, 102, ...) has ``ESO INS MOSn XPOS``, ``YPOS`` (mm, centre), ``WID``, ``LEN``
(arcsec), ``RA``, ``DEC`` (degrees); also under ``ESO INS SLITn``. MOS: slitlet *n* (1 to 19) has
``ESO INS MOSn POS`` (mm along the dispersion) and ``WID`` (arcsec); where each lies across the
dispersion is fixed. The dispersion runs along X.

Sources: headers of FORS2 frames as public programs read them (MXU), FORS user manual
(VLT-MAN-ESO-13100-1543: 19 slitlets of 20 and 22 arcsec), ESO FORS pipeline (places of the
slitlets in mm, 0.53316 mm per arcsec, slitlets beyond 115 mm are out of the field). Not checked
against a frame.
"""

from specwcs.errors import InputError
from specwcs.inputs.designs._rows import angle, indices, number, shown, slit_row
from specwcs.inputs.sky import fit_sky

NAME = "FORS header"

MM_PER_ARCSEC = 0.53316

PITCH = 12.0
"""Between neighbouring slitlets, mm; the tenth is in the middle, the first on top."""

LENGTHS = {1: 11.8, 0: 10.6}
"""Of the slitlets with odd and with even numbers, mm: 22 and 20 arcsec."""

_N_SLITLETS, _MIDDLE = 19, 10
_PARKED = 115.0  # mm


def recognises(hdus):
    """Whether the primary header is that of FORS1 or FORS2."""
    return str(hdus[0].header.get("INSTRUME", "")).upper().startswith("FORS")


def rows(hdus, path):
    """Read the slits; see `specwcs.inputs.designs.mms.rows`."""
    header = hdus[0].header
    for prefix in ("MOS", "SLIT"):
        if numbers := indices(header, rf"ESO INS {prefix}(\d{{3}}) XPOS"):
            return _masked(header, f"ESO INS {prefix}", numbers, path)
    if numbers := indices(header, r"ESO INS MOS(\d{1,2}) POS"):
        return _slitlets(header, numbers, path)
    raise InputError(
        "no slit in the header",
        "Must have ESO INS MOSn XPOS (mode MXU) or ESO INS MOSn POS (mode MOS).",
        "Frames of a long slit have none: write a mask file (.mdf)",
        file=path,
    )


def _masked(header, prefix, numbers, path):
    made, places = [], {}
    for n in numbers:
        x, y, width, length = (
            number(header, f"{prefix}{n} {key}", path) for key in ("XPOS", "YPOS", "WID", "LEN")
        )
        sides = MM_PER_ARCSEC * width, MM_PER_ARCSEC * length
        made.append(slit_row(n, x, y, *sides, width=width, length=length))
        sky = [angle(header, f"{prefix}{n} {key}", path) for key in ("RA", "DEC")]
        places[str(n)] = (x, y, *sky)
    notes = [
        f"sizes in mm are those in arcsec times {MM_PER_ARCSEC}",
        "reference holes are not marked in the header: set REF in the mask file",
    ]
    return made, [*notes, *fit_sky(made, places)], {}


def _slitlets(header, numbers, path):
    made, parked = [], []
    for n in numbers:
        if not 1 <= n <= _N_SLITLETS:
            msg = f"header card ESO INS MOS{n} POS"
            raise InputError(msg, f"Slitlets count from 1 to {_N_SLITLETS}.", file=path)
        x = number(header, f"ESO INS MOS{n} POS", path)
        width = number(header, f"ESO INS MOS{n} WID", path)
        if abs(x) > _PARKED:
            parked.append(str(n))
            continue
        y, dimy = PITCH * (_MIDDLE - n), LENGTHS[n % 2]
        sizes = {"width": width, "length": dimy / MM_PER_ARCSEC}
        made.append(slit_row(n, x, y, MM_PER_ARCSEC * width, dimy, **sizes))
    notes = [f"slitlets {shown(parked)} are out of the field and left out"] * bool(parked)
    notes.append(f"widths in mm are those in arcsec times {MM_PER_ARCSEC}")
    return made, [*notes, "no sky coordinates: the header has none of slitlets"], {}
