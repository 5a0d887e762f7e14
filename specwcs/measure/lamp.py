"""The arc of a slit as a sum of lines: how bright each is, and where, blends taken apart.

Every line that may be on the spectrum has the same profile, at the column where the
wavelengths so far put it: brightness and a shift of its own are fitted to all lines at once.
What two neighbours cannot tell apart shows in their errors.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import linalg, sparse
from scipy.ndimage import maximum_filter1d, uniform_filter1d
from scipy.optimize import nnls
from scipy.signal import find_peaks as local_maxima
from scipy.special import ndtr

from specwcs.measure.centroid import centroid, sigma_from_fwhm
from specwcs.measure.peaks import continuum, filled
from specwcs.measure.scatter import excess

__all__ = ["Profile", "SlitLamp", "fit_lamp", "fit_profile"]

# By how much the true profile may differ from the model, relative to the brightest light near;
# where light that is not explained is looked for.
_MISMATCH, _BESIDE = 0.01, 0.03
# What that difference may be as measured, how many columns are needed for it beyond what is fitted.
_MISMATCHES, _FREE = (0.001, 0.05), 10
# The same of far wings, within so many FWHM.
_WING, _FAR = 0.015, 5.0
# Percentile of the light that is no less than the background.
_LOWEST = 5
# Where light is so many times as far off as is usual at lines, it counts half.
_STRANGE = 3.0
# A line is there, or unexplained light is a line, above so many standard deviations.
_SEEN, _UNEXPLAINED = 4.0, 6.0
# The part of its height by which it must fall on either side, within two FWHM.
_FALLS = 0.3
# Steps at most, and that after which positions stay, px: a part of what any can be known to.
_ROUNDS, _SETTLED = 6, 0.004
# px; the heights of wings and skewness at most, and how wide wings are, in units of sigma.
_SHARPEST, _MOST, _WINGS = 0.35, 0.4, 2.5
# By how much the blur may grow at most: a narrow line is still whole, see `_VISIBLE`.
_GROWTH = 0.5
# How well the profile is known beforehand: squares of widths, FWHM^2, and what optics add.
_PRIOR = np.array([0.03, 0.03, 0.03, 0.05, 0.05, 0.03, 0.02])
# The longest step of a position, FWHM, and of the profile, in these units; and how well the
# heights are known beforehand: not at all, but for a singular matrix.
_LONGEST, _WIDER, _LOOSE = 0.3, 0.1, 0.01
# The part of a line, in units of its squared profile, that must be on good pixels; and that
# below which it is too little to tell of any light: the profile is not known so far out.
_VISIBLE, _HIDDEN = 0.7, 0.02
# In units of the prior's standard deviation: the farthest that a line may move from where it
# is looked for, and the error at which the spectrum says no more than the prior.
_FARTHEST, _OPEN = 3.0, 3.0
_BEST = 0.127  # variance of the Gaussian that fits a box best, in squares of its width
_EXCHANGES = 30  # at most, of the lines that shine and those that do not: two or three are usual
_STEP = 0.001  # of the square of the blur: for the derivatives of the profile by its widths
_REACH = 2.2  # FWHM: where a profile ends
# Signal-to-noise ratio and distance, FWHM, of the lines that show the profile; how many.
_CLEAR, _ALONE, _FEWEST = 40.0, 3.5, 4
_BOXES = (0.0, 0.5, 0.7, 0.8, 0.87)
"""Widths of the slit's image tried, in units of the FWHM of the line."""
_STRETCHES = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.16, 1.22)


