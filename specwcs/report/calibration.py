"""The picture of a calibration: frames with the models drawn in, residuals, straight lines."""

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.collections import LineCollection

from specwcs.errors import InputError
from specwcs.extraction import slit_rectifier

from .canvas import BAD, EDGE, LINE, MUTED, binned, label_step, new_figure, stretched

__all__ = ["calibration_figure"]

_WIDTH = 16.0  # inches, of the sheet
_RIGHT = 7.6  # inches, least width of what stands beside tall frames
_VERY_WIDE = 3.0  # columns per row of the detector
_TITLE = 3.5  # inches, least width of a frame, for its title
_SMALL, _NORMAL = 8.0, 10.0  # points
_DRAWN_LINES = 12  # of all lines, drawn into the arc
_MANY = 1000  # points of a panel, drawn smaller than few
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
    strips = _strips(cal, arc)
    figure, areas, inches_per_px = _layout(cal, len(frames), len(strips))
    _write_title(figure, cal)
    for axes, (name, frame) in zip(areas["frames"], frames, strict=True):
        _draw_frame(axes, cal, name, frame, inches_per_px)
    for axes, strip in zip(areas["strips"], strips, strict=True):
        _draw_strip(axes, cal, *strip)
    lines, edges, slits = areas["residuals"]
    _draw_line_residuals(lines, cal)
    _draw_edge_residuals(edges, cal)
    _draw_slits(slits, cal)
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
    lines, edges = (_used(cal, kind) for kind in ("line", "edge"))
    n_lines = len(np.unique(lines["wavelength"].value))
    mask = f" with {Path(cal.mask.source.path).name}" if cal.mask.source else ""
    title = f"{cal.instrument.name}{mask}: {len(cal.good())} of {len(cal.slits)} slits calibrated"
    facts = (
        f"lines {_rms(lines):.3f} px rms ({len(lines)} points of {n_lines} lines)",
        f"edges {_rms(edges):.3f} px rms ({len(edges)} points)",
        f"degrees OPT {cal.opt.degrees}, CRV {cal.crv.degrees}, IDS {cal.ids.degrees}",
        f"wavelengths in {cal.medium}",
    )
    figure.suptitle(title, fontsize=14, fontweight="bold")
    figure.supxlabel("   ·   ".join(facts), fontsize=_NORMAL)


def _used(cal, kind):
    table = cal.residuals
    return table[(table["kind"] == kind) & table["used"]]


def _rms(table):
    return float(np.sqrt(np.mean(table["residual"].value ** 2))) if len(table) else np.nan


# -- frames -----------------------------------------------------------------------


def _draw_frame(axes, cal, name, frame, inches_per_px):
    ny, nx = cal.instrument.shape
    if frame is not None:
        image = np.where(frame.mask, np.nan, frame.data) if frame.mask is not None else frame.data
        image, extent = binned(image)
        axes.imshow(
            stretched(image), cmap="gray_r", extent=extent, origin="lower", vmin=0, vmax=1.5
        )
    _draw_edges(axes, cal)
    if name == "arc":
        _draw_lines(axes, cal)
    axes.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5), aspect="equal", anchor="N")
    axes.tick_params(labelsize=_SMALL)
    axes.set_xlabel("x (px)", fontsize=_SMALL)
    axes.set_ylabel("y (px)", fontsize=_SMALL)
    drawn = "edges (green), some lines (blue)" if name == "arc" else "edges (green)"
    # Labels of slits stand above a frame that disperses along its columns.
    pad = 6 if cal.instrument.direction.along_x else 28
    axes.set_title(f"{name}: predicted {drawn}", fontsize=_NORMAL, loc="left", pad=pad)
    _label_slits(axes, cal, inches_per_px)


def _draw_edges(axes, cal):
    wavelength = np.linspace(*cal.ids.domain, 60)
    for key, status in cal.slits.items():
        x, y = cal.geometry(key).pixel(wavelength, np.array([[0.0], [1.0]]))
        color, style = (EDGE, "-") if status.ok else (BAD, "--")
        curves = [np.column_stack(curve) for curve in zip(x, y, strict=True)]
        axes.add_collection(
            LineCollection(curves, colors=color, linestyles=style, linewidths=0.8), autolim=False
        )


def _draw_lines(axes, cal):
    wavelength = _well_measured(cal)[:, np.newaxis]
    t = np.linspace(0, 1, 9)
    for key in cal.good():
        if not cal.mask[key].reference:
            x, y = cal.geometry(key).pixel(wavelength, t)
            curves = [np.column_stack(curve) for curve in zip(x, y, strict=True)]
            lines = LineCollection(curves, colors=LINE, linewidths=1.1, alpha=0.9)
            axes.add_collection(lines, autolim=False)


