"""What an environment holds: its distributions, its MLflow, and what `pip check` says of it.

Read anew in every run, also from a cached environment: the cache says how an environment was
built, never what is in it now.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.util.files import write_atomic

_PROBE = Path(__file__).with_name("probe_script.py")
_LIMIT_SECONDS = 120.0


@dataclass(frozen=True)
class Installed:
    """One distribution: canonical name, version as its metadata says, folder of its metadata.

    `requires` and `requires_python` are Requires-Dist and Requires-Python, as they are written.
    """

    name: str
    version: str
    location: str
    requires: tuple[str, ...] = ()
    requires_python: str | None = None


@dataclass(frozen=True)
class MlflowFacts:
    """The MLflow of an environment, found without importing it.

    `version` is that of the distribution `mlflow`, None where it is not installed. `skinny_only`:
    `mlflow-skinny` is there and `mlflow` is not. `missing` are the files, relative to
    site-packages, that a serving MLflow has and this one has not.
    """

    version: str | None
    skinny_only: bool
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """What one look into an environment found.

    `installed` keeps duplicates. `markers` are the interpreter's values for environment markers.
    `fingerprint` changes with every distribution that comes, goes or is altered. `absent` are files
    that the distributions promise and that are not there, where they were looked for.
    """

    python_version: str
    installed: tuple[Installed, ...]
    mlflow: MlflowFacts
    markers: Mapping[str, str] = field(hash=False)
    fingerprint: str
    modules: Modules
    absent: frozenset[str] = frozenset()

    def version_of(self, name: str) -> str | None:
        """The version of a distribution by its canonical name; None where it is not installed."""
        return next((entry.version for entry in self.installed if entry.name == name), None)


class InspectionFailed(Exception):
    """The interpreter of an environment did not start or did not answer."""


def inspect_installed(
    python: Path, record: Path | None = None, files: Path | None = None
) -> Inspection:
    """Look into the environment of the interpreter `python`; one subprocess, about 0.1 s.

    Which distribution provides which module is kept in the file `record` for as long as the
    environment stays the same. With `files`, it looks for files that are gone; that file keeps the
    times of change of all folders, so that the next look is a short one. Raises
    `InspectionFailed` when the interpreter does not answer.
    """
    known = _read_record(record, "modules") if record is not None else {}
    try:
        answer = subprocess.run(
            [python, "-I", "-B", _PROBE, files or "", *known],
            capture_output=True,
            timeout=_LIMIT_SECONDS,
            check=True,
            stdin=subprocess.DEVNULL,
        ).stdout
        facts = json.loads(answer)
        modules = facts["modules"]
        if modules is None:
            modules = known[facts["fingerprint"]]
        elif record is not None:
            _write_record(record, facts["fingerprint"], "modules", modules)
        if files is not None and facts["files"]["folders"] is not None:
            _write_record(files, facts["fingerprint"], "files", facts["files"])
        return _read(facts, modules)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as problem:
        raise InspectionFailed(f"{python} does not answer: {problem}") from problem


def _read(facts: Mapping[str, Any], modules: Mapping[str, Any]) -> Inspection:
    installed = tuple(
        Installed(
            name=canonicalize_name(entry["name"]),
            version=entry["version"],
            location=entry["location"],
            requires=tuple(entry["requires"]),
            requires_python=entry["requires_python"],
        )
        for entry in facts["installed"]
    )
    versions = {entry.name: entry.version for entry in reversed(installed)}
    mlflow = MlflowFacts(
        version=versions.get("mlflow"),
        skinny_only="mlflow" not in versions and "mlflow-skinny" in versions,
        missing=tuple(facts["mlflow_missing"]),
    )
    provided = {
        module: tuple(map(canonicalize_name, names))
        for module, names in modules["provided"].items()
    }
    return Inspection(
        python_version=facts["version"],
        installed=installed,
        mlflow=mlflow,
        markers=facts["markers"],
        fingerprint=facts["fingerprint"],
        modules=Modules(frozenset(modules["standard"]), provided),
        absent=frozenset(facts["files"]["absent"] if facts["files"] else ()),
    )


def pip_check(python: Path, fingerprint: str, record: Path) -> tuple[str, ...] | None:
    """The lines in which `pip check` names broken requirements; empty when there are none.

    The answer is kept in the file `record` and reused for as long as `fingerprint` stays the
    same. None: there is no pip beside this interpreter. Raises `ToolError` when pip fails.
    """
    known = _read_record(record, "broken")
    if fingerprint in known:
        return tuple(known[fingerprint])
    broken = _ask_pip(python)
    if broken is not None:
        _write_record(record, fingerprint, "broken", broken)
    return broken


def _ask_pip(python: Path) -> tuple[str, ...] | None:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    environ["PIP_CONFIG_FILE"] = os.devnull
    try:
        answer = subprocess.run(
            [python, "-I", "-B", "-m", "pip", "check", "--disable-pip-version-check"],
            capture_output=True,
            check=False,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_LIMIT_SECONDS,
            stdin=subprocess.DEVNULL,
            env=environ,
        )
    except (OSError, subprocess.SubprocessError) as problem:
        raise ToolError(f"pip check did not run: {problem}", _CHECK_REMEDY) from problem
    if answer.returncode == 0:
        return ()
    if "No module named pip" in answer.stderr:
        return None
    lines = tuple(line for line in answer.stdout.splitlines() if line.strip())
    if answer.returncode != 1 or not lines:
        last = (answer.stderr.strip().splitlines() or ["no output"])[-1]
        raise ToolError(f"pip check failed: {last}", _CHECK_REMEDY)
    return lines


_CHECK_REMEDY = "delete the environment from the cache and run again"


def _read_record(record: Path, key: str) -> dict[str, Any]:
    """What is kept in a record, by the fingerprint it was true for; empty without any."""
    try:
        kept = json.loads(record.read_bytes())
        return {str(kept["fingerprint"]): kept[key]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write_record(record: Path, fingerprint: str, key: str, answer: object) -> None:
    """Write an answer down; one that can't be kept is asked for again, and that is all."""
    with suppress(OSError):
        write_atomic(record, json.dumps({"fingerprint": fingerprint, key: answer}))


