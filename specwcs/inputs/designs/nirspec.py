"""NIRSpec MSA metadata: which shutters of the micro-shutter array are open.

Table ``SHUTTER_INFO``, one row a shutter and dither: ``slitlet_id``, ``msa_metadata_id`` (the
configuration), ``shutter_quadrant`` (1 to 4), ``shutter_row`` (1 to 365, along the dispersion),
``shutter_column`` (1 to 171, across it), ``shutter_state``, ``source_id``,
``estimated_source_in_shutter_x``, ``_y`` (0 to 1, lower left to upper right),
``dither_point_index``. Table ``SOURCE_INFO``: ``source_id``, ``ra``, ``dec`` (degrees). The
shutters of a slitlet are neighbours in one row of one quadrant, and make one slit.

The positions in mm are built from published averages: pitch 0.105 × 0.204 mm (0.268 × 0.530
arcsec), open area 0.20 × 0.46 arcsec, gaps between the quadrants of 23 (along the dispersion) and
37 arcsec. Assumed: X along the dispersion, quadrants 3 and 1 above 4 and 2, 1 and 2 on the right,
rows counted to the right and columns upwards in each. The gaps are known to about 1 mm only.

Sources: jwst documentation, MSA metadata file; JWST user documentation, NIRSpec micro-shutter
assembly.
"""

import numpy as np

from specwcs.errors import InputError
from specwcs.inputs.designs._rows import columns, shown, slit_row, table, whole
from specwcs.inputs.sky import fit_sky

NAME = "NIRSpec MSA metadata file"

PITCH = np.array([0.105, 0.204])
"""From shutter to shutter, mm: along and across the dispersion."""

PITCH_ARCSEC = np.array([0.268, 0.530])
OPEN_ARCSEC = np.array([0.20, 0.46])
GAP_ARCSEC = np.array([23.0, 37.0])
SHUTTERS = np.array([365, 171])

_SIDES = {1: (1, 1), 2: (1, -1), 3: (-1, 1), 4: (-1, -1)}
_NEEDED = (
    *("slitlet_id", "msa_metadata_id", "shutter_quadrant", "shutter_row", "shutter_column"),
    "shutter_state*",
)
_SOURCES = (
    *("source_id", "estimated_source_in_shutter_x", "estimated_source_in_shutter_y"),
    "dither_point_index",
)


def recognises(hdus):
    """Whether there is a table SHUTTER_INFO."""
    return table(hdus, "SHUTTER_INFO") is not None


def rows(hdus, path):
    """Read the slitlets; see `specwcs.inputs.designs.mms.rows`."""
    info = columns(table(hdus, "SHUTTER_INFO"), _NEEDED, path, optional=_SOURCES)
    is_open = np.char.upper(info["shutter_state"]) == "OPEN"
    info = {name: values[is_open] for name, values in info.items()}
    if not is_open.any():
        raise InputError("no open shutter in SHUTTER_INFO", file=path)
    _check(info, path)
    slitlets, n_configurations = _slitlets(info, path)
    made, doubts = [], {}
    for slitlet_id, shutters in slitlets.items():
        made.append(_slit(whole(slitlet_id), shutters))
        if reason := _scattered(shutters):
            doubts[whole(slitlet_id)] = reason
    notes = [
        "mm are built from average pitches and gaps of the array, and an assumed layout; the "
        "quadrants may be off by about 1 mm from each other",
    ]
    if n_configurations > 1:
        notes.append(f"{n_configurations} configurations open the same shutters")
    return made, [*notes, *fit_sky(made, _places(hdus, info, path))], doubts


def _check(info, path):
    limits = {
        "shutter_quadrant": 4,
        "shutter_row": SHUTTERS[0],
        "shutter_column": SHUTTERS[1],
    }
    for name, most in limits.items():
        wrong = info[name][~((info[name] >= 1) & (info[name] <= most))]
        if len(wrong):
            msg = f"{name} is {wrong[0]:g} in SHUTTER_INFO"
            raise InputError(msg, f"Must be from 1 to {most}.", file=path)


def _slitlets(info, path):
    """Return the shutters (quadrant, row, column) of each slitlet; the number of configurations."""
    found = {}
    for slitlet, configuration, *shutter in np.column_stack([info[n] for n in _NEEDED[:5]]):
        found.setdefault(configuration, {}).setdefault(slitlet, set()).add(tuple(shutter))
    first, *others = found.values()
    if any(other != first for other in others):
        raise InputError(
            f"configurations {shown(map(whole, found))} (msa_metadata_id) open different shutters",
            "A mask is one configuration.",
            "Keep the rows with the MSAMETID of the exposure in a copy of the file",
            file=path,
        )
    return first, len(found)


def _centre(quadrant, row, column):
    """Return the centre of a shutter on the array, mm."""
    gap = GAP_ARCSEC * PITCH / PITCH_ARCSEC
    size = SHUTTERS * PITCH
    corner = np.where(np.array(_SIDES[int(quadrant)]) > 0, gap / 2, -gap / 2 - size)
    return corner + (np.array([row, column]) - 0.5) * PITCH


def _slit(slitlet_id, shutters):
    """Return one slit over all shutters of a slitlet, from the first to the last."""
    centres = np.array([_centre(*shutter) for shutter in shutters])
    low, high = centres.min(axis=0), centres.max(axis=0)
    dimx, dimy = high - low + OPEN_ARCSEC * PITCH / PITCH_ARCSEC
    width, length = np.array([dimx, dimy]) * PITCH_ARCSEC / PITCH
    return slit_row(slitlet_id, *(low + high) / 2, dimx, dimy, width=width, length=length)


def _scattered(shutters):
    """Say why the shutters are not one slit; nothing if they are."""
    quadrants, lines, numbers = (sorted({int(s[k]) for s in shutters}) for k in range(3))
    if len(quadrants) > 1 or len(lines) > 1:
        return "its shutters are in several rows or quadrants"
    if numbers[-1] - numbers[0] != len(numbers) - 1:
        return "its shutters are not neighbours: there are closed ones between"
    return ""


def _places(hdus, info, path):
    """Return the places of the sources in the first dither, by slitlet."""
    sources = table(hdus, "SOURCE_INFO")
    if sources is None or not all(name in info for name in _SOURCES):
        return {}
    catalog = columns(sources, ("source_id", "ra", "dec"), path)
    sky = {source: place for source, *place in np.column_stack(list(catalog.values()))}
    places = {}
    first = info["dither_point_index"] == info["dither_point_index"].min()
    for k in np.flatnonzero(first & (info["source_id"] > 0)):
        inside = np.array([info[name][k] for name in _SOURCES[1:3]])
        if info["source_id"][k] in sky and np.isfinite(inside).all():
            shutter = [info[name][k] for name in _NEEDED[2:5]]
            point = _centre(*shutter) + (inside - 0.5) * PITCH
            places.setdefault(
                whole(info["slitlet_id"][k]),
                tuple(map(float, (*point, *sky[info["source_id"][k]]))),
            )
    return places
