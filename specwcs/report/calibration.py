"""The picture of a calibration: frames with the models drawn in, residuals, straight lines."""

import textwrap
from pathlib import Path

import numpy as np

from .canvas import BAD, new_figure
from .panels import (
    NORMAL,
    SMALL,
    draw_edge_residuals,
    draw_frame,
    draw_line_residuals,
    draw_slits,
    draw_strip,
    rms_of,
    strips_of,
    used_of,
)

__all__ = ["calibration_figure"]

_WIDTH = 16.0  # inches, of the sheet
_RIGHT = 7.6  # inches, least width of what stands beside tall frames
_VERY_WIDE = 3.0  # columns per row of the detector
_TITLE = 3.5  # inches, least width of a frame, for its title
_REASON_WIDTH = 46  # characters
_NAMED = 6  # flagged slits whose reasons are written out


def calibration_figure(cal, flat=None, arc=None):
    """Draw a calibration.

    Flat and arc carry the predicted edges of all slits and some predicted lines; the arc of
    two slits is shown rectified, where every line must be straight and stand between its
    ticks; residuals are shown by wavelength, by slit and along the edges. Slits that are
    flagged are marked in another colour, with their reasons.

    Parameters
    ----------
    cal : Calibration
    flat, arc : CCDData, optional
        The frames that the calibration was made from.

    Returns
    -------
    matplotlib.figure.Figure
    """
    frames = [(n, f) for n, f in (("flat", flat), ("arc", arc)) if f is not None]
    frames = frames or [("detector", None)]
    strips = strips_of(cal, arc)
    figure, areas, inches_per_px = _layout(cal, len(frames), len(strips))
    _write_title(figure, cal)
    for axes, (name, frame) in zip(areas["frames"], frames, strict=True):
        draw_frame(axes, cal, name, frame, inches_per_px)
    for axes, strip in zip(areas["strips"], strips, strict=True):
        draw_strip(axes, cal, *strip)
    lines, edges, slits = areas["residuals"]
    draw_line_residuals(lines, cal)
    draw_edge_residuals(edges, cal)
    draw_slits(slits, cal)
    if areas["reasons"] is not None:
        _write_reasons(areas["reasons"], cal)
    return figure


# -- the sheet --------------------------------------------------------------------


def _layout(cal, n_frames, n_strips):
    """Divide the sheet: frames above the rest, or to its left where they are tall.

    Frames stand beside each other, but one above the other where they are very wide.

    Returns
    -------
    figure : Figure
    areas : dict of str to axes
        ``"frames"``, ``"strips"``, ``"residuals"``, ``"reasons"`` (None where no slit is
        flagged).
    inches_per_px : float
        Scale of the frames.
    """
    ny, nx = cal.instrument.shape
    flagged = any(not status.ok for status in cal.slits.values())
    if nx >= ny:
        rows = n_frames if nx > _VERY_WIDE * ny else 1
        scale = min((_WIDTH * rows / n_frames - 1.1) / nx, 6.0 / ny)
        heights = (rows * (max(scale * ny, 0.6) + 0.75), 1.3 * n_strips + 3.0)
        figure = new_figure(_WIDTH, sum(heights) + 0.7, "constrained")
        top, rest = figure.add_gridspec(2, 1, height_ratios=heights)
        strips, others = _rows_below(rest, n_strips, flagged)
    else:
        scale = min((_WIDTH - _RIGHT) / n_frames - 0.8, 8.0 * nx / ny) / nx
        rows = 1
        left = n_frames * max(scale * nx + 0.8, _TITLE)
        height = max(scale * ny + 1.9, 1.45 * n_strips + 6.0 + 1.4 * flagged)
        figure = new_figure(_WIDTH, height, "constrained")
        top, rest = figure.add_gridspec(1, 2, width_ratios=(left, _WIDTH - left))
        strips, others = _rows_beside(rest, n_strips, flagged)
    frames = [figure.add_subplot(cell) for cell in top.subgridspec(rows, n_frames // rows)]
    others = [figure.add_subplot(cell) for cell in others]
    areas = {
        "frames": frames,
        "strips": [figure.add_subplot(cell) for cell in strips],
        "residuals": others[:3],
        "reasons": others[3] if flagged else None,
    }
    return figure, areas, scale


def _rows_below(where, n_strips, flagged):
    """Return the cells of strips and of the other panels, one row for the latter."""
    rows = where.subgridspec(n_strips + 1, 1, height_ratios=[1.3] * n_strips + [3.0])
    ratios = (1.2, 1.0, 1.3, 0.8)[: 3 + flagged]
    return list(rows)[:n_strips], list(
        rows[n_strips].subgridspec(1, len(ratios), width_ratios=ratios)
    )


def _rows_beside(where, n_strips, flagged):
    """Return the cells of strips and of the other panels, for a narrow column."""
    ratios = [1.3] * n_strips + [2.5, 2.5] + [1.5] * flagged
    rows = list(where.subgridspec(len(ratios), 1, height_ratios=ratios))
    residuals = rows[n_strips].subgridspec(1, 2)
    return rows[:n_strips], [*residuals, *rows[n_strips + 1 :]]


def _write_title(figure, cal):
    lines, edges = (used_of(cal, kind) for kind in ("line", "edge"))
    n_lines = len(np.unique(lines["wavelength"].value))
    mask = f" with {Path(cal.mask.source.path).name}" if cal.mask.source else ""
    title = f"{cal.instrument.name}{mask}: {len(cal.good())} of {len(cal.slits)} slits calibrated"
    facts = (
        f"lines {rms_of(lines):.3f} px rms ({len(lines)} points of {n_lines} lines)",
        f"edges {rms_of(edges):.3f} px rms ({len(edges)} points)",
        f"degrees OPT {cal.opt.degrees}, CRV {cal.crv.degrees}, IDS {cal.ids.degrees}",
        f"wavelengths in {cal.medium}",
    )
    figure.suptitle(title, fontsize=14, fontweight="bold")
    figure.supxlabel("   ·   ".join(facts), fontsize=NORMAL)


def _write_reasons(axes, cal):
    """List the flagged slits with their reasons."""
    flagged = {key: status for key, status in cal.slits.items() if not status.ok}
    lines = []
    for key, status in list(flagged.items())[:_NAMED]:
        lines += textwrap.wrap(f"{key}  {status}", _REASON_WIDTH, subsequent_indent="      ")
    if len(flagged) > _NAMED:
        lines.append(f"… and {len(flagged) - _NAMED} more")
    axes.set_axis_off()
    axes.set_title("flagged slits", fontsize=NORMAL, loc="left", color=BAD)
    axes.text(0, 1, "\n".join(lines), color=BAD, fontsize=SMALL, va="top", transform=axes.transAxes)
