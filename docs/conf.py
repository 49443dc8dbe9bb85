"""How the documentation pages are built: Markdown and notebooks as they are, the API from docstrings."""

import re
from typing import Any

import linkage

project = "linkage"
author = "the linkage maintainers"
release = version = linkage.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
# The pages stand beside the notebooks, so the source folder is the whole checkout.
include_patterns = ["docs/**", "notebooks/*.ipynb", "CHANGELOG.md"]
exclude_patterns = ["docs/_build"]

# Notebooks are kept with their outputs; a test runs them.
nb_execution_mode = "off"
nb_merge_streams = True
# A widget needs its kernel; on a page its picture stands for it.
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
myst_heading_anchors = 3

autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
napoleon_google_docstring = False
napoleon_use_param = False
napoleon_use_rtype = False
napoleon_use_ivar = False


ENTRY = re.compile(r"(\w+(?:, \w+)*) : (.+)")


def part_entries(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Put the words of ``name : words`` below the name, where napoleon looks for them; this project writes one line."""
    parted: list[str] = []
    inside = False
    for number, line in enumerate(lines):
        is_title = (
            number + 1 < len(lines) and bool(lines[number + 1].strip()) and set(lines[number + 1].strip()) == {"-"}
        )
        inside = line.strip() in ("Parameters", "Raises") if is_title else inside
        match = ENTRY.fullmatch(line) if inside else None
        parted += [match[1], f"    {match[2]}"] if match else [line]
    lines[:] = parted


def setup(app: Any) -> None:
    """Called by Sphinx; before napoleon, whose priority is 500."""
    app.connect("autodoc-process-docstring", part_entries, priority=400)


html_theme = "furo"
html_title = "linkage"
html_show_sphinx = False
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
templates_path = []
