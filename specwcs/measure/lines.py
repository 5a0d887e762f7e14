"""Lines of an arc, measured along every slit, each with an error or the reason it is unused.

A line is wrong in the same way at every place: blended, absent, or not the line it was taken
for. Whole lines are therefore rejected, by leaving them out, before single points are.
"""

import numpy as np
from astropy import units as u
from astropy.table import QTable, vstack

from specwcs.errors import InputError
from specwcs.measure.scale import scale_along
from specwcs.measure.scatter import excess
from specwcs.measure.solution import LineTable, PeakTable, Solution
from specwcs.measure.tracking import follow
from specwcs.measure.verify import hold_out_lines
from specwcs.threads import each

__all__ = ["NOT_LISTED", "measure_lines"]

NOT_LISTED = "not in the catalogue"
"""Why a line that the spectra show is not used."""

# A line is a blend if its neighbours leave its position open by more than this, px, or pull it by
# more than this, FWHM; the pull is known to this part. A neighbour is named if it has this part
# of the line's brightness, within this distance, FWHM.
_OPEN, _FAR, _PULL_ERROR = 0.1, 0.4, 0.08
_RELATIVE, _NEAR = 0.03, 2.0
# FWHM; what is nearer to a line is not told from it, but by where it should be.
_UNRESOLVED = 0.4
# A line that the catalogue lacks makes another useless, so near, if it has this part of its height.
_RIVAL = 0.3
# What a measurement needs: S/N; part of its window on good pixels; a profile neither skew nor
# wider or narrower than the other lines.
_SNR, _GOOD, _SKEW, _WIDTH = 6.0, 0.7, 0.25, (0.7, 1.3)
# FWHM by which a line is off for each unit of skewness that its known neighbours do not make: what
# a faint one does at some 0.6 FWHM. How many lines tell what is usual, and the error, px, that
# is too large with it.
_PER_SKEW, _FEWEST, _UNSURE = 1.7, 5, 0.3
# A line is measured in a slit if this part of its positions is good.
_PRESENT = 0.5
# px; a line so far from where the identification puts it is another.
_NOT_IT = 0.5
# px; nor is it used, however large its error, if it is so far from where the others put it.
_USELESS = 0.25
# px; how well a line's mean position can be known.
_LINE_FLOOR = 0.02
# A point may be off its own line by so many standard deviations.
_SIGMAS = 5.0
# px; no position is better. Points that tell how much worse they are.
_FLOOR, _SOME = 0.003, 10
# Standard deviation of a normal distribution, in the median of the distances from its middle.
_MAD = 1.4826
# Error of the distance of a point from the middle between two others, in that of each.
_BEND = np.sqrt(1.5)


def measure_lines(
    image, variance, mask, traces, identification, catalog, instrument, *, saturated=None
):
    """Measure the catalogue's lines along every identified slit.

    Parameters
    ----------
    image, variance : ndarray, shape (ny, nx)
        In the canonical frame.
    mask : ndarray of bool, shape (ny, nx)
        True where a pixel cannot be used.
    traces : Traces
    identification : Identification
        Of this frame.
    catalog : LineCatalog
        That of the identification, in its medium. Lines of flag 0 count as neighbours only.
    instrument : Instrument
    saturated : ndarray of bool, shape (ny, nx), optional
        Saturated pixels, where they are known; named in the reason.

    Returns
    -------
    QTable
        One row a position: slit, t, wavelength (Å), p, q, sigma (px, canonical), shared (px,
        the part of sigma that all places of a line have in common), snr, fwhm (px), used,
        reason. Lines that are not measured at all have one row, at t = 0.5.

    Raises
    ------
    InputError
        If the media differ.
    """
    if catalog.medium != identification.medium:
        raise InputError(
            f"the catalogue is in {catalog.medium}, the identification in {identification.medium}",
            "Both must be in the same medium.",
            "Use LineCatalog.to_medium.",
        )
    frame = np.asarray(image, float), np.asarray(variance, float), ~np.asarray(mask, bool)
    if saturated is None:
        saturated = np.zeros(frame[0].shape, bool)
    scale = scale_along(traces.mask, instrument) * (-1 if identification.flip_u else 1)

    def measured(name):
        choice = _Choice(identification.slits[name], catalog, identification.fwhm)
        if not len(choice.p):
            return None
        tilt = _tilt(traces.mask[name], instrument, scale)
        track = follow(frame, traces, name, choice.p, tilt, identification.fwhm)
        return track and _SlitLines(name, choice, track, saturated, identification.fwhm)

    good = [name for name, wavelengths in identification.slits.items() if wavelengths.ok]
    slits = [slit for slit in each(measured, good) if slit]
    if not slits:
        return _table()
    _reject_lines(slits, identification)
    scatter = _floor(slit.residuals() for slit in slits)
    for slit in slits:
        slit.reject_points(scatter)
    floor = _floor(slit.bends() for slit in slits)
    return vstack([slit.table(floor) for slit in slits])


