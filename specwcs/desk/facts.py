"""What the panels of a page show, read from a session once after each step."""

from dataclasses import dataclass, field

import numpy as np

from specwcs.errors import SpecwcsError

__all__ = ["Facts", "SlitFinder", "SlitRow"]

_NODES = 65  # along a slit, where its ends are looked up


@dataclass(frozen=True)
class SlitRow:
    """A slit in the list."""

    slit: str
    state: str
    """``"ok"``, or what is wrong, or what is to be done, in a few words."""
    why: str
    placed: int
    drawn: int
    rms: float
    """px, of its markers in the fit; NaN where there are none."""
    dropped: int
    """Markers that the fit did not use."""
    scatter: float
    """px, rms with those that were dropped; NaN where there are none."""

    @property
    def rank(self):
        """Sorts the worst first."""
        good = self.state in ("ok", "reference", "solved", "placed")
        return good, good and np.isnan(self.scatter), -np.nan_to_num(self.scatter)


@dataclass(frozen=True)
class Facts:
    """What there is to show.

    Parameters
    ----------
    progress : Progress
    residuals : QTable or None
        Of the markers as they stand, or of the last fit.
    live : bool
        Whether they are of the markers as they stand, and not of the last fit.
    rms : float
        Of the residuals that count, px.
    complaint : str
        Why the markers as they stand cannot be fitted; empty if they can.
    slits : list of SlitRow
        The worst first.
    finder : SlitFinder
    """

    progress: object
    residuals: object = field(repr=False)
    live: bool
    rms: float
    complaint: str
    slits: list = field(repr=False)
    finder: object = field(repr=False)

    @classmethod
    def of(cls, session):
        """Read a session."""
        complaint, preview = "", None
        try:
            preview = session.preview()
        except SpecwcsError as error:
            complaint = str(error)
        progress = session.progress
        own = progress.models.get(progress.model)
        residuals = preview.residuals if preview is not None else own and own.residuals
        off, used = np.zeros(0), np.zeros(0, bool)
        if residuals is not None:
            off, used = residuals["residual"].value, np.asarray(residuals["used"])
        rms = float(np.sqrt(np.mean(off[used] ** 2))) if used.any() else np.nan
        finder = SlitFinder.of(session)
        rows = _slit_rows(session, progress, residuals)
        return cls(progress, residuals, preview is not None, rms, complaint, rows, finder)


def _slit_rows(session, progress, residuals):
    """List the slits, the worst first."""
    status = {}
    if all(name in progress.models and progress.models[name].origin in ("fitted", "read")
           for name in ("opt", "crv", "ids")):  # fmt: skip
        status = session.calibration.slits
    slits = np.asarray(progress.markers["slit"])
    used = np.asarray(progress.markers["used"])
    rows = []
    for key, slit in session.mask.items():
        mine = (slits == key) & used
        placed, drawn = int(np.sum(mine & progress.placed)), int(mine.sum())
        kept, off = np.zeros(0, bool), np.zeros(0)
        if residuals is not None:
            own = np.asarray(residuals["slit"] == key)
            kept, off = np.asarray(residuals["used"])[own], residuals["residual"].value[own]
        state, why = "", ""
        if key in status:
            state, why = status[key].flag, status[key].reason
        elif slit.reference and progress.model != "opt":
            state = "reference"
        elif progress.model and not drawn:
            state, why = "no markers", "None is on the frame, or all were deleted."
        elif progress.model and not placed:
            state = "untouched"
        elif progress.model:
            state = "placed"
        if progress.slit == key:
            state = f"at hand, {state}" if state else "at hand"
        elif key in progress.solved:
            state = "solved"
        rms, scatter = _rms(off[kept]), _rms(off[np.isfinite(off)])
        rows.append(SlitRow(key, state, why, placed, drawn, rms, int(np.sum(~kept)), scatter))
    return sorted(rows, key=lambda row: row.rank)


