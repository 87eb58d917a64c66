"""Facts about the licence: the files that exist, and whether the author filled them in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.package import decode

# A folder of complete licence texts, named by their SPDX ids: those are never filled in.
_SPDX_FOLDER = "licenses"
_LOOKS_LIKE_ONE = re.compile(r"licen[cs]e|copying", re.IGNORECASE)

# Templates have their gaps in the copyright notice at the top. Further down, gaps are no sign of a
# template: they occur in advice on how to apply the licence, or in the licences of others.
_NOTICE_LINES = 12
_GAP = (
    r"(?:insert |your |the )*(?:\d-digit )?"
    r"(?:year|years|yyyy|date|full ?name|name|name of [a-z ]+|author|authors|owner|organi[sz]ation"
    r"|company|company name|copyright (?:holder|holders|owner)|holder|project|project name|email)"
    r"(?: here| of [a-z ]+)?(?:\(s\))?"
)
_PLACEHOLDERS = (
    re.compile(rf"\[\s*{_GAP}\s*\]|<\s*{_GAP}\s*>|\{{+\s*{_GAP}\s*\}}+", re.IGNORECASE),
    re.compile(r"\{\{.*?\}\}"),
    re.compile(r"^\W*copyright\b.*?\b(?-i:YEAR|YYYY|YOUR NAME|FULL ?NAME)\b", re.I),
    re.compile(r"4-digit year|^\W*(?-i:TODO|FIXME|TBD)\b.*$", re.I),
    re.compile(
        r"\b(?:add|insert|put|paste|place|enter) (?:your |a |the )?licen[cs]e(?: \w+){0,2} here",
        re.IGNORECASE,
    ),
)
_WIDEST = 60


@dataclass(frozen=True)
class Placeholder:
    """A text that the author was to replace, and its location."""

    text: str
    where: Location


@dataclass(frozen=True)
class LicenceFile:
    """One licence file. `placeholder` is the first gap left in it."""

    where: Location
    is_empty: bool
    placeholder: Placeholder | None

    @property
    def is_finished(self) -> bool:
        return not self.is_empty and self.placeholder is None


@dataclass(frozen=True)
class Licence:
    """The licence files of the package directory itself.

    `near` are files that look like licences but have names that no tool looks for.
    """

    files: tuple[LicenceFile, ...]
    near: tuple[str, ...]


def read_licence(pkg_dir: Path, names: tuple[str, ...]) -> Licence:
    """Read the files with one of the `names`, in any letter case, and the SPDX folder beside."""
    known = {name.casefold(): rank for rank, name in enumerate(names)}
    entries = sorted(pkg_dir.iterdir())
    there = [entry for entry in entries if entry.name.casefold() in known and entry.is_file()]
    there.sort(key=lambda entry: known[entry.name.casefold()])
    files = [_read(path, pkg_dir) for path in there]
    for folder in entries:
        if folder.name.casefold() == _SPDX_FOLDER and folder.is_dir():
            files += _whole_texts(folder, pkg_dir)
    near = (
        entry.name
        for entry in entries
        if _LOOKS_LIKE_ONE.search(entry.name)
        and entry.suffix != ".py"
        and entry.is_file()
        and entry not in there
    )
    return Licence(tuple(files), tuple(near))


def _read(path: Path, pkg_dir: Path) -> LicenceFile:
    text = decode(path.read_bytes())
    where = Location.within(pkg_dir, path)
    return LicenceFile(where, not text.strip(), _placeholder(text, where))


def _whole_texts(folder: Path, pkg_dir: Path) -> Iterator[LicenceFile]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith("."):
            yield LicenceFile(Location.within(pkg_dir, path), path.stat().st_size == 0, None)


def _placeholder(text: str, where: Location) -> Placeholder | None:
    for number, line in enumerate(text.splitlines()[:_NOTICE_LINES], 1):
        for pattern in _PLACEHOLDERS:
            if gap := pattern.search(line):
                return Placeholder(gap[0].strip()[:_WIDEST], Location(where.path, number))
    return None
