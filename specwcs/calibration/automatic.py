"""From frames to a calibration with no hand: measure, identify, solve.

Edges come from the flat, wavelengths from the arc; both become `Markers`, and `solve`
does the rest as it does for markers placed by hand.
"""

import datetime
import platform
from importlib import metadata

import numpy as np
from astropy.nddata import CCDData
from threadpoolctl import threadpool_limits

from specwcs.errors import FitError
from specwcs.inputs import read_frame
from specwcs.inputs.frame import PixelFlag
from specwcs.markers import Markers
from specwcs.measure import (
    arc_spectra,
    find_traces,
    identify,
    measure_lines,
    traces_from_mask,
)
from specwcs.measure.reduce import canonical_data

from .bundle import setup_of
from .solve import solve

__all__ = ["calibrate"]

_NOMINAL_SIGMA = 1.0  # px: of edges that no frame shows
_NOMINAL_EDGES = 32
_NOMINAL = "not seen: laid out by the nominal values"
_FEW_SLITS = 3
_HARMLESS = ("ok", "edges not measured")


# The matrices are small: more than one BLAS thread only waits for the other.
@threadpool_limits.wrap(limits=1, user_api="blas")
def calibrate(instrument, mask, *, arc, catalog, flat=None, bias=None, opt="auto", crv="auto",
              ids="auto", progress=None):  # fmt: skip
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
    bias : path or list of paths, optional
        Subtracted from frames that are given as paths.
    opt : tuple of int or "auto"
        Degrees of OPT in X and Y.
    crv, ids : tuple of int or "auto"
        Local degree, field degrees in x and y.
    progress : callable, optional
        Called with a few words at the start of each step.

    Returns
    -------
    Calibration
        Slits that could not be calibrated are flagged with a reason in ``slits``.

    Raises
    ------
    FitError
        If the layout of the slits or the wavelengths cannot be told, or the degrees asked
        for are not determined.
    InputError
        If a file cannot be used.
    """
    say = progress or _silent
    say("reading frames")
    arc = _frame(arc, instrument, bias)
    flat = None if flat is None else _frame(flat, instrument, bias)
    say("finding the slits")
    candidates, origin = _traces(flat, arc, mask, instrument)
    say("identifying the lines of the arc")
    traces, identification = _identified(candidates, arc, instrument, catalog)
    say("measuring the lines")
    lines = measure_lines(
        *canonical_data(arc, instrument),
        traces,
        identification,
        catalog,
        instrument,
        saturated=_saturated(arc, instrument),
    )
    say("fitting the models")
    flips = (identification.flip_u, traces.flip_v)
    markers = Markers.join(
        [
            _line_markers(lines, instrument),
            _edge_markers(traces, instrument),
        ]
    )
    return solve(
        instrument,
        mask,
        markers,
        medium=catalog.medium,
        opt=opt,
        crv=crv,
        ids=ids,
        flips=flips if instrument.direction.along_x else flips[::-1],
        faults=_faults(mask, traces, identification),
        provenance=_provenance(instrument, mask, flat, arc, catalog, origin, identification),
    )


def _silent(step):
    """Report no progress."""


def _frame(given, instrument, bias):
    return given if isinstance(given, CCDData) else read_frame(given, instrument, bias=bias)


def _traces(flat, arc, mask, instrument):
    """Find the slits, and say where: on the flat, on the arc, or from the mask alone."""
    if flat is not None:
        return find_traces(flat, mask, instrument), "flat"
    try:
        found = find_traces(arc, mask, instrument)
    except FitError:
        found = [traces_from_mask(mask, instrument, flip) for flip in (False, True)]
        found = found[: 1 if len(mask) == 1 else 2]
    return found, "arc" if any(np.any(t.edges["used"]) for t in found) else "mask"


def _identified(candidates, arc, instrument, catalog):
    """Identify the arc under each layout that is possible; return the best that holds."""
    data, variance, bad = canonical_data(arc, instrument)
    tried = []
    for traces in candidates:
        spectra = arc_spectra(data, variance, bad, traces, instrument)
        tried.append((traces, identify(spectra, traces, instrument, catalog)))
    held = [pair for pair in tried if pair[1].ok]
    if not held:
        reason = tried[0][1].reason
        msg = (
            f"the lines of the arc are not identified: {reason}. Check that the catalogue has "
            "the lamps of the arc, and linear_dispersion and reference_lambda."
        )
        raise FitError(msg)
    return max(held, key=lambda pair: pair[1].score)


def _saturated(frame, instrument):
    """Return the pixels flagged as saturated, in the canonical frame; None if not known."""
    if frame.flags is None:
        return None
    flags = np.asarray(frame.flags) & PixelFlag.SATURATED
    return instrument.direction.canonical_image(flags != 0)


def _line_markers(lines, instrument):
    x, y = instrument.direction.detector_pixel(
        np.asarray(lines["p"], float), np.asarray(lines["q"], float), instrument.shape
    )
    return Markers.of(
        "line",
        np.asarray(lines["slit"]),
        np.asarray(lines["t"], float),
        x,
        y,
        wavelength=np.asarray(lines["wavelength"], float),
        sigma=np.asarray(lines["sigma"], float),
        used=np.asarray(lines["used"]),
        reason=np.asarray(lines["reason"]),
    )


def _edge_markers(traces, instrument):
    """Return the edges that were measured.

    Where only a few slits are there, no other stands in for an edge that was not seen, off
    the frame perhaps: it is laid out as the nominal values have it.
    """
    table = traces.edges
    p, q = np.asarray(table["p"], float), np.asarray(table["q"], float)
    x, y = instrument.direction.detector_pixel(p, q, instrument.shape)
    measured = Markers.of(
        "edge",
        np.asarray(table["slit"]),
        np.asarray(table["t"], float),
        x,
        y,
        sigma=np.asarray(table["sigma"], float),
        used=np.asarray(table["used"]),
        reason=np.asarray(table["reason"]),
    )
    if len(traces.mask) > _FEW_SLITS and np.any(measured["used"]):
        return measured
    p = np.linspace(0, traces.shape[1] - 1, _NOMINAL_EDGES)
    nominal = []
    for key in traces.mask:
        for t in (0.0, 1.0):
            if np.any(measured["used"] & (measured["slit"] == key) & (measured["t"] == t)):
                continue
            x, y = instrument.direction.detector_pixel(p, traces.q(key, t, p), instrument.shape)
            nominal.append(Markers.of("edge", key, t, x, y, sigma=_NOMINAL_SIGMA, reason=_NOMINAL))
    return Markers.join([measured, *nominal])


def _faults(mask, traces, identification):
    """Flag and reason of the slits that the measurement could not calibrate."""
    faults = {key: ("doubtful", reason) for key, reason in mask.faults.items() if key in mask}
    for key, slit in identification.slits.items():
        if not slit.ok:
            faults[key] = (slit.status, slit.reason)
    for key, (flag, reason) in traces.status.items():
        # A long slit that overfills the frame is as it should be.
        if flag not in _HARMLESS and not (len(mask) == 1 and flag == "partly off detector"):
            faults[key] = (flag, reason)
    return faults


def _provenance(instrument, mask, flat, arc, catalog, origin, identification):
    packages = ("specwcs", "astropy", "gwcs", "asdf", "numpy", "scipy")
    return {
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in packages},
        "inputs": {
            "instrument": _sources(instrument.source),
            "mask": _sources(mask.source),
            "catalog": _sources(*catalog.sources),
            "flat": _frame_sources(flat),
            "arc": _frame_sources(arc),
            "bias": _frame_sources(arc, "bias"),
        },
        "setup": setup_of(arc),
        "edges": f"from the {origin}",
        "identification": {
            "explained": float(identification.explained),
            "held_out_px": float(identification.held_out),
            "contrast": float(identification.contrast),
            "fwhm_px": float(identification.fwhm),
        },
    }


def _sources(*sources):
    return [{"path": str(s.path), "sha256": s.sha256} for s in sources if s is not None]


def _frame_sources(frame, kind="files"):
    if frame is None:
        return []
    return [dict(entry) for entry in frame.meta.get(kind, [])]
