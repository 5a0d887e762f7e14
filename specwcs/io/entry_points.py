"""What asdf finds through the entry points of specwcs: schemas, manifest, converters.

asdf calls these functions when any ASDF file is opened, also by users who want nothing of
specwcs: nothing here, nor what it imports, may import `astropy.modeling`.
"""

from importlib.resources import files

__all__ = ["MANIFEST_URI", "get_extensions", "get_resource_mappings"]

MANIFEST_URI = "asdf://specwcs.org/manifests/specwcs-1.0.0"


def get_resource_mappings():
    """Return the schemas and the manifest.

    Returns
    -------
    list of dict of str to bytes
        One mapping of URI to content.
    """
    resources = {}
    for file in files("specwcs.asdf_schemas").iterdir():
        stem, dot, suffix = file.name.rpartition(".")
        if dot + suffix == ".yaml":
            folder = "manifests" if stem.startswith("specwcs-") else "schemas"
            resources[f"asdf://specwcs.org/{folder}/{stem}"] = file.read_bytes()
    return [resources]


def get_extensions():
    """Return the extension: converters for the tags of the manifest.

    Returns
    -------
    list of asdf.extension.Extension
    """
    from asdf.extension import ManifestExtension

    from specwcs.io.asdf_calibration import CALIBRATION_CONVERTERS
    from specwcs.io.asdf_inputs import INPUT_CONVERTERS
    from specwcs.io.asdf_models import MODEL_CONVERTERS

    converters = [*MODEL_CONVERTERS, *INPUT_CONVERTERS, *CALIBRATION_CONVERTERS]
    return [ManifestExtension.from_uri(MANIFEST_URI, converters=converters)]