@dataclass(frozen=True)
class Profile:
    """The profile of a line: the slit's image, a box, blurred by a Gaussian; 1 at its peak.

    Optics add wings and, off the axis, a skewness. It is such that a Gaussian of the line's own
    width finds the line at zero, whatever it is: where a skew line is, is a convention.

    Attributes
    ----------
    sigma : float
        Standard deviation of the kernel of `centroid`, px: the scale of what optics add.
    box, blur : float
        Squares of the width of the box, 0 for a Gaussian, and of the standard deviation of the
        Gaussian, px^2, the pixel included.
    growth : float
        By how much `blur` grows from the middle of the spectrum to its end, px^2: averaged
        along the slit, lines that turn with the wavelength are sharp in one place only.
    skew, wings : float
        Heights of these parts; ``skew_growth``, ``wings_growth`` as before.
    """

    sigma: float
    box: float
    blur: float
    growth: float = 0.0
    skew: float = 0.0
    skew_growth: float = 0.0
    wings: float = 0.0
    wings_growth: float = 0.0

    @classmethod
    def of(cls, fwhm, share=0.0, stretch=1.0):
        """Make the profile of a FWHM, `stretch` times that of all, whose box is `share` of it."""
        width = fwhm * stretch
        return cls(sigma_from_fwhm(fwhm), (share * width) ** 2, (_blur(share) * width) ** 2)

    def changed(self, change):
        """Return it with other `box`, …, `wings_growth`, within what lines can be."""
        now = (
            self.box, self.blur, self.growth,
            self.skew, self.skew_growth, self.wings, self.wings_growth,
        )  # fmt: skip
        box, blur, growth, *optics = now + change
        blur = max(blur, _SHARPEST**2)
        most = min(_GROWTH * blur, blur - _SHARPEST**2)
        growth = np.clip(growth, -most, most)
        return Profile(self.sigma, max(box, 0.0), blur, growth, *np.clip(optics, -_MOST, _MOST))

    def at(self, x):
        """Return the profile at places along the spectrum, -1 … 1; shape (n,) makes it (n, 1)."""
        x = x[:, None]
        blur = np.maximum(self.blur + self.growth * x, _SHARPEST**2)
        skew, wings = self.skew + self.skew_growth * x, self.wings + self.wings_growth * x
        return Profile(self.sigma, self.box, blur, skew=skew, wings=wings)

    def __call__(self, x):
        """Return the profile at distances x, px."""
        skew, wings = self.optics(x)
        return self._core(x) + self.skew * skew + self.wings * wings

    def optics(self, x):
        """Return what skewness and wings of height 1 add at distances x, px."""
        z = x / self.sigma
        square = z * z  # powers take longer than all the rest
        gauss = np.exp(-0.5 * square)
        return z * (square - self._odd) * gauss, np.exp(-0.5 / _WINGS**2 * square)

    @property
    def _odd(self):
        """The constant for which skewness does not shift the Gaussian that fits the line best."""
        variance = self.blur + _BEST * self.box
        return 3.0 * variance / (variance + self.sigma**2)

    def slope(self, x):
        """Return its derivative, per px."""
        z = x / self.sigma
        square = z * z
        odd = self._odd
        skew = (3.0 + odd) * square - odd - square * square
        skew = self.skew * skew * np.exp(-0.5 * square)
        wings = -self.wings / _WINGS**2 * z * np.exp(-0.5 / _WINGS**2 * square)
        return self._core_slope(x) + (skew + wings) / self.sigma

    def _core(self, x):
        blur, half = np.sqrt(self.blur), 0.5 * np.sqrt(self.box)
        if not half:
            return np.exp(-0.5 * x**2 / self.blur)
        peak = ndtr(half / blur) - ndtr(-half / blur)
        return (ndtr((x + half) / blur) - ndtr((x - half) / blur)) / peak

    def _core_slope(self, x):
        blur, half = np.sqrt(self.blur), 0.5 * np.sqrt(self.box)
        if not half:
            return -x / self.blur * self._core(x)
        peak = ndtr(half / blur) - ndtr(-half / blur)
        step = np.exp(-0.5 * ((x + half) / blur) ** 2) - np.exp(-0.5 * ((x - half) / blur) ** 2)
        return step / (np.sqrt(2 * np.pi) * blur * peak)


@cache
def _blur(share):
    """Return the sigma of the blur, in FWHM, of a line whose box is `share` of its FWHM."""
    low, high = 0.05, sigma_from_fwhm(1.0)
    for _ in range(40 if share else 0):  # the half maximum rises with the blur
        blur = 0.5 * (low + high)
        wide = Profile(1.0, share**2, blur**2)(0.5) > 0.5
        low, high = (low, blur) if wide else (blur, high)
    return high


