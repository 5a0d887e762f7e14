"""From frames to a calibration with no hand: measure, identify, solve.

Edges come from the flat, wavelengths from the arc; both become `Markers`, and `solve`
does the rest as it does for markers placed by hand.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from specwcs.errors import check_type
from specwcs.inputs import Instrument, LineCatalog, Mask
from specwcs.markers import Markers
from specwcs.measure.find import ASTRAY
from specwcs.models import OpticalModel

from .confirm import lines_that_confirm
from .field_fit import check_degrees
from .imaging import fit_image
from .measured import (
    arc_lines,
    check_together,
    edge_markers,
    frame_of,
    frame_traces,
    identified,
    without_dead,
)
from .provenance import provenance, sources_of
from .solve import solve

__all__ = ["calibrate"]

_HARMLESS = ("ok", "edges not measured")


# The matrices are small: more than one BLAS thread only waits for the other.
@threadpool_limits.wrap(limits=1, user_api="blas")
def calibrate(instrument, mask, *, arc, catalog, flat=None, image=None, bias=None, opt="auto",
              crv="auto", ids="auto", progress=None):  # fmt: skip
    """Calibrate an instrument with a mask from a flat and an arc.

    Parameters
    ----------
    instrument : Instrument
        Its nominal values may be off: scale and dispersion by some 5 %, positions by 15 %
        of the frame; the mask may be mirrored.
    mask : Mask
    arc : CCDData, path, or list of paths
        Frames of a list are summed.
    catalog : LineCatalog
        The lines that the arc may show; its medium is that of the calibration.
    flat : CCDData, path, or list of paths, optional
        Through the slits. Without it edges are taken from the arc where it shows them, else
        from the mask.
    image : CCDData, path, or list of paths, optional
        Through the mask with the disperser out: OPT has the shape that it shows, of the degrees
        `opt`, and what flat and arc tell is added to it.
    bias : path or list of paths, optional
        Subtracted from frames that are given as paths.
    opt : tuple of int, "auto", or OpticalModel
        Degrees of OPT in X and Y, at most 9. Or its shape, such as that of a mask of pinholes, see
        `fit_image`: what flat and arc tell is added to it.
    crv, ids : tuple of int or "auto"
        Local degree, field degrees in x and y, at most 9.
    progress : callable, optional
        Called with a few words at the start of each step.

    Returns
    -------
    Calibration
        Slits that could not be calibrated are flagged with a reason in ``slits``.

    Raises
    ------
    FitError
        If the layout of the slits or the wavelengths cannot be told, flat and arc are not of one
        setting, or the degrees asked for are not determined.
    InputError
        If a file or an argument cannot be used.
    """
    check_type(Instrument, instrument=instrument)
    check_type(Mask, mask=mask)
    check_type(LineCatalog, catalog=catalog)
    # Refused now, not after all is measured. OPT may be a shape where no image gives it.
    shape = image is None and isinstance(opt, OpticalModel)
    check_degrees(opt="auto" if shape else opt, crv=crv, ids=ids)
    say = progress or _silent
    say("reading frames")
    arc = frame_of(arc, instrument, bias)
    flat, image = (None if f is None else frame_of(f, instrument, bias) for f in (flat, image))
    arc = arc if flat is None else without_dead(arc, flat, instrument)
    say("finding the slits")
    candidates, origin = frame_traces(flat, arc, mask, instrument)
    say("identifying the lines of the arc")
    traces, identification = identified(candidates, arc, instrument, catalog)
    if flat is not None:
        check_together(arc, traces, identification, instrument)
    say("measuring the lines")
    lines = _in_place(arc_lines(arc, traces, identification, catalog, instrument), traces)
    say("fitting the models")
    flips = (identification.flip_u, traces.flip_v)
    flips = flips if instrument.direction.along_x else flips[::-1]
    if image is not None:
        opt = fit_image(instrument, mask, image, degrees=opt, flips=flips).model
    markers = Markers.join([lines, edge_markers(traces, instrument)])
    faults = _faults(mask, traces, identification)
    seen = lines["wavelength"].value[lines["used"]]
    confirm = lines_that_confirm(catalog, seen, instrument.linear_dispersion)
    record = _provenance(instrument, mask, flat, arc, image, catalog, origin, identification)
    del flat, arc, image, candidates  # the fits need memory, too
    return solve(
        instrument,
        mask,
        markers,
        medium=catalog.medium,
        opt=opt,
        crv=crv,
        ids=ids,
        flips=flips,
        faults=faults,
        confirm=confirm,
        provenance=record,
    )


def _in_place(lines, traces):
    """Leave out the lines of slits that are not where the mask has them: others' would suffer."""
    astray = [key for key, status in traces.status.items() if status.flag == ASTRAY]
    out = np.isin(lines["slit"], astray) & lines["used"]
    lines["reason"] = np.where(out, f"its slit is {ASTRAY}", lines["reason"])
    lines["used"] = lines["used"] & ~out
    return lines


def _silent(step):
    """Report no progress."""


def _faults(mask, traces, identification):
    """Flag and reason of the slits that the measurement could not calibrate."""
    faults = {key: ("doubtful", reason) for key, reason in mask.faults.items() if key in mask}
    for key, slit in identification.slits.items():
        if not slit.ok:
            faults[key] = (slit.status, slit.reason)
    for key, (flag, reason) in traces.status.items():
        if flag not in _HARMLESS:
            faults[key] = (flag, reason)
    return faults


def _provenance(instrument, mask, flat, arc, image, catalog, origin, identification):
    frames = {"flat": sources_of(flat), "arc": sources_of(arc), "image": sources_of(image)}
    return provenance(
        {
            "instrument": sources_of(instrument.source),
            "mask": sources_of(mask.source),
            "catalog": sources_of(*catalog.sources),
            **frames,
            "bias": sources_of(arc, kind="bias"),
        },
        arc,
        edges=f"from the {origin}",
        identification={
            "explained": float(identification.explained),
            "held_out_px": float(identification.held_out),
            "contrast": float(identification.contrast),
            "fwhm_px": float(identification.fwhm),
        },
        lamp=_lamp(catalog, identification),
    )


def _lamp(catalog, identification):
    """Return what the catalogue says of how bright lines are: another arc is recognised by it."""
    looked_for = [slit.lines.wavelength for slit in identification.slits.values() if slit.lines]
    known = catalog.intensity > 0
    if looked_for:
        ends = np.concatenate(looked_for)
        known &= (catalog.wavelength >= ends.min()) & (catalog.wavelength <= ends.max())
    columns = ("wavelength", "label", "intensity")
    return {name: getattr(catalog, name)[known].tolist() for name in columns}
