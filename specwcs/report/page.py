"""The report of a calibration: one page that tells how good it is, and why.

The page is a single HTML file that opens anywhere: pictures are part of it, and nothing is
loaded from elsewhere.
"""

from pathlib import Path

import numpy as np
from astropy.nddata import CCDData

from specwcs.calibration import Calibration, moved
from specwcs.errors import check_type
from specwcs.files import atomic_path

from .canvas import new_figure
from .html import details, document, paragraph, picture, section, table
from .panels import (
    draw_edge_residuals,
    draw_field,
    draw_frame,
    draw_line_residuals,
    draw_slits,
    draw_strip,
    rms_of,
    strips_of,
    used_of,
)

__all__ = ["write_report"]

_WIDTH = 11.0  # inches, of pictures
_TALLEST = 9.0
_NONE = "–"
_LISTED = 200  # slits whose displacement is listed


def write_report(cal, path, *, flat=None, arc=None, previous=None, overwrite=False):
    """Write the report of a calibration, an HTML page.

    It shows the frames with the models drawn in, the slits, worst first, with reasons, the
    residuals over the field, by wavelength and by slit, the lines with what became of them, how
    the models were chosen, what moved since another calibration, and the files behind it all.

    Parameters
    ----------
    cal : Calibration
    path : str or path-like
    flat, arc : CCDData, optional
        The frames that the calibration was made from.
    previous : Calibration, optional
        Of the same set-up, such as that of the night before.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the file exists or cannot be written, or `previous` is of another set-up.
    """
    check_type(Calibration, cal=cal)
    check_type(Calibration, optional=True, previous=previous)
    check_type(CCDData, optional=True, flat=flat, arc=arc)
    title = f"{cal.instrument.name}: calibration"
    if cal.mask.source:
        title += f" with {Path(cal.mask.source.path).name}"
    with atomic_path(path, overwrite) as temporary:
        sections = [
            _summary(cal),
            section("slits", "Slits, worst first", _slits(cal)),
            section("frames", "Models on the frames", *_frames(cal, flat, arc)),
            section("residuals", "Residuals", *_residuals(cal)),
            section("lines", "Lines, worst first", *_lines(cal)),
            *([] if previous is None else [_moved(previous, cal)]),
            section("models", "How the models were chosen", *_models(cal)),
            section("files", "Files and versions", *_files(cal)),
        ]
        Path(temporary).write_text(document(title, sections), encoding="utf-8")


def _summary(cal):
    lines, edges = (used_of(cal, kind) for kind in ("line", "edge"))
    good, bad = len(cal.good()), len(cal.slits) - len(cal.good())
    verdict = f"{good} of {len(cal.slits)} slits are calibrated"
    verdict += f"; {bad} are not, each with its reason below." if bad else "."
    facts = [
        f"lines {_number(rms_of(lines))} px rms ({len(lines)} points of "
        f"{len(np.unique(lines['wavelength'].value))} lines)",
        f"edges {_number(rms_of(edges))} px rms ({len(edges)} points)",
        f"wavelengths in {cal.medium}",
        f"made {cal.provenance.get('created', 'at an unknown time')}",
    ]
    return paragraph(verdict, "lead bad" if bad else "lead good") + paragraph("; ".join(facts))


def _number(value, digits=3):
    return f"{value:.{digits}f}" if np.isfinite(value) else _NONE


# -- slits ---------------------------------------------------------------------------


def _slits(cal):
    """Table of the slits: those that are not calibrated, then by the error of wavelengths."""
    columns = (
        "slit", "state", "why", "lines rms, px", "1σ along, px", "1σ of edges, px", "lines",
        "edge points", "known from, Å", "to, Å", "offset along, px", "stretch, px",
        "rough by, px", "offset across, px",
    )  # fmt: skip
    entries, lines = [], used_of(cal, "line")
    for key, status in cal.slits.items():
        sigma = _sigma_along(cal, key), _sigma_across(cal, key)
        order = (status.ok, -np.nan_to_num(np.fmax(sigma[0], status.rms), nan=0.0))
        n_lines = len(np.unique(lines["wavelength"].value[lines["slit"] == key]))
        along, across = (
            local.of(key) if key in local.slits else (np.nan, np.nan)
            for local in (cal.local["ids"], cal.local["crv"])
        )
        entries.append((order, status.ok, (
            key, status.flag, status.reason or _NONE, _number(status.rms), *map(_number, sigma),
            n_lines, status.n_edges, *(_number(w, 0) for w in status.known),
            *map(_number, along), _number(_roughness(cal, key)), _number(across[0]),
        )))  # fmt: skip
    entries.sort(key=lambda entry: entry[0])
    bad = {n for n, (_, ok, _) in enumerate(entries) if not ok}
    return table(columns, [row for _, _, row in entries], bad)


