"""The findings of a run on a variant besides the outcomes of its rules, for every reporter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from pytest_vcp.artifact.artifact import ModelArtifact
from pytest_vcp.environment.build import Environment
from pytest_vcp.evaluation.figures import Figures, read_figures
from pytest_vcp.evaluation.spec import Field, ModelSpec, Signature
from pytest_vcp.facts.fact import known_fact
from pytest_vcp.requirements.lock import Lock, RequirementLine
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.source.payload import inputs

if TYPE_CHECKING:
    from pytest_vcp.evaluation.artifact_session import ArtifactSession
    from pytest_vcp.run import Run


@dataclass(frozen=True)
class PublishedArtifact:
    """The artifact that this run published: its directory, SHA-256 over all files, size."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class RecordedOutput:
    """The expected output that this run put into the package: its file and size in bytes."""

    path: str
    bytes: int


@dataclass(frozen=True)
class ArtifactDigests:
    """The SHA-256 of each file of the artifact that was judged, and of all of them.

    `directory` is device and inode of its directory, to distinguish it from one of the same name.
    """

    files: Mapping[str, str]
    digest: str
    directory: tuple[int, int]


@dataclass(frozen=True)
class VariantResult:
    """The evidence on one variant; None for each value that is not known.

    `python` is the result of `summarize_python`. `signature`, `tree`, `lock` and `environment` are
    for the page (see `describe_variant`); `outputs`, `commands` and `pictures` are plain values, as
    in the report. The three problems say why something could not be written.
    """

    python: Mapping[str, Any] | None = None
    signature: Mapping[str, Any] | None = None
    tree: Mapping[str, Any] | None = None
    lock: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None
    figures: Figures | None = None
    outputs: Mapping[str, Any] | None = None
    commands: Sequence[Mapping[str, Any]] | None = None
    pictures: Mapping[str, Any] | None = None
    artifact: PublishedArtifact | None = None
    digests: ArtifactDigests | None = None
    recorded: RecordedOutput | None = None
    attestation: str | None = None
    publishing_problem: str | None = None
    recording_problem: str | None = None
    attestation_problem: str | None = None

    def merge(self, more: VariantResult) -> VariantResult:
        """Add the known values of `more`, which replace earlier ones."""
        known = (self._known(), more._known())
        return VariantResult(**{key: value for part in known for key, value in part.items()})

    def _known(self) -> dict[str, Any]:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if value is not None}


def dump_results(results: Mapping[str, VariantResult]) -> str:
    """Write results as JSON, by the name of the variant, to send them between processes.

    Names of files need not be UTF-8; JSON escapes other bytes.
    """
    return json.dumps({name: asdict(result) for name, result in results.items()})


def load_results(text: str) -> dict[str, VariantResult]:
    """Read the results that `dump_results` wrote."""
    return {name: _result(values) for name, values in json.loads(text).items()}


def _result(values: Mapping[str, Any]) -> VariantResult:
    readers: dict[str, Callable[[Any], Any]] = {
        "figures": read_figures,
        "artifact": lambda entry: PublishedArtifact(**entry),
        "digests": _digests,
        "recorded": lambda entry: RecordedOutput(**entry),
    }
    return VariantResult(
        **{
            name: readers[name](value) if name in readers and value is not None else value
            for name, value in values.items()
        }
    )


def _digests(values: Mapping[str, Any]) -> ArtifactDigests:
    device, inode = values["directory"]
    return ArtifactDigests(values["files"], values["digest"], (device, inode))


# ---------------------------------------------------------------------- description of a variant
#
# Facts about a variant beyond its outcomes, as plain values, for people to read.
#
# Nothing is computed just for this: facts that no rule requested are left out.

# A chunked store can have any number of files, and nobody reads them all.
_FILES = 1000


def describe_variant(run: Run, variant: str) -> VariantResult:
    """Describe signature, files of the artifact, lock and environment, as far as known."""
    facts = run.facts[variant]
    spec: ModelSpec | None = known_fact(facts, "spec")
    artifact: ModelArtifact | None = known_fact(facts, "artifact")
    lock: Lock | None = known_fact(facts, "lock")
    return VariantResult(
        signature=_signature(spec.signature) if spec else None,
        tree=_tree(artifact) if artifact else None,
        lock=_lock(lock, run.environment) if lock else None,
        environment=_environment(run.environment) if run.environment else None,
    )


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
    """List the first files by name, and count the rest."""
    return {
        "files": [
            {"name": _format_name(file.path), "bytes": file.bytes, "sha256": file.sha256}
            for file in artifact.files[:_FILES]
        ],
        "more": max(len(artifact.files) - _FILES, 0),
    }


def _format_name(name: str) -> str:
    """Return a file name as text, since it need not be UTF-8."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _lock(lock: Lock, environment: Environment | None) -> dict[str, Any]:
    """List the direct requirements and their dependencies, each with its installed version."""
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


# -------------------------------------------------------------------------------------- pictures
#
# Pictures of the output, drawn in the model's process.

# They may not take long. A time-out ends the model's
# process, which has no other use by then.
_MOST_SECONDS = 60.0


def draw_pictures(artifact_session: ArtifactSession) -> Mapping[str, Any] | None:
    """Draw the output; return the pictures as plain values, and remarks on what is missing.

    None without a prediction. Drawing costs memory, so the figures of the example are taken before.
    """
    first = artifact_session.first_pass()
    if first is None or first.content is None:
        return None
    if not artifact_session.settings.pictures:
        return _none("left out (--vcp-no-pictures)")
    uris = inputs(artifact_session.payload, artifact_session.settings.policy.input_column)
    try:
        reply = artifact_session.ask(
            "pictures.draw", {"inputs": uris}, "drawing the output", _MOST_SECONDS
        )
    except ToolError as problem:
        return _none(problem.problem)
    if reply.failure is None:
        return reply.content
    if not reply.failure.reached:
        return _none("the model's process had ended before")
    return _none(reply.failure.summary)


def _none(problem: str) -> Mapping[str, Any]:
    return {"pictures": [], "remarks": [problem]}
