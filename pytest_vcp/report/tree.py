"""The files of an artifact as a tree of folders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Entry:
    """A file with its digest, or a folder, which has none, with what lies in it."""

    name: str
    bytes: int = 0
    sha256: str = ""
    entries: dict[str, Entry] = field(default_factory=dict)


def file_tree(files: Iterable[Mapping[str, Any]]) -> Entry:
    """The folder that holds all of them; `files` have name, bytes and sha256."""
    root = Entry("")
    for file in files:
        *folders, name = file["name"].split("/")
        place = root
        place.bytes += file["bytes"]
        for folder in folders:
            place = place.entries.setdefault(folder, Entry(f"{folder}/"))
            place.bytes += file["bytes"]
        place.entries[name] = Entry(name, file["bytes"], file["sha256"])
    return root
