"""ASDF converters of the models.

Coefficients are stored as numbers in the text of the file, for people to read; YAML keeps all
digits of a finite number, so that a model comes back bit by bit. Everything that is not a
coefficient is stored as the attribute of the same name. What `astropy.modeling` adds to any model
(name, inputs, outputs, fixed parameters, bounds, bounding box, inverse) is the business of
`TransformConverterBase`; what that one loses (``meta``, bounds with a zero) is added here.
"""

# ruff: noqa: ARG002, D102 - the methods and their arguments are asdf's protocol

import numpy as np
from asdf_astropy.converters.transform.core import TransformConverterBase
from asdf_astropy.converters.utils import import_type

from specwcs.conventions import Direction
from specwcs.errors import InputError

__all__ = ["MODEL_CONVERTERS", "PolynomialConverter", "StepConverter"]


class _ModelConverter(TransformConverterBase):
    """What all models share.

    Parameters
    ----------
    name : str
        The name of the tag and of the schema.
    type_name : str
        The class, which is imported only when it is needed.
    settings : sequence of str
        Attributes, and arguments of the class, that are not coefficients.
    """

    def __init__(self, name, type_name, settings):
        self._tag = f"asdf://specwcs.org/tags/{name}-1.0.0"
        self._type_name = type_name
        self._settings = settings

    @property
    def tags(self):
        return [self._tag]

    @property
    def types(self):
        return [self._type_name]

    def to_yaml_tree(self, model, tag, ctx):
        if len(model) != 1:
            raise InputError("a model set", "Only single models are stored")
        tied = [name for name, rule in model.tied.items() if rule]
        if tied:
            found = f"parameter {tied[0]} is tied to others, by code that no file can hold"
            raise InputError(found, "", "Untie it, or fix it")
        _check_bounding_box(model)
        node = super().to_yaml_tree(model, tag, ctx)
        bounds = {name: list(limits) for name, limits in model.bounds.items()}
        bounds = {name: limits for name, limits in bounds.items() if limits != [None, None]}
        node.pop("bounds", None)
        if bounds:
            node["bounds"] = bounds
        if model.meta:
            node["meta"] = dict(model.meta)
        return node

    def from_yaml_tree(self, node, tag, ctx):
        for model in super().from_yaml_tree(node, tag, ctx):
            model.meta.update(node.get("meta", {}))
            if (len(model.inputs), len(model.outputs)) != (model.n_inputs, model.n_outputs):
                found = f"inputs {model.inputs} and outputs {model.outputs}"
                raise InputError(found, f"Must be {model.n_inputs} and {model.n_outputs}")
            _check_bounding_box(model)
            yield model

    def _settings_of(self, model):
        kinds = {tuple: list, Direction: str}
        values = {name: getattr(model, name) for name in self._settings}
        return {name: kinds.get(type(v), type(v))(v) for name, v in values.items()}

    def _checked(self, model, node):
        """Return the model if it has kept the settings of the file as they are."""
        for name, value in self._settings_of(model).items():
            if value != node.get(name, value):
                raise InputError(f"{name} {node[name]!r} of the file became {value!r}")
        return model


def _finite(name, values):
    values = np.array(values, dtype=float)
    if not np.isfinite(values).all():
        raise InputError(f"{name} has values that are not finite", "", "Fit the model anew")
    return values


def _check_bounding_box(model):
    box = model._user_bounding_box
    for name, interval in getattr(box, "named_intervals", {}).items():
        low, high = (np.asarray(getattr(limit, "value", limit)) for limit in interval)
        if not np.all(low <= high):  # so is NaN
            raise InputError(
                f"bounding box of {name} from {low} to {high}", "Must be low, high and not NaN"
            )


class PolynomialConverter(_ModelConverter):
    """`OpticalModel` and the kinds of `FieldPolynomial`: degrees, settings, coefficients."""

    def to_yaml_tree_transform(self, model, tag, ctx):
        return {
            "degrees": list(model.degrees),
            **self._settings_of(model),
            "coefficients": _finite("coefficients", model.coefficients).tolist(),
        }

    def from_yaml_tree_transform(self, node, tag, ctx):
        settings = {name: node[name] for name in self._settings}
        model = import_type(self._type_name)(*node["degrees"], **settings)
        coefficients = _finite("coefficients", node["coefficients"])
        if coefficients.shape != model.coefficients.shape:
            raise InputError(
                f"coefficients of shape {coefficients.shape} for degrees {model.degrees}",
                f"Must be of shape {model.coefficients.shape}",
            )
        model.coefficients = coefficients
        if not np.array_equal(model.coefficients, coefficients):
            raise InputError("coefficients of terms that a model of these degrees lacks")
        return self._checked(model, node)


class StepConverter(_ModelConverter):
    """The steps of a slit's WCS: array parameters, settings."""

    def to_yaml_tree_transform(self, model, tag, ctx):
        values = {name: getattr(model, name).value for name in model.param_names}
        arrays = {name: _finite(name, value).tolist() for name, value in values.items()}
        return {**self._settings_of(model), **arrays}

    def from_yaml_tree_transform(self, node, tag, ctx):
        from specwcs.models.field import check_domain

        kind = import_type(self._type_name)
        arrays = {name: _finite(name, node[name]) for name in kind.param_names}
        series = {array.shape[-1] for name, array in arrays.items() if name != "control"}
        if len(series) > 1:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
            raise InputError(f"series of different lengths: {shapes}", "Must be of one length")
        # Files from before slits could be rough have no table of it.
        settings = {name: node[name] for name in self._settings if name in node}
        for name in settings:
            if name.endswith("domain"):
                check_domain(name, settings[name])
        _finite("roughness", settings.get("roughness", ()))
        return self._checked(kind(**arrays, **settings), node)


_FIELD = ("constant_degrees", "domain", "x_domain", "y_domain")
_OPTICAL = ("x_domain", "y_domain", "x_flipped", "y_flipped")
_TRACE = ("direction", "d_domain", "t_domain")
_DISPERSION = ("wavelength_domain", "t_domain", "roughness")

MODEL_CONVERTERS = [
    PolynomialConverter("field_polynomial", "specwcs.models.field.FieldPolynomial", _FIELD),
    PolynomialConverter("curvature_model", "specwcs.models.field.CurvatureModel", _FIELD),
    PolynomialConverter("dispersion_model", "specwcs.models.field.DispersionModel", _FIELD),
    PolynomialConverter("optical_model", "specwcs.models.optical.OpticalModel", _OPTICAL),
    StepConverter("detector_to_trace", "specwcs.models.steps.DetectorToTrace", _TRACE),
    StepConverter("trace_to_detector", "specwcs.models.steps.TraceToDetector", _TRACE),
    StepConverter("trace_to_slit", "specwcs.models.steps.TraceToSlit", _DISPERSION),
    StepConverter("slit_to_trace", "specwcs.models.steps.SlitToTrace", _DISPERSION),
    StepConverter("slit_to_mask", "specwcs.models.steps.SlitToMask", ()),
    StepConverter("mask_to_slit", "specwcs.models.steps.MaskToSlit", ()),
]
"""One converter for each model class."""
