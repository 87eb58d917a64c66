"""The keys of the policy with the comments that stand above them in the shipped file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import yaml

from pytest_vcp.settings.policy import SHIPPED


class Entry(NamedTuple):
    """Keys that share a comment; `text` is the comment, `yaml` the keys with their values."""

    keys: tuple[str, ...]
    text: str
    yaml: str


def entries() -> list[Entry]:
    """The file, entry by entry: each begins with a comment at the left, after an empty line."""
    text = SHIPPED.read_text(encoding="utf-8")
    pieces = re.split(r"\n\n(?=#)", text)[1:]  # Before the first there is what the file is about.
    return [_entry(piece) for piece in pieces]


def _entry(piece: str) -> Entry:
    lines = piece.splitlines()
    comment = [line for line in lines if line.startswith("#")]
    values = "\n".join(line for line in lines if not line.startswith("#"))
    text = " ".join(line.removeprefix("#").strip() for line in comment)
    return Entry(tuple(yaml.safe_load(values)), text, values)


def part() -> Iterator[str]:
    """A heading for each entry, its comment, and the values as shipped."""
    for entry in entries():
        yield f"\n## {', '.join(f'`{key}`' for key in entry.keys)}\n"
        yield f"{_escaped(entry.text)}\n"
        yield f"```yaml\n{entry.yaml}\n```"


def _escaped(text: str) -> str:
    """A comment as Markdown: formulas and YAML in it are code."""
    formula = r"(\|a - b\| <= [\w* +|]*\|b\|)|(\[\"[^\]]*\])"
    return re.sub(formula, lambda found: f"`{found[0]}`", text)
