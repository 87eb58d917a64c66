"""Symbolic links in an artifact that lead out of it, or nowhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class StrayLink:
    """A link: its path in the artifact, and where it points to, as it is written in it."""

    path: str
    target: str


def stray_links(root: Path) -> tuple[StrayLink, ...]:
    """The links below `root` whose target is not a file or directory inside it."""
    return tuple(
        StrayLink(link.relative_to(root).as_posix(), os.readlink(link))
        for link in _links(root)
        if not _leads_inside(link, root)
    )


def _links(root: Path) -> Iterator[Path]:
    for parent, directories, names in os.walk(root):
        for name in sorted((*directories, *names)):
            path = Path(parent, name)
            if path.is_symlink():
                yield path


def _leads_inside(link: Path, root: Path) -> bool:
    target = Path(os.readlink(link))
    way = os.path.normpath(link.parent.relative_to(root) / target)
    # By an absolute path, or by the name of its own folder, it leads inside only for as long as
    # the artifact stays where it is.
    if target.is_absolute() or way.split(os.sep)[0] == os.pardir or not os.path.exists(link):
        return False
    return Path(os.path.realpath(link)).is_relative_to(os.path.realpath(root))
