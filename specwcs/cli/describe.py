"""What a file holds, as facts and as lines of text: one function for each kind of file."""

import re
from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np

from specwcs.calibration import Calibration
from specwcs.cli.console import naming
from specwcs.cli.facts import calibration_facts, calibration_lines, failure_lines
from specwcs.files import read_asdf
from specwcs.inputs import Instrument, LineCatalog, Mask
from specwcs.inputs._fits import IMAGE_HDUS, card, open_fits, pixels
from specwcs.inputs._text import read_text
from specwcs.models import CurvatureModel, DispersionModel, OpticalModel
from specwcs.regions import markers_from_shapes, parse_regions

__all__ = ["TELL"]

_NAMED = 12  # slits that are listed
_SYSTEM = re.compile(r"^\s*(image|physical)\s*(?:;|$)", re.IGNORECASE | re.MULTILINE)
_LARGEST_FITS = 2**31  # bytes after decompression
_CARDS = ("OBJECT", "INSTRUME", "GRATING", "GRISM", "FILTER", "EXPTIME", "DATE-OBS")


def _tell_instrument(name):
    instrument = Instrument.read(name)
    facts = {
        field.name: getattr(instrument, field.name)
        for field in fields(instrument)
        if getattr(instrument, field.name) is not None
    }
    ny, nx = instrument.shape
    along, _ = instrument.direction.split(nx, ny)
    half = 0.5 * along * instrument.linear_dispersion
    scale = " × ".join(f'{side:g}"' for side in np.ravel(instrument.pixel_scale))
    lines = [
        f"  detector     {nx} × {ny} px of {scale}",
        f"  dispersion   {instrument.direction}, {instrument.linear_dispersion:g} Å/px",
        f"  reference    {instrument.reference_lambda:g} Å; nominal range "
        f"{instrument.reference_lambda - half:.0f} to {instrument.reference_lambda + half:.0f} Å",
    ]
    lines += [f"  {key:<12} {value}" for key, value in instrument.description.items()]
    return facts, lines


def _tell_mask(name):
    mask = Mask.read(name)
    references = [key for key, slit in mask.items() if slit.reference]
    X, Y = (np.array([getattr(slit, axis) for slit in mask.values()]) for axis in "xy")
    facts = {
        "n_slits": len(mask),
        "reference": references,
        "x_range_mm": [X.min(), X.max()],
        "y_range_mm": [Y.min(), Y.max()],
        "rotated": [key for key, slit in mask.items() if slit.rot],
        "failed": mask.faults,
    }
    lines = [
        f"  slits        {len(mask)}, {len(references)} of them reference slits, "
        f"{len(facts['rotated'])} rotated",
        f"  centres      X {X.min():.2f} to {X.max():.2f} mm, Y {Y.min():.2f} to {Y.max():.2f} mm",
        *failure_lines(mask.faults),
    ]
    return facts, lines


def _tell_catalog(name):
    catalog = LineCatalog.read(name)
    low, high = catalog.wavelength[[0, -1]]
    facts = {
        "n_lines": len(catalog),
        "n_used": int(np.sum(catalog.flag)),
        "medium": catalog.medium,
        "range_angstrom": [low, high],
        "labels": sorted(set(catalog.label.tolist())),
        "notes": catalog.notes,
    }
    lines = [
        f"  lines        {len(catalog)}, {facts['n_used']} of them to be used",
        f"  wavelengths  {low:.1f} to {high:.1f} Å in {catalog.medium}",
        f"  labels       {', '.join(facts['labels'][:12])}",
        *(f"  note         {note}" for note in catalog.notes),
    ]
    return facts, lines


def _tell_asdf(name):
    content = read_asdf(name, object)
    if isinstance(content, (OpticalModel, CurvatureModel, DispersionModel)):
        return _tell_model(content)
    if not isinstance(content, Calibration):
        return {"type": type(content).__name__}, [f"  holds        {content!r}"]
    facts = {"type": "Calibration", **calibration_facts(content)}
    lines = [f"  calibration  of {facts['instrument']}", *calibration_lines(facts)]
    created = content.provenance.get("created")
    return facts, lines + ([f"  created      {created}"] if created else [])


def _tell_model(model):
    """Describe one of the three models, with what its file tells of its fit."""
    facts = {"type": type(model).__name__, "degrees": list(model.degrees)}
    for setting in ("constant_degrees", "domain", "x_domain", "y_domain"):
        if getattr(model, setting, None) is not None:
            facts[setting] = list(getattr(model, setting))
    if isinstance(model, OpticalModel):
        facts["flipped"] = [axis for axis in "xy" if getattr(model, f"{axis}_flipped")]
    facts |= {
        key: model.meta[key]
        for key in (
            "origin",
            "instrument",
            "medium",
        )
        if key in model.meta
    }
    if "fit" in model.meta:
        facts["fit"] = _fit_facts(model.meta["fit"])
    return facts, _model_lines(facts)


