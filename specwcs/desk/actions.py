"""What buttons and keys of a page do to a session: its public calls, and no others."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy import units as u

from specwcs.errors import InputError
from specwcs.markers import Markers

__all__ = ["FIRST_DEGREES", "Actions", "Settings"]

FIRST_DEGREES = {"opt": (1, 1), "crv": (2, 1, 1), "ids": (3, 1, 1)}
"""With which models begin on a page: most masks determine them."""

_OFFERED = 9  # lines of the catalogue about a marker
_AT = 0.03  # of t: markers of one line nearer than this are at one place


@dataclass
class Settings:
    """How markers are drawn.

    Parameters
    ----------
    catalog : object
        As `plot_ids_model` takes it; None where none was chosen.
    nsplit : int
        Pieces of a slit with lines in each.
    points : int
        Along a trace.
    edit : bool
        Whether slits are polygons with corners that move.
    folder : Path
        Where results are written.
    """

    catalog: object = None
    nsplit: int = 1
    points: int = 9
    edit: bool = False
    folder: Path = field(default_factory=Path.cwd)


class Actions:
    """The calls of a session behind a page.

    Parameters
    ----------
    session : ModelsCalibration
    settings : Settings
    """

    def __init__(self, session, settings):
        self._session, self.settings = session, settings

    # -- models and their markers ----------------------------------------------------

    def step(self, name):
        """Turn to a model: begin it where there is none, and draw its markers."""
        if name != "opt" and self._session.opt is None:
            self.step("opt")
        if getattr(self._session, name) is None:
            self._new(name, FIRST_DEGREES[name])
        self.draw(name)

    def draw(self, name):
        """Draw the markers of a model where it has them."""
        settings = self.settings
        if name == "opt":
            self._session.plot_opt_model(edit=settings.edit)
        elif name == "crv":
            self._session.plot_crv_model(settings.points, pos=(0, 1))
        else:
            self._session.plot_ids_model(self._lamp(), nsplit=settings.nsplit)

    def fit(self, name):
        """Fit a model to its markers."""
        getattr(self._session, f"fit_{name}_model")()

    def measure(self, name):
        """Have the markers of a model measured on the frame."""
        if getattr(self._session, name) is None:
            self._new(name, FIRST_DEGREES[name])
        if name == "crv":
            self._session.measure_crv()
        else:
            getattr(self._session, f"measure_{name}")(self._lamp())

    def degrees(self, name, degrees):
        """Fit with other degrees; a model that was not fitted yet begins anew with them."""
        progress = self._session.progress
        placed = progress.model == name and (
            progress.placed.any() or not np.all(progress.markers["used"])
        )
        if placed or (name in progress.models and progress.models[name].origin == "fitted"):
            self._session.refit(*degrees)
            return
        flips = {}
        if name == "opt" and self._session.opt is not None:
            flips = {axis: getattr(self._session.opt, f"{axis}_flipped") for axis in "xy"}
        self._new(name, degrees)
        for axis, flipped in flips.items():
            if flipped:
                self.flip(axis)
        self.draw(name)

    def flip(self, axis):
        """Mirror the mask along an axis."""
        getattr(self._session.opt, f"flip{axis}")()
        self.draw("opt")

    def _new(self, name, degrees):
        getattr(self._session, f"new_{name}_model")(*degrees)

    def _lamp(self):
        if self.settings.catalog is None:
            raise InputError("no line catalogue", "", "Choose one under 'Lines of'")
        return self.settings.catalog

    # -- back and forth ---------------------------------------------------------------------

    def undo(self):
        """Take back the last step."""
        self._session.undo()

    def redo(self):
        """Take back an undo."""
        self._session.redo()

    # -- single markers -----------------------------------------------------------------------

    def mark(self, x, y, finder):
        """Add a marker at a pixel: of the nearest slit, trace, or line of the catalogue.

        Returns
        -------
        str
            What it is.
        """
        progress, markers = self._session.progress, self._session.markers
        if progress.model == "opt":
            return self._mark_slit(x, y, markers)
        slit, t, wavelength = finder.find(x, y)
        if progress.model == "crv":
            return self._mark_edge(x, y, markers, finder)
        if progress.model is None or slit is None:
            raise InputError("no slit is here", "", "Mark lines inside a slit, or fit OPT first")
        if progress.slit not in (None, slit):
            raise InputError(f"slit {progress.slit} is at hand", "", "Mark its lines")
        catalog = progress.catalog
        taken = {
            float(w)
            for w, s, there, used in zip(
                markers["wavelength"].value, markers["slit"], markers["t"], markers["used"],
                strict=True,
            )
            if used and s == slit and abs(there - t) < _AT
        }  # fmt: skip
        free = np.array([w for w in catalog.wavelength.tolist() if w not in taken])
        if not len(free) or not np.isfinite(wavelength):
            raise InputError(
                "no line of the catalogue is left here", "", "Choose another catalogue"
            )
        line = float(free[np.argmin(np.abs(free - wavelength))])
        self._add(markers, Markers.of("line", slit, [t], [x], [y], wavelength=[line]))
        return f"{line:.2f} Å marked in slit {slit}. Choose another line beside if it is not this."

    def _mark_slit(self, x, y, markers):
        unused = np.flatnonzero(~np.asarray(markers["used"]))
        if not len(unused):
            raise InputError("every slit has its marker", "", "Move it instead")
        apart = np.hypot(markers["x"].value[unused] - x, markers["y"].value[unused] - y)
        slit = markers["slit"][unused[int(np.argmin(apart))]]
        mine = np.flatnonzero(np.asarray(markers["slit"]) == slit)
        by = [v - markers[c].value[mine].mean() for c, v in (("x", x), ("y", y))]
        for column, shift in zip("xy", by, strict=True):
            markers[column][mine] += shift * u.pix
        markers["used"][mine] = True
        self._session.markers = markers
        return f"slit {slit} is back."

    def _mark_edge(self, x, y, markers, finder):
        slit = finder.nearest(x, y)
        ts = np.unique(np.asarray(markers["t"]))
        if slit is None or not len(ts):
            raise InputError("no trace is here")
        apart = [self._off_trace(slit, t, x, y) for t in ts]
        t = float(ts[int(np.nanargmin(apart))])
        self._add(markers, Markers.of("edge", slit, [t], [x], [y]))
        return f"a point of slit {slit}, t = {t:g}."

    def _off_trace(self, slit, t, x, y):
        direction = self._session.instrument.direction
        here, across = direction.split(x, y)
        trace = self._session.geometry(slit).trace
        reach = np.linspace(-1, 1, 129) * max(self._session.instrument.shape)
        along, q = direction.split(*trace.pixel_from_trace(reach, np.full(129, t)))
        order = np.argsort(along)
        return abs(np.interp(here, along[order], q[order]) - across)

    def lines_near(self, row):
        """Return the lines of the catalogue that a marker may be, its own first, Angstrom."""
        markers, catalog = self._session.markers, self._session.progress.catalog
        if catalog is None or not 0 <= row < len(markers):
            return []
        own = float(markers["wavelength"].value[row])
        order = np.argsort(np.abs(catalog.wavelength - own))[:_OFFERED]
        lines, names = (v[order].tolist() for v in (catalog.wavelength, catalog.label))
        return [(w, f"{w:.2f} {name}".strip()) for w, name in zip(lines, names, strict=True)]

    def name(self, row, wavelength):
        """Say that a marker is another line."""
        markers = self._session.markers
        if not 0 <= row < len(markers) or markers["kind"][row] != "line":
            raise InputError("no line is selected", "", "Click the head of an arrow")
        t, own = markers["t"][row], np.asarray(markers["slit"]) == markers["slit"][row]
        same = own & np.isclose(markers["wavelength"].value, wavelength, atol=1e-3, rtol=0)
        same &= np.abs(np.asarray(markers["t"]) - t) < _AT
        new = Markers.of(
            "line", markers["slit"][row], [t], [markers["x"].value[row]], [markers["y"].value[row]],
            wavelength=[wavelength],
        )  # fmt: skip
        markers["used"][row] = False
        markers["used"] &= ~same  # the line stands here now
        self._add(markers, new)

    def _add(self, markers, new):
        self._session.markers = Markers.join([markers, new])

    # -- slit by slit -----------------------------------------------------------------------

    def tour(self):
        """Begin slit by slit."""
        if self._session.ids is None:
            self._new("ids", FIRST_DEGREES["ids"])
        self._session.ids_iter(self._lamp(), nsplit=self.settings.nsplit)

    def next(self):
        """Go on to the next slit."""
        self._session.next()

    def prev(self):
        """Go back to the slit before."""
        self._session.prev()

    def stop(self):
        """End slit by slit."""
        self._session.stop_iter()

    # -- files --------------------------------------------------------------------------------

    def load(self, path):
        """Show another frame."""
        self._session.load_image(path)

    def regions(self, path):
        """Take markers from a region file."""
        self._session.read_regions(path)

    def save(self, name, overwrite):
        """Write the calibration, and the markers as regions beside it.

        Returns
        -------
        str
            What was written where.
        """
        if not name.strip():
            raise InputError("no name to save under", "", "Type one")
        path = self.settings.folder / name
        path = path if path.suffix == ".asdf" else path.with_name(path.name + ".asdf")
        regions = path.with_suffix(".reg")
        if self._session.opt is None:
            raise InputError("there is no model to save", "", "Place and fit the slits first")
        self._session.calibration.write(path, overwrite=overwrite)
        said = f"saved {path}"
        if len(self._session.progress.markers):
            self._session.write_regions(regions, overwrite=overwrite)
            said += f", and the markers in {regions.name}"
        journal = self._session.journal
        return f"{said}. Every step is in {journal}." if journal else f"{said}."
