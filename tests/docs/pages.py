"""The code blocks of a documentation page, so that tests can run what the page shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"

_BLOCK = re.compile(r"^```(?P<language>[a-z]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of one language, in the order of the page."""
    found = _BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [block["text"] for block in found if block["language"] == language]


def files(page: Path) -> dict[str, str]:
    """The Python files that the page shows piece by piece: each piece begins with its name."""
    found: dict[str, str] = {}
    for text in blocks(page, "python"):
        name = text.partition("\n")[0].removeprefix("# ")
        found[name] = found.get(name, "") + text + "\n\n"
    return found


def commands(page: Path) -> list[list[str]]:
    """The commands of the console blocks, as lists of words."""
    texts = (text.replace("\\\n", " ") for text in blocks(page, "console"))
    return [shlex.split(line, comments=True) for text in texts for line in text.splitlines()]
