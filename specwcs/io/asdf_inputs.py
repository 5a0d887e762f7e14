"""ASDF converters of what was read from disk: instruments, masks and slits."""

# ruff: noqa: ARG002, D102 - the methods and their arguments are asdf's protocol

from dataclasses import fields
from math import isfinite

import numpy as np
from asdf.extension import Converter

from specwcs.errors import InputError

__all__ = ["INPUT_CONVERTERS", "InstrumentConverter", "MaskConverter", "SlitConverter"]


def _source_node(source):
    return {"path": source.path, "sha256": source.sha256}


def _source(node):
    from specwcs.inputs._text import Source

    return Source(**node) if node else None


def _finite(node):
    """Return what a converter writes or reads, if its numbers are: no schema refuses NaN."""
    for name, value in node.items():
        if isinstance(value, float) and not isfinite(value):
            raise InputError(f"{name} is {value}", "Must be finite")
    return dict(node)


def _sides(pixel_scale):
    """Return the sides of a pixel, one number or a list of two."""
    return np.array(pixel_scale, dtype=float).tolist()


def _control(points, slit):
    points = np.array(points, dtype=float)
    if not np.isfinite(points).all():
        raise InputError("a control point is not finite", slit=slit)
    return points


class InstrumentConverter(Converter):
    """`Instrument`: its fields, sections as text; fields that are None are left out."""

    tags = ("asdf://specwcs.org/tags/instrument-1.0.0",)
    types = ("specwcs.inputs.instrument.Instrument",)

    def to_yaml_tree(self, obj, tag, ctx):
        node = {field.name: getattr(obj, field.name) for field in fields(obj)}
        node = {name: value for name, value in node.items() if value is not None}
        node["pixel_scale"] = _sides(obj.pixel_scale)
        node["direction"] = str(obj.direction)
        node["description"] = dict(obj.description)
        node["amplifiers"] = [
            {"data": str(data), "overscan": str(overscan)} for data, overscan in obj.amplifiers
        ]
        if obj.trim is not None:
            node["trim"] = str(obj.trim)
        if obj.source is not None:
            node["source"] = _source_node(obj.source)
        return _finite(node)

    def from_yaml_tree(self, node, tag, ctx):
        from types import MappingProxyType

        from specwcs.conventions import Direction
        from specwcs.inputs.instrument import Amplifier, Instrument, Section

        values = _finite(node)
        values["pixel_scale"] = _sides(node["pixel_scale"])
        values["direction"] = Direction(node["direction"])
        values["description"] = MappingProxyType(dict(node["description"]))
        values["amplifiers"] = tuple(
            Amplifier(Section.parse(pair["data"]), Section.parse(pair["overscan"]))
            for pair in node["amplifiers"]
        )
        values["trim"] = Section.parse(node["trim"]) if "trim" in node else None
        values["source"] = _source(node.get("source"))
        return Instrument(**values)


class SlitConverter(Converter):
    """`Slit`: its fields; the sky as its six numbers, left out where it is not known."""

    tags = ("asdf://specwcs.org/tags/slit-1.0.0",)
    types = ("specwcs.inputs.mask.Slit",)

    def to_yaml_tree(self, obj, tag, ctx):
        node = {field.name: getattr(obj, field.name) for field in fields(obj)}
        sky = node.pop("sky")
        if sky is not None:
            node["sky"] = list(_finite(sky._asdict()).values())
        return _finite(node) | {"control": _control(obj.control, obj.id).tolist()}

    def from_yaml_tree(self, node, tag, ctx):
        from specwcs.inputs.mask import Slit
        from specwcs.inputs.sky import SlitSky

        values = _finite(node)
        if "sky" in values:
            values["sky"] = SlitSky(**_finite(SlitSky(*map(float, node["sky"]))._asdict()))
        return Slit(**(values | {"control": _control(node["control"], node["id"])}))


class MaskConverter(Converter):
    """`Mask`: its slits in their order, its faults, its source, its notes."""

    tags = ("asdf://specwcs.org/tags/mask-1.0.0",)
    types = ("specwcs.inputs.mask.Mask",)

    def to_yaml_tree(self, obj, tag, ctx):
        node = {"slits": list(obj.values()), "faults": dict(obj.faults)}
        if obj.source is not None:
            node["source"] = _source_node(obj.source)
        if obj.notes:
            node["notes"] = list(obj.notes)
        return node

    def from_yaml_tree(self, node, tag, ctx):
        from specwcs.inputs.mask import Mask

        source, notes = _source(node.get("source")), node.get("notes", ())
        return Mask(node["slits"], faults=node["faults"], source=source, notes=notes)


INPUT_CONVERTERS = [InstrumentConverter(), MaskConverter(), SlitConverter()]
"""One converter for each class that is read from disk and kept in a calibration."""
