"""Ask the pip of an environment what it would do on another Python, and install nothing.

pip chooses files for the Python that it is told, but evaluates markers for the one that runs it:
those of the requirements that it is given, and those of what the distributions need. So it is
given lines without markers, and told not to follow them; what they need is in its report.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from pytest_vcp.environment import pip_messages, watched
from pytest_vcp.environment.index_listing import Listed, read_listing
from pytest_vcp.environment.inspection import Installed
from pytest_vcp.environment.installer import failure_of, pip_command, surroundings
from pytest_vcp.environment.pip_messages import BuildFailure
from pytest_vcp.environment.watched import Progress
from pytest_vcp.requirements.lock import RequirementLine
from pytest_vcp.requirements.options import options_of

# Options of a lock that say where distributions come from, and pip's variables for them.
_VARIABLES = {
    "--index-url": "PIP_INDEX_URL",
    "--extra-index-url": "PIP_EXTRA_INDEX_URL",
    "--find-links": "PIP_FIND_LINKS",
    "--trusted-host": "PIP_TRUSTED_HOST",
}


@dataclass(frozen=True)
class Unmet:
    """What pip does not take: why, and the requirement that it names, if it names one."""

    failure: BuildFailure
    requirement: str | None


@dataclass(frozen=True)
class DryRun:
    """pip's answers for one Python, `target`, in full: major, minor and micro.

    `environ` has the places for distributions, of which relative ones are taken from `directory`;
    pip's output goes into `scratch`. Every question raises ToolError where an index is out of
    reach or the machine at fault; `keep` puts the log of that where it stays.
    """

    python: Path
    environ: Mapping[str, str]
    target: str
    directory: Path
    scratch: Path
    keep: Callable[[Path], Path]
    progress: Progress

    def install(self, requirements: Iterable[str]) -> tuple[Installed, ...] | Unmet:
        """What pip would install for these, from wheels; else the first that it does not take."""
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
            return tuple(_reported(json.loads(report.read_bytes())))
        self._raise_if_not_of_the_package(failure)
        return Unmet(failure, pip_messages.missing_requirement(_text(log)))

    def listed(self, name: str, version: str) -> Listed:
        """What the indexes have of one release, also as a source archive, which is not built."""
        log = self.scratch / "index.log"
        options = ["-vv", "--pre", "--python-version", self.target]
        status = self._run(["index", "versions", *options, "--", name], log)
        told = _text(log)
        if pip_messages.refused(told):
            self._raise_if_not_of_the_package(pip_messages.not_answering(told, log))
        failure = failure_of(status, log)
        if failure is not None:
            self._raise_if_not_of_the_package(failure)
        return read_listing(told, version)

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


def environ_for(environ: Mapping[str, str], lock: Iterable[RequirementLine]) -> dict[str, str]:
    """The variables for pip: the places in `environ`, and those that the lock names.

    In variables, because `pip index` reads no file, and other users can see a command line.
    """
    environ = dict(environ)
    for line in lock:
        for option in options_of(line) if line.kind == "option" else ():
            variable = _VARIABLES.get(option.name)
            if variable is None:
                continue
            before = "" if option.name == "--index-url" else environ.get(variable, "")
            environ[variable] = f"{before} {os.path.expandvars(option.value)}".strip()
    return environ


def _reported(report: dict[str, Any]) -> Iterator[Installed]:
    """The distributions of an installation report, as if they lay in an environment."""
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
