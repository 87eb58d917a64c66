"""The pages of the rules as HTML that can stand inside another page."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from pytest_vcp.rules import BY_ID
from pytest_vcp.suite import page

# The page of a rule stands below headings of four levels; its own title is not repeated.
_LEVEL = {"h2": "h5", "h3": "h6"}


@cache
def _parser() -> MarkdownIt:
    """What is no Markdown in a page is text, also where it looks like HTML."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")


@cache
def rule_page(rule: str) -> Markup:
    """The page of a rule without its title; of its links, those to other rules remain."""
    parser = _parser()
    tokens = parser.parse(page(rule).read_text(encoding="utf-8"))
    if tokens and tokens[0].tag == "h1":
        tokens = tokens[3:]  # Its opening, its text and its end.
    for token in tokens:
        token.tag = _LEVEL.get(token.tag, token.tag)
        if token.children:
            token.children = list(_links_within(token.children))
    # Markdown without HTML in it comes out escaped.
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _links_within(tokens: list[Token]) -> Iterator[Token]:
    """The same text, with links to rules alone: other pages are not in this file."""
    leads_on = False
    for token in tokens:
        if token.type == "link_open":
            target = str(token.attrGet("href")).removesuffix(".md")
            leads_on = target in BY_ID
            token.attrSet("href", f"#{target}")
        if token.type not in ("link_open", "link_close") or leads_on:
            yield token
