"""The picture of an extraction: each slit's rectified image above its spectrum."""

import textwrap

import numpy as np
from astropy import units as u
from astropy.nddata import StdDevUncertainty

from .canvas import BAD, LINE, MUTED, new_figure, stretched

__all__ = ["spectra_figure"]

_COLUMNS = ((6, 1), (20, 2), (45, 3))  # up to so many slits in so many columns; 4 beyond
_COLUMN_WIDTH = {1: 14.0, 2: 9.0, 3: 7.0, 4: 6.0}  # inches
_ROW_HEIGHT = 2.1
_SMALL, _NORMAL = 7.0, 9.0  # points
_SHOWN = (0.5, 99.5)  # percentiles of the flux that set the limits of its axis


def spectra_figure(images, spectra, title="", failed=None):
    """Draw what was extracted from an exposure.

    Parameters
    ----------
    images : mapping of str to specutils.Spectrum
        Rectified slits by id, from `specwcs.rectify`; shape (position, wavelength).
    spectra : list of specutils.Spectrum
        One-dimensional, from `specwcs.extract`; ``meta["slit"]`` says whose.
    title : str, optional
    failed : mapping of str to str, optional
        Id and reason of the slits that have no spectrum.

    Returns
    -------
    matplotlib.figure.Figure
    """
    failed = dict(failed or {})
    spectra = {spectrum.meta["slit"]: spectrum for spectrum in spectra}
    ids = [*images, *(key for key in failed if key not in images)]
    columns = next((n for most, n in _COLUMNS if len(ids) <= most), 4)
    rows = max(1, -(-len(ids) // columns))
    figure = new_figure(_COLUMN_WIDTH[columns] * columns, _ROW_HEIGHT * rows + 0.8)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    cells = figure.add_gridspec(rows, columns)
    for number, key in enumerate(ids):
        cell = cells[number % rows, number // rows]  # down a column first, as on the mask
        if key in images:
            _draw_slit(figure, cell, key, images[key], spectra.get(key), failed.get(key))
        else:
            _write_failure(figure.add_subplot(cell), key, failed[key])
    return figure


def _draw_slit(figure, cell, key, image, spectrum, failure):
    upper, lower = cell.subgridspec(2, 1, height_ratios=(1, 1.5), hspace=0.0)
    above = figure.add_subplot(upper)
    below = figure.add_subplot(lower, sharex=above)
    wavelength = image.spectral_axis.to_value(u.AA)
    half = 0.5 * (wavelength[1] - wavelength[0])
    extent = (wavelength[0] - half, wavelength[-1] + half, 1, 0)
    pixels = np.where(image.mask, np.nan, image.flux.value)
    above.imshow(
        stretched(pixels), cmap="gray_r", aspect="auto", extent=extent, origin="lower", vmax=1.1
    )
    above.set_yticks((0, 1))
    above.set_ylabel("t", fontsize=_SMALL)
    above.tick_params(labelsize=_SMALL, labelbottom=False)
    above.set_title(f"slit {key}", fontsize=_NORMAL, loc="left", fontweight="bold")
    below.tick_params(labelsize=_SMALL)
    if spectrum is None:
        below.text(0.5, 0.5, failure or "no spectrum", color=BAD, ha="center", va="center",
                   fontsize=_NORMAL, transform=below.transAxes)  # fmt: skip
        return
    _draw_spectrum(above, below, spectrum)


def _draw_spectrum(above, below, spectrum):
    """Plot flux and its error; mark where in the slit it comes from."""
    for t in spectrum.meta.get("t_range", ()):
        above.axhline(t, color=LINE, lw=0.8, ls="--")
    wavelength = spectrum.spectral_axis.to_value(u.AA)
    flux = np.array(spectrum.flux.value)
    if spectrum.mask is not None:
        flux[spectrum.mask] = np.nan
    if spectrum.uncertainty is not None:
        error = spectrum.uncertainty.represent_as(StdDevUncertainty).array
        below.fill_between(
            wavelength, flux - error, flux + error, color=LINE, alpha=0.25, lw=0, step="mid"
        )
    below.step(wavelength, flux, where="mid", color=LINE, lw=0.7)
    below.axhline(0, color=MUTED, lw=0.5)
    finite = flux[np.isfinite(flux)]
    if finite.size:
        low, high = np.percentile(finite, _SHOWN)
        margin = 0.15 * max(high - low, np.finfo(float).tiny)
        below.set_ylim(low - margin, high + margin)
    medium = spectrum.meta.get("medium", "")
    below.set_xlabel(f"wavelength in {medium} (Å)", fontsize=_SMALL)
    below.set_ylabel(f"flux ({spectrum.flux.unit})", fontsize=_SMALL)


def _write_failure(axes, key, reason):
    axes.set_axis_off()
    axes.set_title(f"slit {key}", fontsize=_NORMAL, loc="left", fontweight="bold", color=BAD)
    text = "\n".join(textwrap.wrap(reason, 60))
    axes.text(0, 0.95, text, color=BAD, fontsize=_NORMAL, va="top", transform=axes.transAxes)
