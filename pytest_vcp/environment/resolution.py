"""The lock in an environment: the pins that apply there, and their requirements."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.pip_messages import yank_reasons
from pytest_vcp.requirements.lock import Lock, RequirementLine
from pytest_vcp.requirements.markers import applies
from pytest_vcp.rules.outcomes import Unverified

_INSTALLABLE = ("requirement", "vcs", "url", "path", "editable")


def pins_here(lock: Lock, environment: Environment) -> dict[str, RequirementLine]:
    """Return the lines of requirements.txt that apply in an environment, by canonical name.

    A URL need not state the name of its distribution; pip's report then does. Raises Unverified
    without a report.
    """
    found = pins_by_name(lock, environment)
    nameless = [line for line in lock.pinned if line.kind in _INSTALLABLE and line.name is None]
    if nameless:
        for entry in choices(environment):
            if entry.requested:
                found.setdefault(entry.name, nameless[0])
    return found


def pins_by_name(lock: Lock, environment: Environment) -> dict[str, RequirementLine]:
    """Return the lines that apply in an environment and state a name, by canonical name."""
    lines = applying((line for line in lock.pinned if line.kind in _INSTALLABLE), environment)
    return {line.name: line for line in lines if line.name is not None}


def applying(lines: Iterable[RequirementLine], environment: Environment) -> list[RequirementLine]:
    """List the lines whose markers hold in an environment; those without one always apply."""
    markers = {**environment.markers, "extra": ""}
    return [line for line in lines if applies(line.requirement, markers)]


def choices(environment: Environment) -> tuple[Chosen, ...]:
    """Return what pip reported when it built an environment. Raises Unverified without a report."""
    report = environment.pip_report
    if report is None:
        raise Unverified("pip did not build this environment, so there is no report of it")
    try:
        return read_pip_report(report, report.with_name("pip.log"))
    except (OSError, ValueError) as problem:
        raise Unverified(f"pip's report of the environment can't be read: {problem}") from None


def everything_needed(
    roots: Mapping[str, RequirementLine], environment: Environment
) -> dict[str, str]:
    """Map each distribution that the roots need, directly or not, to the first one that needs it.

    The source is the metadata of installed distributions, with extras and markers; all names are
    canonical.
    """
    needed: dict[str, str] = {}
    for name, requirement in _follow(roots, environment):
        needed.setdefault(canonicalize_name(requirement.name), name)
    return needed


def find_unmet(
    pins: Mapping[str, RequirementLine], environment: Environment
) -> Iterator[tuple[str, Requirement]]:
    """Yield each requirement that no pin meets, with the name of the distribution that has it.

    A pin that is not installed counts as fitting, because its version is unknown.
    """
    versions = {entry.name: entry.version for entry in environment.installed}
    for name, requirement in _follow(pins, environment):
        other = canonicalize_name(requirement.name)
        version = versions.get(other)
        fits = version is None or requirement.specifier.contains(version, prereleases=True)
        if other not in pins or not fits:
            yield name, requirement


def _follow(
    roots: Mapping[str, RequirementLine], environment: Environment
) -> Iterator[tuple[str, Requirement]]:
    """Yield each applicable requirement of the roots and of all they need, with its owner."""
    pending = [(name, frozenset(_extras(line.requirement))) for name, line in roots.items()]
    seen = set()
    while pending:
        entry = pending.pop()
        if entry in seen:
            continue
        seen.add(entry)
        name, extras = entry
        for requirement in _requirements(name, extras, environment):
            yield name, requirement
            other = canonicalize_name(requirement.name)
            pending.append((other, frozenset(requirement.extras)))


def _extras(requirement: Requirement | None) -> set[str]:
    return requirement.extras if requirement is not None else set()


def _requirements(
    name: str, extras: frozenset[str], environment: Environment
) -> Iterable[Requirement]:
    """Yield what the installed distribution of this name needs, with these extras."""
    texts = [
        text for entry in environment.installed if entry.name == name for text in entry.requires
    ]
    for text in texts:
        if not extras and "extra" in text.partition(";")[2]:
            continue  # most requirements in metadata are for extras that are not requested
        requirement = _parse(text)
        contexts = ({**environment.markers, "extra": extra} for extra in ("", *extras))
        if requirement is not None and any(applies(requirement, markers) for markers in contexts):
            yield requirement


@cache
def _parse(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:  # pip ignores it, too
        return None


# ------------------------------------------------------------------------------------ pip report
#
# pip's choices when it built an environment: its installation report, and its warnings.


@dataclass(frozen=True)
class Chosen:
    """One distribution that pip installed, by its canonical name and version.

    `requested`: a line of the lock asked for it. `yanked`: the index stated, at that time, that its
    maintainers had withdrawn the release; `reason` is the one they gave, if any.
    """

    name: str
    version: str
    requested: bool
    yanked: bool
    reason: str | None = None


def read_pip_report(report: Path, log: Path) -> tuple[Chosen, ...]:
    """Read pip's report, and from its log the reasons of yanks, which the report leaves out.

    Raises OSError or ValueError if the report can't be read.
    """
    output = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    reasons: dict[tuple[str, str], str] = {
        (canonicalize_name(name), version): reason
        for (name, version), reason in yank_reasons(output).items()
    }
    try:
        return tuple(
            _read_choice(entry, reasons) for entry in json.loads(report.read_bytes())["install"]
        )
    except (KeyError, TypeError, AttributeError) as unknown:
        raise ValueError(f"{report} is no installation report of pip") from unknown


def _read_choice(entry: dict[str, object], reasons: Mapping[tuple[str, str], str]) -> Chosen:
    metadata = entry["metadata"]
    assert isinstance(metadata, dict)
    name, version = canonicalize_name(metadata["name"]), str(metadata["version"])
    return Chosen(
        name=name,
        version=version,
        requested=entry["requested"] is True,
        yanked=entry.get("is_yanked") is True,
        reason=reasons.get((name, version)),
    )
