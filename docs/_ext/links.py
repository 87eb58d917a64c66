"""Ids of rules and names of options lead to their reference, wherever they stand in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

_OPTION = re.compile(r"--vcp-[a-z]+(?:-[a-z]+)*")
_NAME = re.compile(rf"(\bVCP\d{{3}}\b|{_OPTION.pattern})")
# What leads somewhere already, and what stays as it was written.
_AS_IT_IS = (
    nodes.reference,
    nodes.title,
    nodes.FixedTextElement,
    addnodes.pending_xref,
    addnodes.desc_signature,
    addnodes.toctree,
)


class LinksToReference(SphinxTransform):
    """A rule that does not exist, or an option, is a warning: its link leads nowhere."""

    default_priority = 500

    def apply(self) -> None:
        for text in list(self.document.findall(nodes.Text)):
            if _is_open(text):
                self._link(text)

    def _link(self, text: nodes.Text) -> None:
        parent = text.parent
        if isinstance(parent, nodes.literal):
            option = _OPTION.match(text)
            if option is not None:
                link = self._to("option", option[0])
                parent.replace_self(link)
                link += parent
        elif _NAME.search(text):
            parent.replace(text, list(self._parts(text)))

    def _parts(self, text: str) -> Iterator[nodes.Node]:
        for place, piece in enumerate(_NAME.split(text)):
            # Every second piece is what the pattern has caught.
            if place % 2 and self.env.docname != f"rules/{piece}":
                is_rule = piece.startswith("VCP")
                link = self._to("doc", f"/rules/{piece}") if is_rule else self._to("option", piece)
                link += nodes.inline(piece, piece)
                yield link
            elif piece:
                yield nodes.Text(piece)

    def _to(self, kind: str, target: str) -> addnodes.pending_xref:
        return addnodes.pending_xref(
            "",
            refdomain="std",
            reftype=kind,
            reftarget=target,
            refdoc=self.env.docname,
            refexplicit=True,
            refwarn=True,
        )


def _is_open(text: nodes.Text) -> bool:
    above = text.parent
    while above is not None:
        if isinstance(above, _AS_IT_IS):
            return False
        above = above.parent
    return True
