"""How Sphinx builds the documentation: ``sphinx-build -W docs docs/_build/html``."""

from importlib.metadata import version as version_of

project = "specwcs"
author = "the specwcs developers"
copyright = "2026, the specwcs developers"
version = release = version_of("specwcs")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
default_role = "py:obj"

autosummary_generate = True
autodoc_inherit_docstrings = False
numpydoc_show_class_members = False

plot_formats = [("svg", 100)]
plot_html_show_source_link = False
plot_html_show_formats = False

html_theme = "furo"
html_title = f"specwcs {release}"
html_static_path = ["_static"]
