"""The resampling of one slit from the raw pixels to a grid of positions and wavelengths.

`Rectifier` is made of sparse matrices, strip by strip of wavelength: one sums each raw row
into bins of wavelength, a second one sums each column of that into bins of position.
"""

from copy import copy
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.nddata import VarianceUncertainty

from specwcs.conventions import Direction
from specwcs.errors import InputError

from .edges import SampledTrace
from .overlap import overlap_matrix

__all__ = ["Rectifier", "Resampled"]

# Spectral lines are sampled poorly and must stay straight to 0.001 px: quintic. Along the
# slit bins and pixels are of one size, and a cubic does.
_POINTS_ALONG, _POINTS_ACROSS = 4, 4
_PAD = 4  # columns that bins beyond the detector are collapsed into, on either side
_STRIP = 2**15  # bins worked on together, so that the work stays in the cache
_MIN_STRIP = 32  # columns
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
    keep : bool
        Whether to hold the matrices, 120 bytes a bin, for further exposures. Otherwise
        each use builds them again, strip by strip.

    Attributes
    ----------
    wavelength : ndarray, shape (n,)
        Centres of the bins, Angstrom.
    t : ndarray, shape (n_rows,)
        Centres of the position bins, as many as the slit is px long where it is longest.
        They descend: row 0 is the right end of the slit, so that the image, shown with row
        0 at the bottom, has the left end on top, as an ``LR`` frame has it, and is never a
        mirror image of the frame.

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

    def __init__(self, pixel, direction, shape, wavelength_edges, keep=True):
        self.direction, self.shape = Direction(direction), tuple(shape)
        edges = np.asarray(wavelength_edges, float)
        trace = SampledTrace(pixel, self.direction, self.shape, (edges[0], edges[-1]))
        frame_shape = self.direction.canonical_image(np.empty(self.shape, bool)).shape
        if trace.length > _MAX_LENGTH * frame_shape[0]:
            raise InputError(
                f"the slit would be {trace.length:.0f} px long on a frame of {frame_shape[0]}",
                remedy="Calibrate the slit again",
            )
        t_edges = np.linspace(1.0, 0.0, int(np.ceil(trace.length)) + 1)
        self.wavelength = 0.5 * (edges[1:] + edges[:-1])
        self.t = 0.5 * (t_edges[1:] + t_edges[:-1])
        self._trace, self._edges, self._t_edges = trace, edges, t_edges
        self._detector = _Detector.around(trace, edges, frame_shape)
        self._strips = list(self._build()) if keep else None

    def _build(self):
        width = max(_MIN_STRIP, _STRIP // len(self.t))
        for first in range(0, len(self.wavelength), width):
            edges = self._edges[first : first + width + 1]
            yield _Strip(self._trace, edges, self._t_edges, self._detector)

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
        data, variance, bad = self._planes(frame)
        planes = [plane.ravel() for plane in (data, variance, bad.astype(float))]
        parts = [strip.resample(*planes) for strip in self._each()]
        data, variance, mask = (np.hstack(planes) for planes in zip(*parts, strict=True))
        if np.isnan(data).all():
            raise InputError("the slit falls off the detector")
        if frame.uncertainty is None:
            variance = None
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
        variance = self._planes(frame)[1].ravel()
        parts, first = [], 0
        for strip in self._each():
            last = first + strip.shape[1]
            parts.append(strip.variance_of_sum(variance, weights[:, first:last]))
            first = last
        return np.concatenate(parts)

    def _planes(self, frame):
        """Cut out data, variance (0 if unknown) and bad pixels, in the canonical frame, padded."""
        if frame.shape != self.shape:
            raise InputError(f"the frame's shape is {frame.shape}", f"Must be {self.shape}.")
        data = self._cutout(frame.data)
        bad = ~np.isfinite(data)
        variance = np.zeros_like(data)
        if frame.uncertainty is not None:
            variance = frame.uncertainty.represent_as(VarianceUncertainty).array
            variance = self._cutout(variance)
            bad |= ~np.isfinite(variance)
        if frame.mask is not None:
            bad |= self._cutout(np.broadcast_to(frame.mask, frame.shape)).astype(bool)
        if bad.all():
            raise InputError("the slit has no good pixel")
        return _bridged(data, bad), _bridged(variance, bad), bad

    def _cutout(self, image):
        """Cut the slit's rows out of a frame, repeating the last columns beyond its border."""
        view = self.direction.canonical_image(np.asarray(image))[self._detector.rows]
        return np.pad(view.astype(float), ((0, 0), (_PAD, _PAD)), mode="edge")


@dataclass(frozen=True)
class _Detector:
    """The frame in canonical pixels, and the rows of it that are cut out for the slit."""

    shape: tuple
    rows: slice

    @classmethod
    def around(cls, trace, wavelength, shape):
        rows = trace.rows(wavelength, np.array([1.0, 0.0]))
        low, high = np.floor([rows.min() - _PAD, rows.max() + _PAD + 1]).astype(int)
        if high <= 0 or low >= shape[0]:
            raise InputError("the slit falls off the detector")
        return cls(shape, slice(max(low, 0), min(high, shape[0])))

    @property
    def width(self):
        """Columns of the cut-out."""
        return self.shape[1] + 2 * _PAD


class _Strip:
    """The operator for a strip of wavelengths.

    Between the two passes lies an image of raw rows and wavelength bins. Edges of pixels, not
    their centres, are the integers here.
    """

    def __init__(self, trace, wavelength_edges, t_edges, detector):
        wavelength = 0.5 * (wavelength_edges[1:] + wavelength_edges[:-1])
        n = len(wavelength)
        rows = trace.rows(wavelength, t_edges) + 0.5
        first_row = int(np.floor(rows[0].min())) - (_POINTS_ACROSS // 2 - 1)
        rows -= first_row
        height = int(rows.max() + np.diff(rows, axis=0).max()) + _POINTS_ACROSS
        self.shape = (len(t_edges) - 1, n)
        self.across = overlap_matrix(rows, 0, np.arange(n), n, height * n, _POINTS_ACROSS)
        columns = trace.columns(wavelength_edges, first_row, height) + 0.5
        raw_row = np.arange(first_row, first_row + height)[:, np.newaxis]
        self._beyond = _beyond(columns, raw_row, detector.shape).ravel()
        self.partial = _cut_rows(rows)
        # Bins beyond the detector shrink to nothing, in the padding.
        columns = np.clip(columns, -1.0, detector.shape[1] + 1.0) + _PAD
        kept = np.clip(raw_row, detector.rows.start, detector.rows.stop - 1)
        start = (kept - detector.rows.start) * detector.width
        n_pixels = (detector.rows.stop - detector.rows.start) * detector.width
        self.along = overlap_matrix(columns, 1, start, 1, n_pixels, _POINTS_ALONG)

    def resample(self, data, variance, bad):
        """Resample a flat cut-out.

        Parameters
        ----------
        data, variance, bad : ndarray, shape (pixels,)
            `bad` is 1 for a bad pixel, else 0.

        Returns
        -------
        data, variance, mask : ndarray, shape (position, wavelength)
        """
        first_pass = self.along @ data
        first_pass[self._beyond] = np.nan
        data = (self.across @ first_pass).reshape(self.shape)
        along, across = _squared(self.along), _squared(self.across)
        variance, bad = ((across @ (along @ p)).reshape(self.shape) for p in (variance, bad))
        beyond = np.isnan(data)
        variance[beyond] = np.nan
        return data, variance, (bad > 0) | self.partial | beyond

    def variance_of_sum(self, flat, weights):
        """Return the variance of the weighted sum of each column, shape (wavelength,)."""
        shares = (self.across.T @ weights.ravel()) ** 2
        return (shares * (_squared(self.along) @ flat)).reshape(-1, self.shape[1]).sum(axis=0)


def _beyond(columns, raw_row, shape):
    """Whether a bin of the first pass reads beyond the detector, with the kernel's wings."""
    wing = _POINTS_ALONG // 2 - 1
    off = (columns[:, :-1] < wing) | (columns[:, 1:] > shape[1] - wing)
    return off | (raw_row < 0) | (raw_row >= shape[0])


def _squared(factor):
    """Return the matrix that takes variances where `factor` takes data."""
    squared = copy(factor)  # which shares the indices
    squared.data = factor.data**2
    return squared


def _cut_rows(rows):
    """Bins that overlap a pixel which an end of the slit cuts in two; `rows`: their edges."""
    return (rows[:-1] < np.ceil(rows[0])) | (rows[1:] > np.floor(rows[-1]))


def _bridged(image, bad):
    """Replace bad pixels by a straight line between the good ones on either side."""
    if not bad.any():
        return image
    flat, bad = image.ravel(), bad.ravel()
    flat[bad] = np.interp(np.flatnonzero(bad), np.flatnonzero(~bad), flat[~bad])
    return image