def fit_profile(spectrum, peaks, fwhm):
    """Find the profile of the lines of a slit from those that stand alone.

    Parameters
    ----------
    spectrum : ArcSpectrum
    peaks : Peaks
    fwhm : float
        px, of all slits.

    Returns
    -------
    Profile
        A Gaussian of that FWHM where too few lines stand alone.
    """
    gap = np.diff(peaks.p, prepend=-np.inf, append=np.inf)
    alone = np.minimum(gap[:-1], gap[1:]) > _ALONE * fwhm
    clear = alone & (peaks.snr > _CLEAR) & ~peaks.saturated
    reach = int(np.ceil(1.6 * fwhm))
    columns = np.rint(peaks.p[clear]).astype(int)[:, None] + np.arange(-reach, reach + 1)
    inside = ((columns >= 0) & (columns < len(spectrum.flux))).all(axis=1)
    usable = inside & spectrum.good[np.clip(columns, 0, len(spectrum.good) - 1)].all(axis=1)
    if usable.sum() < _FEWEST:
        return Profile.of(fwhm)
    x = columns[usable] - peaks.p[clear][usable][:, None]
    light = spectrum.flux[columns[usable]]
    trials = [Profile.of(fwhm, box, stretch) for stretch in _STRETCHES for box in _BOXES]
    # Bright lines and faint ones count alike: each is scaled by its own height.
    return trials[np.argmin(np.median(_misfit(trials, x, light), axis=1))]


def _misfit(profiles, x, light):
    """Relative squared residual of lines about their best fits, with a shift and a floor.

    Its shape is (n_profiles, n_lines).
    """
    rows = np.array([(profile(x), profile.slope(x), np.ones_like(x)) for profile in profiles])
    rows = np.swapaxes(rows, 1, 2)
    value = np.linalg.solve(rows @ np.swapaxes(rows, -1, -2), rows @ light[..., None])
    residual = light - np.sum(rows * value, axis=2)
    return np.sum(residual**2, axis=2) / value[..., 0, 0] ** 2


@dataclass(frozen=True)
class SlitLamp:
    """The lines of one slit, in the order in which they were given; arrays of shape (n,).

    Attributes
    ----------
    p : ndarray
        Columns as measured, px; where a line was looked for, if it was not seen.
    sigma : ndarray
        Their errors, px, from the noise and from what neighbours leave open; infinite for a
        line that was not seen.
    blend : ndarray
        The part of `sigma` that neighbours make.
    height : ndarray
        Peak above the background, units of the spectrum; 0 for a line that is not there.
    lean, pull, skew, width : ndarray
        What `centroid` makes of the lines: by how much it is off where they are skew, and by how
        much their neighbours pull it, px, the skewness and the relative width that it finds.
    unexplained : ndarray, shape (m,)
        Columns where there is light that no line explains, px.
    profile : Profile
        As fitted with the lines.
    """

    p: np.ndarray
    sigma: np.ndarray
    blend: np.ndarray
    height: np.ndarray
    lean: np.ndarray
    pull: np.ndarray
    skew: np.ndarray
    width: np.ndarray
    unexplained: np.ndarray
    profile: Profile


def fit_lamp(spectrum, p, freedom, profile, fwhm, expected=None, rounds=_ROUNDS):
    """Fit the lines of a slit to its spectrum.

    Parameters
    ----------
    spectrum : ArcSpectrum
    p : ndarray, shape (n,)
        Columns where the lines are looked for, px.
    freedom : ndarray, shape (n,)
        How far from there they may be (1 sigma), px.
    profile : Profile
    fwhm : float
        px.
    expected : tuple of ndarray, shape (n,), optional
        The heights that the lines should have and the errors of that, which may be infinite.
    rounds : int, optional
        Steps at most: few are enough where columns and profile are well known.

    Returns
    -------
    SlitLamp
    """
    if expected is None:
        expected = np.zeros(len(p)), np.full(len(p), np.inf)
    fit = _LampFit(spectrum, p, freedom, profile, fwhm, expected)
    for _ in range(rounds):
        if np.max(np.abs(fit.move()), initial=0) < _SETTLED:
            break
    fit.weigh(fit.mismatch())
    step, _ = fit.step()
    variance, alone = fit.position_variance()
    with np.errstate(divide="ignore", invalid="ignore"):
        # What the data say by themselves: where a line was looked for is no measurement.
        information = 1 / variance - 1 / freedom**2
        measured = p + (fit.at + step - p) / variance / information
        seen = fit.lit & (information * (_OPEN * freedom) ** 2 > 1)
        sigma = np.where(seen, 1 / np.sqrt(information), np.inf)
    with np.errstate(invalid="ignore"):
        blend = np.where(seen, np.sqrt(np.maximum(sigma**2 - alone, 0.0)), np.inf)
    shape, lean = fit.shape(), fit.lean()
    return SlitLamp(
        np.where(seen, measured, p), sigma, blend, np.where(fit.lit, fit.height, 0.0),
        lean, shape.p - fit.at - lean, shape.skew, shape.width, fit.unexplained(), fit.profile,
    )  # fmt: skip