def _roughness(cal, key):
    """Rms of the nicks of a slit, px; NaN where it is smooth."""
    table = cal.local["ids"].roughness.get(key)
    return np.nan if table is None else float(np.sqrt(np.mean(table**2)))


def _sigma_along(cal, key):
    """Median 1 sigma error of the wavelengths in the middle of a slit, px."""
    low, high = cal.slits[key].known
    if not (np.isfinite(low) and key in cal.mask):
        return np.nan
    geometry = cal.geometry(key)
    wavelength = np.linspace(low, high, 25)
    x, y = geometry.pixel(wavelength, 0.5)
    sigma = cal.wavelength_uncertainty(key, x, y) * geometry.dispersion.slope(wavelength, 0.5)
    return float(np.nanmedian(sigma)) if np.isfinite(sigma).any() else np.nan


def _sigma_across(cal, key):
    if key not in cal.mask or not np.all(np.isfinite(cal.covariance["crv"])):
        return np.nan
    return float(np.max(cal.trace_uncertainty(key, 0.0, [0.0, 1.0])))


# -- pictures ------------------------------------------------------------------------


def _frames(cal, flat, arc):
    ny, nx = cal.instrument.shape
    parts = []
    for name, frame in (("flat", flat), ("arc", arc)):
        if frame is not None:
            scale = min(_WIDTH / nx, _TALLEST / ny)
            figure = new_figure(max(scale * nx, 4.0) + 0.8, scale * ny + 1.2, "constrained")
            draw_frame(figure.add_subplot(), cal, name, frame, scale)
            parts.append(picture(figure, f"The {name}, with what the calibration predicts."))
    for strip in strips_of(cal, arc):
        figure = new_figure(_WIDTH, 1.7, "constrained")
        draw_strip(figure.add_subplot(), cal, *strip)
        parts.append(picture(figure, f"Slit {strip[0]}, {strip[1]}: lines must be straight."))
    if not parts:
        figure = new_figure(_WIDTH, min(_WIDTH * ny / nx, _TALLEST) + 1.0, "constrained")
        draw_frame(figure.add_subplot(), cal, "detector", None, _WIDTH / nx)
        parts.append(picture(figure, "Where the slits fall on the detector."))
    return parts


def _residuals(cal):
    figure = new_figure(_WIDTH, 3.4, "constrained")
    lines, edges = figure.subplots(1, 2)
    draw_line_residuals(lines, cal)
    draw_edge_residuals(edges, cal)
    by_slit = new_figure(_WIDTH, 3.0, "constrained")
    draw_slits(by_slit.add_subplot(), cal)
    ny, nx = cal.instrument.shape
    if nx >= ny:
        field = new_figure(_WIDTH, 2 * min(_WIDTH * ny / nx, 3.5) + 1.6, "constrained")
        panels = field.subplots(2, 1)
    else:
        field = new_figure(_WIDTH, min(0.4 * _WIDTH * ny / nx, _TALLEST) + 1.0, "constrained")
        panels = field.subplots(1, 2)
    for axes, kind in zip(panels, ("line", "edge"), strict=True):
        draw_field(field, axes, cal, kind)
    return [
        picture(figure, "By wavelength, and along the dispersion."),
        picture(by_slit, "By slit."),
        picture(field, "Over the field: medians in cells of the frame, outliers left out."),
    ]


# -- lines ---------------------------------------------------------------------------


