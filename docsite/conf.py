"""Settings of Sphinx. Nothing here may make a page ask anything of another machine."""

from typing import Any

from shiftlens import __version__

project = "shiftlens"
author = "The shiftlens developers"
release = version = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_heading_anchors = 4
myst_linkify_fuzzy_links = False
suppress_warnings = ["myst.header"]  # a section may begin with a small heading

autodoc_default_options = {"members": True, "inherited-members": False}
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
maximum_signature_line_length = 80
add_module_names = False
python_use_unqualified_type_names = True
toc_object_entries = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # else they are called variables
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"shiftlens {version}"
html_static_path = ["assets"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"


def _readable(
    _app: Any,
    _kind: str,
    _name: str,
    _found: Any,
    _options: Any,
    signature: str | None,
    returned: str,
) -> tuple[str | None, str]:
    """Write ``...`` for a default that is made anew for each object: its text cannot be parsed."""
    return (signature and signature.replace("<factory>", "...")), returned


def setup(app: Any) -> None:
    """Hand the generator what it asks while it reads signatures."""
    app.connect("autodoc-process-signature", _readable)
