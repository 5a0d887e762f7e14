"""Images of a mask without disperser: where each aperture falls.

Slits or pinholes are spots on a dark frame. They are found, and matched with the mask by the
shift that most of them agree on, for all scales and rotations that may be, and mirror images.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from specwcs.errors import FitError

__all__ = ["Match", "Spots", "find_spots", "match_apertures"]

_BLUR = 0.8  # px, of the frame in which spots are looked for
_THRESHOLD = 6.0  # standard deviations above the background
_LEAST_PIXELS = 5  # of a spot; less is a cosmic ray or a hot pixel
_BACKGROUND = 32  # px, of the blocks whose medians give the background
_AROUND = 3  # px, about a spot, that belong to it
_FLOOR = 0.02  # px: no centroid is surer

_SCALES = np.arange(-0.075, 0.0751, 0.0075)
_ROTATIONS = np.radians(np.arange(-4.0, 4.01, 0.5))
_VOTERS = 60  # apertures, and spots, that vote
_CELL = 6.0  # px, of the shifts that are counted together
_PLACES = 3  # shifts that are kept for each scale and rotation
_APART = 2  # cells: of shifts so near, the best vote counts
_CANDIDATES = 60  # that are refined
_BRIGHT = 0.3  # of the median aperture's light: what a spot of light must have to be missed
_TOLERANCES = (12.0, 8.0, 6.0, 4.0, 3.0, 2.0, 2.0)  # px, of a match, round by round
_LEAST = 4  # apertures that tell a layout
_SEEN = 0.6  # share of the apertures on the frame that must be found
_RIVAL = 0.95  # another layout may explain no more than this share of it
_SAME = 1.5  # px: layouts that differ by less are one


@dataclass(frozen=True)
class Spots:
    """Spots of light; arrays of shape (n,), brightest first.

    Attributes
    ----------
    x, y, sigma : ndarray
        Centroid and its 1 sigma error on each axis, px.
    flux : ndarray
    cut : ndarray of bool
        Whether a spot touches the border or bad pixels.
    """

    x: np.ndarray
    y: np.ndarray
    sigma: np.ndarray
    flux: np.ndarray
    cut: np.ndarray


@dataclass(frozen=True)
class Match:
    """Which spot is which aperture.

    Attributes
    ----------
    spot : ndarray of int
        Index of the spot of each aperture; -1 where none is.
    flips : tuple of bool
        Whether the mask is mirrored in X and Y.
    notes : tuple of str
    """

    spot: np.ndarray
    flips: tuple
    notes: tuple = ()


def find_spots(data, variance, bad):
    """Find spots of light.

    Parameters
    ----------
    data, variance : ndarray, shape (ny, nx)
    bad : ndarray of bool, shape (ny, nx)

    Returns
    -------
    Spots
    """
    level = _background(np.where(bad, np.nan, data))
    light = np.where(bad, 0.0, data - level)
    noise = np.sqrt(np.where(bad, np.inf, variance))
    dark = light[~bad]
    spread = 1.4826 * np.median(np.abs(dark - np.median(dark))) if dark.size else 0.0
    # Blurred, the noise of the background is as much smaller.
    limit = (
        _THRESHOLD
        * max(spread, np.median(noise[np.isfinite(noise)]))
        / (2 * np.sqrt(np.pi) * _BLUR)
    )
    label, n = ndimage.label(ndimage.gaussian_filter(light, _BLUR) > limit)
    ny, nx = data.shape
    found = []
    for where, index in zip(ndimage.find_objects(label), range(1, n + 1), strict=True):
        core = label[where] == index
        if core.sum() < _LEAST_PIXELS:
            continue
        rows, columns = (
            slice(max(s.start - _AROUND, 0), min(s.stop + _AROUND, size))
            for s, size in zip(where, (ny, nx), strict=True)
        )
        mine = ndimage.binary_dilation(label[rows, columns] == index, iterations=_AROUND)
        mine &= (label[rows, columns] == 0) | (label[rows, columns] == index)
        f = np.where(mine, light[rows, columns], 0.0)
        flux = f.sum()
        if not flux > 0 or (light[where][core] > 0).sum() < _LEAST_PIXELS:
            continue
        y, x = np.mgrid[rows, columns]
        cx, cy = (f * x).sum() / flux, (f * y).sum() / flux
        v = np.where(mine & ~bad[rows, columns], variance[rows, columns], 0.0)
        error = np.sqrt(max((v * (x - cx) ** 2).sum(), (v * (y - cy) ** 2).sum())) / flux
        border = rows.start == 0 or columns.start == 0 or rows.stop == ny or columns.stop == nx
        cut = bool(border or bad[rows, columns][mine].any())
        found.append((cx, cy, np.hypot(error, _FLOOR), flux, cut))
    found.sort(key=lambda spot: -spot[3])
    columns = np.array(found).reshape(-1, 5).T
    return Spots(*columns[:4], columns[4].astype(bool))


def _background(image):
    """Median of blocks, between them smooth."""
    ny, nx = image.shape
    rows, columns = (max(1, round(size / _BACKGROUND)) for size in (ny, nx))
    medians = np.empty((rows, columns))
    whole = np.nanmedian(image)
    for i, part in enumerate(np.array_split(image, rows, axis=0)):
        for j, block in enumerate(np.array_split(part, columns, axis=1)):
            finite = block[np.isfinite(block)]
            # Long slits may fill a block: the lower quartile is not theirs.
            medians[i, j] = np.percentile(finite, 25) if finite.size else whole
    medians = ndimage.median_filter(medians, 3, mode="nearest")
    zoom = (ny / rows, nx / columns)
    smooth = ndimage.zoom(medians, zoom, order=1, mode="nearest", grid_mode=True)
    return smooth[:ny, :nx]


def match_apertures(spots, X, Y, scale, shape, flips=None):
    """Match spots with the apertures of a mask.

    Parameters
    ----------
    spots : Spots
    X, Y : ndarray, shape (n,)
        Centres of the apertures, mm.
    scale : tuple of float
        Nominal px per mm along x and y.
    shape : tuple of int
        Of the frame, (ny, nx).
    flips : tuple of bool, optional
        Whether the mask is mirrored in X and Y, if that is known.

    Returns
    -------
    Match

    Raises
    ------
    FitError
        If no layout of the apertures explains the spots, or two do.
    """
    if len(X) < _LEAST or len(spots.x) < _LEAST:
        msg = (
            f"the image shows {len(spots.x)} spots, the mask has {len(X)} apertures: at least "
            f"{_LEAST} of each are needed to tell where the mask is."
        )
        raise FitError(msg)
    tried = [flips] if flips is not None else list(product((False, True), repeat=2))
    mask = np.stack([X, Y], axis=1)
    found = []
    for flip in tried:
        found += _layouts(spots, mask * np.where(flip, -1.0, 1.0), np.array(scale), shape, flip)
    found.sort(key=lambda layout: -layout[0])
    if not found or found[0][0] < _SEEN:
        best = found[0] if found else (0.0, np.full(len(X), -1))
        msg = (
            f"no layout of the mask explains the image: at best {(best[1] >= 0).sum()} of "
            f"{len(X)} apertures are among its {len(spots.x)} spots. Is it an image through this "
            "mask, without disperser, and pixel_scale right to 7 %?"
        )
        raise FitError(msg)
    score, spot, flip, places = found[0]
    notes = []
    for other in found[1:]:
        if other[0] < _RIVAL * score:
            break
        if np.array_equal(other[1], spot):
            continue
        if _same_places(places, other[3]):
            # A mask that is its own mirror image is taken as it is drawn.
            notes = ["The mask is its own mirror image: taken as nearest to how it is drawn."]
            if sum(other[2]) < sum(flip):
                score, spot, flip, places = other
            continue
        msg = (
            f"two layouts of the mask explain the image alike ({(spot >= 0).sum()} and "
            f"{(other[1] >= 0).sum()} of {len(X)} apertures). Take an image that shows all of "
            "them, or a mask without a regular pattern."
        )
        raise FitError(msg)
    return Match(spot, flip, tuple(notes))


def _same_places(one, other):
    """Whether two layouts put apertures, whichever, at the same places."""
    away, _ = cKDTree(one).query(other)
    return np.mean(away < _SAME) > _RIVAL


def _layouts(spots, mask, scale, shape, flip):
    """Return the best layouts of one mirror image: (score, spots, flip, places)."""
    centre = 0.5 * (np.array(shape[::-1]) - 1)
    voters = mask[np.unique(np.linspace(0, len(mask) - 1, _VOTERS).astype(int))]
    seen = np.stack([spots.x, spots.y], axis=1)
    bright = seen[: 2 * _VOTERS]
    votes = {}
    for stretch, turn in product(_SCALES, _ROTATIONS):
        turned = scale * _turned(voters, 1 + stretch, turn) + centre
        shift = (bright[:, None] - turned[None]).reshape(-1, 2)
        cells, counts = _counted(np.rint(shift / _CELL).astype(int))
        for best in np.argsort(-counts, kind="stable")[:_PLACES]:
            place = tuple(np.rint(cells[best] / _APART).astype(int).tolist())
            vote = (counts[best], stretch, turn, cells[best] * _CELL)
            votes[place] = max(votes.get(place, vote), vote, key=lambda v: v[0])
    found = []
    best = sorted(votes.values(), key=lambda vote: -vote[0])[:_CANDIDATES]
    for _, stretch, turn, shift in best:
        places = scale * _turned(mask, 1 + stretch, turn) + centre + shift
        layout = _refined(places, mask, spots, shape)
        if layout is not None:
            found.append((*layout[:2], flip, layout[2]))
    return found


def _counted(cells):
    """Return cells (column, row) in ascending order, each once, and how often each occurs."""
    low = cells.min(axis=0)
    rows = np.ptp(cells[:, 1]) + 1
    # One number a cell is sorted much faster than two.
    numbers, counts = np.unique((cells - low) @ [rows, 1], return_counts=True)
    return np.stack(np.divmod(numbers, rows), axis=1) + low, counts


def _turned(points, scale, angle):
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _refined(places, mask, spots, shape):
    """Match, fit, and match again more closely; None where that fails."""
    seen = np.stack([spots.x, spots.y], axis=1)
    tree, reach = cKDTree(seen), np.abs(mask).max()
    for n, tolerance in enumerate(_TOLERANCES):
        spot = _one_to_one(tree, places, tolerance)
        known = spot >= 0
        # Distortion is of third order; few apertures tell no more than a linear layout.
        order = 1 if n == 0 else 1 + (known.sum() > 12) + (known.sum() > 25)
        terms = _terms(mask / reach, order)
        if known.sum() < max(_LEAST, terms.shape[1]):
            return None
        fit = np.linalg.lstsq(terms[known], seen[spot[known]], rcond=None)[0]
        places = terms @ fit
    spot = _one_to_one(tree, places, _TOLERANCES[-1])
    ny, nx = shape
    x, y = places.T
    on = (x > 2) & (x < nx - 3) & (y > 2) & (y < ny - 3)
    matched = spot[spot >= 0]
    if on.sum() < _LEAST or not len(matched):
        return None
    bright = spots.flux > _BRIGHT * np.median(spots.flux[matched])
    bright[matched] = False
    # What should be seen and is not counts against a layout, and what is and should not.
    return len(matched) / max(on.sum() + bright.sum(), 0.5 * len(mask)), spot, places


def _terms(points, order):
    x, y = points.T
    powers = [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
    return np.stack([x**i * y**j for i, j in powers], axis=1)


def _one_to_one(tree, places, tolerance):
    """Return the spot nearest to each place, if it is near and that place the nearest to it."""
    away, spot = tree.query(places, distance_upper_bound=tolerance)
    back = cKDTree(places).query(tree.data)[1]
    near = np.isfinite(away)
    spot = np.where(near, spot, 0)
    return np.where(near & (back[spot] == np.arange(len(places))), spot, -1)