# ---------------------------------------------------------------------------- importable modules
#
# Which modules an environment has, and which distributions they came with.


@dataclass(frozen=True)
class Modules:
    """What can be imported in an environment, as far as names tell.

    `standard` are the top-level modules of its Python. `provided` maps the name of a module, or of
    a package with all that is in it, to the canonical names of the distributions that installed
    it. What lies in a namespace package is named in full: `google.protobuf`.
    """

    standard: frozenset[str] = frozenset()
    provided: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def is_standard(self, module: str) -> bool:
        """Whether a module, by its dotted name, is part of Python."""
        return module.partition(".")[0] in self.standard

    def providers(self, module: str, attributes: Iterable[str] = ()) -> frozenset[str]:
        """The distributions that provide a module, or `attributes` taken from it.

        A namespace package has no attributes but the modules in it, so each has to be provided;
        without attributes, whoever has something in it provides it. Empty where none does.
        """
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            found = self.provided.get(".".join(parts[:end]))
            if found:
                return frozenset(found)
        if module not in self._namespaces:
            return frozenset()
        within = [self.providers(f"{module}.{attribute}") for attribute in attributes]
        if not within:
            return self._namespaces[module]
        return frozenset().union(*within) if all(within) else frozenset()

    @cached_property
    def _namespaces(self) -> dict[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for module, distributions in self.provided.items():
            parts = module.split(".")
            for end in range(1, len(parts)):
                found.setdefault(".".join(parts[:end]), set()).update(distributions)
        return {name: frozenset(entries) for name, entries in found.items()}
