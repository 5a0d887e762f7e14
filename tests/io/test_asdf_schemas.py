"""Schemas, manifest, converters and classes agree with each other."""

import subprocess
import sys
from dataclasses import fields
from importlib.resources import files

import asdf
import pytest
import yaml
from asdf_astropy.converters.utils import import_type

from specwcs import models
from specwcs.calibration.bundle import Calibration
from specwcs.inputs import Instrument, Mask, Slit
from specwcs.io.entry_points import MANIFEST_URI, get_extensions, get_resource_mappings

[RESOURCES] = get_resource_mappings()
MANIFEST = yaml.safe_load(RESOURCES[MANIFEST_URI])
SCHEMAS = [uri for uri in RESOURCES if uri != MANIFEST_URI]

NOT_STORED = {"SlitGeometry"}
"""Computed from the models whenever it is needed."""


def test_each_file_is_served_under_its_own_id():
    folder = files("specwcs.asdf_schemas")
    on_disk = {f.name for f in folder.iterdir() if f.name.endswith(".yaml")}
    assert {uri.rpartition("/")[2] + ".yaml" for uri in RESOURCES} == on_disk
    for uri, content in RESOURCES.items():
        name = uri.rpartition("/")[2]
        assert yaml.safe_load(content)["id"] == uri
        assert content == (folder / f"{name}.yaml").read_bytes()
        assert asdf.get_config().resource_manager[uri] == content


def test_manifest_lists_every_schema_once():
    tags = MANIFEST["tags"]
    assert sorted(tag["schema_uri"] for tag in tags) == sorted(SCHEMAS)
    for tag in tags:
        assert tag["tag_uri"] == tag["schema_uri"].replace("/schemas/", "/tags/")


def test_each_tag_has_one_converter_and_each_converter_a_class():
    [extension] = get_extensions()
    handled = [tag for converter in extension.converters for tag in converter.tags]
    assert sorted(handled) == sorted(tag["tag_uri"] for tag in MANIFEST["tags"])
    types = {import_type(name) for c in extension.converters for name in c.types}
    stored = {getattr(models, name) for name in models.__all__ if name not in NOT_STORED}
    assert types == stored | {Instrument, Mask, Slit, Calibration}


@pytest.mark.parametrize("uri", SCHEMAS)
def test_schema_is_valid(uri):
    asdf.schema.check_schema(asdf.schema.load_schema(uri, resolve_references=False))


def required_and_known(schema):
    """Yield each schema with its required and its known properties."""
    if isinstance(schema, dict):
        if "properties" in schema and "type" in schema:
            yield set(schema.get("required", ())), set(schema["properties"])
        for value in schema.values():
            yield from required_and_known(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from required_and_known(value)


@pytest.mark.parametrize("uri", SCHEMAS)
def test_required_properties_are_described(uri):
    schema = yaml.safe_load(RESOURCES[uri])
    described = list(required_and_known(schema))
    assert described or "$ref" in schema
    for required, known in described:
        assert required <= known


@pytest.mark.parametrize("kind", [Instrument, Slit, Calibration])
def test_schema_has_the_fields_of_its_class(kind):
    schema = yaml.safe_load(RESOURCES[f"asdf://specwcs.org/schemas/{kind.__name__.lower()}-1.0.0"])
    assert set(schema["properties"]) == {field.name for field in fields(kind)}


def test_opening_a_file_of_others_stays_cheap():
    """Users of asdf pay for our entry points in every session."""
    code = """
import sys
from specwcs.io import asdf_calibration, asdf_inputs, asdf_models, entry_points
entry_points.get_resource_mappings()
assert not {"astropy", "gwcs", "scipy", "specwcs.models", "specwcs.files"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
