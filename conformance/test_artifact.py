"""Section 6: the packaged artifact, read without loading anything from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from pytest_vcp.artifact import ModelArtifact
from pytest_vcp.digests import FileDigests
from pytest_vcp.marker_environments import applies
from pytest_vcp.pickles import SMALL_BYTES, PickleFacts, read_pickle
from pytest_vcp.prediction import Packaging
from pytest_vcp.requirements import Lock, RequirementLine, parse_lines
from pytest_vcp.rules import rule
from pytest_vcp.settings import Settings
from pytest_vcp.violations import Location, Violation
from pytest_vcp.weights import Weights
from pytest_vcp.wording import and_others

# A path that is rooted on some machine, wherever it is read: below a home, or in temporary files.
_ROOTED = re.compile(
    r"(?:^|[\s\"'=(,\[])"
    r"(?P<path>(?:file:/+)?(?:/(?:home|Users|root|tmp|private)/"
    r"|[A-Za-z]:\\)[^\s\"',\])]*)"
)

# Any other absolute path: it counts where its first directory exists on this machine.
_ABSOLUTE = re.compile(r"(?:^|[\s\"'=(,\[])(?P<path>(?:file://)?/(?P<first>[\w.-]+)/[^\s\"',\])]+)")


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
            remedy="make the constructor work with the given config, and keep plain values on self",
            where=failure.where,
        )
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
    """python_env.yaml, conda.yaml and MLmodel name the Python that the model was packaged on."""
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
    """The artifact's requirements.txt and conda.yaml hold each line of the lock that applies."""
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


@rule("VCP604")
def test_vcp604_weights_are_those_of_the_package(
    vcp_artifact: ModelArtifact, vcp_weights: Weights, vcp_digests: FileDigests
) -> None:
    """Every file of the artifacts is in the artifact, byte for byte, and none besides."""
    inside = (file for file in vcp_artifact.files if file.path.startswith("artifacts/"))
    packaged = {file.path: file for file in inside}
    for file in vcp_weights.files:
        where = Location(file.target)
        found = packaged.pop(file.target, None)
        if found is None:
            raise Violation(
                expected=f"a copy of model_data/ with all its files, {file.source.name} among them",
                received="no such file in the artifact",
                remedy="check what model_code does with model_data/ while it is imported",
                where=where,
            )
        if not file.is_unchanged() or found.sha256 != vcp_digests.of(file.source):
            raise Violation(
                expected="weights that stay as they were when the run began",
                received=f"{file.source.name} was written to during the run",
                remedy="don't write into model_data/ or context.artifacts from model_code",
                where=where,
            )
    for path in packaged:
        raise Violation(
            expected="nothing in artifacts/ but what model_data/ holds",
            received="a file that model_data/ does not have",
            remedy="don't write into context.artifacts from model_code",
            where=Location(path),
        )


@rule("VCP606")
def test_vcp606_metadata_has_no_local_path(
    vcp_artifact: ModelArtifact, vcp_settings: Settings
) -> None:
    """No path of the building machine stands in the artifact's metadata."""
    for place, text in metadata_texts(vcp_artifact):
        path = local_path(text, vcp_settings.pkg_dir)
        if path:
            raise Violation(
                expected="no absolute path of the machine that packages",
                received=f"{path} in {place}",
                remedy="take it out of the config, tag or example; find files by context.artifacts",
                where=Location(place.split(":")[0]),
            )


@rule("VCP608")
def test_vcp608_pickle_holds_code_by_reference(
    vcp_artifact: ModelArtifact, vcp_settings: Settings
) -> None:
    """The pickled wrapper refers to its code, and holds neither weights nor paths."""
    problem = pickle_problem(read_pickle(vcp_artifact.path / "python_model.pkl"), vcp_settings)
    if problem:
        received, remedy = problem
        raise Violation(
            expected="a small pickle that refers to model_code and holds nothing else",
            received=received,
            remedy=remedy,
            where=Location("python_model.pkl"),
        )


def pickle_problem(pickle: PickleFacts, settings: Settings) -> tuple[str, str] | None:
    """What the pickled wrapper should not hold, and how to keep it out."""
    in_load_context = "load weights in load_context, not in the constructor"
    if pickle.problem:
        return pickle.problem, "check what model_code changes in MLflow while it is imported"
    if pickle.by_value:
        return (
            f"the code of {told_kind(pickle.by_value[0])}, which other Pythons can't read",
            "define it at the top of a module in model_code; no lambda or inner function on self",
        )
    if pickle.arrays:
        library = pickle.arrays[0].partition(".")[0]
        return f"{pickle.binary_bytes} bytes of arrays ({library})", in_load_context
    if pickle.binary_bytes > SMALL_BYTES:
        return f"{pickle.binary_bytes} bytes of binary data", in_load_context
    if pickle.bytes > settings.policy.pickle_bytes:
        return f"{pickle.bytes} bytes, more than {settings.policy.pickle_bytes}", in_load_context
    for text in pickle.texts:
        if path := local_path(text, settings.pkg_dir):
            return f"the path {path}", "take paths from context.artifacts, in load_context"
    return None


def told_kind(maker: str) -> str:
    """What cloudpickle's function of this name makes anew from the code in the pickle."""
    return "a function, perhaps a lambda" if maker.endswith("_make_function") else "a class"


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


def metadata_texts(artifact: ModelArtifact) -> Iterator[tuple[str, str]]:
    """Every text in the artifact's metadata, with the file and the key where it stands."""
    yield from nested_texts("MLmodel", artifact.mlmodel)
    for name in ("conda.yaml", "python_env.yaml", "requirements.txt"):
        for line in artifact.text(name).splitlines():
            yield name, line
    for name in ("input_example.json", "serving_input_example.json"):
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


def local_path(text: str, pkg_dir: Path) -> str | None:
    """The first path in a text that is rooted on this machine or in somebody's home."""
    if str(pkg_dir) in text:
        return str(pkg_dir)
    if found := _ROOTED.search(text):
        return found["path"]
    for found in _ABSOLUTE.finditer(text):
        if Path("/", found["first"]).is_dir():
            return found["path"]
    return None
