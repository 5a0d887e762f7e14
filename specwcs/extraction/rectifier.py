"""The resampling of one slit from the raw pixels to a grid of positions and wavelengths.

`Rectifier` is made of sparse matrices, strip by strip of wavelength: one sums each raw row
into bins of wavelength, a second one sums each column of that into bins of position.
"""

from copy import copy
from dataclasses import dataclass

import numpy as np
from astropy import units as u

from specwcs.conventions import Direction, without_units
from specwcs.errors import InputError

from .edges import SampledTrace
from .exposure import PAD, Exposure
from .overlap import WING, overlap_matrix

__all__ = ["Rectifier", "Resampled"]

_SAMPLES = 8  # places where the correlation of bins is found
_LAGS = 4  # bins: the correlation of those further apart is nought
_STRIP = 2**16  # bins worked on together, so that the work stays in the cache
_MIN_STRIP = 64  # columns
_DRIFT = 3.0  # px that the slit may drift across within a strip: its geometry is known 6 px beyond
_MAX_LENGTH = 4  # a slit's image may be this many times as long as the frame, not more


@dataclass(frozen=True)
class Resampled:
    """An exposure of one slit on its grid, arrays of shape (position, wavelength).

    Parameters
    ----------
    data : ndarray
        Flux in each bin; NaN where the bin reads beyond the detector.
    variance : ndarray or None
        Of each bin on its own. Neighbours are correlated: for sums use
        `Rectifier.variance_of_sum`.
    mask : ndarray of bool
        Whether a bin reads a bad pixel, overlaps a raw row that an end of the slit cuts, or
        reads beyond the detector.
    unit : astropy.units.Unit
        Of the data.
    """

    data: np.ndarray
    variance: np.ndarray | None
    mask: np.ndarray
    unit: u.UnitBase


