"""The requirements.in to lock, with the files that it includes, and the check of its lines.

Lines that another machine can't install are refused here, before anything is resolved: a compiler
would write the path of this machine, or the value of a variable, into the lock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

from pytest_vcp.requirements.fetching import why_not_fetchable
from pytest_vcp.requirements.lock import DECLARED, RequirementLine, parse_lines, read_text
from pytest_vcp.requirements.markers import applies, target_environment
from pytest_vcp.rules.outcomes import Location
from pytest_vcp.settings.policy import Policy
from pytest_vcp.util.urls import has_secret_url

_NESTED = re.compile(r"(?:--requirement|-r)[\s=]*(?P<file>\S+)$")


def read_declared(pkg_dir: Path, policy: Policy) -> tuple[RequirementLine, ...]:
    """Read the lines of requirements.in, and of the files that it includes with -r.

    Raises Unlockable if the file is missing, or a line can't be part of a lock.
    """
    path = pkg_dir / DECLARED
    if not path.is_file():
        begin = ", ".join(policy.pinned_requirements)
        raise Unlockable(
            f"there is no {DECLARED} in {pkg_dir}",
            f"create it{f', beginning with {begin}' if begin else ''}; "
            "or name the package directory with --vcp-pkg-dir",
        )
    lines = tuple(_follow(path, pkg_dir, set()))
    for line in lines:
        _refuse(line)
    return lines


def options_to_carry(lines: Iterable[RequirementLine]) -> tuple[str, ...]:
    """Return the options that the lock needs, too, each once: indexes, and what may be built."""
    return tuple(dict.fromkeys(line.text for line in lines if line.kind == "option"))


def markers_of(lines: Iterable[RequirementLine], python: tuple[int, int]) -> dict[str, str]:
    """Map distributions that a Python requires only under a marker to that marker.

    Names are canonical. A distribution that is also required without a marker is left out.
    """
    environment = target_environment(python)
    found: dict[str, str] = {}
    for line in lines:
        if line.requirement is not None and applies(line.requirement, environment):
            name = canonicalize_name(line.requirement.name)
            marker = str(line.requirement.marker or "")
            found[name] = marker if found.get(name, marker) else ""
    return {name: marker for name, marker in found.items() if marker}


def _follow(path: Path, pkg_dir: Path, seen: set[Path]) -> Iterator[RequirementLine]:
    seen.add(path.resolve())
    name = path.relative_to(pkg_dir) if path.is_relative_to(pkg_dir) else path
    for line in parse_lines(read_text(path), str(name)):
        yield line
        nested = _NESTED.match(line.text) if line.kind == "nested" else None
        inner = path.parent / nested["file"] if nested else None
        if inner is not None and inner.is_file() and inner.resolve() not in seen:
            yield from _follow(inner, pkg_dir, seen)


def _refuse(line: RequirementLine) -> None:
    if line.kind == "invalid":
        raise Unlockable(
            f"no requirement in pip's form: {line.short}",
            "correct this line, as in numpy>=2",
            where=line.where,
        )
    if has_secret_url(line.text):
        raise Unlockable(
            f"a user name, password or token in a URL: {line.short}",
            "use a URL without a login; pip's own configuration can hold one",
            where=line.where,
        )
    why = why_not_fetchable(line) if line.kind != "nested" else None
    if why is not None:
        raise Unlockable(f"{why.what}: {line.short}", why.remedy, where=line.where)


# -------------------------------------------------------------------------- what can't be locked
#
# The error for a requirements.in that can't be locked through the package's own fault.


class Unlockable(Exception):
    """requirements.in can't be locked.

    `problem` gives the reason in one line, `detail` has the relevant lines of the resolver's
    output, and `remedy` says what to do.
    """

    def __init__(
        self,
        problem: str,
        remedy: str,
        *,
        detail: tuple[str, ...] = (),
        where: Location | None = None,
    ) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
        self.detail = detail
        self.where = where

    def lines(self) -> list[str]:
        """Return the lines for the author, without a title."""
        where = f" ({self.where})" if self.where else ""
        return [
            f"  found  {self.problem}{where}",
            *(f"         {line}" for line in self.detail),
            f"  fix    {self.remedy}",
        ]