def _well_measured(cal):
    """Choose lines spread over the range, in each part the one with the smallest errors."""
    table = _used(cal, "line")
    wavelength, line = np.unique(table["wavelength"].value, return_inverse=True)
    error = [np.median(table["sigma"].value[line == n]) for n in range(len(wavelength))]
    part = np.linspace(0, 1, _DRAWN_LINES + 1)[1:-1]
    index = np.digitize(wavelength, wavelength[0] + part * np.ptp(wavelength)) if error else []
    best = {}
    for n in np.argsort(error):
        best.setdefault(index[n], wavelength[n])
    return np.array(list(best.values()))


def _label_slits(axes, cal, inches_per_px):
    """Write ids beside the frame, at the red end of the spectra, flagged slits first."""
    along_x = cal.instrument.direction.along_x
    places = _label_places(cal)
    room = 1.2 * _SMALL / 72 / inches_per_px  # px that a line of text needs
    taken = []
    for key in sorted(places, key=lambda k: cal.slits[k].ok):
        if any(abs(places[key] - other) < room for other in taken):
            continue
        taken.append(places[key])
        place = (1.008, places[key]) if along_x else (places[key], 1.008)
        axes.annotate(
            key,
            place,
            xycoords=("axes fraction", "data") if along_x else ("data", "axes fraction"),
            ha="left" if along_x else "center",
            va="center" if along_x else "bottom",
            rotation=0 if along_x else 90,
            fontsize=_SMALL,
            color="black" if cal.slits[key].ok else BAD,
        )


def _label_places(cal):
    """Return where spectra are nearest to the right (or upper) border, px across."""
    direction, (ny, nx) = cal.instrument.direction, cal.instrument.shape
    length, breadth = direction.split(nx, ny)
    wavelength = np.linspace(*cal.ids.domain, 60)
    places = {}
    for key in cal.mask:
        along, across = direction.split(*cal.geometry(key).pixel(wavelength, 0.5))
        on = (along < length) & (across >= 0) & (across < breadth)
        if on.any():
            places[key] = float(across[on][np.argmax(along[on])])
    return places


# -- rectified slits ---------------------------------------------------------------


