"""What pictures of a calibration are made of: frames with the models drawn in, residuals."""

import numpy as np
from matplotlib.collections import LineCollection

from specwcs.errors import InputError
from specwcs.extraction import slit_rectifier

from .canvas import BAD, EDGE, LINE, MUTED, binned, label_step, stretched

__all__ = [
    "draw_edge_residuals",
    "draw_field",
    "draw_frame",
    "draw_line_residuals",
    "draw_slits",
    "draw_strip",
    "rms_of",
    "strips_of",
    "used_of",
]

SMALL, NORMAL = 8.0, 10.0  # points
"""Sizes of text."""

_CELLS = 40  # of a map of residuals, along the longer side of the frame
_DRAWN_LINES = 12  # of all lines, drawn into the arc
_MANY = 1000  # points of a panel, drawn smaller than few


def used_of(cal, kind):
    """Return the residuals of the markers of a kind that the fit used."""
    table = cal.residuals
    return table[(table["kind"] == kind) & table["used"]]


def rms_of(table):
    """Return the rms of the residuals of a table, px; NaN without any."""
    return float(np.sqrt(np.mean(table["residual"].value ** 2))) if len(table) else np.nan


# -- frames -----------------------------------------------------------------------


def draw_frame(axes, cal, name, frame, inches_per_px):
    """Draw a frame with the predicted edges, and lines into an arc."""
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
    axes.tick_params(labelsize=SMALL)
    axes.set_xlabel("x (px)", fontsize=SMALL)
    axes.set_ylabel("y (px)", fontsize=SMALL)
    drawn = "edges (green), some lines (blue)" if name == "arc" else "edges (green)"
    # Labels of slits stand above a frame that disperses along its columns.
    pad = 6 if cal.instrument.direction.along_x else 28
    axes.set_title(f"{name}: predicted {drawn}", fontsize=NORMAL, loc="left", pad=pad)
    _label_slits(axes, cal, inches_per_px)


def _draw_edges(axes, cal):
    wavelength = np.linspace(*cal.ids.domain, 60)
    for key in cal.mask:
        status = cal.slits[key]
        x, y = cal.geometry(key).pixel(wavelength, np.array([[0.0], [1.0]]))
        color, style = (EDGE, "-") if status.ok else (BAD, "--")
        curves = [np.column_stack(curve) for curve in zip(x, y, strict=True)]
        axes.add_collection(
            LineCollection(curves, colors=color, linestyles=style, linewidths=0.8), autolim=False
        )


def _draw_lines(axes, cal):
    wavelength = _well_measured(cal)[:, np.newaxis]
    t = np.linspace(0, 1, 65)  # slits may have nicks
    for key in cal.good():
        if not cal.mask[key].reference:
            x, y = cal.geometry(key).pixel(wavelength, t)
            curves = [np.column_stack(curve) for curve in zip(x, y, strict=True)]
            lines = LineCollection(curves, colors=LINE, linewidths=1.1, alpha=0.9)
            axes.add_collection(lines, autolim=False)


def _well_measured(cal):
    """Choose lines spread over the range, in each part the one with the smallest errors."""
    table = used_of(cal, "line")
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
    room = 1.2 * SMALL / 72 / inches_per_px  # px that a line of text needs
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
            fontsize=SMALL,
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


def strips_of(cal, arc):
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


def draw_strip(axes, cal, key, what, image, wavelength):
    """Draw the rectified arc of a slit, its lines between ticks."""
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
    axes.tick_params(labelsize=SMALL)
    axes.set_ylabel("t along slit", fontsize=SMALL)
    axes.set_xlabel(f"wavelength in {cal.medium} (Å)", fontsize=SMALL)
    title = f"slit {key} ({what}): the rectified arc, lines between their ticks"
    title += "; orange: rejected" if len(rejected) else ""
    axes.set_title(title, fontsize=NORMAL, loc="left")


# -- residuals ----------------------------------------------------------------------


def draw_line_residuals(axes, cal):
    """Plot the residuals of lines by wavelength."""
    _draw_residuals(axes, cal, "line", LINE, "lines, along the dispersion")
    table = used_of(cal, "line")
    lines = np.unique(table["wavelength"].value)
    medians = [np.median(table["residual"].value[table["wavelength"].value == w]) for w in lines]
    axes.plot(lines, medians, "o", color=LINE, mec="white", mew=0.6, ms=4.5, zorder=4)


def draw_edge_residuals(axes, cal):
    """Plot the residuals of edges along the dispersion."""
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
    axes.set_title(what + rejected, fontsize=NORMAL, loc="left")


def draw_slits(axes, cal):
    """Show median and 16–84 % range of the residuals of each slit."""
    ids = list(cal.mask)
    widest = [0.1]
    for kind, color, shift in (("line", LINE, -0.15), ("edge", EDGE, 0.15)):
        table = used_of(cal, kind)
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
    step = label_step(len(ids), 4.0, SMALL)
    shown = range(0, len(ids), step)
    axes.set_xticks(shown, [ids[n] for n in shown], rotation=90 if len(ids) > 10 else 0)
    for label, number in zip(axes.get_xticklabels(), shown, strict=True):
        label.set_color(BAD if number in flagged else "black")
    _dress(axes, 1.2 * max(widest), "slit", "measured − model (px)")
    axes.set_xlim(-0.7, len(ids) - 0.3)
    axes.set_title("lines and edges by slit: median, 68 %", fontsize=NORMAL, loc="left")


def _dress(axes, limit, xlabel, ylabel):
    axes.axhline(0, color=MUTED, lw=0.8, zorder=1)
    axes.set_ylim(-limit, limit)
    axes.set_xlabel(xlabel, fontsize=SMALL)
    axes.set_ylabel(ylabel, fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    axes.grid(alpha=0.25, lw=0.5)


def draw_field(figure, axes, cal, kind):
    """Map the residuals of lines, or edges, over the frame: medians in cells, in colour."""
    ny, nx = cal.instrument.shape
    table = used_of(cal, kind)
    x, y, residual = (table[name].value for name in ("x", "y", "residual"))
    if len(table):
        step = max(nx, ny) / _CELLS
        cell = (x // step) * (2 * _CELLS) + y // step
        cells = np.unique(cell)
        middle = np.array(
            [[np.median(v[cell == c]) for v in (x, y, residual)] for c in cells]
        ).reshape(-1, 3)
        limit = max(np.percentile(np.abs(middle[:, 2]), 95), 0.01)
        points = axes.scatter(
            *middle[:, :2].T, c=middle[:, 2], cmap="RdBu_r", vmin=-limit, vmax=limit, s=26,
            edgecolors=MUTED, linewidths=0.3,
        )  # fmt: skip
        bar = figure.colorbar(points, ax=axes, shrink=0.9, extend="both")
        bar.set_label("measured − model (px)", fontsize=SMALL)
        bar.ax.tick_params(labelsize=SMALL)
    axes.set(xlim=(-0.5, nx - 0.5), ylim=(-0.5, ny - 0.5), aspect="equal")
    axes.set_xlabel("x (px)", fontsize=SMALL)
    axes.set_ylabel("y (px)", fontsize=SMALL)
    axes.tick_params(labelsize=SMALL)
    what = "lines, along the dispersion" if kind == "line" else "edges, across"
    axes.set_title(what, fontsize=NORMAL, loc="left")
