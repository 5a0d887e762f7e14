"""Pictures by which a person judges a calibration and its spectra at a glance.

Figures are made without pyplot: they share no state, need no display, and are safe in
threads. matplotlib comes with the extra ``plot``.
"""

from specwcs.report.calibration import calibration_figure
from specwcs.report.canvas import write_figure
from specwcs.report.exposure import slit_figure, write_exposure_page
from specwcs.report.page import write_report
from specwcs.report.residuals import residual_figure
from specwcs.report.slice import slice_figure
from specwcs.report.spectra import spectra_figure

__all__ = [
    "calibration_figure",
    "residual_figure",
    "slice_figure",
    "slit_figure",
    "spectra_figure",
    "write_exposure_page",
    "write_figure",
    "write_report",
]
