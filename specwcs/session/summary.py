"""The table of a fit: how many points, how good, and what to do."""

from dataclasses import dataclass

import numpy as np

__all__ = ["FitSummary", "summarise"]

_MOSTLY = 0.5  # share of untouched markers above which a fit is no test of itself


@dataclass(frozen=True, repr=False)
class FitSummary:
    """How a fit went; prints as a short table.

    Parameters
    ----------
    model : str
        ``"OPT"``, ``"CRV"`` or ``"IDS"``.
    degrees : tuple of int
    n_used, n_dropped : int
        Markers that the fit used, and that it did not.
    n_parameters : int
        Of all fits of this model, equal to their rank.
    rms : float
        Of the markers used, px.
    rms_angstrom : float
        The same along the dispersion; NaN but for IDS.
    worst_slit : str
        The slit whose markers scatter most; empty where there are none.
    worst_rms : float
        Their root mean square, px.
    advice : tuple of str
        What should be known, and what to do, in sentences.
    """

    model: str
    degrees: tuple
    n_used: int
    n_dropped: int
    n_parameters: int
    rms: float
    rms_angstrom: float
    worst_slit: str
    worst_rms: float
    advice: tuple = ()

    def __repr__(self):
        return (
            f"<FitSummary {self.model} {self.degrees}: {self.rms:.3f} px rms, "
            f"{self.n_used} used, {self.n_dropped} dropped>"
        )

    def __str__(self):
        angstrom = f" = {self.rms_angstrom:.3g} Å" if np.isfinite(self.rms_angstrom) else ""
        rows = [
            ("degrees", ", ".join(map(str, self.degrees))),
            ("markers", f"{self.n_used} used, {self.n_dropped} dropped"),
            ("parameters", f"{self.n_parameters} (the rank)"),
            ("rms", f"{self.rms:.3f} px{angstrom}"),
            ("worst slit", f"{self.worst_slit}: {self.worst_rms:.3f} px"),
        ]
        lines = [f"  {name:<11} {text}" for name, text in rows]
        return "\n".join([f"{self.model} fitted", *lines, *(f"  {a}" for a in self.advice)])


def summarise(fit, layer, *, slope=None, also=()):
    """Sum up the fit of a model.

    Parameters
    ----------
    fit : ModelFit
    layer : Layer
        The markers that it was made from.
    slope : ndarray, shape of the residuals, optional
        px per Angstrom at each marker.
    also : sequence of str
        Further sentences.

    Returns
    -------
    FitSummary
    """
    table = fit.residuals
    used = np.asarray(table["used"])
    residual = table["residual"].value
    worst, worst_rms = "", np.nan
    for key in np.unique(table["slit"][used]):
        own = _rms(residual[used & np.asarray(table["slit"] == key)])
        if not own <= worst_rms:
            worst, worst_rms = str(key), own
    rms_angstrom = np.nan if slope is None else _rms(residual[used] / slope[used])
    return FitSummary(
        fit.model_name.upper(),
        fit.model.degrees,
        int(used.sum()),
        len(layer) - int(used.sum()),
        sum(fit.ranks),
        _rms(residual[used]),
        rms_angstrom,
        worst,
        worst_rms,
        (*_advice(fit, layer, used), *also),
    )


def _advice(fit, layer, used):
    parameters = fit.ranks[0]
    if used.sum() == parameters:
        yield "No marker to spare: the fit passes through all of them, and no error is known."
    elif used.sum() < 2 * parameters:
        yield (
            f"Few markers for {parameters} parameters: lower degrees would be steadier, or "
            "more markers."
        )
    untouched = layer.n_untouched
    if untouched > _MOSTLY * used.sum():
        yield (
            f"{untouched} markers stand where the model had put them: they confirm it, they do "
            "not test it."
        )
    for telling in ("contradicts", "constant term", "would fit better"):
        yield from (note for note in fit.notes if telling in note)


def _rms(values):
    return float(np.sqrt(np.mean(values**2))) if len(values) else np.nan