def _rms(values):
    return float(np.sqrt(np.mean(values**2))) if len(values) else np.nan


class SlitFinder:
    """Which slit a pixel lies in, and where in it.

    Parameters
    ----------
    geometries : dict of str to SlitGeometry
    direction : Direction
    length : float
        Of the frame along the dispersion, px.
    """

    def __init__(self, geometries, direction, length):
        self._geometries, self._direction = geometries, direction
        self._ids, edges = list(geometries), []
        self._nodes = np.linspace(-0.5, length - 0.5, _NODES)
        for geometry in geometries.values():
            trace, ends = geometry.trace, []
            for t in (0.0, 1.0):
                reach = np.linspace(-length, length, 2 * _NODES)
                along, across = direction.split(
                    *trace.pixel_from_trace(reach, np.full_like(reach, t))
                )
                good = np.isfinite(along) & np.isfinite(across)
                order = np.argsort(along[good])
                ends.append(
                    np.interp(self._nodes, along[good][order], across[good][order])
                    if good.any()
                    else np.full(_NODES, np.nan)
                )
            edges.append(np.sort(ends, axis=0))
        self._edges = np.array(edges).reshape(-1, 2, _NODES)

    @classmethod
    def of(cls, session):
        """Make one of the models of a session; it finds nothing where there is no OPT."""
        direction = session.instrument.direction
        length = direction.split(session.instrument.xpixels, session.instrument.ypixels)[0]
        geometries = {}
        if session.opt is not None:
            geometries = {key: session.geometry(key) for key in session.mask}
        return cls(geometries, direction, length)

    def find(self, x, y):
        """Return slit, t and wavelength of a pixel; None, NaN and NaN outside of the slits.

        Of slits that overlap, the one whose middle is nearest.
        """
        along, across = self._direction.split(x, y)
        node = int(np.clip(np.searchsorted(self._nodes, along), 1, _NODES - 1))
        low, high = self._edges[:, :, node - 1 : node + 1].mean(axis=2).T
        best, nearest = (None, np.nan, np.nan), np.inf
        for n in np.flatnonzero((across > low - 3) & (across < high + 3)):
            geometry = self._geometries[self._ids[n]]
            _, t = geometry.trace.trace_from_pixel(np.array([x]), np.array([y]))
            if not 0 <= t[0] <= 1 or abs(t[0] - 0.5) >= nearest:
                continue
            wavelength, _ = geometry.world(np.array([x]), np.array([y]))
            best, nearest = (self._ids[n], float(t[0]), float(wavelength[0])), abs(t[0] - 0.5)
        return best

    def nearest(self, x, y):
        """Return the id of the slit whose trace passes nearest to a pixel; None without any."""
        along, across = self._direction.split(x, y)
        node = int(np.clip(np.searchsorted(self._nodes, along), 0, _NODES - 1))
        apart = np.abs(self._edges[:, :, node].mean(axis=1) - across)
        if not np.isfinite(apart).any():
            return None
        return self._ids[int(np.nanargmin(apart))]

    def known(self, slit):
        """Whether it is known where a slit falls on the frame."""
        return slit in self._ids and bool(np.isfinite(self._edges[self._ids.index(slit)]).any())

    def rectangle(self, slit, margin=0.6):
        """Return centre and size of a slit's strip, with a margin of so many of its heights."""
        low, high = self._edges[self._ids.index(slit)]
        bottom, top = np.nanmin(low), np.nanmax(high)
        height = max(top - bottom, 10.0)
        along = (self._nodes[0] + self._nodes[-1]) / 2
        centre = self._direction.join(along, (bottom + top) / 2)
        size = self._direction.join(np.ptp(self._nodes), height * (1 + 2 * margin))
        return (*centre, *size)

    def pixel(self, slit, wavelength, t):
        """Return x, y of a wavelength in a slit, px."""
        x, y = self._geometries[slit].pixel(np.array([wavelength]), np.array([t]))
        return float(x[0]), float(y[0])
