"""What is told about a calibration, as facts and as lines of text."""

from pathlib import Path

import numpy as np

__all__ = [
    "calibration_facts",
    "calibration_lines",
    "failure_lines",
    "lamp_facts",
    "lamp_lines",
]

_NAMED = 40  # failed slits that are listed one by one


def calibration_facts(cal):
    """Sum up a calibration.

    Parameters
    ----------
    cal : Calibration

    Returns
    -------
    dict
        Of text, numbers, lists and dicts. ``"failed"`` gives the reason for each slit that
        is not calibrated, also those whose numbers in the mask file cannot be used.
    """
    failed = {key: str(status) for key, status in cal.slits.items() if not status.ok}
    failed |= {key: why for key, why in cal.mask.faults.items() if key not in cal.mask}
    ny, nx = cal.instrument.shape
    lines, edges = (cal.residuals[cal.residuals["kind"] == kind] for kind in ("line", "edge"))
    used = lines[lines["used"]]
    return {
        "instrument": cal.instrument.name,
        "detector": [nx, ny],
        "direction": str(cal.instrument.direction),
        "medium": cal.medium,
        "n_slits": len(cal.slits),
        "n_good": len(cal.good()),
        "wavelength_range": [float(limit) for limit in cal.ids.domain],
        "lines": {
            "lines": len(np.unique(used["wavelength"].value)),
            **_residual_facts(lines),
            "rms_angstrom": _rms(used["residual"].value / cal.dispersion_at(used)),
        },
        "edges": _residual_facts(edges),
        "degrees": {name: list(getattr(cal, name).degrees) for name in ("opt", "crv", "ids")},
        "slits": {key: _slit_facts(cal, key) for key in cal.slits},
        "failed": failed,
        "provenance": cal.provenance,
    }


def _residual_facts(table):
    used = table[table["used"]]
    return {
        "points": len(table),
        "used": len(used),
        "rms_px": _rms(used["residual"].value),
    }


def _rms(values):
    return float(np.sqrt(np.mean(values**2))) if len(values) else np.nan


def _slit_facts(cal, key):
    status = cal.slits[key]
    return {
        "flag": status.flag,
        "reason": status.reason,
        "reference": key in cal.mask and cal.mask[key].reference,
        "rms_px": status.rms,
        "n_lines": status.n_lines,
        "n_edges": status.n_edges,
    }


def calibration_lines(facts):
    """Write the facts of `calibration_facts` for people.

    Returns
    -------
    list of str
    """
    low, high = facts["wavelength_range"]
    lines, edges, degrees = facts["lines"], facts["edges"], facts["degrees"]
    models = ", ".join(f"{name.upper()} {tuple(value)}" for name, value in degrees.items())
    return [
        f"  slits        {facts['n_good']} of {facts['n_slits']} calibrated",
        f"  wavelengths  {low:.0f} to {high:.0f} Å in {facts['medium']}",
        f"  lines        {lines['rms_px']:.3f} px rms ({lines['rms_angstrom']:.3f} Å), "
        f"{lines['used']} of {lines['points']} points of {lines['lines']} lines",
        f"  edges        {edges['rms_px']:.3f} px rms, {edges['used']} of {edges['points']} points",
        f"  degrees      {models}",
        *failure_lines(facts["failed"]),
    ]


def lamp_facts(cal, catalog):
    """Tell which lines of the lamps the resolution of the arc separates.

    Parameters
    ----------
    cal : Calibration
        From frames.
    catalog : LineCatalog
        That it was made with.

    Returns
    -------
    dict
        ``"catalogs"``, the resolution ``"fwhm_angstrom"``, ``"lines"`` within the calibrated
        range, and ``"resolved"``, the wavelengths of those that are separable.
    """
    low, high = cal.ids.domain
    inside = catalog.select(low, high)
    lines = cal.residuals[cal.residuals["kind"] == "line"]
    scale = float(np.median(np.abs(cal.dispersion_at(lines))))  # px/Å
    fwhm = cal.provenance["identification"]["fwhm_px"] / scale
    return {
        "catalogs": [Path(source.path).stem for source in catalog.sources],
        "fwhm_angstrom": fwhm,
        "lines": len(inside),
        "resolved": inside.separable(fwhm).wavelength.tolist(),
    }


def lamp_lines(facts):
    """Write the facts of `lamp_facts` for people; nothing where there are none."""
    if not facts:
        return []
    return [
        f"  lamps        {len(facts['resolved'])} of {facts['lines']} lines of "
        f"{', '.join(facts['catalogs'])} are resolved at {facts['fwhm_angstrom']:.1f} Å"
    ]


def failure_lines(failed, what="slits"):
    """List what failed with the reasons; nothing where all is well."""
    if not failed:
        return []
    lines = [f"  failed       {len(failed)} {what}:"]
    lines += [f"    {key}  {reason}" for key, reason in list(failed.items())[:_NAMED]]
    if len(failed) > _NAMED:
        lines.append(f"    … and {len(failed) - _NAMED} more (--json lists all)")
    return lines
