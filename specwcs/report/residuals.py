"""The picture of a fit's residuals: over the frame, and by wavelength or by slit."""

import numpy as np

from .canvas import BAD, LINE, MUTED, new_figure

__all__ = ["residual_figure"]

_SIZE = (14.0, 6.0)  # inches
_NAMES = {"opt": "OPT", "crv": "CRV", "ids": "IDS"}


def residual_figure(table, name, shape, worst=()):
    """Draw the residuals of a fit.

    Parameters
    ----------
    table : QTable
        Markers with ``residual`` (px) and ``used``.
    name : {"opt", "crv", "ids"}
    shape : tuple of int
        Of the frame, (ny, nx).
    worst : sequence of (str, float)
        Slits and their rms, px, worst first.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = new_figure(*_SIZE, "constrained", at_prompt=True)
    over, by = figure.subplots(1, 2, width_ratios=(1.3, 1.0))
    used = np.asarray(table["used"])
    residual = table["residual"].value
    rms = np.sqrt(np.mean(residual[used] ** 2)) if used.any() else np.nan
    _draw_over_frame(figure, over, table, used, residual, rms, shape)
    if name == "ids":
        _draw_by(by, table["wavelength"].value, residual, used, "wavelength, Å")
    else:
        slits, number = np.unique(table["slit"], return_inverse=True)
        _draw_by(by, number, residual, used, "slit")
        step = max(1, len(slits) // 20)
        by.set_xticks(range(0, len(slits), step), slits[::step], rotation=90, fontsize=8)
    by.set_ylabel("measured minus fitted, px")
    figure.suptitle(f"{_NAMES[name]}: {rms:.3f} px rms of {used.sum()} markers")
    if worst:
        text = "worst slits\n" + "\n".join(f"{key}  {value:.2f} px" for key, value in worst)
        by.text(0.98, 0.98, text, transform=by.transAxes, ha="right", va="top", fontsize=8,
                bbox={"facecolor": "white", "edgecolor": MUTED, "alpha": 0.85})  # fmt: skip
    return figure


def _draw_over_frame(figure, axes, table, used, residual, rms, shape):
    x, y = table["x"].value, table["y"].value
    axes.plot(x[~used], y[~used], "x", color=BAD, markersize=5, label="not used")
    top = max(3 * rms, 1e-9) if np.isfinite(rms) else 1.0
    points = axes.scatter(
        x[used], y[used], c=np.abs(residual[used]), s=14, cmap="viridis_r", vmin=0, vmax=top
    )
    figure.colorbar(points, ax=axes, label="size of the residual, px", shrink=0.8, extend="max")
    axes.set_xlim(-0.5, shape[1] - 0.5)
    axes.set_ylim(-0.5, shape[0] - 0.5)
    axes.set_xlabel("x, px")
    axes.set_ylabel("y, px")
    if not used.all():
        axes.legend(loc="upper right", fontsize=8)


def _draw_by(axes, value, residual, used, label):
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.plot(value[used], residual[used], ".", color=LINE, markersize=4)
    axes.plot(value[~used], residual[~used], "x", color=BAD, markersize=5)
    if used.any():
        reach = 1.3 * max(np.abs(residual[used]).max(), 1e-6)
        axes.set_ylim(-reach, reach)
    axes.set_xlabel(label)
