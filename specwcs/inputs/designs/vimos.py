"""VIMOS slits, in the FITS headers of its frames and of its aperture definition files.

``ESO INS SLIT NO`` slits *i*, of ``ESO INS SLITi TYPE`` RECTANGLE (``X``, ``Y``, ``DIMX``,
``DIMY``, mm) or CURVE: the centre line is x(t) = XX + CX t + BX t² + AX t³, likewise y, with
``ESO INS SLITi BEZIER XX AX BX CX YY AY BY CY`` (mm) and t from 0 to 1; ``BEZIER DY`` (mm) is
its width. ``ESO INS REF NO`` reference holes *i* have ``ESO INS REFi X``, ``Y``, ``DIMX``,
``DIMY``. ``OBJ RA``, ``OBJ DEC`` of either are in degrees, J2000. ``ESO TEL FOCU SCALE`` is the
scale in arcsec per mm. The dispersion runs along Y; slits lie along X.

Sources: ESO VIMOS pipeline (cpl-plugin-vimos), its keyword tables and its reader of aperture
definition files; ESO-VLT-DIC.VIMOS_MPS. That DY is the whole width, not half of it, is taken
from its description ("Bezier slit width").
"""

import numpy as np

from specwcs.errors import InputError
from specwcs.inputs.designs._rows import angle, number, slit_row
from specwcs.inputs.sky import fit_sky

NAME = "VIMOS header"

_SLIT, _REF = "ESO INS SLIT{}", "ESO INS REF{}"
_TYPES = ("RECTANGLE", "CURVE")


def recognises(hdus):
    """Whether the primary header is VIMOS's."""
    return str(hdus[0].header.get("INSTRUME", "")).upper().startswith("VIMOS")


def rows(hdus, path):
    """Read the slits and reference holes; see `specwcs.inputs.designs.mms.rows`."""
    header = hdus[0].header
    scale = number(header, "ESO TEL FOCU SCALE", path, default=0.0)
    n_slits = _count(header, "ESO INS SLIT NO", path)
    if n_slits == 0:
        raise InputError(
            "no slit in the header", "ESO INS SLIT NO counts them, and is 0 or missing.", file=path
        )
    made, places = [], {}
    for i in range(1, n_slits + 1):
        made.append(_slit(header, i, scale, path))
        _note_place(places, made[-1], header, _SLIT.format(i), path)
    for i in range(1, _count(header, "ESO INS REF NO", path) + 1):
        made.append(_reference(header, i, scale, path))
        _note_place(places, made[-1], header, _REF.format(i), path)
    notes = fit_sky(made, places)
    if not scale:
        notes.insert(0, "sizes in arcsec are unknown: ESO TEL FOCU SCALE is missing")
    return made, notes, {}


def _count(header, key, path):
    count = number(header, key, path, default=0.0)
    if not (count.is_integer() and 0 <= count <= 10_000):
        msg = f"header card {key} is {count:g}"
        raise InputError(msg, "Must be a number of slits.", file=path)
    return int(count)


def _slit(header, i, scale, path):
    from specwcs.inputs._fits import card

    key = _SLIT.format(i)
    kind = str(card(header, f"{key} TYPE", path) or "RECTANGLE").strip().upper()
    if kind not in _TYPES:
        msg = f"header card {key} TYPE is '{kind}'"
        raise InputError(msg, f"Must be {' or '.join(_TYPES)}.", file=path, slit=str(i))
    if kind == "CURVE":
        return _curved(header, i, scale, path)
    x, y, dimx, dimy = (number(header, f"{key} {k}", path) for k in ("X", "Y", "DIMX", "DIMY"))
    return slit_row(i, x, y, dimx, dimy, width=scale * dimy, length=scale * dimx)


def _curved(header, i, scale, path):
    """Turn the polynomial in t into the control points of the same cubic."""
    key = f"{_SLIT.format(i)} BEZIER"
    width = number(header, f"{key} DY", path)
    p, c, b, a = (
        np.array([number(header, f"{key} {name}", path) for name in names])
        for names in (("XX", "YY"), ("CX", "CY"), ("BX", "BY"), ("AX", "AY"))
    )
    control = np.array([p, p + c / 3, p + (2 * c + b) / 3, p + c + b + a])
    x, y = p + c / 2 + b / 4 + a / 8
    length = np.hypot(*(control[-1] - control[0]))
    row = slit_row(i, x, y, length, width, width=scale * width, length=scale * length)
    return row | {"CURVE": control}


def _reference(header, i, scale, path):
    key = _REF.format(i)
    x, y, dimx = (number(header, f"{key} {k}", path) for k in ("X", "Y", "DIMX"))
    dimy = number(header, f"{key} DIMY", path, default=dimx)
    sizes = {"width": scale * dimy, "length": scale * dimx}
    return slit_row(f"ref{i}", x, y, dimx, dimy, **sizes, reference=True)


def _note_place(places, row, header, key, path):
    sky = [angle(header, f"{key} OBJ {k}", path) for k in ("RA", "DEC")]
    places[row["ID"]] = (row["X"], row["Y"], *sky)
