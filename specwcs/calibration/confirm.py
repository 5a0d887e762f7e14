"""How many lines confirm each other: that they are not others of the catalogue."""

import numpy as np

__all__ = ["CONFIRM", "lines_that_confirm"]

CONFIRM = 6
"""Lines that confirm each other whatever the catalogue: as many as an identification needs."""

_LEAST = 4
_CHANCE = 0.01  # that others fit as well
_RANGE = 20.0  # px in which a line beyond a gap may be another
_NEAR = 0.15  # px: how near the lines of a set must come


def lines_that_confirm(catalog, wavelength, dispersion):
    """Return how many lines beyond a gap confirm each other.

    Two of them may be any lines of the catalogue, which gives a shift and a stretch; each further
    one then lies at a line of the catalogue by chance.

    Parameters
    ----------
    catalog : LineCatalog
        All lines that were looked for.
    wavelength : ndarray, shape (n,)
        Of the lines that were found, Angstrom.
    dispersion : float
        Angstrom per px.

    Returns
    -------
    int
        From 4 of a lamp with few lines to `CONFIRM`.
    """
    if not len(wavelength):
        return CONFIRM
    low, high = np.min(wavelength), np.max(wavelength)
    length = max((high - low) / dispersion, 1.0)
    crowding = np.sum((catalog.wavelength >= low) & (catalog.wavelength <= high)) / length
    hit = 2 * _NEAR * crowding
    if hit >= 1:
        return CONFIRM
    further = np.log(_CHANCE / (crowding * _RANGE) ** 2) / np.log(hit)
    return int(np.clip(2 + np.ceil(further), _LEAST, CONFIRM))
