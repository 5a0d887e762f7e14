"""The picture of an extraction: each slit's rectified image above its spectrum."""

import textwrap

import numpy as np
from astropy import units as u
from astropy.nddata import StdDevUncertainty
from matplotlib.ticker import MaxNLocator

from .canvas import BAD, LINE, MUTED, new_figure, stretched

__all__ = ["spectra_figure"]

_COLUMNS = ((6, 1), (20, 2), (45, 3))  # up to so many slits in so many columns; 4 beyond
_COLUMN_WIDTH = {1: 14.0, 2: 9.0, 3: 7.0, 4: 6.0}  # inches
_ROW_HEIGHT, _IMAGE_HEIGHT, _SPECTRUM_HEIGHT, _GAP = 1.7, 0.45, 0.9, 0.06
_LEFT, _RIGHT, _TOP, _BOTTOM, _LINE_HEIGHT = 0.75, 0.15, 0.6, 0.5, 0.17  # margins
_SMALL, _NORMAL = 7.0, 9.0  # points
_CHARACTERS = 12  # of text on an inch
_NAMED = 12  # slits without an image whose reasons are written out
_SHOWN = (0.5, 99.5)  # percentiles of the flux that set the limits of its axis


def spectra_figure(images, spectra, title="", failed=None):
    """Draw what was extracted from an exposure, all on the same range of wavelengths.

    Parameters
    ----------
    images : mapping of str to specutils.Spectrum
        Rectified slits by id, from `specwcs.rectify`; shape (position, wavelength).
    spectra : list of specutils.Spectrum
        One-dimensional, from `specwcs.extract`; ``meta["slit"]`` says whose, and
        ``meta["t_range"]`` from where in the slit (dashed in the image).
    title : str, optional
    failed : mapping of str to str, optional
        Id and reason of the slits that have no spectrum, or no image either.

    Returns
    -------
    matplotlib.figure.Figure
    """
    failed = dict(failed or {})
    spectra = {spectrum.meta["slit"]: spectrum for spectrum in spectra}
    columns = next((n for most, n in _COLUMNS if len(images) <= most), 4)
    rows = max(1, -(-len(images) // columns))
    width = _COLUMN_WIDTH[columns] * columns
    reasons = _reasons({k: why for k, why in failed.items() if k not in images}, width)
    height = _TOP + _ROW_HEIGHT * rows + _BOTTOM + _LINE_HEIGHT * len(reasons)
    figure = new_figure(width, height)
    figure.text(
        0.5, 1 - 0.2 / height, title, fontsize=12, fontweight="bold", ha="center", va="center"
    )
    figure.text(
        0.1 / width, 0.08 / height, "\n".join(reasons), color=BAD, fontsize=_NORMAL, va="bottom"
    )
    limits = _limits(images)
    for number, (key, image) in enumerate(images.items()):
        column, row = divmod(number, rows)  # down a column first, as on the mask
        axes = _slit_axes(figure, row, column, columns, limits)
        _draw_image(axes[0], key, image)
        if key in spectra:
            _draw_spectrum(*axes, spectra[key])
        else:
            _write_failure(axes[1], failed.get(key, "no spectrum"))
        if row == rows - 1 or number == len(images) - 1:
            medium = image.meta.get("medium", "")
            axes[1].set_xlabel(f"wavelength in {medium} (Å)", fontsize=_SMALL)
            axes[1].tick_params(labelbottom=True)
    return figure


def _reasons(failed, width):
    """Return the lines of text that say why slits are not in the picture."""
    lines = []
    for key, reason in list(failed.items())[:_NAMED]:
        lines += textwrap.wrap(f"slit {key} failed: {reason}", int(width * _CHARACTERS))
    if len(failed) > _NAMED:
        lines.append(f"… and {len(failed) - _NAMED} more")
    return lines


def _limits(images):
    """Return the range of wavelengths of all images, Angstrom."""
    ends = [image.spectral_axis.to_value(u.AA)[[0, -1]] for image in images.values()]
    return (np.min(ends), np.max(ends)) if ends else (0.0, 1.0)


def _slit_axes(figure, row, column, columns, limits):
    """Place the axes of image and spectrum, the one on top of the other."""
    width, height = figure.get_size_inches()
    left = _LEFT + column * width / columns
    top = height - _TOP - row * _ROW_HEIGHT

    def place(above, size):
        inches = (left, top - above - size, width / columns - _LEFT - _RIGHT, size)
        return figure.add_axes(np.divide(inches, (width, height, width, height)))

    image = place(0.0, _IMAGE_HEIGHT)
    spectrum = place(_IMAGE_HEIGHT + _GAP, _SPECTRUM_HEIGHT)
    for axes in (image, spectrum):
        axes.set_xlim(limits)
        axes.tick_params(labelsize=_SMALL, labelbottom=False, length=2)
    spectrum.yaxis.set_major_locator(MaxNLocator(4))
    return image, spectrum


def _draw_image(axes, key, image):
    wavelength = image.spectral_axis.to_value(u.AA)
    half = 0.5 * (wavelength[1] - wavelength[0])
    extent = (wavelength[0] - half, wavelength[-1] + half, 1, 0)
    limits = axes.get_xlim()
    pixels = np.where(image.mask, np.nan, image.flux.value)
    axes.imshow(
        stretched(pixels), cmap="gray_r", aspect="auto", extent=extent, origin="lower", vmax=1.1
    )
    axes.set_xlim(limits)
    axes.set_yticks((0, 1))
    for label, side in zip(axes.get_yticklabels(), ("top", "bottom"), strict=True):
        label.set_verticalalignment(side)  # within the image: other labels are near
    _label_y(axes, "t")
    axes.set_title(f"slit {key}", fontsize=_NORMAL, loc="left", fontweight="bold", pad=2)


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
    _label_y(below, f"flux ({spectrum.flux.unit})")


def _label_y(axes, text):
    """Label the y axis, in line with the other panels of the column."""
    axes.set_ylabel(text, fontsize=_SMALL)
    inches = axes.get_position().width * axes.figure.get_figwidth()
    axes.yaxis.set_label_coords(-0.55 / inches, 0.5)


def _write_failure(axes, reason):
    axes.set_yticks([])
    text = "\n".join(textwrap.wrap(reason, 70))
    axes.text(0.5, 0.5, text, color=BAD, fontsize=_NORMAL, ha="center", va="center",
              transform=axes.transAxes)  # fmt: skip
