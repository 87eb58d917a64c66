"""report.html as a browser would take it apart, for tests that look into it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

# Texts that stand apart, whatever is between their tags.
_CELLS = {"td", "th"}
# Elements that have no end.
_EMPTY = {"meta", "img", "link", "br", "input"}


@dataclass
class Element:
    """A tag with its attributes, the tags around it, and all text inside."""

    tag: str
    attributes: dict[str, str]
    around: tuple[Element, ...]
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return " ".join("".join(self.pieces).split())


class Page(HTMLParser):
    """All elements, in the order of the page. Raises AssertionError where tags don't match."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(source)
        self.close()
        assert not self._open, self._open[-1].tag

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        element = Element(tag, values, tuple(self._open))
        self.elements.append(element)
        if tag not in _EMPTY:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag
        if tag in _CELLS:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.pieces.append(data)

    def all(self, tag: str, kind: str = "") -> list[Element]:
        """The elements of a tag; those of a class where one is given."""
        return [
            element
            for element in self.elements
            if element.tag == tag and (not kind or kind in self.classes(element))
        ]

    def one(self, tag: str, kind: str = "") -> Element:
        (element,) = self.all(tag, kind)
        return element

    def part(self, name: str) -> Element:
        """The element with an id."""
        (element,) = (entry for entry in self.elements if entry.attributes.get("id") == name)
        return element

    def within(self, part: Element, tag: str) -> list[Element]:
        """The elements of a tag inside another."""
        return [element for element in self.all(tag) if any(one is part for one in element.around)]

    def values(self, attribute: str) -> list[str]:
        """All values of an attribute."""
        return [
            element.attributes[attribute]
            for element in self.elements
            if attribute in element.attributes
        ]

    @staticmethod
    def classes(element: Element) -> list[str]:
        return element.attributes.get("class", "").split()


def read_page(package: Path) -> Page:
    """The page that the last run in a package directory has left."""
    return Page((package / ".vcp" / "report.html").read_text(encoding="utf-8"))
