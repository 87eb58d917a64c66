"""The lock, judged for a Python without an environment: nothing is installed for it.

The result is stored beside the environment, which stands for the lock, in a file for each Python; a
refusal is not stored, because the index may answer differently next time.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from pytest_vcp.environment import cache as environment_cache
from pytest_vcp.environment import pip_messages, watched
from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.inspection import Installed
from pytest_vcp.environment.installer import (
    environ_for,
    failure_of,
    pip_command,
    pip_environ,
    surroundings,
)
from pytest_vcp.environment.pip_messages import BuildFailure, Refused, same_version
from pytest_vcp.environment.resolution import applying
from pytest_vcp.environment.watched import Progress
from pytest_vcp.requirements.lock import Lock, RequirementLine
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.util.files import write_atomic

# "3.12" means its latest release: distributions require a minimum micro version, such as >=3.12.2,
# and drop workarounds that a later one made unnecessary, as in python_full_version < "3.11.3".
_LATEST = 99
_FORMAT = 1
_ELSEWHERE = ("vcs", "url", "path", "editable")


@dataclass(frozen=True)
class OtherPython:
    """The result of judging the lock for another Python, such as "3.12".

    `environment` is as it would be there: its markers, and the distributions that the applicable
    pins install. `refused` is the first pin whose Requires-Python excludes this Python, `missing`
    the name of the first one for which no index has a file; the pins after it are then unknown.
    `unjudged` are pins whose Requires-Python is unknown.
    """

    python: str
    environment: Environment
    refused: Refused | None = None
    missing: str | None = None
    unjudged: tuple[str, ...] = ()


def judge_other_python(
    python: str,
    environment: Environment,
    lock: Lock,
    directory: Path,
    cache_dir: Path,
    progress: Progress,
) -> OtherPython:
    """Ask the pip of an environment what it would install on another Python.

    `directory` is that of the lock. Raises ToolError if an index is unreachable or the machine is
    at fault: the lock is then not judged.
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
    known, unknown = _judge_by_copies(lines, environment.installed)
    return OtherPython(
        python=python,
        environment=replace(there, installed=(*answer.found, *known)),
        refused=answer.refused or _first_refused((*answer.found, *known), there.version),
        missing=answer.missing,
        unjudged=(*answer.unjudged, *unknown),
    )


def admits(requires_python: str, version: str) -> bool:
    """Return whether a Requires-Python admits a Python; an unparsable one does, as for pip."""
    try:
        return SpecifierSet(requires_python).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def _empty(environment: Environment, python: str) -> Environment:
    """Return the empty environment as it would be on another Python of this platform."""
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


# ------------------------------------------------------------------------------------ asking pip


@dataclass(frozen=True)
class _Answer:
    found: tuple[Installed, ...] = ()
    refused: Refused | None = None
    missing: str | None = None
    unjudged: tuple[str, ...] = ()


def _ask(dry_run: DryRun, lines: Sequence[RequirementLine], copies: Iterable[Installed]) -> _Answer:
    """Ask for all lines at once, and separately for each that has no wheel."""
    left = list(lines)
    from_source: list[Installed] = []
    unjudged: list[str] = []
    while left:
        reply = dry_run.install(_without_marker(line) for line in left)
        if not isinstance(reply, Unmet):
            return _Answer((*reply, *from_source), unjudged=tuple(unjudged))
        if reply.failure.refused is not None:
            return _Answer(refused=reply.failure.refused)
        line = _find_refused_line(reply, left)
        assert line.name is not None
        version = line.exact_version
        listed = dry_run.list_release(line.name, str(version)) if version else Listed(False)
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


def _find_refused_line(reply: Unmet, lines: Iterable[RequirementLine]) -> RequirementLine:
    """Return the line that pip refused. Raises ToolError if it can't be identified."""
    requirement = reply.requirement or ""
    for line in lines:
        if requirement.partition(" ")[0] == _without_marker(line):
            return line
    raise ToolError(
        f"pip fails on the lock for another Python: {reply.failure.headline}",
        "report this as a bug of pytest-vcp, with requirements.txt",
    )


