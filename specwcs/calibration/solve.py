"""From markers to a calibration: the one path of automatic and manual work.

OPT is fitted to boxes (where points of slits fall at the reference wavelength), CRV to
edges, IDS to lines. Without boxes they are derived from all lines and edges, so that no
bright isolated reference line is needed.
"""

from dataclasses import replace

import numpy as np
from astropy.table import QTable, vstack
from threadpoolctl import threadpool_limits

from specwcs.errors import InputError, check_type
from specwcs.inputs import Instrument, Mask
from specwcs.markers import Markers
from specwcs.measure.borders import BEYOND, LAID, PARTLY
from specwcs.measure.edges import UNEVEN
from specwcs.measure.traces import OFF_DETECTOR
from specwcs.models import OpticalModel

from .boxes import derive_boxes
from .bundle import Calibration, SlitStatus, no_markers
from .confirm import CONFIRM
from .fitter import MODELS, ModelFitter, residual_table
from .known import (
    KNOWN,
    edge_errors,
    known_ranges,
    left_alike,
    longest_known,
    wavelength_rows,
)
from .likely_fit import FAR

__all__ = ["assemble", "check_slits", "loose_ends", "solve"]

_BAD_RMS = 1.0  # px: a slit whose own lines scatter by more is not calibrated
_BAD_SIGMA = 1.0  # px: likewise where a wavelength in it is known no better
# px: an edge that is known better somewhere counts as seen; so does one of so many points.
_EDGE_SEEN, _EDGE_POINTS = 0.05, 4
_LEAST_KNOWN = 0.1  # of the stretch of its lines: a slit that is known over less is not calibrated
_EDGE_SHARE = 0.4  # of its wavelengths: a slit whose edges are known over less is not calibrated
_SIGMAS = 3.0  # a slit that is off the field is so by as many
_BAD_SHARE = 0.5  # likewise where more of its line points than this were rejected
_AGREE = 2  # good slits for each that contradicts them, at most: the layout may be wrong
_BOXES = ("box", "polygon")


# The matrices are small: more than one BLAS thread only waits for the other.
@threadpool_limits.wrap(limits=1, user_api="blas")
def solve(instrument, mask, markers, *, medium, opt="auto", crv="auto", ids="auto",
          flips=(False, False), faults=None, confirm=CONFIRM, provenance=None):  # fmt: skip
    """Fit OPT, CRV and IDS to markers.

    Parameters
    ----------
    instrument : Instrument
    mask : Mask
    markers : Markers
        Kinds edge and line are needed; box where reference positions were measured.
    medium : {"air", "vacuum"}
        Of the wavelengths of the markers.
    opt : tuple of int, "auto", or OpticalModel
        Degrees of OPT in X and Y, at most 9; or its shape, to which what the markers tell is added.
    crv, ids : tuple of int or "auto"
        Local degree, field degrees in x and y, at most 9.
    flips : tuple of bool
        Whether the mask is flipped in X and in Y.
    faults : mapping of str to (str, str), optional
        Flag and reason of slits that the measurement found at fault.
    confirm : int, optional
        How many lines beyond a gap confirm each other; fewer may be others.
    provenance : dict, optional

    Returns
    -------
    Calibration

    Raises
    ------
    FitError
        If the markers do not determine a model.
    InputError
        If degrees are invalid, or a marker names an unknown slit.
    """
    check_type(Instrument, instrument=instrument)
    check_type(Mask, mask=mask)
    mask = mask.oriented(instrument.direction, flipx=flips[0], flipy=flips[1])
    check_slits(markers, mask)
    used = markers[np.asarray(markers["used"])]
    boxes = used[np.isin(used["kind"], _BOXES)]
    edges, lines = (used.select(kind) for kind in ("edge", "line"))
    shape, opt = (opt, "auto") if isinstance(opt, OpticalModel) else (None, opt)
    degrees, given = {"opt": opt, "crv": crv, "ids": ids}, len(boxes) > 0
    notes, dropped = [], QTable(markers[~np.asarray(markers["used"])])
    faults = faults or {}
    off = [key for key, (flag, _) in faults.items() if flag == OFF_DETECTOR]
    fitter = ModelFitter(instrument, mask, degrees, by_hand=given, off=off, confirm=confirm)
    if not given:
        boxes, astray, notes = derive_boxes(fitter, lines, edges)
        # Cut elsewhere, or taken for another, a slit would bend all three models.
        others = used[np.isin(used["slit"], astray)]
        others["used"] = np.zeros(len(others), bool)
        others["reason"] = np.full(len(others), "its slit contradicts the others")
        dropped = vstack([dropped, others], metadata_conflicts="silent")
        edges, lines = (m[~np.isin(m["slit"], astray)] for m in (edges, lines))
        contradicts = ("inconsistent", "its line points contradict the model of the other slits")
        faults = dict.fromkeys(astray, contradicts) | faults
    fits = {"opt": fitter.fit_opt(boxes, flips, shape)}
    fits["crv"] = fitter.fit_crv(fits["opt"].model, edges)
    fits["ids"] = fitter.fit_ids(fits["opt"].model, fits["crv"].model, lines, fits["crv"].local)
    provenance = {**(provenance or {}), "fits": [*notes, *_notes(fits)]}
    return assemble(
        instrument, mask, fits, medium=medium, faults=faults, provenance=provenance,
        dropped=dropped,
    )  # fmt: skip


