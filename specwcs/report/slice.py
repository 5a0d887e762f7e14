"""The picture of the spectrum along one slit, with the lines of a catalogue named on it."""

import numpy as np

from .canvas import LINE, MUTED, new_figure

__all__ = ["slice_figure"]

_WIDTH, _HEIGHT = 14.0, 5.0  # inches
_FONT = 7.5  # points
_APART = 0.0075  # of the axis: labels nearer to each other would overlap
_INK = "#222222"


def slice_figure(cut, slit_id, lines=None, labels=(), medium="air", title=""):
    """Draw a cut along a slit.

    Parameters
    ----------
    cut : Cut
        With pixel, flux and wavelength.
    slit_id : str
    lines : Markers, optional
        Where lines are expected.
    labels : sequence of str
        Their names.
    medium : {"air", "vacuum"}
    title : str
        Of the frame.

    Returns
    -------
    matplotlib.figure.Figure
        Pixels below, wavelengths above where they are known.
    """
    figure = new_figure(_WIDTH, _HEIGHT, "constrained", at_prompt=True)
    axes = figure.add_subplot()
    axes.plot(cut.pixel, cut.flux, color=_INK, linewidth=0.8)
    axes.set_xlabel("pixel along the dispersion, from 0")
    axes.set_ylabel("median of the middle of the slit")
    axes.set_xlim(cut.pixel[0], cut.pixel[-1])
    flux = cut.flux[np.isfinite(cut.flux)]
    low, high = (flux.min(), flux.max()) if flux.size else (0.0, 1.0)
    span = (high - low) or 1.0
    axes.set_ylim(low - 0.05 * span, high + 0.45 * span)
    if not flux.size:
        axes.text(0.5, 0.5, "the slit is off the frame", transform=axes.transAxes, ha="center")
    if lines is not None and flux.size:
        _name_lines(axes, cut, lines, labels, high + 0.03 * span, span)
    _add_wavelengths(axes, cut, medium)
    figure.suptitle(f"slit {slit_id}" + (f" of {title}" if title else ""))
    return figure


def _name_lines(axes, cut, lines, labels, level, span):
    """Mark each expected line, and name as many as find room, the brighter first."""
    along = _along(cut, lines)
    height = np.interp(along, cut.pixel, np.nan_to_num(cut.flux))
    margin = _APART / 2 * (cut.pixel[-1] - cut.pixel[0])
    inside = (along >= cut.pixel[0] + margin) & (along <= cut.pixel[-1] - margin)
    axes.vlines(along[inside], level, level + 0.03 * span, color=LINE, linewidth=0.8)
    taken = np.array([])
    room = _APART * (cut.pixel[-1] - cut.pixel[0])
    for k in np.argsort(-height):
        if not inside[k] or (taken.size and np.abs(taken - along[k]).min() < room):
            continue
        taken = np.append(taken, along[k])
        name = f"{labels[k]} {lines['wavelength'].value[k]:.2f}".strip()
        axes.text(
            along[k], level + 0.05 * span, name, rotation=90, fontsize=_FONT, color=LINE,
            ha="center", va="bottom",
        )  # fmt: skip


def _along(cut, lines):
    """Return the pixels of the lines on the axis of the cut, by their wavelengths."""
    known = np.isfinite(cut.wavelength)
    order = np.argsort(cut.wavelength[known])
    return np.interp(
        lines["wavelength"].value,
        cut.wavelength[known][order],
        cut.pixel[known][order],
        left=np.nan,
        right=np.nan,
    )


def _add_wavelengths(axes, cut, medium):
    """Add the axis of wavelengths: ticks at round ones."""
    known = np.flatnonzero(np.isfinite(cut.wavelength))
    if known.size < 2:
        return
    wavelength, pixel = cut.wavelength[known], cut.pixel[known]
    order = np.argsort(wavelength)
    wavelength, pixel = wavelength[order], pixel[order]
    step = _round_step(np.ptp(wavelength) / 10)
    ticks = np.arange(np.ceil(wavelength[0] / step), np.floor(wavelength[-1] / step) + 1) * step
    above = axes.twiny()
    above.set_xlim(axes.get_xlim())
    above.set_xticks(np.interp(ticks, wavelength, pixel), [f"{tick:g}" for tick in ticks])
    above.set_xlabel(f"wavelength in {medium}, Å", color=MUTED)
    above.tick_params(colors=MUTED)


def _round_step(step):
    """Return the number 1, 2 or 5 times a power of ten next to a step."""
    power = 10.0 ** np.floor(np.log10(step))
    return power * min((1, 2, 5, 10), key=lambda m: abs(m * power - step))
