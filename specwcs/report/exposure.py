"""What was extracted from an exposure: a picture of each slit, and a page of all of them."""

from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.nddata import StdDevUncertainty

from specwcs.files import atomic_path

from .canvas import BAD, EDGE, LINE, MUTED, new_figure, stretched
from .html import document, embedded, paragraph, section, table

__all__ = ["slit_figure", "write_exposure_page"]

_WIDTH, _IMAGE, _SPECTRUM, _MARGIN = 11.0, 1.1, 2.0, 0.75  # inches
_SIDE = 1.5  # of the profile
_SMALL = 8.0  # points
_SHOWN = (1.0, 99.0)  # percentiles of the flux that set the limits of its axis
_LIGHT = 4.0  # standard deviations on either side of 0 that an image without sky shows
_NONE = "–"


def slit_figure(slit_id, slit, before, after):
    """Draw one slit: its image before and after sky subtraction, its profile, and its spectra.

    Parameters
    ----------
    slit_id : str
    slit : SlitReduction
    before, after : Spectrum
        Rectified, of the frame and of the frame without the sky.

    Returns
    -------
    matplotlib.figure.Figure
    """
    number = max(len(slit.spectra), 1)
    height = 2 * _IMAGE + number * _SPECTRUM + _MARGIN + 0.45
    figure = new_figure(_WIDTH, height)
    room = _WIDTH - 2 * _MARGIN - _SIDE

    def axes(left, top, width, tall):
        place = (left, height - top - tall, width, tall)
        return figure.add_axes(np.divide(place, (_WIDTH, height) * 2))

    wavelength = before.spectral_axis.to_value(u.AA)
    panels = [axes(_MARGIN, 0.35 + k * (_IMAGE + 0.05), room, _IMAGE) for k in range(2)]
    _draw_images(panels, before, after)
    panels[0].set_title(f"slit {slit_id}", fontsize=11, fontweight="bold", loc="left")
    panels[0].set_title("with the sky, and without", fontsize=_SMALL, loc="right")
    beside = axes(_MARGIN + room + 0.1, 0.35 + _IMAGE + 0.05, _SIDE, _IMAGE)
    _draw_profile(beside, slit)
    for k, spectrum in enumerate(slit.spectra):
        for panel in panels:
            for t in spectrum.meta["t_range"]:
                panel.axhline(t, color=LINE, lw=0.7, ls="--")
        below = axes(_MARGIN, 0.45 + 2 * (_IMAGE + 0.05) + k * _SPECTRUM, room, _SPECTRUM - 0.15)
        _draw_spectrum(below, spectrum)
        below.set_xlim(wavelength[0], wavelength[-1])
        if k < len(slit.spectra) - 1:
            below.tick_params(labelbottom=False)
        else:
            below.set_xlabel(f"wavelength in {before.meta['medium']} (Å)", fontsize=_SMALL)
        _write_facts(figure, below, spectrum)
    return figure


def _draw_images(panels, before, after):
    wavelength = before.spectral_axis.to_value(u.AA)
    extent = (wavelength[0], wavelength[-1], 1, 0)
    style = {"cmap": "gray_r", "aspect": "auto", "extent": extent, "origin": "lower"}
    planes = [np.where(image.mask, np.nan, image.flux.value) for image in (before, after)]
    panels[0].imshow(stretched(planes[0]), vmax=1.1, **style)
    if after.uncertainty is None:
        panels[1].imshow(stretched(planes[1]), vmax=1.1, **style)
    else:
        # In units of the noise, so that what the sky's lines leave is seen for what it is.
        sigma = after.uncertainty.represent_as(StdDevUncertainty).array
        with np.errstate(invalid="ignore", divide="ignore"):
            panels[1].imshow(planes[1] / sigma, vmin=-_LIGHT, vmax=2 * _LIGHT, **style)
    for panel in panels:
        panel.tick_params(labelsize=_SMALL, labelbottom=False, length=2)
        panel.set_yticks((0, 1))
        for label, side in zip(panel.get_yticklabels(), ("top", "bottom"), strict=True):
            label.set_verticalalignment(side)  # within the image: other labels are near
        panel.set_ylabel("t", fontsize=_SMALL)


def _draw_profile(axes, slit):
    """Plot the light along the slit, and where the objects are."""
    axes.tick_params(labelsize=_SMALL, labelleft=False, length=2)
    axes.set_ylim(1, 0)
    axes.set_title("profile", fontsize=_SMALL, pad=3)
    if slit.profile is None:
        axes.set_xticks([])
        return
    t = (np.arange(len(slit.profile)) + 0.5) / len(slit.profile)
    axes.plot(slit.profile, t, color=LINE, lw=0.9, drawstyle="steps-mid")
    axes.axvline(0, color=MUTED, lw=0.5)
    for item in slit.objects:
        axes.axhline(item.t, color=BAD if np.isnan(item.snr) else EDGE, lw=0.7)
    axes.set_xticks([])


