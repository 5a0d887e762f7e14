"""Models on disk, with what is known of their fit; and whether they are of this instrument."""

import numpy as np
from astropy.modeling import Model

from specwcs.calibration import LocalTerms, ModelFit
from specwcs.errors import InputError
from specwcs.models import CurvatureModel, DispersionModel, OpticalModel

from .journal import model_to_json

__all__ = ["note_fit", "open_model"]

_CLASSES = {"opt": OpticalModel, "crv": CurvatureModel, "ids": DispersionModel}


def note_fit(model, fit, instrument, medium):
    """Note on a model, in its ``meta``, what its file shall tell of its fit.

    Parameters
    ----------
    model : OpticalModel, CurvatureModel or DispersionModel
    fit : ModelFit
    instrument : Instrument
    medium : {"air", "vacuum"} or None
        Of the wavelengths; None where there are none.
    """
    model.meta.clear()
    model.meta["instrument"] = _identity(instrument)
    model.meta["origin"] = fit.origin
    if medium is not None:
        model.meta["medium"] = medium
    if fit.residuals is not None:
        model.meta["fit"] = {
            "covariance": dict(fit.covariance),
            "residuals": fit.residuals,
            "ranks": list(fit.ranks),
            "notes": list(fit.notes),
            "local": fit.local.to_dict(),
            "of": model_to_json(fit.model),
        }


def open_model(given, name, instrument):
    """Take a model from a file or as it is.

    Parameters
    ----------
    given : str, path-like or Model
    name : {"opt", "crv", "ids"}
    instrument : Instrument

    Returns
    -------
    fit : ModelFit
    medium : str or None

    Raises
    ------
    InputError
        If the file holds something else, or the model is of another instrument.
    """
    kind, file = _CLASSES[name], None
    if isinstance(given, Model):
        if not isinstance(given, kind):
            raise InputError(f"{name}= is a {type(given).__name__}", f"Must be a {kind.__name__}")
        model = given.copy()
    else:
        model, file = kind.read(given), given
    meta = dict(model.meta)
    _check_identity(meta.get("instrument"), instrument, file)
    model.meta.clear()
    told = meta.get("fit")
    origin = meta.get("origin", "read")
    if told is not None and told.get("of") != model_to_json(model):
        told, origin = None, "read"  # changed by hand after the fit
    if told is None:
        return ModelFit.unfitted(model, origin), meta.get("medium")
    covariance = {key: np.array(matrix) for key, matrix in told["covariance"].items()}
    local = LocalTerms.from_dict(told.get("local", {}))
    fit = ModelFit(
        model, origin, covariance, told["residuals"], tuple(told["ranks"]), tuple(told["notes"]),
        local,
    )  # fmt: skip
    return fit, meta.get("medium")


def _identity(instrument):
    return {
        "name": instrument.name,
        "direction": str(instrument.direction),
        "shape": list(instrument.shape),
        "reference_lambda": float(instrument.reference_lambda),
    }


def _check_identity(found, instrument, file):
    """Refuse a model that was made for another detector, direction or wavelength."""
    if found is None:
        return
    mine = _identity(instrument)
    for key in ("direction", "shape", "reference_lambda"):
        if found.get(key) != mine[key]:
            raise InputError(
                f"this model has {key} {found.get(key)} (instrument {found.get('name')})",
                f"Must be that of {mine['name']}, {mine[key]}",
                "Use the model of this instrument",
                file=file,
            )