def _tilt(slit, instrument, scale):
    """Return the slit's position along the dispersion, px, as a function of t."""
    return lambda t: scale * instrument.direction.canonical_mask(*slit.curve(t))[0]


class _Choice:
    """The catalogue lines of one slit: those to be measured, and the others with a reason."""

    def __init__(self, wavelengths, catalog, fwhm):
        lines = wavelengths.lines
        lamp, listed = lines.lamp, np.flatnonzero(lines.line >= 0)
        wavelength, p = lines.wavelength[listed], lamp.p[listed]
        reason = np.full(len(listed), "", dtype=object)
        blend = np.hypot(lamp.blend, _pull_error(lamp, fwhm) * lamp.pull)[listed]
        # A line without a peak of its own has no pull either.
        own = (np.abs(lamp.pull) < _FAR * fwhm) & (lamp.width > _WIDTH[0] / 2)
        pulled = ~own[listed] | ~(blend < _OPEN) | _beside_unlisted(lines, fwhm)[listed]
        for i in np.flatnonzero(pulled):
            reason[i] = _blend(listed[i], lines, fwhm)
        reason[lamp.height[listed] == 0] = "no line seen"
        # Of equal wavelengths, one for each species, the flag of any counts.
        flagged = np.isin(wavelength, catalog.wavelength[catalog.flag != 1])
        reason[flagged] = "flagged in the catalogue"
        reason[~np.isin(wavelength, catalog.wavelength)] = NOT_LISTED
        measured = reason == ""
        use = listed[measured]
        self.pull = (lamp.lean + lamp.pull)[use]
        self.blend = np.hypot(blend[measured], lines.hidden[use])
        self.p, self.wavelength = p[measured] + self.pull, wavelength[measured]
        self.skew, self.width = lamp.skew[use], lamp.width[use]
        self.dropped = p[~measured], wavelength[~measured], reason[~measured]


def _pull_error(lamp, fwhm):
    """Part of its pull that a line may be off by: all, where no light tells a neighbour from it.

    How bright that one is, is then told by where the wavelengths so far put both.
    """
    apart = np.abs(lamp.p[:, None] - lamp.p)
    apart[np.diag_indices_from(apart)] = np.inf
    apart[:, lamp.height == 0] = np.inf
    return np.where(np.min(apart, axis=1) < _UNRESOLVED * fwhm, 1.0, _PULL_ERROR)


def _beside_unlisted(lines, fwhm):
    """Whether lines are beside one that the catalogue lacks, and hardly brighter than it.

    Where that one is, is known by nothing else: both together may be off.
    """
    lamp, other = lines.lamp, lines.line < 0
    near = np.abs(lamp.p[:, None] - lamp.p[other]) < _NEAR * fwhm
    return np.any(near & (lamp.height[other] > _RIVAL * lamp.height[:, None]), axis=1)


def _blend(i, lines, fwhm):
    """Name the brightest neighbour of line i that may have a part in its peak."""
    lamp = lines.lamp
    near = np.abs(lamp.p - lamp.p[i]) < _NEAR * fwhm
    near[i] = False
    near &= lamp.height > _RELATIVE * lamp.height[i]
    if not near.any():
        return "blend"
    other = np.flatnonzero(near)[np.argmax(lamp.height[near])]
    known = f"{lines.wavelength[other]:.2f}"
    return f"blend with {known}" if lines.line[other] >= 0 else f"blend with a line at {known}"


