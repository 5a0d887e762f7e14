"""ASDF converter of the calibration, the bundle of all that a night's reduction needs."""

# ruff: noqa: ARG002, D102 - the methods and their arguments are asdf's protocol

from dataclasses import asdict

import numpy as np
from asdf.extension import Converter

from specwcs.errors import InputError

__all__ = ["CALIBRATION_CONVERTERS", "CalibrationConverter"]

_AS_THEY_ARE = (
    "instrument",
    "mask",
    "opt",
    "crv",
    "ids",
    "residuals",
    "dropped",
    "medium",
    "provenance",
)
_TABLES = ("residuals", "dropped")


def _square(matrices):
    """Return covariance matrices as float64; NaN stands for errors that are not known."""
    matrices = {name: np.array(matrix, dtype=float) for name, matrix in matrices.items()}
    for name, matrix in matrices.items():
        if matrix.shape != (len(matrix), len(matrix)):
            raise InputError(f"covariance of {name} of shape {matrix.shape}", "Must be square")
    return matrices


def _narrow(table):
    """Return a table whose text takes one byte a character, not four, where it is ASCII."""
    narrow = table.copy(copy_data=False)
    for name, column in table.columns.items():
        if column.dtype.kind == "U" and column.dtype.itemsize and not hasattr(column, "mask"):
            codes = np.ascontiguousarray(column).view(np.uint32)
            if codes.max(initial=0) < 128:
                text = codes.astype(np.uint8).view(f"S{column.dtype.itemsize // 4}")
                narrow.replace_column(name, type(column)(text, description=column.description))
    return narrow


def _wide(table):
    """Return a table with text as people handle it."""
    for name, column in table.columns.items():
        if column.dtype.kind == "S":
            text = np.asarray(column).astype("U")
            table.replace_column(name, type(column)(text, description=column.description))
    return table


class CalibrationConverter(Converter):
    """`Calibration`: its fields; the status of the slits as a list, so that the order stays."""

    tags = ("asdf://specwcs.org/tags/calibration-1.0.0",)
    types = ("specwcs.calibration.bundle.Calibration",)

    def to_yaml_tree(self, obj, tag, ctx):
        node = {name: getattr(obj, name) for name in _AS_THEY_ARE}
        node |= {name: _narrow(node[name]) for name in _TABLES}
        node["provenance"] = dict(obj.provenance)
        node["local"] = {name: local.to_dict() for name, local in obj.local.items()}
        node["covariance"] = _square(obj.covariance)
        node["slits"] = [
            {"id": id_, **asdict(status), "known": [float(w) for w in status.known]}
            for id_, status in obj.slits.items()
        ]
        return node

    def from_yaml_tree(self, node, tag, ctx):
        from specwcs.calibration.bundle import Calibration, SlitStatus
        from specwcs.calibration.local import LocalTerms

        values = {name: node[name] for name in _AS_THEY_ARE}
        values |= {name: _wide(values[name]) for name in _TABLES}
        slits = [dict(entry) for entry in node["slits"]]
        for entry in slits:
            if "known" in entry:
                entry["known"] = tuple(map(float, entry["known"]))
        return Calibration(
            **values,
            local={name: LocalTerms.from_dict(terms) for name, terms in node["local"].items()},
            covariance=_square(node["covariance"]),
            slits={entry.pop("id"): SlitStatus(**entry) for entry in slits},
        )


CALIBRATION_CONVERTERS = [CalibrationConverter()]
"""The converter of `Calibration`."""
