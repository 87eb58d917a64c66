"""Every option as the plugin declares it to pytest, with its ini twin and its default."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from pytest_vcp.options import add_options

_DEFAULT = re.compile(r" ?\(default:? ([^()]+)\)")


@dataclass
class Declared:
    """Takes what `add_options` declares, in the place of pytest's parser and its group."""

    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    ini: dict[str, str] = field(default_factory=dict)

    def getgroup(self, *_: str) -> Declared:
        return self

    def addoption(self, flag: str, **attributes: Any) -> None:
        self.options[flag] = attributes

    def addini(self, name: str, _: str, **attributes: Any) -> None:
        self.ini[name] = attributes["type"]


def declared() -> Declared:
    """All that a run of pytest is told."""
    found = Declared()
    add_options(cast(pytest.Parser, found))
    return found


def part() -> Iterator[str]:
    """Options with an ini twin in the order in which they are declared, then the others."""
    found = declared()
    twins = {
        flag: found.ini[attributes["dest"]]
        for flag, attributes in found.options.items()
        if attributes["dest"] in found.ini
    }
    yield "## Settings of a run"
    yield "Each can stand on the command line and in the ini file; the command line goes before."
    for flag, kind in twins.items():
        yield from _entry(flag, found.options[flag], kind)
    yield "## On the command line only"
    yield "What is asked for once, of one run or in place of one."
    for flag, attributes in found.options.items():
        if flag not in twins:
            yield from _entry(flag, attributes, None)


def _entry(flag: str, attributes: dict[str, Any], kind: str | None) -> Iterator[str]:
    default = _DEFAULT.search(attributes["help"])
    meaning = _DEFAULT.sub("", attributes["help"])
    yield ""
    yield f"````{{option}} {flag}{_value(attributes)}"
    yield f"{_sentence(meaning)}"
    yield ""
    yield f"- default: {_plain(default[1] if default else _unset(attributes))}"
    if kind is not None:
        yield f"- ini: `{attributes['dest']}`{_form(kind)}"
    yield "````"


def _value(attributes: dict[str, Any]) -> str:
    metavar, number = attributes.get("metavar"), attributes.get("nargs")
    if metavar is None:
        return ""
    return {"?": f" [{metavar}]", "+": f" {metavar}..."}.get(number or "", f" {metavar}")


def _unset(attributes: dict[str, Any]) -> str:
    return "off" if attributes.get("action") == "store_const" else "none"


def _form(kind: str) -> str:
    return {"bool": " = `true` or `false`", "linelist": ", one value on each line"}.get(kind, "")


def _sentence(text: str) -> str:
    """Help as pytest prints it, as a sentence in Markdown."""
    text = re.sub(r"(--vcp-[\w-]+(?:=\w+)?)", r"`\1`", text)
    return f"{text[0].upper()}{text[1:]}."


def _plain(text: str) -> str:
    return f"`{text}`" if re.fullmatch(r"\S+|\{\}", text) and text not in ("off", "none") else text
