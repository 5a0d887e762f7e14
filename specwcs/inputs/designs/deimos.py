"""DEIMOS mask designs: FITS files with the tables DesiSlits and BluSlits.

``BluSlits``: the slits as they are milled, by ``dSlitId``: corners ``slitX1``, ``slitY1`` to
``slitX4``, ``slitY4`` in mm, in a ring; corners 1 and 4 are at one end of the slit, 2 and 3 at
the other. ``DesiSlits``: what was asked for, by ``dSlitId``: ``slitLen``, ``slitWid`` (arcsec),
``slitRA``, ``slitDec`` (degrees, centre), ``slitTyp`` (A for an alignment box). Slits lie along X,
the dispersion runs along Y. The origin is that of the mask's milling, not the field's centre.
Frames of DEIMOS carry these tables, too.

Sources: DSIMULATOR of UCO/Lick, its table definitions and its order of corners; PypeIt
(slit mask of keck_deimos).
"""

import numpy as np

from specwcs.inputs.designs._rows import columns, shown, slit_row, table, whole
from specwcs.inputs.sky import fit_sky

NAME = "DEIMOS mask design (DesiSlits, BluSlits)"

_CORNERS = tuple(f"slit{axis}{n}" for n in (1, 2, 3, 4) for axis in "xy")
_SIZES = ("dslitid", "slitlen", "slitwid")
_UNEVEN = 0.2
"""Of its width: by how much the corners of a slit may depart from a parallelogram."""


def recognises(hdus):
    """Whether one of the two tables is there."""
    return any(table(hdus, name) is not None for name in ("BLUSLITS", "DESISLITS"))


def rows(hdus, path):
    """Read the slits; see `specwcs.inputs.designs.mms.rows`."""
    milled, asked = (_needed(hdus, name, path) for name in ("BLUSLITS", "DESISLITS"))
    blue = columns(milled, ("dslitid", *_CORNERS), path)
    design = columns(asked, _SIZES, path, optional=("slitra", "slitdec", "slittyp*"))
    by_id = {slit_id: k for k, slit_id in enumerate(design["dslitid"])}
    corners = np.array([blue[name] for name in _CORNERS]).T.reshape(-1, 4, 2)
    made, places, doubts, without = [], {}, {}, []
    for slit_id, ring in zip(blue["dslitid"], corners, strict=True):
        k = by_id.pop(slit_id, None)
        if k is None:
            without.append(whole(slit_id))
        made.append(_slit(whole(slit_id), ring, design, k))
        if _uneven(ring):
            doubts[whole(slit_id)] = "its corners are no parallelogram: taken as the nearest one"
        if k is not None and "slitra" in design and "slitdec" in design:
            sky = design["slitra"][k], design["slitdec"][k]
            places[whole(slit_id)] = (made[-1]["X"], made[-1]["Y"], *map(float, sky))
    notes = ["the origin is that of the mask's milling, which may not be the field's centre"]
    if without:
        notes.append(f"slits {shown(without)} are not in DesiSlits: sizes in arcsec unknown")
    if by_id:
        notes.append(f"slits {shown(map(whole, by_id))} are not in BluSlits and are left out")
    return made, [*notes, *fit_sky(made, places)], doubts


def _needed(hdus, name, path):
    from specwcs.errors import InputError
    from specwcs.inputs._fits import describe

    found = table(hdus, name)
    if found is None:
        msg = f"table {name} is missing"
        raise InputError(msg, f"A design has DesiSlits and BluSlits; this has {describe(hdus)}.",
                         file=path)  # fmt: skip
    return found


def _slit(slit_id, ring, design, k):
    """Turn four corners into the rectangle of the same centre line and area."""
    ends = np.array([ring[0] + ring[3], ring[1] + ring[2]]) / 2
    line = ends[0] - ends[1]
    length = np.hypot(*line)
    area = abs(_cross(ring[2] - ring[0], ring[3] - ring[1])) / 2
    width = area / length if length else 0.0
    # Along X the centre line turns counter-clockwise by this; a line has no sense of its own.
    turn = (np.degrees(np.arctan2(line[1], line[0])) + 90) % 180 - 90
    sizes = {} if k is None else {"width": design["slitwid"][k], "length": design["slitlen"][k]}
    reference = k is not None and "slittyp" in design and design["slittyp"][k].upper() == "A"
    x, y = ends.mean(axis=0)
    return slit_row(slit_id, x, y, length, width, rot=-turn, **sizes, reference=reference)


def _cross(a, b):
    return a[0] * b[1] - a[1] * b[0]


def _uneven(ring):
    """Whether a ring of corners departs from a parallelogram."""
    excess = np.hypot(*(ring[0] - ring[1] + ring[2] - ring[3]))
    return excess > _UNEVEN * np.hypot(*(ring[3] - ring[0] + ring[2] - ring[1])) / 2
