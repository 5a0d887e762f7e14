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
_IMAGE_HEIGHT, _SPECTRUM_HEIGHT, _GAP, _ROW_GAP = 0.45, 0.9, 0.06, 0.29
_FEW = 3  # slits that are drawn twice as high
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
    sheet = _Sheet(len(images), {k: why for k, why in failed.items() if k not in images})
    sheet.write_title(title)
    limits = _limits(images)
    for number, (key, image) in enumerate(images.items()):
        above, below = sheet.axes(number, limits)
        _draw_image(above, key, image)
        if key in spectra:
            _draw_spectrum(above, below, spectra[key])
        else:
            _write_failure(below, failed.get(key, "no spectrum"))
        if sheet.ends_column(number):
            medium = image.meta.get("medium", "")
            below.set_xlabel(f"wavelength in {medium} (Å)", fontsize=_SMALL)
            below.tick_params(labelbottom=True)
    return sheet.figure


class _Sheet:
    """The places of slits on the picture, inches: columns from the left, filled downwards.

    Parameters
    ----------
    number : int
        Of slits.
    failed : dict of str to str
        Slits that have no place, and why; written below the others.
    """

    def __init__(self, number, failed):
        self.number = number
        columns = next((n for most, n in _COLUMNS if number <= most), 4)
        self.rows = max(1, -(-number // columns))
        self.scale = 2.0 if number <= _FEW else 1.0
        self.row_height = self.scale * (_IMAGE_HEIGHT + _SPECTRUM_HEIGHT) + _GAP + _ROW_GAP
        self.column_width = _COLUMN_WIDTH[columns]
        self.width = self.column_width * columns
        reasons = _reasons(failed, self.width)
        self.height = _TOP + self.rows * self.row_height + _BOTTOM + _LINE_HEIGHT * len(reasons)
        self.figure = new_figure(self.width, self.height)
        text = "\n".join(reasons)
        place = (0.1 / self.width, 0.08 / self.height)
        self.figure.text(*place, text, color=BAD, fontsize=_NORMAL, va="bottom")

    def write_title(self, title):
        """Write the title of the picture."""
        style = {"fontsize": 12, "fontweight": "bold", "ha": "center", "va": "center"}
        self.figure.text(0.5, 1 - 0.2 / self.height, title, **style)

    def ends_column(self, number):
        """Whether no slit stands below this one."""
        return number == self.number - 1 or number % self.rows == self.rows - 1

    def axes(self, number, limits):
        """Make the axes of a slit's image and spectrum, the one on top of the other."""
        column, row = divmod(number, self.rows)
        left = _LEFT + column * self.column_width
        top = self.height - _TOP - row * self.row_height
        image_height, spectrum_height = (self.scale * h for h in (_IMAGE_HEIGHT, _SPECTRUM_HEIGHT))
        image = self._place(left, top, image_height)
        spectrum = self._place(left, top - image_height - _GAP, spectrum_height)
        for axes in (image, spectrum):
            axes.set_xlim(limits)
            axes.tick_params(labelsize=_SMALL, labelbottom=False, length=2)
        spectrum.yaxis.set_major_locator(MaxNLocator(4))
        return image, spectrum

    def _place(self, left, top, height):
        inches = (left, top - height, self.column_width - _LEFT - _RIGHT, height)
        return self.figure.add_axes(np.divide(inches, (self.width, self.height) * 2))


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
