"""The content of an environment: its distributions, its MLflow, and its result of `pip check`.

It is read again in every run, also from a cached environment: the cache records how an environment
was built, never its present content.
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
    """One distribution: canonical name, version from its metadata, folder of its metadata.

    `requires` and `requires_python` are Requires-Dist and Requires-Python, as written.
    """

    name: str
    version: str
    location: str
    requires: tuple[str, ...] = ()
    requires_python: str | None = None


@dataclass(frozen=True)
class MlflowFacts:
    """The MLflow of an environment, found without importing it.

    `version` is that of the distribution `mlflow`, None if it is not installed. `skinny_only`:
    `mlflow-skinny` is installed and `mlflow` is not. `missing` are the files, relative to
    site-packages, that a serving MLflow has and this one lacks.
    """

    version: str | None
    skinny_only: bool
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """The result of one inspection of an environment.

    `installed` includes duplicates. `markers` are the interpreter's values for environment markers.
    `fingerprint` changes with every distribution that is added, removed or altered. `absent` are
    the missing files of distributions, if they were looked for.
    """

    python_version: str
    installed: tuple[Installed, ...]
    mlflow: MlflowFacts
    markers: Mapping[str, str] = field(hash=False)
    fingerprint: str
    modules: Modules
    absent: frozenset[str] = frozenset()

    def version_of(self, name: str) -> str | None:
        """Return a distribution's version by its canonical name; None if it is not installed."""
        return next((entry.version for entry in self.installed if entry.name == name), None)


class InspectionFailed(Exception):
    """The interpreter of an environment did not start or did not answer."""


def inspect_installed(
    python: Path, record: Path | None = None, files: Path | None = None
) -> Inspection:
    """Inspect the environment of the interpreter `python`; one subprocess, about 0.1 s.

    Which distribution provides which module is stored in the file `record` and valid while the
    environment stays the same. With `files`, missing files are looked for; that file stores the
    modification times of all folders, so that the next search is short. Raises `InspectionFailed`
    if the interpreter does not answer.
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
    """Return the lines in which `pip check` names broken requirements; empty if there are none.

    The result is stored in the file `record` and reused while `fingerprint` stays the same. None if
    this interpreter has no pip. Raises `ToolError` if pip fails.
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
    """Return a record's value by the fingerprint for which it was stored; empty without one."""
    try:
        kept = json.loads(record.read_bytes())
        return {str(kept["fingerprint"]): kept[key]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _write_record(record: Path, fingerprint: str, key: str, answer: object) -> None:
    """Store a result; if that fails, it is only computed again."""
    with suppress(OSError):
        write_atomic(record, json.dumps({"fingerprint": fingerprint, key: answer}))


# ---------------------------------------------------------------------------- importable modules
#
# The modules of an environment, and the distributions that installed them.


@dataclass(frozen=True)
class Modules:
    """The modules that can be imported in an environment, judging by names.

    `standard` are the top-level modules of its Python. `provided` maps the name of a module, or of
    a package with everything in it, to the canonical names of the distributions that installed it.
    The content of a namespace package is named in full: `google.protobuf`.
    """

    standard: frozenset[str] = frozenset()
    provided: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    def is_standard(self, module: str) -> bool:
        """Return whether a module, given by its dotted name, is part of Python."""
        return module.partition(".")[0] in self.standard

    def providers(self, module: str, attributes: Iterable[str] = ()) -> frozenset[str]:
        """Return the distributions that provide a module, or `attributes` imported from it.

        A namespace package has no attributes but the modules in it, so each has to be provided;
        without attributes, every distribution with something in it counts. Empty if there is none.
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