class Rectifier:
    """The linear operator from a frame to the grid of one slit.

    Parameters
    ----------
    pixel : callable
        ``pixel(wavelength, t)`` gives detector (x, y) for wavelengths in Angstrom and slit
        positions t; they broadcast. `specwcs.models.SlitGeometry.pixel` is one.
    direction : Direction
    shape : tuple of int
        The frame, (ny, nx).
    wavelength_edges : ndarray, shape (n + 1,)
        Edges of the wavelength bins, Angstrom, ascending.
    t_edges : ndarray, shape (n_rows + 1,), optional
        Edges of the position bins, descending from at most 1 to at least 0. By default there
        are as many bins as the slit is px long where it is longest.
    kernel : {"cubic", "linear"}
        How light is spread over a pixel. Cubic keeps lines as narrow as they are; linear never
        rings, which is better where bad pixels are not masked.
    keep : bool
        Whether to hold the matrices, 100 bytes a bin, for further exposures. Otherwise
        each use builds them again, strip by strip.
    roughness : ndarray, shape (m,), optional
        Of the slit, where `pixel` is without it: by what light falls farther to the red at equally
        spaced t from 0 to 1, px.

    Attributes
    ----------
    wavelength : ndarray, shape (n,)
        Centres of the bins, Angstrom.
    t : ndarray, shape (n_rows,)
        Centres of the position bins. They descend: row 0 is the right end of the slit, so
        that the image, shown with row 0 at the bottom, has the left end on top, as an ``LR``
        frame has it, and is never a mirror image of the frame.
    length : float
        Of the slit, px, where it is longest.

    Raises
    ------
    InputError
        If the geometry cannot be resampled, or lies off the detector.

    Notes
    -----
    Flux is conserved: a bin holds the counts that fell into it, and what one bin gives away
    the next one gets. The variance is exact for the kernel, with squared matrix elements,
    because in a column all intermediate values come from different raw rows, hence from
    different raw pixels.
    """

    def __init__(
        self, pixel, direction, shape, wavelength_edges, t_edges=None, kernel="cubic", keep=True,
        roughness=None,
    ):  # fmt: skip
        self.direction, self.shape, self._kernel = Direction(direction), tuple(shape), kernel
        edges = np.asarray(*without_units(wavelength_edges=wavelength_edges), float)
        ends = edges[0], edges[-1]
        trace = SampledTrace(pixel, self.direction, self.shape, ends, roughness)
        frame_shape = self.direction.canonical_image(np.empty(self.shape, bool)).shape
        if trace.length > _MAX_LENGTH * frame_shape[0]:
            raise InputError(
                f"the slit would be {trace.length:.0f} px long on a frame of {frame_shape[0]}",
                remedy="Calibrate the slit again",
            )
        self.length = trace.length
        if t_edges is None:
            t_edges = np.linspace(1.0, 0.0, int(np.ceil(trace.length)) + 1)
        self.wavelength = 0.5 * (edges[1:] + edges[:-1])
        self.t = 0.5 * (t_edges[1:] + t_edges[:-1])
        self._trace, self._edges, self._t_edges = trace, edges, t_edges
        self._detector = _Detector.around(trace, edges, frame_shape)
        self._strips = list(self._build()) if keep else None

    def of(self, pixel, roughness=None):
        """Return the rectifier of another geometry to the same grid: of another night, say."""
        shared = (self.direction, self.shape, self._edges, self._t_edges, self._kernel)
        return Rectifier(pixel, *shared, self._strips is not None, roughness)

    def _strip_width(self):
        width = max(_MIN_STRIP, _STRIP // len(self.t))
        steepest = self._trace.steepness(self._edges)
        return width if width * steepest <= _DRIFT else max(int(_DRIFT / steepest), 1)

    def _strip(self, first, width):
        edges = self._edges[first : first + width + 1]
        return _Strip(self._trace, edges, self._t_edges, self._detector, self._kernel)

    def _build(self):
        width = self._strip_width()
        for first in range(0, len(self.wavelength), width):
            yield self._strip(first, width)

    def _each(self):
        return self._build() if self._strips is None else self._strips

    def apply(self, frame):
        """Resample an exposure.

        Parameters
        ----------
        frame : CCDData
            Of the shape of the instrument's detector; uncertainty and mask are optional.

        Returns
        -------
        Resampled

        Notes
        -----
        A bad pixel (masked, or not finite) is bridged by a straight line along the
        dispersion before the resampling, so that its value does not spread, and every bin
        that reads it is masked.
        """
        exposure, size = self._exposure(frame), (len(self.t), len(self.wavelength))
        data, mask = np.empty(size), np.empty(size, bool)
        variance = None if frame.uncertainty is None else np.empty(size)
        first = 0
        for strip in self._each():
            part = slice(first, first + strip.shape[1])
            data[:, part], own, mask[:, part] = strip.resample(exposure)
            if variance is not None:
                variance[:, part] = own
            first = part.stop
        if np.isnan(data).all():
            raise InputError("the slit falls off the detector")
        return Resampled(data, variance, mask, u.Unit(frame.unit))

    def variance_of_sum(self, frame, weights):
        """Return the variance of a weighted sum along each column of the rectified image.

        It is exact for the kernel: the correlation of neighbouring bins is in it.

        Parameters
        ----------
        frame : CCDData
            With an uncertainty.
        weights : ndarray, shape (position, wavelength)

        Returns
        -------
        ndarray, shape (wavelength,)
        """
        exposure, parts, first = self._exposure(frame), [], 0
        for strip in self._each():
            last = first + strip.shape[1]
            parts.append(strip.variance_of_sum(exposure, weights[:, first:last]))
            first = last
        return np.concatenate(parts)

    def correlation(self):
        """Return how neighbouring bins are correlated, on average.

        Returns
        -------
        ndarray, shape (lags, lags)
            The correlation coefficient of bins that are so many rows (first index) and columns
            (second index) apart, for raw pixels of equal variance; 1 at (0, 0).
        """
        width = min(self._strip_width(), _MIN_STRIP // 2)
        # Bins become wider along the spectrum, relative to the pixels.
        places = np.linspace(0, max(len(self.wavelength) - width, 0), _SAMPLES).astype(int)
        return np.mean([self._strip(first, width).correlation() for first in places], axis=0)

    def _exposure(self, frame):
        if frame.shape != self.shape:
            raise InputError(f"the frame's shape is {frame.shape}", f"Must be {self.shape}.")
        return Exposure(frame, self.direction, self._detector.rows)


@dataclass(frozen=True)
class _Detector:
    """The frame in canonical pixels, and the rows of it that are cut out for the slit."""

    shape: tuple
    rows: slice

    @classmethod
    def around(cls, trace, wavelength, shape):
        rows = trace.rows(wavelength, np.array([1.0, 0.0]))
        low, high = np.floor([rows.min() - PAD, rows.max() + PAD + 1]).astype(int)
        if high <= 0 or low >= shape[0]:
            raise InputError("the slit falls off the detector")
        return cls(shape, slice(max(low, 0), min(high, shape[0])))


class _Strip:
    """The operator for a strip of wavelengths.

    Between the two passes lies an image of raw rows and wavelength bins. Edges of pixels, not
    their centres, are the integers here.
    """

    def __init__(self, trace, wavelength_edges, t_edges, detector, kernel):
        wavelength = 0.5 * (wavelength_edges[1:] + wavelength_edges[:-1])
        n = len(wavelength)
        rows = trace.rows(wavelength, t_edges) + 0.5
        wing = WING[kernel]
        first_row = int(np.floor(rows[0].min())) - wing
        rows -= first_row
        low, high = rows.min(axis=1), rows.max(axis=1)
        height = int(high[-1] + np.diff(rows, axis=0).max()) + 2 * wing + 2
        self.shape = (len(t_edges) - 1, n)
        self.across = overlap_matrix(rows, 0, np.arange(n), n, height * n, kernel)
        columns = trace.columns(wavelength_edges, first_row, height) + 0.5
        raw_row = np.arange(first_row, first_row + height)[:, np.newaxis]
        self._beyond = _beyond(columns, raw_row, detector.shape, wing)
        self._partial = _cut_rows(rows)
        # Bins beyond the detector shrink to nothing, in the padding.
        np.clip(columns, -1.0, detector.shape[1] + 1.0, out=columns)
        columns += PAD
        # The window of columns that is read. What no weight is for may lie beyond it.
        self._window = int(columns[:, 0].min()) - wing, int(columns[:, -1].max()) + wing + 1
        width, n_rows = self._window[1] - self._window[0], detector.rows.stop - detector.rows.start
        start = np.clip(raw_row - detector.rows.start, 0, n_rows - 1) * width - self._window[0]
        n_pixels = n_rows * width
        self.along = overlap_matrix(columns, 1, start, 1, n_pixels, kernel)
        # What each line of bins reads of the flat image, at most: from where to where.
        self._reach_along = self.along.indices.reshape(height, -1)[:, [0, -1]].T
        ends = (low[:-1].astype(int) - wing, high[1:].astype(int) + wing + 1)
        self._reach_across = n * np.array(ends)

    def resample(self, exposure):
        """Resample an `Exposure`.

        Returns
        -------
        data, variance, mask : ndarray, shape (position, wavelength)
            The variance is None if that of the frame is not known.
        """
        data, variance, bad, where = exposure.window(*self._window)
        first_pass = self.along @ data
        first_pass[self._beyond] = np.nan
        data = (self.across @ first_pass).reshape(self.shape)
        mask = _reads(self.along, self._reach_along, bad, where)
        mask = _reads(self.across, self._reach_across, mask, np.flatnonzero(mask))
        mask = self._partial | mask.reshape(self.shape)
        beyond = np.isnan(data) if len(self._beyond) else None
        if beyond is not None:
            mask |= beyond
        if variance is not None:
            variance = _squared(self.across) @ (_squared(self.along) @ variance)
            variance = variance.reshape(self.shape)
            if beyond is not None:
                variance[beyond] = np.nan
        return data, variance, mask

    def correlation(self):
        """Return the mean correlation by lag across and along, see `Rectifier.correlation`."""
        # Along, bins adjoin in the matrix; across, they are a row of bins apart.
        along = [_mean_correlation(self.along, lag) for lag in range(_LAGS)]
        across = [_mean_correlation(self.across, lag * self.shape[1]) for lag in range(_LAGS)]
        return np.outer(across, along)

    def variance_of_sum(self, exposure, weights):
        """Return the variance of the weighted sum of each column, shape (wavelength,)."""
        variance = exposure.window(*self._window)[1]
        shares = (self.across.T @ weights.ravel()) ** 2
        return (shares * (_squared(self.along) @ variance)).reshape(-1, self.shape[1]).sum(axis=0)


def _beyond(columns, raw_row, shape, wing):
    """Which bins of the first pass read beyond the detector, with the kernel's wings."""
    first, last = columns[:, 0].min(), columns[:, -1].max()
    if first >= wing and last <= shape[1] - wing and raw_row[0] >= 0 and raw_row[-1] < shape[0]:
        return np.array([], int)
    off = (columns[:, :-1] < wing) | (columns[:, 1:] > shape[1] - wing)
    return np.flatnonzero(off | (raw_row < 0) | (raw_row >= shape[0]))


def _squared(factor):
    """Return the matrix that takes variances where `factor` takes data."""
    squared = copy(factor)  # which shares the indices
    squared.data = factor.data**2
    return squared


def _reads(factor, reach, bad, where):
    """Whether each bin of a factor reads one of a few pixels.

    Parameters
    ----------
    reach : tuple of ndarray, shape (lines,)
        The first and the last pixel that a line of bins may read.
    bad : ndarray of bool
        The pixels.
    where : ndarray of int, ascending
        Their indices.
    """
    first, last = reach
    before, until = np.searchsorted(where, first), np.searchsorted(where, last, side="right")
    lines = np.flatnonzero(before < until)
    shape = (len(first), factor.shape[0] // len(first), -1)
    indices, weights = factor.indices.reshape(shape), factor.data.reshape(shape)
    reads = np.zeros(indices.shape[:2], bool)
    reads[lines] = np.any(bad[indices[lines]] & (weights[lines] != 0), axis=2)
    return reads.ravel()


def _mean_correlation(factor, lag):
    """Mean correlation of the bins of a factor with those `lag` rows on in the matrix."""
    length = np.sqrt(_squared(factor).sum(axis=1))
    product = factor[: factor.shape[0] - lag].multiply(factor[lag:]).sum(axis=1)
    size = length[: len(length) - lag] * length[lag:]
    known = size > 0
    return float(np.mean(product[known] / size[known])) if known.any() else 0.0


def _cut_rows(rows):
    """Bins that overlap a pixel which an end of the slit cuts in two; `rows`: their edges."""
    return (rows[:-1] < np.ceil(rows[0])) | (rows[1:] > np.floor(rows[-1]))
