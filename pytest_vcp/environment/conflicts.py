"""A conflict as pip tells it, shortened to what contradicts what, and how each came in."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_CAUSES = re.compile(r"^The conflict is caused by:\n((?:[ \t]+\S.*\n)+)", re.MULTILINE)
_DEPENDS = re.compile(r"(?P<name>\S+) (?P<version>\S+) depends on (?P<wanted>.+)")
_REQUESTED = re.compile(r"The user requested (?:\(constraint\) )?(?P<wanted>.+)")
# How pip came to a distribution: by others, the nearest first, from a line of a file.
_TAKEN_UP = re.compile(
    r"^(?:Collecting|Processing) (?:\S*/)?(?P<name>[A-Za-z0-9][\w.]*(?:-(?!\d)[\w.]+)*).*"
    r" \(from (?P<way>.+)->-[rc] .*\)$",
    re.MULTILINE,
)


def chain(output: str) -> list[str]:
    """What contradicts what, a line each: pip's own sentences, many versions told as one.

    A distribution that no requirement asks for itself is followed by those that brought it, the
    first of which is asked for. Empty where pip tells no causes.
    """
    found = _CAUSES.search(output)
    causes = [line.strip() for line in found[1].splitlines()] if found else []
    contested = _contested(causes[0]) if causes else None
    matter = [line for line in causes if _contested(line) == contested]
    ways = _ways(output)
    merged = _merged(matter if len(matter) > 1 else causes)
    return [_told(cause, count, ways) for cause, count in merged.items()]


def _contested(cause: str) -> str | None:
    """The distribution about which a cause says something, by its canonical name."""
    match = _REQUESTED.fullmatch(cause) or _DEPENDS.fullmatch(cause)
    try:
        return canonicalize_name(Requirement(match["wanted"]).name) if match else None
    except InvalidRequirement:
        return None


def _merged(causes: list[str]) -> dict[str, int]:
    """The first of all versions of a distribution that want the same, and how many there are."""
    firsts: dict[tuple[str, ...], str] = {}
    counts: dict[str, int] = {}
    for cause in causes:
        match = _DEPENDS.fullmatch(cause)
        key = (match["name"], match["wanted"]) if match else (cause,)
        first = firsts.setdefault(key, cause)
        counts[first] = counts.get(first, 0) + 1
    return counts


def _ways(output: str) -> dict[str, tuple[str, ...]]:
    """By which others each distribution came in, from the one that was asked for onwards."""
    ways: dict[str, tuple[str, ...]] = {}
    for match in _TAKEN_UP.finditer(output):
        names = [re.split(r"[\s<>=!~;\[(@]", part)[0] for part in match["way"].split("->")]
        ways.setdefault(canonicalize_name(match["name"]), tuple(reversed(names)))
    return ways


def _told(cause: str, count: int, ways: dict[str, tuple[str, ...]]) -> str:
    match = _DEPENDS.fullmatch(cause)
    if not match:
        return cause
    others = f" (and {count - 1} other version{'s' if count > 2 else ''})" if count > 1 else ""
    way = ways.get(canonicalize_name(match["name"]), ())
    by = f" (by way of {', '.join(way)})" if way else ""
    return f"{match['name']} {match['version']}{others} depends on {match['wanted']}{by}"