class _LampFit:
    """The state of a fit: positions and heights of the lines, and the background."""

    def __init__(self, spectrum, p, freedom, profile, fwhm, expected):
        self.expected, self.precision = expected[0], expected[1] ** -2.0
        self.flux = filled(spectrum.flux, spectrum.good)
        self.variance, self.good = np.asarray(spectrum.variance, float), spectrum.good
        self.p, self.freedom, self.profile, self.fwhm = p, freedom, profile, fwhm
        self.at = np.array(p, float)
        self.unit = np.r_[np.full(3, fwhm**2), np.ones(4)]
        # Lines only add light: the background is between what they let be seen of it, and this.
        self.background = self.highest = continuum(self.flux, fwhm)
        self.lowest = np.minimum(continuum(self.flux, fwhm, _LOWEST), self.highest)
        self.model = np.zeros_like(self.flux)
        self.near = self._near(1.0)
        self.weigh(_MISMATCH)
        self.fit_heights(2)

    def weigh(self, mismatch):
        """Weigh columns by their noise, and by how far the profile may be off."""
        self.weight = self.good / (self.variance + (mismatch * self.near) ** 2)

    def mismatch(self):
        """Tell by how much the profile differs from that of the lines, relative to their light."""
        lit = self.columns[self.lit][np.abs(self.x[self.lit]) < self.fwhm]
        core = np.unique(lit[(lit >= 0) & (lit < len(self.flux))])
        core = core[self.good[core]]
        free = len(core) - 2 * self.lit.sum() - 7
        if free < _FREE:
            return _MISMATCH
        square = (self.flux - self.background - self.model)[core] ** 2 * len(core) / free
        return excess(square, self.variance[core], self.near[core] ** 2, _MISMATCHES)

    def _near(self, reach):
        """Brightest light within some FWHM of each column, above the background."""
        size = 2 * int(np.ceil(reach * self.fwhm)) + 1
        return maximum_filter1d(np.where(self.good, self.flux - self.lowest, 0.0), size)

    def _window(self):
        """Columns from the middle of a line to where it ends."""
        reach = int(np.ceil(_REACH * self.fwhm)) + 2
        return np.arange(-reach, reach + 1)

    def local(self, lines, profile=None):
        """Return the profile at the lines."""
        return (profile or self.profile).at(self._place(lines))

    def _place(self, lines):
        """Return where on the spectrum lines are, -1 to 1."""
        return np.clip(2.0 * self.p[lines] / (len(self.flux) - 1) - 1.0, -1.0, 1.0)

    def matrix(self, columns, values):
        """Return values of lines in their windows as a sparse matrix, shape (nx, n)."""
        inside = (columns >= 0) & (columns < len(self.flux))
        ends = np.append(0, np.cumsum(inside.sum(axis=1)))
        return sparse.csc_array(
            (values[inside], columns[inside], ends), shape=(len(self.flux), len(columns))
        )

    def weighted(self, design, weight):
        """Return the rows of a sparse matrix times the weights of the columns."""
        data = design.data * weight[design.indices]
        return sparse.csc_array((data, design.indices, design.indptr), shape=design.shape)

    def fit_heights(self, rounds=1):
        """Fit heights >= 0, and the background under them: what all else is made of."""
        self.columns = np.rint(self.at).astype(int)[:, None] + self._window()
        self.x = self.columns - self.at[:, None]
        self.shapes = self.local(slice(None))(self.x)
        shape = self.matrix(self.columns, self.shapes)
        weighted = self.weighted(shape, self.weight)
        gram = (shape.T @ weighted).toarray()
        part = shape.power(2).T @ self.good / np.sum(self.profile(self._window()) ** 2)
        for _ in range(rounds):
            right = weighted.T @ (self.flux - self.background) + self.precision * self.expected
            right[part < _HIDDEN] = 0.0
            self.height = _non_negative(gram + np.diag(self.precision), right)
            self.model = shape @ self.height
            rest = np.where(self.good, self.flux - self.model, self.background)
            self.background = np.clip(continuum(rest, self.fwhm), self.lowest, self.highest)
        self.lit = (part > _VISIBLE) & (self.height * np.sqrt(np.diag(gram)) > _SEEN)

    def move(self):
        """Shift the lines once; return by how much, px."""
        step, change = self.step()
        before, limit = self.at, _FARTHEST * self.freedom
        self.at = np.clip(self.at + step, self.p - limit, self.p + limit)
        self.profile = self.profile.changed(change)
        self.fit_heights()
        return self.at - before

    def step(self):
        """One Gauss-Newton step for positions, heights and profile of all lines together."""
        lit = np.flatnonzero(self.lit)
        normal, right = self._system(lit)
        scale = _unit_scale(normal)
        factor = linalg.cho_factor(normal * scale * scale[:, None], overwrite_a=True)
        value = linalg.cho_solve(factor, right * scale) * scale
        step = np.zeros(len(self.p))
        step[lit] = np.clip(value[: len(lit)], -_LONGEST * self.fwhm, _LONGEST * self.fwhm)
        return step, np.clip(value[-7:] / self.unit, -_WIDER, _WIDER) * self.unit

    def position_variance(self):
        """Variance of the positions, and that of lines that stand alone, shape (n,).

        A line that got no light may have some if another near it is as bright as both.
        """
        lit = np.flatnonzero(self.lit)
        normal, _ = self._system(np.arange(len(self.p)))
        alone, variance = np.full(len(self.p), np.inf), self.freedom**2
        alone[lit] = 1 / (np.diag(normal)[: len(lit)] - self.freedom[lit] ** -2.0)
        variance[lit] = _variance(normal, len(lit))
        return variance, alone

    def _system(self, shining):
        """Set up the equations for the positions of the lit lines, heights, and the profile.

        Parameters
        ----------
        shining : ndarray of int, shape (k,)
            Lines whose heights are fitted.

        Returns
        -------
        normal : ndarray, shape (m + k + 7, m + k + 7)
        right : ndarray, shape (m + k + 7,)
        """
        lit = np.flatnonzero(self.lit)
        moves = -self.local(lit).slope(self.x[lit]) * self.height[lit, None]
        lines = self.matrix(
            np.concatenate([self.columns[lit], self.columns[shining]]),
            np.concatenate([moves, self.shapes[shining]]),
        )
        rest = self.flux - self.background - self.model
        weight = self._believed(rest, lit)
        profile, weighted = self._by_profile(lit), self.weighted(lines, weight)
        mixed = weighted.T @ profile
        normal = np.block([
            [(lines.T @ weighted).toarray(), mixed],
            [mixed.T, (profile * weight[:, None]).T @ profile],
        ])  # fmt: skip
        right = np.append(weighted.T @ rest, profile.T @ (weight * rest))
        near = self._near(0.5)[np.clip(np.rint(self.at), 0, len(self.flux) - 1).astype(int)]
        scale = np.where(self.lit, self.height, np.maximum(near, 1e-9))[shining]
        precision = self.freedom[lit] ** -2.0
        # Heights of lines that coincide may not be told apart: the loosest of priors.
        shape = (_PRIOR * self.unit) ** -2.0
        heights = self.precision[shining] + (_LOOSE / scale) ** 2
        normal[np.diag_indices_from(normal)] += np.concatenate([precision, heights, shape])
        right[: len(lit)] -= precision * (self.at - self.p)[lit]
        right[len(lit) : -7] += (self.precision * (self.expected - self.height))[shining]
        return normal, right

    def _believed(self, rest, lit):
        """Return the weights; less near light that is another's than the lines'."""
        square = uniform_filter1d(rest**2 * self.weight, 2 * int(np.ceil(self.fwhm)) + 1)
        at = np.clip(np.rint(self.at[lit]), 0, len(rest) - 1).astype(int)
        usual = np.median(square[at]) if len(lit) else 1.0
        return self.weight / (1.0 + square / (_STRANGE**2 * max(usual, 1.0)))

    def _by_profile(self, index):
        """Differentiate the model by what the profile can change, shape (nx, 7)."""
        columns, x, now = self.columns[index], self.x[index], self.shapes[index]
        local, place = self.local(index), self._place(index)[:, None]
        steps = np.full(7, _STEP)
        steps[:3] *= self.profile.blur
        changed = [self.profile.changed(step) for step in np.diag(steps)]
        box, blur = ((self.local(index, p)(x) - now) / steps[0] for p in changed[:2])
        skew, wings = local.optics(x)
        inside = (columns >= 0) & (columns < len(self.flux))
        parts = (box, blur, blur * place, skew, skew * place, wings, wings * place)
        return np.stack([
            # What is as large as it may be stays so.
            (profile != self.profile) * np.bincount(
                columns[inside], (self.height[index, None] * part)[inside], len(self.flux)
            )
            for profile, part in zip(changed, parts, strict=True)
        ], axis=1)  # fmt: skip

    def shape(self):
        """Measure the lines on the model as they are measured on frames."""
        everywhere, rows = np.ones((1, len(self.flux)), bool), np.zeros(len(self.p))
        noise = np.ones((1, len(self.flux)))
        return centroid(self.model[None], noise, everywhere, rows, self.at, fwhm=self.fwhm)

    def lean(self):
        """Measure by how much skew lines are off where each stands alone, px."""
        alone, at = self.shapes, self.at - self.columns[:, 0]
        found = centroid(
            alone, np.ones_like(alone), np.ones(alone.shape, bool), np.arange(len(alone)), at,
            fwhm=self.fwhm,
        )  # fmt: skip
        return found.p - at

    def unexplained(self):
        """Return the columns of peaks of what is left, px."""
        rest = np.where(self.good, self.flux - self.background - self.model, 0.0)
        beside, far = _BESIDE * self._near(1.5), _WING * self._near(_FAR)
        weight = self.good / (self.variance + beside**2 + far**2)
        kernel = self.profile(self._window())
        with np.errstate(divide="ignore", invalid="ignore"):
            matched = np.convolve(rest * weight, kernel, "same")
            matched /= np.sqrt(np.convolve(weight, kernel**2, "same"))
        found, peak = local_maxima(
            np.nan_to_num(matched), height=_UNEXPLAINED, prominence=0.0, distance=self.fwhm,
            wlen=4 * self.fwhm,
        )  # fmt: skip
        # What hardly falls beside its peak is no line: the background is too low there.
        return found[peak["prominences"] > _FALLS * peak["peak_heights"]].astype(float)


