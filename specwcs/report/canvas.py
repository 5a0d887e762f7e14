"""What all pictures share: colours, the stretch of frames, slit labels, and the way to disk."""

import sys

import numpy as np
from matplotlib import get_backend
from matplotlib.backends import BackendFilter, backend_registry
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from specwcs.files import atomic_path, check_suffix

__all__ = [
    "BAD",
    "EDGE",
    "LINE",
    "MUTED",
    "binned",
    "label_step",
    "new_figure",
    "stretched",
    "write_figure",
]

# Colours of Okabe & Ito, told apart whatever the eye: blue, green, vermilion, and a grey.
LINE, EDGE, BAD, MUTED = "#0072B2", "#009E73", "#D55E00", "#777777"

_DPI = 100
_DISPLAYED = 1400  # px of a frame's longer side that a picture can show
_NOISE_STEPS = 2.0  # noise levels above the background at which the stretch turns logarithmic


def new_figure(width, height, layout=None, *, at_prompt=False):
    """Make an empty figure of `width` × `height` inches that belongs to nobody else.

    With `at_prompt` it belongs to pyplot where that shows windows, as ``%pylab`` has it.
    """
    if at_prompt and _pyplot_shows_windows():
        pyplot = sys.modules["matplotlib.pyplot"]
        return pyplot.figure(figsize=(width, height), dpi=_DPI, layout=layout, facecolor="white")
    figure = Figure(figsize=(width, height), dpi=_DPI, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _pyplot_shows_windows():
    pyplot = sys.modules.get("matplotlib.pyplot")
    windows = backend_registry.list_builtin(BackendFilter.INTERACTIVE)
    return pyplot is not None and pyplot.isinteractive() and get_backend().lower() in windows


def write_figure(figure, path, overwrite=False):
    """Write a figure to a file, whole or not at all.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or path-like
        Its suffix says the format, such as ``.png``.
    overwrite : bool, optional
        Whether an existing file may be replaced.

    Raises
    ------
    InputError
        If the suffix is of no format, or the file exists or cannot be written.
    """
    formats = sorted(figure.canvas.get_supported_filetypes())
    check_suffix(path, *(f".{name}" for name in formats))
    with atomic_path(path, overwrite) as temporary:
        figure.savefig(temporary)


def binned(image):
    """Average an image over square blocks, as coarse as a picture can show it.

    Parameters
    ----------
    image : ndarray, shape (ny, nx)

    Returns
    -------
    ndarray
        NaN where a block holds no finite pixel.
    extent : tuple of float
        (left, right, bottom, top) of the result in pixels of `image`.
    """
    step = max(1, int(np.ceil(max(image.shape) / _DISPLAYED)))
    ny, nx = (size // step for size in image.shape)
    blocks = image[: ny * step, : nx * step].reshape(ny, step, nx, step)
    finite = np.isfinite(blocks)
    count = finite.sum(axis=(1, 3))
    total = np.where(finite, blocks, 0.0).sum(axis=(1, 3))
    mean = np.where(count, total / np.maximum(count, 1), np.nan)
    return mean, (-0.5, nx * step - 0.5, -0.5, ny * step - 0.5)


def stretched(image):
    """Compress an image to 0…1 so that faint and bright light show together.

    The inverse hyperbolic sine of the signal above the background, in units of twice the
    scatter of the fainter half of the pixels.
    """
    finite = image[np.isfinite(image)]
    if not finite.size or np.ptp(finite) == 0:
        return np.zeros_like(image)
    faint = finite[finite <= np.median(finite)]
    background = np.median(faint)
    noise = 1.4826 * np.median(np.abs(faint - background))
    top = max(np.percentile(finite, 99.8) - background, noise, np.finfo(float).tiny)
    scale = max(_NOISE_STEPS * noise, 1e-3 * top)
    return np.clip(np.arcsinh((image - background) / scale) / np.arcsinh(top / scale), 0, 1)


def label_step(number, inches, font_size):
    """Return the step that leaves labels of one line room beside each other.

    Parameters
    ----------
    number : int
        Of labels, evenly spaced.
    inches : float
        The room for all of them.
    font_size : float
        Points.
    """
    return max(1, int(np.ceil(number * font_size * 1.25 / 72 / inches)))