def _fit_facts(fit):
    residual = fit["residuals"]["residual"].value
    used = np.asarray(fit["residuals"]["used"])
    return {
        "points": len(used),
        "used": int(used.sum()),
        "rms_px": float(np.sqrt(np.mean(residual[used] ** 2))) if used.any() else np.nan,
        "notes": list(fit["notes"]),
    }


def _model_lines(facts):
    texts = {"model": facts["type"], "degrees": ", ".join(map(str, facts["degrees"]))}
    if "constant_degrees" in facts:
        texts["constant"] = f"{', '.join(map(str, facts['constant_degrees']))} (its degrees)"
    for name in ("domain", "x_domain", "y_domain"):
        if name in facts:
            low, high = facts[name]
            texts[name] = f"{low:.6g} to {high:.6g}"
    if facts.get("flipped"):
        texts["flipped"] = ", ".join(facts["flipped"])
    texts |= {key: facts[key] for key in ("origin", "medium") if key in facts}
    if "instrument" in facts:
        texts["instrument"] = facts["instrument"]["name"]
    if "fit" in facts:
        fit = facts["fit"]
        texts["fit"] = f"{fit['rms_px']:.3f} px rms, {fit['used']} of {fit['points']} points"
    return [f"  {name:<12} {text}" for name, text in texts.items()]


def _tell_regions(name):
    text, _ = read_text(Path(name))
    shapes = parse_regions(text, source=name)
    counts = Counter(shape.kind for shape in shapes)
    drawn = [s for s in shapes if not (s.fixed or s.excluded or s.kind == "text")]
    with naming(name):
        untagged = markers_from_shapes(drawn).untagged
    facts = {
        "shapes": dict(counts),
        "slits": list(dict.fromkeys(s.tags["slit"] for s in drawn if "slit" in s.tags)),
        "untagged": len(untagged),
        "fixed": sum(shape.fixed for shape in shapes),
        "excluded": sum(shape.excluded for shape in shapes),
        "frames": sorted({word.lower() for word in _SYSTEM.findall(text)}) or ["physical"],
    }
    listed = ", ".join(f"{n} {kind}" for kind, n in counts.items()) or "none"
    slits = ", ".join(facts["slits"][:_NAMED]) + " …" * (len(facts["slits"]) > _NAMED)
    return facts, [
        f"  shapes       {listed}",
        f"  slits        {len(facts['slits'])} named{': ' * bool(slits)}{slits}",
        f"  tags         {len(drawn) - len(untagged)} of {len(drawn)} tell which marker they are",
        f"  passed over  {facts['fixed']} fixed, {facts['excluded']} excluded",
        f"  frame        {', '.join(facts['frames'])}",
    ]


def _tell_fits(name):
    hdus, source, remarks = open_fits(name, _LARGEST_FITS)
    listed = [_hdu_facts(number, hdu, name) for number, hdu in enumerate(hdus)]
    cards = {key: card(hdus[0].header, key, name) for key in _CARDS}
    cards = {key: value for key, value in cards.items() if value is not None}
    lines = [f"  {key:<12} {value}" for key, value in cards.items()]
    lines += [
        f"  HDU {hdu['number']:<8} {hdu['name'] or 'unnamed'}: {hdu['text']}" for hdu in listed
    ]
    lines += [f"  remark       {remark}" for remark in remarks]
    return {"sha256": source.sha256, "cards": cards, "hdus": listed, "remarks": remarks}, lines


def _hdu_facts(number, hdu, name):
    """Describe an HDU; of an image, also what its pixels are."""
    facts = {"number": number, "name": hdu.name, "text": "no data"}
    if not isinstance(hdu, IMAGE_HDUS):
        return facts | {"text": f"table of {len(hdu.data)} rows"}
    image = pixels(hdu, name)
    if image is None:
        return facts
    facts |= {"shape": list(image.shape), "dtype": str(image.dtype)}
    size = " × ".join(str(n) for n in image.shape[::-1])
    finite = image[np.isfinite(image)]
    facts["not_finite"] = image.size - finite.size
    if finite.size:
        low, middle, high = np.percentile(finite, (0, 50, 100))
        facts |= {"min": low, "median": middle, "max": high}
        levels = f"{low:.6g} to {high:.6g}, median {middle:.6g}"
    else:
        levels = "no finite pixel"
    faults = f", {facts['not_finite']} not finite" if facts["not_finite"] else ""
    return facts | {"text": f"{size} px, {levels}{faults}"}


TELL = {
    "instrument": _tell_instrument,
    "mask": _tell_mask,
    "line catalogue": _tell_catalog,
    "region file": _tell_regions,
    "ASDF file": _tell_asdf,
    "FITS file": _tell_fits,
}
"""By kind of file: functions that take its name and give facts, and the same as lines."""
