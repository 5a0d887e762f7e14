"""The resampling of one slit from the raw pixels to a grid of positions and wavelengths.

`Rectifier` holds it as two sparse matrices: the first sums each raw row into bins of
wavelength, the second sums each column of that into bins of position. Build it once for
a slit and apply it to any number of exposures.
"""

from dataclasses import dataclass

import numpy as np
from astropy import units as u
from astropy.nddata import VarianceUncertainty
from scipy import sparse

from specwcs.conventions import Direction
from specwcs.errors import InputError

from .edges import SampledTrace
from .overlap import overlap_matrix

__all__ = ["Rectifier", "ResampledPlanes"]

_PAD = 3  # px around the detector that bins beyond it are collapsed into
_MAX_LENGTH = 4  # a slit's image may be this many times as long as the frame, not more


@dataclass(frozen=True)
class ResampledPlanes:
    """An exposure of one slit on its grid.

    Parameters
    ----------
    data : ndarray, shape (position, wavelength)
        Flux in each bin; NaN where the bin reads beyond the detector.
    variance : ndarray or None
        Of each bin on its own. Neighbours are correlated: for sums use
        `Rectifier.variance_of_sum`.
    mask : ndarray of bool
        Whether a bin reads a bad pixel, overlaps a raw row that the slit's end cuts, or
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
    n_rows : int, optional
        Number of equal position bins between the two ends of the slit; by default as
        many as the slit is px long, so that a bin is at most one px.

    Attributes
    ----------
    wavelength : ndarray, shape (n,)
        Centres of the bins, Angstrom.
    t : ndarray, shape (n_rows,)
        Centres of the position bins. They descend: row 0 is the right end of the slit,
        so that the image, shown with row 0 at the bottom, has the left end on top, as an
        ``LR`` frame has it, and is never a mirror image of the frame.
    along, across : scipy.sparse.csr_array
        The two factors. ``across @ (along @ cutout)`` is the rectified image; keep them
        apart, their product has many more entries.

    Raises
    ------
    InputError
        If the geometry cannot be resampled, or lies off the detector.

    Notes
    -----
    Flux is conserved: a bin holds the counts that fell into it, and each inner pixel is
    given away to the last bit. The variance is exact for the kernel, with squared matrix
    elements, because within a column all intermediate values come from different raw
    rows, hence different raw pixels.
    """

    def __init__(self, pixel, direction, shape, wavelength_edges, n_rows=None):
        self.direction, self.shape = Direction(direction), tuple(shape)
        edges = np.asarray(wavelength_edges, float)
        trace = SampledTrace(pixel, self.direction, self.shape, (edges[0], edges[-1]))
        self._frame = self.direction.canonical_image(np.empty(self.shape, bool)).shape
        if trace.length > _MAX_LENGTH * self._frame[0]:
            raise InputError(
                f"the slit would be {trace.length:.0f} px long on a frame of {self._frame[0]}",
                remedy="Calibrate the slit again",
            )
        t_edges = np.linspace(1.0, 0.0, (n_rows or int(np.ceil(trace.length))) + 1)
        self.wavelength = 0.5 * (edges[1:] + edges[:-1])
        self.t = 0.5 * (t_edges[1:] + t_edges[:-1])
        self._build(trace, edges, t_edges)

    @property
    def grid_shape(self):
        """Shape of the rectified image, (position, wavelength)."""
        return len(self.t), len(self.wavelength)

    # -- building -----------------------------------------------------------

    def _build(self, trace, wavelength_edges, t_edges):
        # The intermediate image follows the trace: in each column it starts one row below
        # the slit. Pixel edges, not centres, are the integers from here on.
        rows = trace.rows(self.wavelength, t_edges) + 0.5
        first_row = np.floor(rows[0]).astype(int) - 1
        rows -= first_row
        height = int(rows[-1].max()) + int(np.diff(rows, axis=0).max()) + 4
        n = len(self.wavelength)
        self.across = overlap_matrix(rows[:-1], rows[1:], np.arange(n), n, height * n)
        left = trace.columns(wavelength_edges[:-1], first_row, height) + 0.5
        right = trace.columns(wavelength_edges[1:], first_row, height) + 0.5
        raw_row = first_row + np.arange(height)[:, np.newaxis]
        beyond = self._beyond(left, right, raw_row)
        self._choose_cutout(left, right, raw_row, beyond)
        self.along = self._first_pass(left, right, raw_row)
        self._squares = tuple(_squared(factor) for factor in (self.along, self.across))
        self._beyond_grid = (self._squares[1] @ beyond.ravel().astype(float) > 0).reshape(
            self.grid_shape
        )
        if self._beyond_grid.all():
            raise InputError("the slit falls off the detector")
        self._partial = _cut_rows(rows)

    def _beyond(self, left, right, raw_row):
        """Whether a bin of the first pass reads beyond the detector.

        The kernel looks one pixel further than the bin.
        """
        n_rows, n_columns = self._frame
        off = (left < 1.0) | (right > n_columns - 1.0)
        return off | (raw_row < 0) | (raw_row >= n_rows)

    def _choose_cutout(self, left, right, raw_row, beyond):
        if beyond.all():
            raise InputError("the slit falls off the detector")
        n_rows, n_columns = self._frame
        self._rows = (max(raw_row.min(), 0), min(raw_row.max() + 1, n_rows))
        low, high = np.clip((left.min(), right.max()), 0.0, n_columns)
        self._columns = (int(low), int(np.ceil(high)))

    def _first_pass(self, left, right, raw_row):
        (low_row, high_row), (low, high) = self._rows, self._columns
        width = high - low + 2 * _PAD
        shift = _PAD - low
        span = (_PAD - 1.0, width - _PAD + 1.0)  # bins beyond the detector shrink to nothing
        for edges in (left, right):
            edges += shift
            np.clip(edges, *span, out=edges)
        start = (np.clip(raw_row, low_row, high_row - 1) - low_row) * width
        return overlap_matrix(left, right, start, 1, (high_row - low_row) * width)

    # -- applying -----------------------------------------------------------

    def apply(self, frame):
        """Resample an exposure.

        Parameters
        ----------
        frame : CCDData
            Of the shape of the instrument's detector; uncertainty and mask are optional.

        Returns
        -------
        ResampledPlanes

        Notes
        -----
        A bad pixel (masked, or not finite) is bridged by a straight line along the
        dispersion before the resampling, so that its value does not spread, and every bin
        that reads it is masked.
        """
        data, variance, bad = self._planes(frame)
        mask = self._beyond_grid | self._partial
        if bad.any():
            touched = self._squares[1] @ (self._squares[0] @ bad.ravel().astype(float))
            mask |= touched.reshape(self.grid_shape) > 0
        data = self._resample((self.along, self.across), data)
        if variance is not None:
            variance = self._resample(self._squares, variance)
        return ResampledPlanes(data, variance, mask, u.Unit(frame.unit))

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
        _, variance, _ = self._planes(frame)
        first_pass = self._squares[0] @ variance.ravel()
        square = (self.across.T @ weights.ravel()) ** 2
        return (square * first_pass).reshape(-1, len(self.wavelength)).sum(axis=0)

    def _resample(self, factors, cutout):
        along, across = factors
        image = (across @ (along @ cutout.ravel())).reshape(self.grid_shape)
        image[self._beyond_grid] = np.nan
        return image

    def _planes(self, frame):
        """Cut out data, variance and bad pixels, in the canonical frame, padded."""
        if frame.shape != self.shape:
            raise InputError(
                f"the frame has {_size(frame.shape)} px", f"Must be {_size(self.shape)} px."
            )
        data = self._cutout(frame.data)
        bad = ~np.isfinite(data)
        variance = None
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
        """Cut the slit's pixels out of a frame, repeating the last ones beyond its border."""
        view = self.direction.canonical_image(np.asarray(image))
        view = view[slice(*self._rows), slice(*self._columns)]
        return np.pad(view.astype(float), ((0, 0), (_PAD, _PAD)), mode="edge")


def _squared(factor):
    """The matrix that takes variances where `factor` takes data."""
    return sparse.csr_array((factor.data**2, factor.indices, factor.indptr), shape=factor.shape)


def _cut_rows(rows):
    """Bins that overlap a pixel which an end of the slit cuts in two; `rows`: their edges."""
    return (rows[:-1] < np.ceil(rows[0])) | (rows[1:] > np.floor(rows[-1]))


def _bridged(image, bad):
    """Replace bad pixels by a straight line between the good ones on either side."""
    if image is None or not bad.any():
        return image
    flat, bad = image.ravel(), bad.ravel()
    flat[bad] = np.interp(np.flatnonzero(bad), np.flatnonzero(~bad), flat[~bad])
    return image


def _size(shape):
    return " × ".join(str(n) for n in shape[::-1])