class _SlitLines:
    """The measurements of one slit, and what is used of them."""

    def __init__(self, name, choice, track, saturated, fwhm):
        self.name, self.choice, self.track = name, choice, track
        self.fwhm = fwhm
        found = track.centroids
        # What is measured is where the peak is; its neighbours, and skewness, pull it from there.
        self.p = found.p - choice.pull
        self.straight = self.p - track.shift
        self.reason = np.full(found.p.shape, "", dtype=object)
        lit = _near_saturated(saturated, track, choice.p + track.shift, fwhm)
        clear = (found.snr > 3 * _SNR) & np.isfinite(found.width)
        relative = found.width / choice.width
        relative = relative / (np.median(relative[clear]) if clear.any() else 1.0)
        for reason, fault in (
            ("saturated", lit),
            ("no line seen", ~(found.snr > _SNR) | ~np.isfinite(found.p)),
            ("bad pixels", found.good < _GOOD),
            ("skew: a blend", np.abs(found.skew - choice.skew) > _SKEW),
            ("too wide: a blend", relative > _WIDTH[1]),
            ("too narrow: no line", relative < _WIDTH[0]),
        ):
            self.reason[fault & (self.reason == "")] = reason
        self._reject_partial()
        # Neighbours that nobody sees pull a line, and make it skew.
        unseen = _PER_SKEW * fwhm * self._excess(found.skew - choice.skew)
        self.blend = np.hypot(choice.blend, unseen)
        for i in np.flatnonzero(unseen > _UNSURE):
            self.reject(i, "skew: a blend")
        self.height = _typical(np.where(self.used, found.height, np.nan))

    @property
    def used(self):
        """Which measurements are used, shape (n_t, n_lines)."""
        return self.reason == ""

    def _excess(self, odd):
        """By how much lines are skew beyond the error and what is usual; shape (n_lines,).

        `odd` is by how much they are more skew than their model, shape (n_t, n_lines).
        """
        used, median, error = self.used, *np.zeros((2, odd.shape[1]))
        lines = np.flatnonzero(used.any(axis=0))
        for i in lines:
            mine = odd[used[:, i], i]
            median[i] = np.median(mine)
            error[i] = _MAD * np.median(np.abs(mine - median[i])) / np.sqrt(len(mine))
        if len(lines) < _FEWEST:
            return np.zeros(len(median))
        off = median - np.median(median[lines])
        usual = _MAD * np.median(np.abs(off[lines]))
        return np.sqrt(np.maximum(off**2 - error**2 - usual**2, 0.0))

    def _reject_partial(self):
        """Drop the lines that are good at too few places, for their commonest fault."""
        for i in np.flatnonzero(self.used.mean(axis=0) < _PRESENT):
            faults, count = np.unique(self.reason[~self.used[:, i], i], return_counts=True)
            self.reject(i, faults[count.argmax()])

    def reject(self, i, reason):
        """Drop line i at every place."""
        column = self.reason[:, i]
        column[column == ""] = reason

    def middle(self, i):
        """Column of line i at t = 0.5 from all its places, and its scatter, px."""
        straight = self.straight[self.used[:, i], i]
        median = np.median(straight)
        return median, _MAD * np.median(np.abs(straight - median))

    def residuals(self):
        """Distances of the points from their own line, px, and their photon errors: used ones."""
        used = self.used
        line = np.array([self.middle(i)[0] if used[:, i].any() else np.nan
                         for i in range(used.shape[1])])  # fmt: skip
        return (self.straight - line)[used], self.track.centroids.sigma[used]

    def bends(self):
        """Distances of the points from the line through both their neighbours, and their errors.

        As if of one point. What varies slowly along the slit has no part in them.
        """
        used = self.used
        three = used[:-2] & used[1:-1] & used[2:]
        (p0, p, p1), (v0, v, v1) = (
            (a[:-2], a[1:-1], a[2:]) for a in (self.straight, self.track.centroids.sigma**2)
        )
        bend, variance = (p - 0.5 * (p0 + p1)), v + 0.25 * (v0 + v1)
        return bend[three] / _BEND, np.sqrt(variance[three]) / _BEND

    def reject_points(self, scatter):
        """Drop the points that are off their own line."""
        used = self.used
        residual, sigma = np.zeros(used.shape), np.ones(used.shape)
        residual[used], sigma[used] = self.residuals()
        off = used & (np.abs(residual) > _SIGMAS * np.hypot(sigma, scatter))
        self.reason[off] = "off its own line"

    def table(self, floor):
        """Return the rows of this slit."""
        track, found = self.track, self.track.centroids
        n_t, n = found.p.shape
        p0, wavelength0, reason0 = self.choice.dropped
        blank = np.full(len(p0), np.nan)

        def joined(measured, other):
            return np.concatenate([np.broadcast_to(measured, (n_t, n)).ravel(), other])

        return _table(
            slit=np.full(n_t * n + len(p0), self.name),
            t=joined(track.t[:, None], np.full(len(p0), 0.5)),
            wavelength=joined(self.choice.wavelength, wavelength0),
            p=joined(self.p, p0),
            q=joined(track.q, blank),
            sigma=joined(np.sqrt(found.sigma**2 + floor**2 + self.blend**2), blank),
            shared=joined(self.blend, np.zeros(len(p0))),
            snr=joined(found.snr, blank),
            fwhm=joined(found.width * self.fwhm, blank),
            used=joined(self.used, np.zeros(len(p0), bool)).astype(bool),
            reason=joined(self.reason, reason0).astype(str),
        )