def _judge_by_copies(
    lines: Iterable[RequirementLine], copies: Sequence[Installed]
) -> tuple[list[Installed], list[str]]:
    """Return the target's installed copies of lines from no index, and the lines without one."""
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
    """Find a line's distribution as installed for the target: sources are the same for all."""
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
            found=tuple(_read_installed(entry) for entry in kept["found"]),
            unjudged=tuple(kept["unjudged"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read_installed(values: dict[str, Any]) -> Installed:
    return Installed(**{**values, "requires": tuple(values["requires"])})


def _write(record: Path, texts: Sequence[str], answer: _Answer) -> None:
    """Store an answer; if that fails, the next run asks again."""
    kept = {
        "format": _FORMAT,
        "asked": list(texts),
        "found": [asdict(entry) for entry in answer.found],
        "unjudged": answer.unjudged,
    }
    with suppress(OSError):
        write_atomic(record, json.dumps(kept, indent=1))


# --------------------------------------------------------------------------------------- dry run
#
# Questions to the pip of an environment about another Python, which install nothing.
#
# pip chooses files for the Python given as an option, but evaluates markers for the one that runs
# it: those of the given requirements, and those of what the distributions need. So it is given
# lines without markers, and the option not to follow dependencies, which are in its report.


@dataclass(frozen=True)
class Unmet:
    """A refusal by pip: the reason, and the requirement that it names, if any."""

    failure: BuildFailure
    requirement: str | None


@dataclass(frozen=True)
class DryRun:
    """The answers of pip for one Python, `target`, in full: major, minor and micro.

    `environ` has the package sources, relative ones resolved against `directory`; pip's output goes
    into `scratch`. Every question raises ToolError if an index is unreachable or the machine at
    fault; `keep` moves the log of that to a permanent path.
    """

    python: Path
    environ: Mapping[str, str]
    target: str
    directory: Path
    scratch: Path
    keep: Callable[[Path], Path]
    progress: Progress

    def install(self, requirements: Iterable[str]) -> tuple[Installed, ...] | Unmet:
        """Return what pip would install for these, from wheels; else the first that it refuses."""
        file, report = self.scratch / "requirements.txt", self.scratch / "report.json"
        file.write_text("".join(f"{line}\n" for line in requirements), encoding="utf-8")
        options: list[str | Path] = [
            *("--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:"),
            *("--python-version", self.target, "--report", report, "-r", file),
            *("--progress-bar", "off"),
        ]
        log = self.scratch / "install.log"
        failure = failure_of(self._run(["install", *options], log), log)
        if failure is None:
            return tuple(_read_report(json.loads(report.read_bytes())))
        self._raise_if_not_of_the_package(failure)
        return Unmet(failure, pip_messages.missing_requirement(_text(log)))

    def list_release(self, name: str, version: str) -> Listed:
        """Return what the indexes have of one release; source archives count but are not built."""
        log = self.scratch / "index.log"
        options = ["-vv", "--pre", "--python-version", self.target]
        status = self._run(["index", "versions", *options, "--", name], log)
        output = _text(log)
        if pip_messages.was_refused(output):
            self._raise_if_not_of_the_package(pip_messages.build_no_answer(output, log))
        failure = failure_of(status, log)
        if failure is not None:
            self._raise_if_not_of_the_package(failure)
        return read_listing(output, version)

    def _run(self, words: Sequence[str | Path], log: Path) -> int:
        command = [*pip_command(self.python), *words]
        doing = f"asking pip about Python {self._series}"
        news = pip_messages.progress_of
        return watched.run(command, self.environ, self.directory, log, self.progress, news, doing)

    @property
    def _series(self) -> str:
        """The Python as its users call it, such as 3.12."""
        return self.target.rpartition(".")[0]

    def _raise_if_not_of_the_package(self, failure: BuildFailure) -> None:
        if surroundings(failure, "", failure.log) is not None:
            when = f"while the lock was judged for Python {self._series}"
            problem = surroundings(failure, when, self.keep(failure.log))
            assert problem is not None
            raise problem


def _read_report(report: dict[str, Any]) -> Iterator[Installed]:
    """Yield the distributions of an installation report, as if they were installed."""
    for entry in report["install"]:
        metadata = entry["metadata"]
        yield Installed(
            name=canonicalize_name(metadata["name"]),
            version=metadata["version"],
            location="",
            requires=tuple(metadata.get("requires_dist") or ()),
            requires_python=metadata.get("requires_python"),
        )


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


# --------------------------------------------------------------------------------- index listing
#
# The output of `pip index versions -vv` on one release: does an index have a file for a Python?
#
# pip's option --json lists the versions that it would take, but not why it takes no other. Its
# debug output has a line for each file. The messages are those of pip 24 to 26.

_FOUND = re.compile(r"^\s*Found link (?P<link>.+), version: (?P<version>\S+)$", re.MULTILINE)
_ASKED_FOR = re.compile(r"\(requires-python:(?P<python>[^()]*)\)")
_SKIPPED = re.compile(
    r"^\s*Skipping link: (?P<version>\S+) Requires-Python (?P<python>.+?): \S+", re.MULTILINE
)


@dataclass(frozen=True)
class Listed:
    """The files of one release in the indexes for one Python, source archives included.

    `offered`: an index has a file that pip would take. `requires_python`: the Requires-Python that
    an index gives with it, or because of which pip takes none; None if the index states none.
    """

    offered: bool
    requires_python: str | None = None


def read_listing(output: str, version: str) -> Listed:
    """Find the files of one release in pip's debug output."""
    for found in _FOUND.finditer(output):
        if same_version(found["version"], version):
            asked = _ASKED_FOR.search(found["link"])
            return Listed(True, asked["python"] if asked else None)
    for skipped in _SKIPPED.finditer(output):
        if same_version(skipped["version"], version):
            return Listed(False, skipped["python"])
    return Listed(False)
