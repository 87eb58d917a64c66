"""The parts of the site that are made from the code.

A page says where such a part goes: ``<!-- made from the code: options -->``. Pages read on a forge
show nothing there.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

from docs._ext import fixtures, options, policy, rules, schema
from docs._ext.links import LinksToReference

_PLACE = re.compile(r"^<!-- made from the code: (\w+) -->$", re.MULTILINE)
_PARTS = {
    "options": options.part,
    "fixtures": fixtures.part,
    "rules": rules.part,
    "schema": schema.part,
    "policy": policy.part,
}


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register with Sphinx."""
    app.connect("source-read", _fill)
    app.connect("include-read", _include)
    app.add_transform(LinksToReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fill(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the parts in their places, before the page is parsed."""
    text = _PLACE.sub(lambda place: "\n".join(_PARTS[place[1]]()), source[0])
    folder, _, name = docname.rpartition("/")
    source[0] = rules.described(name, text) if folder == "rules" else text


def _include(_app: Sphinx, _file: Path, _parent: str, content: list[str]) -> None:
    """On the site the table of rules is a page of the reference."""
    content[0] = content[0].replace("](docs/rules)", "](docs/reference/rules.md)")
