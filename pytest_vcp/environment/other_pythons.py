"""The lock, judged for a Python that no environment was built on: nothing is installed for it.

The answer is kept beside the environment, which stands for the lock, in a file for each Python; a
refusal is not kept, because the index may answer differently next time.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from pytest_vcp.environment import cache as environment_cache
from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.dry_run import DryRun, Unmet, environ_for
from pytest_vcp.environment.index_listing import Listed
from pytest_vcp.environment.inspection import Installed
from pytest_vcp.environment.installer import pip_environ
from pytest_vcp.environment.pip_messages import Refused
from pytest_vcp.environment.resolution import applying
from pytest_vcp.environment.watched import Progress
from pytest_vcp.requirements.lock import Lock, RequirementLine
from pytest_vcp.rulebook.violations import ToolError
from pytest_vcp.util.files import write_atomic

# "3.12" means its latest release: distributions ask for a micro version as the least, such as
# >=3.12.2, and leave out what a later one fixed, as in python_full_version < "3.11.3".
_LATEST = 99
_FORMAT = 1
_ELSEWHERE = ("vcs", "url", "path", "editable")


@dataclass(frozen=True)
class OtherPython:
    """What the lock comes to on another Python, such as "3.12".

    `environment` is as it would be there: its markers, and what the pins that apply bring.
    `refused` is the first pin whose Requires-Python leaves this Python out, `missing` the name of
    the first of which no index has a file for it; what comes behind it is then not known. Of the
    pins `unjudged` nobody says which Pythons they require.
    """

    python: str
    environment: Environment
    refused: Refused | None = None
    missing: str | None = None
    unjudged: tuple[str, ...] = ()


def judge_elsewhere(
    python: str,
    environment: Environment,
    lock: Lock,
    directory: Path,
    cache_dir: Path,
    progress: Progress,
) -> OtherPython:
    """Ask the pip of an environment what it would install on another Python.

    `directory` is that of the lock. Raises ToolError where an index is out of reach or the
    machine is at fault: nothing is then said of the lock.
    """
    there = _empty(environment, python)
    lines = applying(lock.pinned, there)
    record = environment.directory / f"python-{python}.json"
    asked = [line for line in lines if line.kind == "requirement"]
    texts = [_without_marker(line) for line in asked]
    answer = _read(record, texts)
    if answer is None:
        with tempfile.TemporaryDirectory(prefix="pytest-vcp-") as scratch:
            dry_run = DryRun(
                python=environment.python,
                environ=environ_for(pip_environ(environment.python), lock.pinned),
                target=there.version,
                directory=directory,
                scratch=Path(scratch),
                keep=partial(environment_cache.keep_log, cache_dir),
                progress=progress,
            )
            answer = _ask(dry_run, asked, environment.installed)
        if answer.refused is None and answer.missing is None:
            _write(record, texts, answer)
    known, unknown = _told_by_copies(lines, environment.installed)
    return OtherPython(
        python=python,
        environment=replace(there, installed=(*answer.found, *known)),
        refused=answer.refused or _first_refused((*answer.found, *known), there.version),
        missing=answer.missing,
        unjudged=(*answer.unjudged, *unknown),
    )


def admits(requires_python: str, version: str) -> bool:
    """Whether a Requires-Python admits a Python; one that can't be parsed does, as for pip."""
    try:
        return SpecifierSet(requires_python).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def _empty(environment: Environment, python: str) -> Environment:
    """The environment as it would be on another Python of this platform, with nothing in it."""
    version = f"{python}.{_LATEST}"
    markers = {
        **environment.markers,
        "python_version": python,
        "python_full_version": version,
        "implementation_version": version,
    }
    return replace(environment, version=version, markers=markers, installed=())


def _without_marker(line: RequirementLine) -> str:
    pin = line.requirement
    assert pin is not None
    extras = f"[{','.join(sorted(pin.extras))}]" if pin.extras else ""
    return f"{pin.name}{extras}{pin.specifier}"


