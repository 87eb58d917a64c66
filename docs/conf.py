"""The site: Markdown as it lies here, and a reference that is made from the code at each build."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import pytest_vcp

project = "pytest-vcp"
release = pytest_vcp.__version__
html_title = f"pytest-vcp {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "docs._ext"]
exclude_patterns = ["_build"]

myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_class_signature = "separated"
autodoc_typehints_format = "short"
# A name in single backticks is code, in the docstrings as in Markdown.
default_role = "code"

# Options begin with two hyphens, in docstrings too.
smartquotes = False

# No other project's index is fetched: a build needs no network.
nitpick_ignore_regex = [("py:.*", r"(ast|collections|pathlib|typing)\..*")]

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
# A page that was opened as a file may not fetch others, not even for the first words of a hit.
html_show_search_summary = False
# What the search finds, an index need not list again.
html_use_index = False
html_domain_indices = False
html_show_copyright = False
html_show_sphinx = False
toc_object_entries_show_parents = "hide"