def check_slits(markers, mask):
    """Raise `InputError` if markers name a slit that the mask lacks."""
    unknown = sorted(set(markers["slit"]) - set(mask))
    if unknown:
        raise InputError(
            f"markers of unknown slits {', '.join(unknown[:5])}",
            f"The mask has {', '.join(list(mask)[:8])} …",
        )


def _notes(fits):
    return [note for name in MODELS for note in fits[name].notes]


def assemble(instrument, mask, fits, *, medium, faults, provenance, dropped=None):
    """Join the fits of the three models to a calibration.

    Parameters
    ----------
    instrument : Instrument
    mask : Mask
        Oriented as it falls on the detector.
    fits : mapping of str to ModelFit
        Of ``"opt"``, ``"crv"``, ``"ids"``. Where one is not fitted, no slit counts as
        calibrated.
    medium : {"air", "vacuum"}
    faults : mapping of str to (str, str)
        Flag and reason of slits that the measurement found at fault.
    provenance : dict
    dropped : Markers, optional
        What was measured and not fitted, with its reasons.

    Returns
    -------
    Calibration
    """
    tables = [fits[name].residuals for name in MODELS if fits[name].residuals is not None]
    if tables:
        residuals = QTable(vstack(tables))
    else:
        none = Markers.join([])
        residuals = residual_table(none, np.zeros(0), np.zeros(0, bool))
    dropped = no_markers() if dropped is None else QTable(dropped)
    reason = _not_fitted(fits)
    if reason:
        statuses = {key: SlitStatus("not fitted", reason) for key in mask}
    else:
        statuses = _with_ranges(_statuses(mask, residuals, faults), mask, fits, residuals)
        statuses = _far_off(statuses, fits)
        if fits["ids"].changes is not None:  # a hand sees which slit is which
            statuses = _too_few_agree(statuses, mask)
        statuses = _open_edges(statuses, instrument, mask, fits, residuals, dropped)
        # Where single lines may be others, slits are known no farther than errors allow.
        by_hand = fits["ids"].changes is None
        for key, sigma in (loose_ends(mask, fits, residuals) if by_hand else {}).items():
            if statuses[key].ok:
                reason = (
                    f"its lines leave the wavelengths at its ends open: 1 sigma is {sigma:.1f} px"
                )
                statuses[key] = replace(statuses[key], flag="uncertain", reason=reason)
    unusable = {
        key: SlitStatus("unusable", reason)
        for key, reason in mask.faults.items()
        if key not in mask
    }
    return Calibration(
        instrument=instrument,
        mask=mask,
        **{name: fits[name].model for name in MODELS},
        local={name: fits[name].local for name in ("crv", "ids")},
        covariance={k: v for name in MODELS for k, v in fits[name].covariance.items()},
        slits=unusable | statuses,
        residuals=residuals,
        dropped=dropped,
        medium=medium,
        provenance=provenance,
    )