# -------------------------------------------------------------------------------------- the asking


@dataclass(frozen=True)
class _Answer:
    found: tuple[Installed, ...] = ()
    refused: Refused | None = None
    missing: str | None = None
    unjudged: tuple[str, ...] = ()


def _ask(dry_run: DryRun, lines: Sequence[RequirementLine], copies: Iterable[Installed]) -> _Answer:
    """Ask for all of them at once, and for each that has no wheel by itself."""
    left = list(lines)
    from_source: list[Installed] = []
    unjudged: list[str] = []
    while left:
        reply = dry_run.install(_without_marker(line) for line in left)
        if not isinstance(reply, Unmet):
            return _Answer((*reply, *from_source), unjudged=tuple(unjudged))
        if reply.failure.refused is not None:
            return _Answer(refused=reply.failure.refused)
        line = _named(reply, left)
        assert line.name is not None
        version = line.exact_version
        listed = dry_run.listed(line.name, str(version)) if version else Listed(False)
        if not listed.offered and listed.requires_python is not None:
            return _Answer(refused=Refused(line.name, listed.requires_python))
        if not listed.offered:
            return _Answer(missing=line.name)
        left.remove(line)
        copy = _copy(line, copies)
        if copy is not None:
            from_source.append(copy)
        elif listed.requires_python is None:
            unjudged.append(line.short)
    return _Answer(tuple(from_source), unjudged=tuple(unjudged))


def _named(reply: Unmet, lines: Iterable[RequirementLine]) -> RequirementLine:
    """The line that pip did not take. Raises ToolError where that can't be told."""
    told = reply.requirement or ""
    for line in lines:
        if told.partition(" ")[0] == _without_marker(line):
            return line
    raise ToolError(
        f"pip fails on the lock for another Python: {reply.failure.headline}",
        "report this as a bug of pytest-vcp, with requirements.txt",
    )


def _told_by_copies(
    lines: Iterable[RequirementLine], copies: Sequence[Installed]
) -> tuple[list[Installed], list[str]]:
    """Of what comes from no index: the copies installed for the target, and what has none."""
    known, unknown = [], []
    for line in lines:
        if line.kind in _ELSEWHERE:
            copy = _copy(line, copies)
            if copy is None:
                unknown.append(line.short)
            else:
                known.append(copy)
    return known, unknown


def _copy(line: RequirementLine, copies: Iterable[Installed]) -> Installed | None:
    """The distribution of a line as it is installed for the target: sources say one for all."""
    specifier = line.requirement.specifier if line.requirement is not None else SpecifierSet()
    for copy in copies:
        if copy.name == line.name and specifier.contains(copy.version, prereleases=True):
            return copy
    return None


def _first_refused(entries: Iterable[Installed], version: str) -> Refused | None:
    for entry in entries:
        if not admits(entry.requires_python or "", version):
            return Refused(entry.name, entry.requires_python or "")
    return None


# ------------------------------------------------------------------------------------ the record


def _read(record: Path, texts: Sequence[str]) -> _Answer | None:
    try:
        kept = json.loads(record.read_bytes())
        if kept["format"] != _FORMAT or kept["asked"] != list(texts):
            return None
        return _Answer(
            found=tuple(_installed(entry) for entry in kept["found"]),
            unjudged=tuple(kept["unjudged"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _installed(values: dict[str, Any]) -> Installed:
    return Installed(**{**values, "requires": tuple(values["requires"])})


def _write(record: Path, texts: Sequence[str], answer: _Answer) -> None:
    """Keep an answer; where it can't be kept, the next run asks again."""
    kept = {
        "format": _FORMAT,
        "asked": list(texts),
        "found": [asdict(entry) for entry in answer.found],
        "unjudged": answer.unjudged,
    }
    with suppress(OSError):
        write_atomic(record, json.dumps(kept, indent=1))