def _typical(height):
    """Median over the places of each line; NaN where it is used at none."""
    return np.array([np.median(h[np.isfinite(h)]) if np.any(np.isfinite(h)) else np.nan
                     for h in height.T])  # fmt: skip


def _near_saturated(saturated, track, p, fwhm):
    """Whether a measurement's window has a saturated pixel in the core of the line."""
    hit = np.zeros(track.q.shape, bool)
    if not saturated.any():
        return hit
    ny, nx = saturated.shape
    reach = int(np.ceil(0.5 * fwhm))
    first = np.rint(track.q - 0.5 * (track.rows - 1))
    for row in range(track.rows):
        for column in range(-reach, reach + 1):
            j = np.clip(first + row, 0, ny - 1).astype(int)
            i = np.clip(np.rint(p + column), 0, nx - 1).astype(int)
            hit |= saturated[j, i]
    return hit


def _reject_lines(slits, identification):
    """Drop the lines that are not where all the others put them, in every slit or in one."""
    wavelength = np.unique(np.concatenate([slit.choice.wavelength for slit in slits]))
    rows = []
    for k, slit in enumerate(slits):
        order = np.argsort(-slit.height)
        for rank, i in enumerate(order):
            if slit.used[:, i].any():
                p, scatter = slit.middle(i)
                line = np.searchsorted(wavelength, slit.choice.wavelength[i])
                error = np.hypot(_LINE_FLOOR, scatter / np.sqrt(slit.used[:, i].sum()))
                error = np.hypot(error, slit.blend[i])
                rows.append((k, p, error, slit.height[i], min(rank // 10, 2), line, i))
    if not rows:
        return
    slit, p, sigma, flux, grade, line, column = map(np.array, zip(*rows, strict=True))
    peaks = PeakTable(slit, p, sigma, flux, grade)
    series = np.array([identification.slits[s.name].coefficients for s in slits])
    place = np.array([identification.slits[s.name].place for s in slits])
    length = identification.slits[slits[0].name].length
    start = Solution(series, length, identification.flip_u, place)
    weight = np.ones((3, len(wavelength)))
    table = LineTable(
        wavelength, weight, np.zeros(len(wavelength), int), np.full(len(wavelength), np.nan)
    )
    # What the identification contradicts outright is not that line, whatever its error.
    away = p - _columns(start, slit, p, wavelength[line])
    median = {i: np.median(away[line == i]) for i in np.unique(line)}
    near = np.array([abs(median[i]) < _NOT_IT for i in line])
    fitted = hold_out_lines(start, peaks, table, line, near)
    if fitted is None:
        return
    away = p - _columns(fitted.fitted.solution, slit, p, wavelength[line])
    limit = np.minimum(_SIGMAS * fitted.scatter * sigma, _USELESS)
    for k in range(len(p)):
        if not fitted.used[k]:
            slits[slit[k]].reject(column[k], f"{away[k]:+.2f} px from where the others put it")
        elif abs(away[k]) > max(limit[k], 0.1):
            slits[slit[k]].reject(column[k], f"{away[k]:+.2f} px from the line in other slits")


def _columns(solution, slit, p, wavelength):
    """Columns near p at which the solution has the wavelengths: one Newton step."""
    miss = wavelength - solution.wavelength(slit, p)
    return p + miss / solution.dispersion(slit, p)


def _floor(deviations):
    """Scatter of points beyond their photon errors, px: the same for all slits.

    `deviations` are those of the points of each slit, and their photon errors.
    """
    residual, sigma = (np.concatenate(a) for a in zip(*deviations, strict=True))
    if len(residual) < _SOME:
        return _FLOOR
    return excess(residual**2, sigma**2, 1.0, (_FLOOR, 1.0))


def _table(**columns):
    """Make the table of lines; empty without columns."""
    empty = {
        "slit": np.array([], "U1"), "t": [], "wavelength": [], "p": [], "q": [], "sigma": [],
        "shared": [], "snr": [], "fwhm": [], "used": np.array([], bool),
        "reason": np.array([], "U1"),
    }  # fmt: skip
    table = QTable(columns or empty)
    table["wavelength"].unit = u.AA
    for name in ("p", "q", "sigma", "shared", "fwhm"):
        table[name].unit = u.pix
    return table