def _with_ranges(statuses, mask, fits, residuals):
    """Say where each slit is known; nothing of a slit whose lines leave all of it open."""
    lines = residuals[(residuals["kind"] == "line") & residuals["used"]]
    for key, known in known_ranges(mask, fits["opt"].model, fits["ids"], lines).items():
        statuses[key] = replace(statuses[key], known=known)
        if statuses[key].ok and not np.isfinite(known[0]):
            reason = (
                f"1 sigma of its wavelengths is nowhere within {KNOWN} px, or a single line, or a "
                "few that nobody confirms, decide them"
            )
            statuses[key] = replace(statuses[key], flag="uncertain", reason=reason)
        if statuses[key].ok and fits["ids"].changes is not None:
            mine = lines[lines["slit"] == key]
            if known[1] - known[0] < _LEAST_KNOWN * np.ptp(mine["wavelength"].value):
                reason = (
                    f"its wavelengths are known from {known[0]:.0f} to {known[1]:.0f} Å only: its "
                    "lines leave them open beyond"
                )
                statuses[key] = replace(statuses[key], flag="uncertain", reason=reason)
            off, (first, last) = left_alike(mine)
            if off > KNOWN:
                reason = (
                    f"its lines from {first:.0f} to {last:.0f} Å are off the model by {off:.2f} px "
                    "or more, all alike: light of two detectors that are not aligned, perhaps"
                )
                statuses[key] = replace(statuses[key], flag="inconsistent", reason=reason)
    return statuses


def _far_off(statuses, fits):
    """Flag the slits that deviate from the field by more than slits do, as far as others tell."""
    for name, where in (("ids", "along"), ("crv", "across")):
        local, variance = fits[name].local, np.diag(fits[name].covariance[name])
        own = variance[len(variance) - local.size :][: 2 * len(local.slits)]
        errors = np.sqrt(np.maximum(own, 0.0)).reshape(2, -1).T
        for key, values, error in zip(local.slits, local.values, errors, strict=True):
            worst = np.max(np.abs(values))
            known = np.any((np.abs(values) > FAR) & ~(np.abs(values) < _SIGMAS * error))
            if statuses[key].ok and known:
                reason = f"it is {worst:.1f} px off the field of the others {where} the dispersion"
                statuses[key] = replace(statuses[key], flag="inconsistent", reason=reason)
        for key, table in local.roughness.items():
            size = np.sqrt(np.mean(table**2))
            if statuses[key].ok and size > FAR:  # no slit is cut so badly
                reason = f"its lines are {size:.1f} px (rms) off the shape that the mask gives it"
                statuses[key] = replace(statuses[key], flag="inconsistent", reason=reason)
    return statuses


def _too_few_agree(statuses, mask):
    """Flag all slits where too few agree to tell that the mask is not another, or mirrored."""
    science = [statuses[key] for key, slit in mask.items() if not slit.reference]
    good, odd = sum(s.ok for s in science), sum(s.flag == "inconsistent" for s in science)
    if not odd or good > _AGREE * odd:
        return statuses
    reason = (
        f"{odd} of {len(science)} slits contradict it and the others: the mask may be another, "
        "or mirrored"
    )
    uncertain = {key: replace(s, flag="uncertain", reason=reason)
                 for key, s in statuses.items() if s.ok}  # fmt: skip
    return statuses | uncertain


def _open_edges(statuses, instrument, mask, fits, residuals, dropped):
    """Keep to where the edges are known, by a slit's own light or by others'; flag the others."""
    opt, crv, ids = (fits[name] for name in MODELS)
    if not crv.local.slits:  # a hand sees where it puts edges, and how far they fit
        return statuses
    shown = residuals[(residuals["kind"] == "edge") & residuals["used"]]
    shown = shown[~np.isin(shown["reason"], (LAID, PARTLY))]
    uneven = dropped[(dropped["kind"] == "edge") & (dropped["reason"] == UNEVEN)]
    laid, beyond = (
        table[(table["kind"] == "edge") & (table["reason"] == reason)]
        for table, reason in ((residuals, LAID), (dropped, BEYOND))
    )
    for key, (wavelength, sigma) in edge_errors(
        mask, opt.model, crv, ids, statuses, instrument, shown, laid, beyond
    ).items():
        # What others say of an edge that its own light hardly shows is less than it seems: if they
        # do not know it well, the slit is known where that edge is off the frame.
        # What is partly covered is seen well enough to say that they are not far off.
        mine = [t for table in (shown, uneven) for t in table["t"][table["slit"] == key]]
        seen = np.array([mine.count(t) >= _EDGE_POINTS for t in (0.0, 1.0)])
        seen |= np.where(sigma > 0, sigma, np.inf).min(axis=1) <= _EDGE_SEEN
        limit = np.where(seen, KNOWN, 0.0)[:, np.newaxis]
        if np.all(sigma <= limit):
            continue
        open_at = np.where(np.all(sigma <= limit, axis=0), 0.0, np.inf)
        low, high = longest_known(wavelength, open_at)
        share = (high - low) / np.ptp(statuses[key].known)  # nan of a reference slit
        if share >= _EDGE_SHARE:
            statuses[key] = replace(statuses[key], known=(low, high))
            continue
        reason = (
            f"where its {('left', 'right')[sigma.max(axis=1).argmax()]} edge is stays open: "
            f"1 sigma is {sigma.max():.2f} px"
        )
        statuses[key] = replace(statuses[key], flag="uncertain", reason=reason)
    return statuses