def _lines(cal):
    """Tables of the lines, by their mean residual over all slits, and of what was dropped."""
    fitted = cal.residuals[cal.residuals["kind"] == "line"]
    dropped = cal.dropped[cal.dropped["kind"] == "line"]
    wavelengths = np.unique(np.concatenate([t["wavelength"].value for t in (fitted, dropped)]))
    used_rows, other_rows = [], []
    for wavelength in wavelengths[np.isfinite(wavelengths)]:
        mine = fitted[fitted["wavelength"].value == wavelength]
        used = np.asarray(mine["used"], bool)
        why = _reasons(dropped[dropped["wavelength"].value == wavelength])
        name = f"{wavelength:.2f}"
        if not used.any():
            why = [f"rejected by the fit ({len(mine)})"] * (len(mine) > 0) + [why] * (why != "")
            other_rows.append((name, ", ".join(why)))
            continue
        residual = mine["residual"].value[used]
        used_rows.append((
            name, len(np.unique(mine["slit"][used])), int(used.sum()), int((~used).sum()),
            f"{np.mean(residual):+.3f}", f"{rms_of(mine[used]):.3f}", why or _NONE,
        ))  # fmt: skip
    used_rows.sort(key=lambda row: -abs(float(row[4])))
    columns = (
        "line, Å", "in slits", "points", "rejected", "mean residual, px", "rms, px",
        "points not offered to the fit",
    )  # fmt: skip
    parts = [table(columns, used_rows) if used_rows else paragraph("No line was used.", "bad")]
    if other_rows:
        others = table(("line, Å", "why not"), other_rows)
        parts.append(details(f"{len(other_rows)} lines were not used", others))
    edges = _reasons(cal.dropped[cal.dropped["kind"] == "edge"])
    if edges:
        parts.append(paragraph(f"Edge points not offered to the fit: {edges}."))
    return parts


def _reasons(markers):
    """Say how many markers were dropped, by reason, most first."""
    reasons, counts = np.unique(np.asarray(markers["reason"], str), return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return ", ".join(f"{reasons[n] or 'no reason given'} ({counts[n]})" for n in order)


# -- the rest ------------------------------------------------------------------------


def _moved(before, after):
    rows, columns = moved(before, after), ("slit", "along", "across", "along_max", "across_max")
    # NaN where no light of a slit falls on the detector in both.
    size = [np.nanmax(np.abs([row[c].value for c in columns[1:]]), initial=0.0) for row in rows]
    order = np.argsort(-np.array(size), kind="stable")[:_LISTED]
    cells = [[rows[n]["slit"], *(f"{rows[n][c].value:+.3f}" for c in columns[1:])] for n in order]
    names = (
        "slit", "along, px", "across, px", "most along, px", "most across, px",
    )  # fmt: skip
    made = before.provenance.get("created", "another time")
    return section(
        "moved", "What moved since the other calibration", paragraph(f"That one was made {made}."),
        table(names, cells),
    )  # fmt: skip


def _models(cal):
    degrees = ", ".join(f"{name.upper()} {getattr(cal, name).degrees}" for name in _MODELS)
    parts = [paragraph(f"Degrees: {degrees}.")]
    identification = cal.provenance.get("identification")
    if identification:
        parts.append(paragraph(
            f"The lines of the arc, {identification['fwhm_px']:.1f} px wide, are identified: "
            f"{identification['explained']:.0%} of the light of the brightest is explained, and "
            f"lines that were held out are predicted to {identification['held_out_px']:.3f} px."
        ))  # fmt: skip
    notes = cal.provenance.get("fits", [])
    if notes:
        parts.append(details("What was tried, and what was done", *map(paragraph, notes)))
    return parts


_MODELS = ("opt", "crv", "ids")


def _files(cal):
    rows = [
        (what, source.get("path", _NONE), source.get("sha256", _NONE))
        for what, sources in cal.provenance.get("inputs", {}).items()
        for source in sources
        if isinstance(source, dict)
    ]
    versions = cal.provenance.get("versions", {})
    return [
        table(("what", "file", "SHA-256"), rows) if rows else paragraph("No files."),
        paragraph(", ".join(f"{name} {version}" for name, version in versions.items()), "muted"),
    ]