def _draw_spectrum(axes, spectrum):
    wavelength = spectrum.spectral_axis.to_value(u.AA)
    flux = np.where(spectrum.mask, np.nan, spectrum.flux.value)
    if spectrum.uncertainty is not None:
        sigma = spectrum.uncertainty.represent_as(StdDevUncertainty).array
        axes.fill_between(
            wavelength, flux - sigma, flux + sigma, color=LINE, alpha=0.3, lw=0, step="mid"
        )
    axes.step(wavelength, flux, where="mid", color=LINE, lw=0.7)
    axes.axhline(0, color=MUTED, lw=0.5)
    finite = flux[np.isfinite(flux)]
    if finite.size:
        low, high = np.percentile(finite, _SHOWN)
        margin = 0.15 * max(high - low, np.finfo(float).tiny)
        axes.set_ylim(min(low - margin, 0), high + margin)
    axes.tick_params(labelsize=_SMALL, length=2)
    axes.set_ylabel(f"flux ({spectrum.flux.unit})", fontsize=_SMALL)


def _write_facts(figure, axes, spectrum):
    """Say beside a spectrum what it is."""
    meta, place = spectrum.meta, axes.get_position()
    lines = ["whole slit, sky and all"]
    if meta.get("sky"):
        lines = [
            f"object {meta['object']}",
            f"t = {meta['object_t']:.3f}",
            f"FWHM {meta['object_fwhm']:.1f} px",
            f"S/N {_number(median_snr(spectrum), '.1f')} per Å",
            meta["method"],
        ]
    x = place.x1 + 0.1 / _WIDTH
    figure.text(x, place.y1, "\n".join(lines), fontsize=_SMALL, va="top", linespacing=1.4)


def median_snr(spectrum):
    """Median signal to noise of a spectrum in an Angstrom; NaN where no noise is known.

    Neighbouring bins share pixels: the noise of a few together is larger than that of each tells.
    """
    if spectrum.uncertainty is None:
        return np.nan
    sigma = spectrum.uncertainty.represent_as(StdDevUncertainty).array
    good = ~spectrum.mask & (sigma > 0)
    width = np.gradient(spectrum.spectral_axis.to_value(u.AA))[good]
    width = width * (1 + 2 * spectrum.meta.get("correlation", 0.0))
    ratio = spectrum.flux.value[good] / sigma[good] / np.sqrt(width)
    return float(np.median(ratio)) if good.any() else np.nan


def write_exposure_page(path, title, reduction, pictures, overwrite=False):
    """Write a page about an exposure, a single HTML file with all pictures.

    Parameters
    ----------
    path : str or path-like
    title : str
    reduction : Reduction
    pictures : mapping of str to path-like
        PNG files of `slit_figure`, by slit.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the file exists or cannot be written.
    """
    rows = [_row(key, slit) for key, slit in reduction.slits.items()]
    rows.sort(key=lambda row: row[0])
    columns = ("slit", "objects", "brightest: t", "FWHM (px)", "S/N per Å", "sky χ", "remark")
    done = sum(bool(slit.spectra) for slit in reduction.slits.values())
    number = len(reduction.slits.keys() | reduction.skipped.keys())
    lead = f"Spectra of {done} of {number} slits."
    missing = [(key, *[_NONE] * 5, why) for key, why in reduction.skipped.items()]
    missing = [row for row in missing if row[0] not in reduction.slits]
    bad = [k for k, row in enumerate([*missing, *rows]) if row[-1]]
    parts = [embedded(Path(png).read_bytes(), f"slit {key}") for key, png in pictures.items()]
    sections = [
        paragraph(lead, "lead"),
        section("slits", "Slits", table(columns, [*missing, *rows], bad)),
        section(
            "pictures",
            "Slit by slit",
            paragraph(
                "Above, the slit straightened, with the sky (stretched) and without it (in units "
                "of the noise, -4 to 8); dashed, where the object's light was taken from. Below, "
                "the spectra with their 1 sigma bands.",
                "muted",
            ),
            *parts,
        ),
    ]
    with atomic_path(path, overwrite) as temporary:
        Path(temporary).write_text(document(title, sections), encoding="utf-8")


def _row(slit_id, slit):
    first = slit.objects[0] if slit.objects else None
    best = slit.spectra[0] if slit.spectra else None
    return (
        slit_id,
        str(len(slit.objects)) if slit.profile is not None else _NONE,
        _number(first.t, ".3f") if first else _NONE,
        _number(first.fwhm, ".1f") if first else _NONE,
        _number(median_snr(best), ".1f") if best is not None else _NONE,
        _number(np.sqrt(slit.sky_chi2), ".2f"),
        slit.note,
    )


def _number(value, form):
    return format(value, form) if np.isfinite(value) else _NONE