_ORIGINS = {
    "nominal": "nominal values",
    "stale": "fitted on another OPT or CRV",
    "untested": "its markers stand where the model had put them",
    "read": "changed by hand, or read without its fit",
}
"""Where models come from that no slit can be calibrated by."""


def _not_fitted(fits):
    """Say which models no markers speak for; nothing where all are fitted."""
    return "; ".join(
        f"{name.upper()}: {_ORIGINS[fits[name].origin]}"
        for name in MODELS
        if fits[name].origin in _ORIGINS
    )


def loose_ends(mask, fits, residuals):
    """Find the slits whose wavelengths the markers do not determine over their whole length.

    Parameters
    ----------
    mask : Mask
    fits : mapping of str to ModelFit
    residuals : QTable
        Lines among others.

    Returns
    -------
    dict of str to float
        The largest 1 sigma error along the dispersion, px, where it is beyond 1 px.
    """
    opt, ids = fits["opt"].model, fits["ids"]
    covariance = ids.covariance["ids"]
    if not np.all(np.isfinite(covariance)):
        return {}
    lines = residuals[(residuals["kind"] == "line") & residuals["used"]]
    found = {}
    for key in np.unique(lines["slit"]):
        wavelength = lines["wavelength"].value[lines["slit"] == key]
        t, w = (
            a.ravel() for a in np.meshgrid((0.0, 0.5, 1.0), np.quantile(wavelength, (0, 0.5, 1)))
        )
        rows = wavelength_rows(opt, ids.model, ids.local, mask[str(key)], t, w)
        sigma = np.sqrt(np.max(np.einsum("np,pq,nq->n", rows, covariance, rows)))
        if sigma > _BAD_SIGMA:
            found[str(key)] = float(sigma)
    return found


def _statuses(mask, residuals, faults):
    """Judge each slit by what was measured on it and how well that is held."""
    statuses = {}
    for key, slit in mask.items():
        mine = residuals[residuals["slit"] == key]
        lines, edges = (mine[mine["kind"] == kind] for kind in ("line", "edge"))
        seen = edges["used"].any() or (slit.reference and mine["used"].any())
        used = lines[lines["used"]]
        rms = float(np.sqrt(np.mean(used["residual"].value ** 2))) if len(used) else np.nan
        flag, reason = faults.get(key, ("ok", ""))
        if flag == "ok" and not slit.reference and not len(lines):
            flag, reason = "no lines", "no arc line of the slit was measured"
        elif flag == "ok" and not len(lines) and not seen:
            flag, reason = "not measured", "neither its edges nor its lines were measured"
        elif flag == "ok" and len(used) < (1 - _BAD_SHARE) * len(lines):
            flag = "inconsistent"
            reason = (
                f"{len(lines) - len(used)} of its {len(lines)} line points contradict the model"
            )
        elif flag == "ok" and edges["used"].sum() < (1 - _BAD_SHARE) * len(edges):
            flag = "inconsistent"
            reason = (
                f"{len(edges) - edges['used'].sum()} of its {len(edges)} edge points contradict "
                "the model"
            )
        elif flag == "ok" and rms > _BAD_RMS:
            flag, reason = "inconsistent", f"its lines scatter by {rms:.2f} px about the model"
        statuses[key] = SlitStatus(flag, reason, rms, len(used), int(edges["used"].sum()))
    return statuses
