"""The parts of a page beside the frame: residuals, the list of slits, a slit's spectrum."""

import numpy as np
from bokeh.models import (
    BoxAnnotation,
    ColumnDataSource,
    CustomJSTickFormatter,
    DataTable,
    Div,
    HoverTool,
    HTMLTemplateFormatter,
    LinearAxis,
    LinearColorMapper,
    Range1d,
    Span,
    StringFormatter,
    TableColumn,
    TapTool,
)
from bokeh.plotting import figure

from specwcs.viewers.web.events import heed

__all__ = ["Rectified", "Residuals", "Slice", "SlitList"]

_USED, _DROPPED, _LINE = "#2b6cb0", "#c53030", "#4a5568"
_FAR = 8.0  # times the rms
_MOST_LABELS = 40
_RESIDUALS = (
    "at", "slit_number", "residual", "shown", "marker", "used", "size", "slit", "wavelength", "t",
    "x", "y",
)  # fmt: skip
_COLUMNS = ("slit", "state", "why", "marks", "rms", "dropped", "tint")
_CUT = 0.3  # %, at either end of the shades of a rectified slit


class Residuals:
    """Residuals by wavelength, place or slit, whose points can be clicked.

    Parameters
    ----------
    chosen : callable
        Given slit, x, y of a marker that was clicked.
    """

    def __init__(self, chosen):
        self._chosen = chosen
        self.source = ColumnDataSource({name: [] for name in _RESIDUALS})
        self.figures = [self._figure("at", "wavelength (Å)"), self._figure("slit_number", "slit")]
        heed(self.source.selected, "indices", self._tapped)

    def _figure(self, column, label):
        plot = figure(
            x_range=Range1d(0, 1),
            y_range=Range1d(-1, 1),
            height=190,
            sizing_mode="stretch_width",
            tools="pan,wheel_zoom,box_zoom,reset,tap",
            active_scroll="wheel_zoom",
            toolbar_location="right",
            x_axis_label=label,
            y_axis_label="residual (px)",
            lod_threshold=None,
            min_border_right=5,
            name=f"residuals_{column}",
        )
        plot.toolbar.logo = None
        plot.title.text_font_size = "12px"
        band = BoxAnnotation(fill_color=_USED, fill_alpha=0.08, visible=False, level="underlay")
        plot.add_layout(band)
        plot.add_layout(Span(location=0, dimension="width", line_color=_LINE, line_width=0.8))
        color = {"field": "used", "transform": LinearColorMapper([_DROPPED, _USED], low=0, high=1)}
        plot.scatter(
            column, "shown", source=self.source, marker="marker", fill_color=color,
            line_color=None, size="size", alpha=0.7, nonselection_alpha=0.7,
            selection_line_color="black", selection_fill_color="gold", selection_alpha=1,
        )  # fmt: skip
        tips = [("slit", "@slit, t = @t{0.00}"), ("wavelength", "@wavelength{0.00} Å"),
                ("residual", "@residual{0.000} px")]  # fmt: skip
        plot.add_tools(HoverTool(tooltips=tips))
        plot.select_one(TapTool).description = "click a point to see its marker"
        plot.tags = [band]
        return plot

    def show(self, facts, direction):
        """Draw the residuals of a model."""
        table, model = facts.residuals, facts.progress.model
        if table is None:
            self.source.data = {name: [] for name in _RESIDUALS}
            self._titles("no fit yet: move markers, or measure them")
            return
        used = np.asarray(table["used"])
        off = table["residual"].value
        slits = np.asarray(table["slit"])
        ids = list(dict.fromkeys(slits.tolist()))
        number = {key: n for n, key in enumerate(ids)}
        wavelength, t = table["wavelength"].value, np.asarray(table["t"])
        at = wavelength
        if model != "ids":
            at = direction.split(table["x"].value, table["y"].value)[0]
        known = np.isfinite(off) & np.isfinite(at)
        jitter = 0.7 * (np.clip(t, 0, 1) - 0.5)
        reach = self._reach(off[known], facts.rms)
        beyond = np.abs(off[known]) > reach
        self.source.selected.indices = []
        self.source.data = {
            "shown": np.clip(off[known], -reach, reach),
            "marker": np.where(
                beyond, np.where(off[known] > 0, "triangle", "inverted_triangle"), "circle"
            ).tolist(),
            "at": at[known],
            "slit_number": (np.array([number[s] for s in slits.tolist()]) + jitter)[known],
            "residual": off[known],
            "used": used[known].astype(np.uint8),
            "size": np.where(beyond, 9, np.where(used, 5, 7)[known]).astype(np.float32),
            "slit": slits[known].tolist(),
            "wavelength": wavelength[known],
            "t": t[known],
            "x": table["x"].value[known],
            "y": table["y"].value[known],
        }
        along = "x" if direction.along_x else "y"
        self.figures[0].xaxis.axis_label = (
            "wavelength (Å)" if model == "ids" else f"{along} along the dispersion (px)"
        )
        self._axis(ids)
        self._ranges(reach)
        state = "as it stands" if facts.live else "last fit"
        self._titles(
            f"{model.upper()}, {state}: {facts.rms:.3f} px rms, {int(used.sum())} used, "
            f"{int(np.sum(~used))} dropped",
            facts.rms,
        )

    def _reach(self, off, rms):
        """Return up to where residuals are shown; those beyond stand at the edge, as triangles."""
        most = np.abs(off).max(initial=0)
        return max(min(most, _FAR * rms if rms > 0 else np.inf), 1e-3)

    def _ranges(self, reach):
        """Show all points."""
        if not len(self.source.data["at"]):
            return
        reach *= 1.12
        for plot, column in zip(self.figures, ("at", "slit_number"), strict=True):
            low, high = self.source.data[column].min(), self.source.data[column].max()
            room = max(0.03 * (high - low), 0.5)
            plot.x_range.update(start=low - room, end=high + room)
            plot.x_range.update(reset_start=low - room, reset_end=high + room)
            plot.y_range.update(start=-reach, end=reach, reset_start=-reach, reset_end=reach)

    def _axis(self, ids):
        """Name the slits on the axis of the second figure, as many as there is room for."""
        step = max(1, -(-len(ids) // 14))
        axis = self.figures[1].xaxis[0]
        axis.ticker = list(range(0, len(ids), step))
        axis.major_label_overrides = dict(enumerate(ids))

    def _titles(self, text, rms=np.nan):
        self.figures[0].title.text = text
        for plot in self.figures:
            band = plot.tags[0]
            band.visible = bool(np.isfinite(rms))
            if band.visible:
                band.update(bottom=-rms, top=rms)

    def _tapped(self, new):
        if new:
            # Of several under the pointer, the worst.
            row = max(new, key=lambda n: abs(self.source.data["residual"][n]))
            self._chosen(*(self.source.data[name][row] for name in ("slit", "x", "y")))


class SlitList:
    """The slits and how they are, the worst first.

    Parameters
    ----------
    chosen : callable
        Given the id of a slit that was clicked.
    """

    def __init__(self, chosen):
        self._chosen = chosen
        self.source = ColumnDataSource({name: [] for name in _COLUMNS})
        tinted = HTMLTemplateFormatter(
            template='<span title="<%= why %>" style="color: <%= tint %>"><%= value %></span>'
        )
        columns = [
            TableColumn(field="slit", title="slit", width=60, formatter=StringFormatter()),
            TableColumn(field="state", title="state", width=100, formatter=tinted),
            TableColumn(field="marks", title="placed of drawn", width=105),
            TableColumn(field="rms", title="rms (px)", width=65),
            TableColumn(field="dropped", title="dropped", width=60),
        ]
        self.table = DataTable(
            source=self.source, columns=columns, height=230, sizing_mode="stretch_width",
            index_position=None, sortable=True, reorderable=False, autosize_mode="none",
            name="slits",
        )  # fmt: skip
        heed(self.source.selected, "indices", self._tapped)

    def show(self, rows):
        """List slits."""
        new = {
            "slit": [row.slit for row in rows],
            "state": [row.state for row in rows],
            "why": [row.why.replace('"', "'") for row in rows],
            "marks": [f"{row.placed} of {row.drawn}" for row in rows],
            "rms": ["" if np.isnan(row.rms) else f"{row.rms:.3f}" for row in rows],
            "dropped": [str(row.dropped) if row.dropped else "" for row in rows],
            "tint": [_tint(row) for row in rows],
        }
        if new != {name: list(values) for name, values in self.source.data.items()}:
            self.source.selected.indices = []
            # A table that gets as many rows as it has does not draw them (Bokeh 3.9).
            self.source.data = {name: [] for name in new}
            self.source.data = new

    def _tapped(self, new):
        if new:
            self._chosen(self.source.data["slit"][new[0]])


def _tint(row):
    if row.state in ("ok", "placed", "solved"):
        return "#276749"
    return "#4a5568" if row.state in ("", "untouched", "reference") else _DROPPED


class Slice:
    """The spectrum along a slit, the lines of the catalogue on it, a reference above it."""

    def __init__(self):
        self._flux = ColumnDataSource({"pixel": [], "flux": [], "wavelength": []})
        self._lines = ColumnDataSource({"pixel": [], "top": [], "name": []})
        self._atlas = ColumnDataSource({"pixel": [], "flux": []})
        self.figure = figure(
            height=210, sizing_mode="stretch_width", tools="xpan,xwheel_zoom,xbox_zoom,reset",
            active_scroll="xwheel_zoom", x_axis_label="px along the dispersion",
            y_axis_label="counts", lod_threshold=None, name="slice",
            title="click a slit in the list, or press n, to see its spectrum",
        )  # fmt: skip
        self.figure.toolbar.logo = None
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(0, 1)
        self.figure.line("pixel", "flux", source=self._flux, line_color="#1a202c")
        self.figure.vspan("pixel", source=self._lines, line_color=_DROPPED, line_alpha=0.35)
        self.figure.text(
            "pixel", "top", "name", source=self._lines, angle=np.pi / 2, text_align="right",
            text_font_size="9px", text_color=_DROPPED, x_offset=-2,
        )  # fmt: skip
        self.figure.line("pixel", "flux", source=self._atlas, line_color="#b7791f", line_alpha=0.9)
        hover = HoverTool(tooltips=[("px", "@pixel{0}"), ("Å", "@wavelength{0.00}"),
                                    ("counts", "@flux{0.0}")], mode="vline",
                          renderers=[self.figure.renderers[0]])  # fmt: skip
        self.figure.add_tools(hover)
        formatter = CustomJSTickFormatter(code=_WAVELENGTHS, args={"source": self._flux})
        self.figure.add_layout(
            LinearAxis(axis_label="wavelength (Å)", formatter=formatter), "above"
        )

    def show(self, slit, cut, lines, labels, medium, atlas):
        """Draw a cut; `atlas` is a pair of wavelengths and fluxes, or None."""
        flux = np.asarray(cut.flux, float)
        good = flux[np.isfinite(flux)]
        low, high = np.percentile(good, (0.5, 100)) if good.size else (0.0, 1.0)
        room = max(high - low, 1e-9)
        self.figure.y_range.update(
            start=low - 0.05 * room, end=high + (1.1 if atlas else 0.35) * room
        )
        if len(self._flux.data["pixel"]) != len(cut.pixel):
            ends = {"start": -0.5, "end": len(cut.pixel) - 0.5}
            self.figure.x_range.update(**ends, **{f"reset_{k}": v for k, v in ends.items()})
        self._flux.data = {"pixel": cut.pixel, "flux": flux, "wavelength": cut.wavelength}
        pixel, names = np.zeros(0), []
        if lines is not None and len(lines):
            pixel = np.interp(lines["wavelength"].value, *_ordered(cut), left=np.nan, right=np.nan)
            names = [f"{w:.1f} {n}" for w, n in
                     zip(lines["wavelength"].value.tolist(), labels, strict=True)]  # fmt: skip
        known = np.isfinite(pixel)
        pixel, names = pixel[known], [n for n, k in zip(names, known.tolist(), strict=True) if k]
        if len(pixel) > _MOST_LABELS:
            light = np.interp(pixel, cut.pixel, np.nan_to_num(flux))
            faint = np.argsort(-light)[_MOST_LABELS:]
            names = np.where(np.isin(np.arange(len(names)), faint), "", names).tolist()
        self._lines.data = {
            "pixel": pixel,
            "top": np.full(len(pixel), high + 0.33 * room),
            "name": names,
        }
        above = {"pixel": [], "flux": []}
        if atlas is not None:
            at = np.interp(atlas[0], *_ordered(cut), left=np.nan, right=np.nan)
            scale = 0.6 * room / max(float(np.nanmax(np.abs(atlas[1]))), 1e-30)
            above = {"pixel": at, "flux": high + 0.4 * room + scale * atlas[1]}
        self._atlas.data = above
        title = f"slit {slit}, wavelengths in {medium}"
        self.figure.title.text = f"{title}; the reference above" if atlas is not None else title


_WAVELENGTHS = """
const {pixel, wavelength} = source.data
const n = Math.round(tick)
if (n < 0 || n >= pixel.length || !isFinite(wavelength[n])) return ""
return wavelength[n].toFixed(0)
"""


def _ordered(cut):
    """Return wavelengths, increasing, and their pixels."""
    known = np.isfinite(cut.wavelength)
    if not known.any():
        return np.array([0.0, 1.0]), np.full(2, np.nan)
    order = np.argsort(cut.wavelength[known])
    return cut.wavelength[known][order], cut.pixel[known][order]


class Rectified:
    """A slit, its lines straight and its wavelengths even."""

    def __init__(self):
        self.source = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        self.figure = figure(
            height=210, sizing_mode="stretch_width", tools="pan,wheel_zoom,box_zoom,reset",
            active_scroll="wheel_zoom", x_axis_label="wavelength (Å)", y_axis_label="row",
            name="rectified",
        )  # fmt: skip
        self.figure.toolbar.logo = None
        self.figure.grid.visible = False
        self.figure.x_range, self.figure.y_range = Range1d(0, 1), Range1d(0, 1)
        self.figure.image("image", x="x", y="y", dw="dw", dh="dh", source=self.source,
                          palette="Viridis256")  # fmt: skip
        self.note = Div(text="", visible=False)

    def show(self, slit, spectrum):
        """Draw a rectified slit."""
        flux = np.where(spectrum.mask, np.nan, spectrum.flux.value)
        good = flux[np.isfinite(flux)]
        low, high = np.percentile(good, (_CUT, 100 - _CUT)) if good.size else (0, 1)
        shades = np.nan_to_num(np.clip((flux - low) / max(high - low, 1e-30), 0, 1))
        wavelength = spectrum.spectral_axis.value
        step = wavelength[1] - wavelength[0]
        left, width = wavelength[0] - step / 2, wavelength[-1] - wavelength[0] + step
        self.source.data = {
            "image": [(255 * shades).astype(np.uint8)],
            "x": [left],
            "y": [-0.5],
            "dw": [width],
            "dh": [len(flux)],
        }
        self.figure.x_range.update(start=left, end=left + width)
        self.figure.y_range.update(start=-0.5, end=len(flux) - 0.5)
        self.figure.title.text = f"slit {slit}, rectified"
        self.say("")

    def say(self, text):
        """Show a sentence in place of the image; an empty one takes it away."""
        self.note.text, self.note.visible = text, bool(text)
        self.figure.visible = not text and bool(self.source.data["image"])
