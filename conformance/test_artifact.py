"""Section 6: the packaged artifact as a whole, and its metadata; nothing is loaded from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import Any

from packaging.utils import canonicalize_name

from pytest_vcp.artifact.artifact import EXAMPLES, ModelArtifact, local_path
from pytest_vcp.evaluation.prediction import Packaging
from pytest_vcp.evaluation.spec import ModelSpec
from pytest_vcp.requirements.lock import Lock, RequirementLine, parse_lines
from pytest_vcp.requirements.markers import applies
from pytest_vcp.rules.outcomes import NO_REMEDY, Blocked, Location, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.worker.client import WorkerFailure


@rule("VCP601")
def test_vcp601_packaging_succeeds(vcp_packaging: Packaging, vcp_settings: Settings) -> None:
    """Packaging succeeds and leaves every file of an MLflow model with an example."""
    failure = vcp_packaging.failure
    remedy = "check what model_code changes in MLflow or in the package while it is imported"
    if vcp_settings.artifact_only is not None:
        remedy = "package the model again, and pass the artifact on whole and as it is"
    if failure is not None:
        raise Violation(
            expected="MLflow saves the model",
            received=failure.summary,
            remedy=failure.remedy or unsaved(failure),
            where=failure.where,
        ) from failure
    if vcp_packaging.missing:
        raise Violation(
            expected="an artifact with MLmodel, code, weights, examples and requirements",
            received=f"no {', '.join(vcp_packaging.missing)}",
            remedy=remedy,
        )
    if vcp_packaging.problem:
        raise Violation(
            expected="metadata that can be read",
            received=vcp_packaging.problem,
            remedy=remedy,
        )


@rule("VCP602")
def test_vcp602_metadata_names_the_target_python(
    vcp_artifact: ModelArtifact, vcp_python_version: str
) -> None:
    """python_env.yaml, conda.yaml and MLmodel name the target Python."""
    named = {
        "python_env.yaml": str(vcp_artifact.python_env.get("python")),
        "conda.yaml": conda_python(vcp_artifact.conda),
        "MLmodel": str(vcp_artifact.flavor.get("python_version")),
    }
    for file, version in named.items():
        if version != vcp_python_version:
            raise Violation(
                expected=f"Python {vcp_python_version}",
                received=f"Python {version}",
                remedy="don't change MLflow's idea of the Python version in model_code",
                where=Location(file),
            )


@rule("VCP603")
def test_vcp603_requirements_are_the_lock(
    vcp_artifact: ModelArtifact, vcp_markers: Mapping[str, str], vcp_lock: Lock
) -> None:
    """The artifact's requirements are the lines of the lock that apply."""
    wanted = effective(vcp_lock.pinned, vcp_markers)
    texts = {
        "requirements.txt": vcp_artifact.text("requirements.txt"),
        "conda.yaml": "\n".join(conda_pip(vcp_artifact.conda)),
    }
    for file, text in texts.items():
        found = effective(parse_lines(text, file), vcp_markers)
        lost, added = sorted(wanted - found), sorted(found - wanted)
        if lost or added:
            raise Violation(
                expected="the lines of the package's requirements.txt, no more and no fewer",
                received=f"{lost[0]} is missing{and_others(len(lost))}"
                if lost
                else f"{added[0]} is there besides{and_others(len(added))}",
                remedy="let nothing write to requirements.txt while the model is packaged",
                where=Location(file),
            )


@rule("VCP606")
def test_vcp606_metadata_has_no_local_path(
    vcp_artifact: ModelArtifact, vcp_settings: Settings
) -> None:
    """The artifact's metadata contains no path of the building machine.

    Where a finished artifact says where its packager took the weights from, that is only advised:
    MLflow writes it down by itself, and nothing reads it.
    """
    found = (
        (place, path)
        for place, text in metadata_texts(vcp_artifact)
        if (path := local_path(text, vcp_settings.pkg_dir))
    )
    is_alone = vcp_settings.artifact_only is not None
    # What binds is told first.
    for place, path in sorted(found, key=lambda entry: _is_source(entry[0])):
        by_itself = is_alone and _is_source(place)
        raise Violation(
            expected="no absolute path of the machine that packages",
            received=f"{path} in {place}",
            remedy="package it with this plugin, which leaves out where MLflow took weights from"
            if by_itself
            else "take it out of config, tag, example or param; use context.artifacts",
            where=Location(place.split(":")[0]),
            binds=not by_itself,
        )


@rule("VCP610")
def test_vcp610_config_and_tags_are_recorded(
    vcp_artifact: ModelArtifact, vcp_settings: Settings
) -> None:
    """MLmodel records the model config and the tags as they were given."""
    if vcp_settings.artifact_only is not None:
        raise Unverified("the artifact alone is judged, without what it was packaged with")
    metadata = vcp_artifact.mlmodel.get("metadata") or {}
    recorded: dict[str, tuple[object, object]] = {
        "model config": (vcp_settings.model_config, vcp_artifact.flavor.get("config") or {}),
        "tags": (dict(vcp_settings.model_tags), metadata.get("model_tags") or {}),
    }
    for what, (given, found) in recorded.items():
        if found != given:
            place, one, other = difference(what, given, found)
            raise Violation(
                expected=f"{place} as given: {brief(one)}",
                received=brief(other),
                remedy="let model_code change neither its config, nor tags, nor MLflow itself",
                where=Location("MLmodel"),
            )