def _unit_scale(normal):
    """Return what makes the diagonal of a normal matrix one."""
    return 1 / np.sqrt(np.diag(normal))


def _variance(normal, n):
    """Variance of the first n parameters of a normal matrix, which may be of any units.

    With these last, it is in the last block of the Cholesky factor.
    """
    scale, others = _unit_scale(normal), len(normal) - n
    factor = linalg.cholesky((normal * scale * scale[:, None])[::-1, ::-1], lower=True)
    root = linalg.solve_triangular(factor[others:, others:], np.eye(n), lower=True)
    return np.sum(root**2, axis=0)[::-1] * scale[:n] ** 2


def _non_negative(gram, right):
    """Solve normal equations for values >= 0.

    What is zero is guessed, and exchanged where the solution contradicts, which takes a few steps;
    the solution that nothing contradicts is the only one.
    """
    scale = 1 / np.sqrt(np.maximum(np.diag(gram), 1e-300))
    scale[np.diag(gram) <= 0] = 0.0
    normal = gram * scale * scale[:, None]
    normal[np.diag_indices_from(normal)] += 1e-9
    right = right * scale
    free, least = right > 0, 1e-10 * np.max(np.abs(right), initial=0.0)
    for _ in range(_EXCHANGES):
        value = np.zeros(len(right))
        factor = linalg.cho_factor(normal[np.ix_(free, free)], overwrite_a=True)
        value[free] = linalg.cho_solve(factor, right[free])
        wrong = np.where(free, value < 0, right - normal @ value > least)
        if not wrong.any():
            return value * scale
        free ^= wrong
    factor = linalg.cholesky(normal)
    target = linalg.solve_triangular(factor, right, trans="T")
    return nnls(factor, target, maxiter=20 * len(right))[0] * scale
