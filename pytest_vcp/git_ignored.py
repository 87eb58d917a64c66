"""Directories of ours that git leaves out, wherever in a repository they come to lie."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_NAME = ".gitignore"
_TEXT = "# Made by pytest-vcp: nothing in here is to be committed.\n*\n"


def make(directory: Path) -> None:
    """Make a directory that ignores itself; one that is there stays as it is. Raises OSError."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir()
    except FileExistsError:
        return
    ignore(directory)


def ignore(directory: Path) -> None:
    """Let git leave out a directory of ours, if that can be written; what it says already stays."""
    with suppress(OSError), (directory / _NAME).open("x", encoding="utf-8") as file:
        file.write(_TEXT)
