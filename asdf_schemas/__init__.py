"""The ASDF schemas and the manifest of specwcs, as data files."""
