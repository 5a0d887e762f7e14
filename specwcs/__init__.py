"""Calibrate through-slit spectrographs: mask, detector and wavelength as astropy models.

Names are resolved at first use, so that importing the package costs nearly nothing.
"""

from importlib import import_module

_HOME = {
    "Calibration": "calibration",
    "Direction": "conventions",
    "FitError": "errors",
    "InputError": "errors",
    "Instrument": "inputs",
    "LineCatalog": "inputs",
    "Markers": "markers",
    "Mask": "inputs",
    "ModelsCalibration": "session",
    "Slit": "inputs",
    "SpecwcsError": "errors",
    "SpecwcsWarning": "errors",
    "ViewerError": "errors",
    "calibrate": "calibration",
    "extract": "extraction",
    "flat_field": "extraction",
    "read_frame": "inputs",
    "rectify": "extraction",
    "reduce_frame": "extraction",
    "tune": "calibration",
    "write_report": "report",
}

__all__ = sorted(_HOME)


def __getattr__(name):
    if name == "__version__":
        from importlib.metadata import version

        return version("specwcs")
    if name in _HOME:
        value = getattr(import_module(f"specwcs.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'specwcs' has no attribute {name!r}")


def __dir__():
    return [*globals(), *__all__, "__version__"]