@rule("VCP612")
def test_vcp612_example_is_the_declared_one(
    vcp_artifact: ModelArtifact, vcp_source_spec: ModelSpec
) -> None:
    """The example in the artifact is INPUT_EXAMPLE."""
    trip = vcp_source_spec.round_trip
    if trip is None or trip.payload is None:
        raise Blocked("VCP507")
    wanted = request(trip.payload)
    for file in EXAMPLES:
        found = request(json.loads(vcp_artifact.text(file)))
        for what in wanted:
            if found[what] != wanted[what]:
                place, one, other = difference(what, wanted[what], found[what])
                raise Violation(
                    expected=f"{place} of INPUT_EXAMPLE: {brief(one)}",
                    received=brief(other),
                    remedy="change INPUT_EXAMPLE nowhere but in model_spec.py",
                    where=Location(file),
                )


def unsaved(failure: WorkerFailure) -> str:
    """What to do about a model object that can't be made, or not be written down."""
    if "missing" in failure.message and "argument" in failure.message:
        return "take self and config alone in the constructor; give anything else a default"
    if "pickle" in failure.summary or "serialize" in failure.summary:
        return "make in load_context what can't be pickled; keep plain values on self until then"
    if failure.exception in ("FileNotFoundError", "NotADirectoryError"):
        return "leave files to load_context, which has their paths in context.artifacts"
    return NO_REMEDY


def request(document: Any) -> dict[str, object]:
    """The rows and the params of an example, in either form that MLflow gives it."""
    frame: Any = document
    params: object = {}
    if isinstance(document, Mapping):
        frame = document.get("dataframe_split") or document.get("inputs") or document
        params = document.get("params") or {}
    if not isinstance(frame, Mapping):
        frame = {"data": frame}
    return {"columns": frame.get("columns"), "rows": frame.get("data"), "params": params}


class Nothing:
    """Stands where one of two values has nothing."""


def difference(place: str, one: object, other: object) -> tuple[str, object, object]:
    """The innermost place at which two JSON values first differ, and what is there in each."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in (*one, *(key for key in other if key not in one)):
            inner = one.get(key, Nothing()), other.get(key, Nothing())
            if inner[0] != inner[1]:
                return difference(f"{place}.{key}", *inner)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, inner in enumerate(zip(one, other, strict=True)):
            if inner[0] != inner[1]:
                return difference(f"{place}[{number}]", *inner)
    return place, one, other


def brief(value: object) -> str:
    """A JSON value, cut to what fits on a line."""
    if isinstance(value, Nothing):
        return "nothing"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def effective(lines: Iterable[RequirementLine], markers: Mapping[str, str]) -> frozenset[str]:
    """The lines that apply in an environment, each in one spelling.

    MLflow leaves out the others: it writes down what was packaged, for one Python.
    """
    applying = (line for line in lines if applies(line.requirement, {**markers, "extra": ""}))
    return frozenset(canonical(line) for line in applying)


def canonical(line: RequirementLine) -> str:
    """A requirement line without what means nothing: spelling of the name, order, white space."""
    if line.requirement is None:
        return " ".join(line.text.split())
    requirement = copy(line.requirement)
    requirement.name = canonicalize_name(requirement.name)
    return " ".join((str(requirement), *sorted(line.hashes)))


def conda_python(conda: Mapping[str, Any]) -> str:
    """The Python that conda.yaml asks for."""
    for entry in conda.get("dependencies", ()):
        if isinstance(entry, str) and entry.startswith("python="):
            return entry.removeprefix("python=")
    return "none"


def conda_pip(conda: Mapping[str, Any]) -> list[str]:
    """The pip requirements in conda.yaml."""
    for entry in conda.get("dependencies", ()):
        if isinstance(entry, dict) and "pip" in entry:
            return [str(line) for line in entry["pip"]]
    return []


def _is_source(place: str) -> bool:
    """Whether a text of the metadata is where MLflow took an artifact from."""
    return re.fullmatch(r"MLmodel: flavors\.python_function\.artifacts\..+\.uri", place) is not None


def metadata_texts(artifact: ModelArtifact) -> Iterator[tuple[str, str]]:
    """Every text in the artifact's metadata, with the file and the key where it stands."""
    yield from nested_texts("MLmodel", artifact.mlmodel)
    for name in ("conda.yaml", "python_env.yaml", "requirements.txt"):
        for line in artifact.text(name).splitlines():
            yield name, line
    for name in EXAMPLES:
        yield from nested_texts(name, json.loads(artifact.text(name)))


def nested_texts(place: str, value: object) -> Iterator[tuple[str, str]]:
    """The texts inside mappings and lists; the place grows with the keys."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield place, str(key)
            yield from nested_texts(f"{place}.{key}" if ": " in place else f"{place}: {key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nested_texts(place, inner)
