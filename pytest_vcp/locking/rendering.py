"""The text of requirements.txt, and the changes in a new one."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from pytest_vcp.requirements.lock import DECLARED, RequirementLine
from pytest_vcp.util.urls import mask_secrets

_HEADER = """\
#
# Locked from {declared} for Python {python}. To lock again:
#
#    {command}
#
"""
# A build of a release that only some indexes have, such as 2.1.0+cpu.
_LOCAL = re.compile(r"(?m)^(?P<name>[A-Za-z0-9][\w.-]*)==(?P<version>[^\s;+]+)\+[\w.]+")
_PIN = re.compile(r"(?P<pin>(?P<name>[A-Za-z0-9][\w.-]*)==[^\s;]+)(?P<rest>\s*\\)?$")


def command_for(python: tuple[int, int]) -> str:
    """Return the command that locks for this Python, whichever Python pytest runs on."""
    return f"pytest --vcp-lock --vcp-python {python[0]}.{python[1]}"


def render(
    compiled: str,
    options: Sequence[str],
    python: tuple[int, int],
    markers: Mapping[str, str] | None = None,
) -> str:
    """Return the complete file: header, options, and the compiled pins.

    `markers` are put behind the pins of these canonical names, for a compiler that drops them.
    """
    header = _HEADER.format(
        declared=DECLARED, python=f"{python[0]}.{python[1]}", command=command_for(python)
    )
    lines = [_add_marker(line, markers or {}) for line in compiled.splitlines()]
    above = "".join(f"{option}\n" for option in options)
    return header + (f"\n{above}\n" if above else "") + "\n".join(lines).strip() + "\n"


def _add_marker(line: str, markers: Mapping[str, str]) -> str:
    match = _PIN.match(line)
    marker = markers.get(canonicalize_name(match["name"])) if match else None
    return f"{match['pin']} ; {marker}{match['rest'] or ''}" if match and marker else line


def without_local_versions(compiled: str, kept: Collection[str]) -> str:
    """Strip the local versions of pins, which not every index has, except for `kept`.

    `kept` are canonical names. A local version that comes from the user's own index settings is not
    available anywhere else.
    """
    return _LOCAL.sub(
        lambda pin: (
            pin[0] if canonicalize_name(pin["name"]) in kept else f"{pin['name']}=={pin['version']}"
        ),
        compiled,
    )


@dataclass(frozen=True)
class Changes:
    """The changes in a new lock, by canonical names; versions as written in the files.

    `total` is the number of pins in the new one.
    """

    added: tuple[tuple[str, str], ...]
    removed: tuple[tuple[str, str], ...]
    changed: tuple[tuple[str, str, str], ...]
    total: int

    def lines(self) -> list[str]:
        """Return an aligned line for each changed pin."""
        found = [("added", f"{name} {version}") for name, version in self.added]
        found += [("removed", f"{name} {version}") for name, version in self.removed]
        found += [("changed", f"{name} {old} -> {new}") for name, old, new in self.changed]
        return [f"  {kind:<7}  {text}" for kind, text in found]


def changes(before: Iterable[RequirementLine], after: Iterable[RequirementLine]) -> Changes:
    """Compare the pins of two locks, ignoring markers, hashes and comments."""
    old, new = _pins(before), _pins(after)
    return Changes(
        added=tuple((name, new[name]) for name in new if name not in old),
        removed=tuple((name, old[name]) for name in old if name not in new),
        changed=tuple(
            (name, old[name], new[name]) for name in new if name in old and old[name] != new[name]
        ),
        total=len(new),
    )


def _pins(lines: Iterable[RequirementLine]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for line in lines:
        if line.name is not None:
            versions = found.setdefault(line.name, [])
            versions.append(mask_secrets(line.url) if line.url else _version(line))
    return {name: " and ".join(sorted(set(found[name]))) for name in sorted(found)}


def _version(line: RequirementLine) -> str:
    specifier = str(line.requirement.specifier) if line.requirement is not None else ""
    return specifier.removeprefix("==") or "any"