def _strips(cal, arc):
    """Rectify the arc of an ordinary slit and of the worst: (id, what it is, planes, λ)."""
    if arc is None:
        return []
    good = [k for k in cal.good() if np.isfinite(cal.slits[k].rms)]
    good.sort(key=lambda k: cal.slits[k].rms)
    chosen = {good[len(good) // 2]: "median residuals"} if good else {}
    if len(good) > 1:
        chosen[good[-1]] = "largest residuals"
    strips = []
    for key, what in chosen.items():
        try:
            rectifier = slit_rectifier(cal, key)
            strips.append((key, what, rectifier.apply(arc).data, rectifier.wavelength))
        except InputError:  # a picture less is no reason to have none
            continue
    return strips


def _draw_strip(axes, cal, key, what, image, wavelength):
    half = 0.5 * (wavelength[1] - wavelength[0])
    extent = (wavelength[0] - half, wavelength[-1] + half, 1, 0)
    axes.imshow(
        stretched(image), cmap="gray_r", aspect="auto", extent=extent, origin="lower", vmax=1.1
    )
    table = cal.residuals
    mine = table[(table["kind"] == "line") & (table["slit"] == key)]
    used = np.unique(mine["wavelength"].value[mine["used"]])
    rejected = np.setdiff1d(mine["wavelength"].value, used)
    for lines, color in ((used, LINE), (rejected, BAD)):
        for low, high in ((-0.22, -0.03), (1.03, 1.22)):
            axes.vlines(lines, low, high, color=color, linewidth=1.0)
    axes.set(ylim=(1.25, -0.25), yticks=(0, 0.5, 1), xlim=extent[:2])
    axes.tick_params(labelsize=_SMALL)
    axes.set_ylabel("t along slit", fontsize=_SMALL)
    axes.set_xlabel(f"wavelength in {cal.medium} (Å)", fontsize=_SMALL)
    title = f"slit {key} ({what}): the rectified arc, lines between their ticks"
    title += "; orange: rejected" if len(rejected) else ""
    axes.set_title(title, fontsize=_NORMAL, loc="left")


# -- residuals ----------------------------------------------------------------------


def _draw_line_residuals(axes, cal):
    _draw_residuals(axes, cal, "line", LINE, "lines, along the dispersion")
    table = _used(cal, "line")
    lines = np.unique(table["wavelength"].value)
    medians = [np.median(table["residual"].value[table["wavelength"].value == w]) for w in lines]
    axes.plot(lines, medians, "o", color=LINE, mec="white", mew=0.6, ms=4.5, zorder=4)


def _draw_edge_residuals(axes, cal):
    _draw_residuals(axes, cal, "edge", EDGE, "edges, across")


def _draw_residuals(axes, cal, kind, color, what):
    """Plot used points, and rejected ones at the border where they are beyond it."""
    table = cal.residuals[cal.residuals["kind"] == kind]
    used, residual = np.asarray(table["used"]), table["residual"].value
    if kind == "line":
        place, label = table["wavelength"].value, f"wavelength in {cal.medium} (Å)"
    else:
        direction = cal.instrument.direction
        place = direction.split(table["x"].value, table["y"].value)[0]
        label = "x (px)" if direction.along_x else "y (px)"
    limit = max(1.3 * np.percentile(np.abs(residual[used]), 99), 0.1) if used.any() else 0.1
    size, alpha = (2.5, 0.35) if used.sum() > _MANY else (5.0, 0.6)
    axes.plot(place[used], residual[used], ".", color=color, ms=size, alpha=alpha, mew=0, zorder=2)
    out = ~used & np.isfinite(residual)
    clipped = np.clip(residual[out], -0.97 * limit, 0.97 * limit)
    axes.plot(place[out], clipped, "x", color=BAD, ms=4, mew=0.8, zorder=3)
    _dress(axes, limit, label, "measured − model (px)")
    rejected = f"; × {out.sum()} rejected" if out.any() else ""
    axes.set_title(what + rejected, fontsize=_NORMAL, loc="left")


def _draw_slits(axes, cal):
    """Show median and 16–84 % range of the residuals of each slit."""
    ids = list(cal.mask)
    widest = [0.1]
    for kind, color, shift in (("line", LINE, -0.15), ("edge", EDGE, 0.15)):
        table = _used(cal, kind)
        for number, key in enumerate(ids):
            mine = table["residual"].value[table["slit"] == key]
            if len(mine):
                low, middle, high = np.percentile(mine, (16, 50, 84))
                axes.plot([number + shift] * 2, [low, high], "-", color=color, lw=2, alpha=0.6)
                axes.plot(number + shift, middle, "o", color=color, ms=4)
                widest += [abs(low), abs(high)]
    flagged = [number for number, key in enumerate(ids) if not cal.slits[key].ok]
    for number in flagged:
        axes.axvspan(number - 0.5, number + 0.5, color=BAD, alpha=0.2, lw=0)
    step = label_step(len(ids), 4.0, _SMALL)
    shown = range(0, len(ids), step)
    axes.set_xticks(shown, [ids[n] for n in shown], rotation=90 if len(ids) > 10 else 0)
    for label, number in zip(axes.get_xticklabels(), shown, strict=True):
        label.set_color(BAD if number in flagged else "black")
    _dress(axes, 1.2 * max(widest), "slit", "measured − model (px)")
    axes.set_xlim(-0.7, len(ids) - 0.3)
    axes.set_title("lines and edges by slit: median, 68 %", fontsize=_NORMAL, loc="left")


def _dress(axes, limit, xlabel, ylabel):
    axes.axhline(0, color=MUTED, lw=0.8, zorder=1)
    axes.set_ylim(-limit, limit)
    axes.set_xlabel(xlabel, fontsize=_SMALL)
    axes.set_ylabel(ylabel, fontsize=_SMALL)
    axes.tick_params(labelsize=_SMALL)
    axes.grid(alpha=0.25, lw=0.5)


def _write_reasons(axes, cal):
    """List the flagged slits with their reasons."""
    flagged = {key: status for key, status in cal.slits.items() if not status.ok}
    lines = []
    for key, status in list(flagged.items())[:_NAMED]:
        lines += textwrap.wrap(f"{key}  {status}", _REASON_WIDTH, subsequent_indent="      ")
    if len(flagged) > _NAMED:
        lines.append(f"… and {len(flagged) - _NAMED} more")
    axes.set_axis_off()
    axes.set_title("flagged slits", fontsize=_NORMAL, loc="left", color=BAD)
    axes.text(
        0, 1, "\n".join(lines), color=BAD, fontsize=_SMALL, va="top", transform=axes.transAxes
    )
