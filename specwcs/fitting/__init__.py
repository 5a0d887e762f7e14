"""Fits of models that are linear in their parameters, and the choice of degrees.

`fit_linear` fits one model to markers of all slits at once with an astropy fitter,
robustly, and returns a `Fit` that says how far it can be trusted. `choose_degrees`
finds the degrees that the data support, by leaving out slit after slit;
`contradictory_group` finds the slit that spoils the fit of the others.
"""

from .basis import thin_qr
from .degrees import DegreeChoice, choose_degrees, held_out_rms, with_prior
from .groups import changes_without, contradictory_group
from .linear import Fit, fit_linear

__all__ = [
    "DegreeChoice",
    "Fit",
    "changes_without",
    "choose_degrees",
    "contradictory_group",
    "fit_linear",
    "held_out_rms",
    "thin_qr",
    "with_prior",
]
