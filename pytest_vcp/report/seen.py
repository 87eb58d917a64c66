"""What the facts know of a variant beyond its outcomes, as plain values, for people to look at.

Nothing is worked out for it: what no rule asked for is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_vcp.artifact.artifact import ModelArtifact
from pytest_vcp.environment.build import Environment
from pytest_vcp.evaluation.spec import Field, ModelSpec, Signature
from pytest_vcp.facts.fact import known
from pytest_vcp.requirements.lock import Lock, RequirementLine

if TYPE_CHECKING:
    from pytest_vcp.run import Run

# A store of chunks can have any number of files, and nobody reads them all.
_FILES = 1000


def describe_variant(run: Run, variant: str) -> dict[str, Any]:
    """The signature, the files of the artifact, the lock and the environment, as far as known."""
    facts = run.facts[variant]
    spec: ModelSpec | None = known(facts, "spec")
    artifact: ModelArtifact | None = known(facts, "artifact")
    lock: Lock | None = known(facts, "lock")
    told: dict[str, Any] = {}
    if spec is not None:
        told["signature"] = _signature(spec.signature)
    if artifact is not None:
        told["tree"] = _tree(artifact)
    if lock is not None:
        told["lock"] = _lock(lock, run.environment)
    if run.environment is not None:
        told["environment"] = _environment(run.environment)
    return told


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": list(map(_field, signature.inputs)),
        "outputs": list(map(_field, signature.outputs)),
        "params": [
            {"name": param.name, "type": param.type, "default": param.default}
            for param in signature.params
        ],
    }


def _field(field: Field) -> dict[str, Any]:
    shape = field.shape
    return {
        "name": field.name or "",
        "type": field.type,
        "shape": None if shape is None else f"({', '.join(map(str, shape))})",
        "required": field.required,
    }


def _tree(artifact: ModelArtifact) -> dict[str, Any]:
    """The files by name, and how many there are besides."""
    return {
        "files": [
            {"name": _printable(file.path), "bytes": file.bytes, "sha256": file.sha256}
            for file in artifact.files[:_FILES]
        ],
        "more": max(len(artifact.files) - _FILES, 0),
    }


def _printable(name: str) -> str:
    """A name as text: that of a file need not be UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _lock(lock: Lock, environment: Environment | None) -> dict[str, Any]:
    """Direct requirements, and what they brought along, each with what was installed for it."""
    installed = (
        {entry.name: entry.version for entry in environment.installed} if environment else {}
    )
    declared = dict.fromkeys(line.name for line in lock.declared if line.name)

    def row(name: str | None, asked: Iterable[RequirementLine], pins: str) -> dict[str, str]:
        return {
            "declared": ", ".join(line.short for line in asked),
            "pinned": pins,
            "installed": installed.get(name or "", ""),
        }

    def direct() -> Iterator[dict[str, str]]:
        for name in declared:
            pins = ", ".join(line.short for line in lock.pinned_as(name))
            yield row(name, lock.declared_as(name), pins)

    rest = [line for line in lock.pinned if line.kind != "option" and line.name not in declared]
    return {
        "declared_in_view": lock.declared_in_view,
        "direct": list(direct()),
        "rest": [row(line.name, (), line.short) for line in rest],
    }


def _environment(environment: Environment) -> dict[str, Any]:
    return {
        "manager": environment.manager,
        "python": environment.version,
        "pip": environment.pip_version,
        "mlflow": environment.mlflow.version,
        "distributions": len(environment.installed),
        "reused": environment.reused,
        "build_seconds": environment.build_seconds,
    }
