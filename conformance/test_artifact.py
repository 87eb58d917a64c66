"""Section 6: the packaged artifact as a whole, and its metadata; nothing is loaded from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from typing import Any

from packaging.utils import canonicalize_name

from pytest_vcp.artifact.artifact import EXAMPLES, ModelArtifact, local_path, stray_links
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.artifact.pickles import SMALL_BYTES, PickleFacts, WeightPickle
from pytest_vcp.artifact.weights import Code, Weights
from pytest_vcp.evaluation.prediction import Packaging, Repackaging
from pytest_vcp.evaluation.spec import ModelSpec
from pytest_vcp.requirements.lock import Lock, RequirementLine, parse_lines
from pytest_vcp.requirements.markers import applies
from pytest_vcp.rules.outcomes import NO_REMEDY, Blocked, Location, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.util.text import truncate
from pytest_vcp.worker.client import WorkerFailure
from pytest_vcp.worker.server.packaging import find_ignored


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
            found=failure.summary,
            remedy=failure.remedy or describe_pickling_remedy(failure),
            where=failure.where,
        ) from failure
    if vcp_packaging.missing:
        raise Violation(
            expected="an artifact with MLmodel, code, weights, examples and requirements",
            found=f"no {', '.join(vcp_packaging.missing)}",
            remedy=remedy,
        )
    if vcp_packaging.problem:
        raise Violation(
            expected="metadata that can be read",
            found=vcp_packaging.problem,
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
                found=f"Python {version}",
                remedy="don't change MLflow's idea of the Python version in model_code",
                where=Location(file),
            )


@rule("VCP603")
def test_vcp603_requirements_are_the_lock(
    vcp_artifact: ModelArtifact, vcp_markers: Mapping[str, str], vcp_lock: Lock
) -> None:
    """The artifact's requirements are the lines of the lock that apply."""
    wanted = select_effective_lines(vcp_lock.pinned, vcp_markers)
    texts = {
        "requirements.txt": vcp_artifact.text("requirements.txt"),
        "conda.yaml": "\n".join(conda_pip(vcp_artifact.conda)),
    }
    for file, text in texts.items():
        found = select_effective_lines(parse_lines(text, file), vcp_markers)
        lost, added = sorted(wanted - found), sorted(found - wanted)
        if lost or added:
            raise Violation(
                expected="the lines of the package's requirements.txt, no more and no fewer",
                found=f"{lost[0]} is missing{and_others(len(lost))}"
                if lost
                else f"{added[0]} is not in the package's file{and_others(len(added))}",
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
        (where, path)
        for where, text in metadata_texts(vcp_artifact)
        if (path := local_path(text, vcp_settings.pkg_dir))
    )
    is_alone = vcp_settings.artifact_only is not None
    # Binding violations are reported first.
    for where, path in sorted(found, key=lambda entry: _is_source(entry[0])):
        by_itself = is_alone and _is_source(where)
        raise Violation(
            expected="no absolute path of the machine that packages",
            found=f"{path} in {where}",
            remedy="package it with this plugin, which leaves out where MLflow took weights from"
            if by_itself
            else "take it out of config, tag, example or param; use context.artifacts",
            where=Location(where.split(":")[0]),
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
            where, one, other = difference(what, given, found)
            raise Violation(
                expected=f"{where} as given: {format_value(one)}",
                found=format_value(other),
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
                where, one, other = difference(what, wanted[what], found[what])
                raise Violation(
                    expected=f"{where} of INPUT_EXAMPLE: {format_value(one)}",
                    found=format_value(other),
                    remedy="change INPUT_EXAMPLE nowhere but in model_spec.py",
                    where=Location(file),
                )


def describe_pickling_remedy(failure: WorkerFailure) -> str:
    """Return the remedy for a model object that can't be created or saved."""
    if "missing" in failure.message and "argument" in failure.message:
        return "take self and config alone in the constructor; give anything else a default"
    if "pickle" in failure.summary or "serialize" in failure.summary:
        return "make in load_context what can't be pickled; keep plain values on self until then"
    if failure.exception in ("FileNotFoundError", "NotADirectoryError"):
        return "leave files to load_context, which has their paths in context.artifacts"
    return NO_REMEDY


def request(document: Any) -> dict[str, object]:
    """Return the rows and the params of an example, in either form that MLflow writes."""
    frame: Any = document
    params: object = {}
    if isinstance(document, Mapping):
        frame = document.get("dataframe_split") or document.get("inputs") or document
        params = document.get("params") or {}
    if not isinstance(frame, Mapping):
        frame = {"data": frame}
    return {"columns": frame.get("columns"), "rows": frame.get("data"), "params": params}


class Nothing:
    """A placeholder for a missing value."""


def difference(where: str, one: object, other: object) -> tuple[str, object, object]:
    """Find the innermost position at which two JSON values first differ, and both values there."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in (*one, *(key for key in other if key not in one)):
            inner = one.get(key, Nothing()), other.get(key, Nothing())
            if inner[0] != inner[1]:
                return difference(f"{where}.{key}", *inner)
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, inner in enumerate(zip(one, other, strict=True)):
            if inner[0] != inner[1]:
                return difference(f"{where}[{number}]", *inner)
    return where, one, other


def format_value(value: object) -> str:
    """Format a JSON value, truncated to fit on a line."""
    if isinstance(value, Nothing):
        return "nothing"
    return truncate(json.dumps(value, ensure_ascii=False), 80)


def select_effective_lines(
    lines: Iterable[RequirementLine], markers: Mapping[str, str]
) -> frozenset[str]:
    """Select the lines that apply in an environment, each in canonical spelling.

    MLflow leaves out the others, since it records requirements for one Python only.
    """
    applying = (line for line in lines if applies(line.requirement, {**markers, "extra": ""}))
    return frozenset(canonical(line) for line in applying)


def canonical(line: RequirementLine) -> str:
    """Normalize a requirement line: spelling of the name, order of hashes, white space."""
    if line.requirement is None:
        return " ".join(line.text.split())
    requirement = copy(line.requirement)
    requirement.name = canonicalize_name(requirement.name)
    return " ".join((str(requirement), *sorted(line.hashes)))


def conda_python(conda: Mapping[str, Any]) -> str:
    """Return the Python that conda.yaml requires."""
    for entry in conda.get("dependencies", ()):
        if isinstance(entry, str) and entry.startswith("python="):
            return entry.removeprefix("python=")
    return "none"


def conda_pip(conda: Mapping[str, Any]) -> list[str]:
    """List the pip requirements in conda.yaml."""
    for entry in conda.get("dependencies", ()):
        if isinstance(entry, dict) and "pip" in entry:
            return [str(line) for line in entry["pip"]]
    return []


def _is_source(where: str) -> bool:
    """Return whether a text of the metadata is the path from which MLflow took an artifact."""
    return re.fullmatch(r"MLmodel: flavors\.python_function\.artifacts\..+\.uri", where) is not None


def metadata_texts(artifact: ModelArtifact) -> Iterator[tuple[str, str]]:
    """Yield every text in the artifact's metadata, with its file and key."""
    yield from nested_texts("MLmodel", artifact.mlmodel)
    for name in ("conda.yaml", "python_env.yaml", "requirements.txt"):
        for line in artifact.text(name).splitlines():
            yield name, line
    for name in EXAMPLES:
        yield from nested_texts(name, json.loads(artifact.text(name)))


def nested_texts(where: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the texts inside mappings and lists; the location grows with the keys."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield where, str(key)
            yield from nested_texts(f"{where}.{key}" if ": " in where else f"{where}: {key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from nested_texts(where, inner)


# -------------------------------------------------------------------------------------- contents
#
# The files in the artifact, weights and code.


@rule("VCP604")
def test_vcp604_weights_are_those_of_the_package(
    vcp_artifact: ModelArtifact, vcp_weights: Weights, vcp_digests: FileDigests
) -> None:
    """The weights in the artifact are those of model_data/, byte for byte."""
    inside = (file for file in vcp_artifact.files if file.path.startswith("artifacts/"))
    packaged = {file.path: file for file in inside}
    for file in vcp_weights.files:
        where = Location(file.target)
        found = packaged.pop(file.target, None)
        if found is None:
            raise Violation(
                expected=f"a copy of model_data/ with all its files, {file.source.name} among them",
                found="no such file in the artifact",
                remedy="check what model_code does with model_data/ while it is imported",
                where=where,
            )
        if not file.is_unchanged() or found.sha256 != vcp_digests.digest(file.source):
            raise Violation(
                expected="weights that stay as they were when the run began",
                found=f"{file.source.name} was written to during the run",
                remedy="don't write into model_data/ or context.artifacts from model_code",
                where=where,
            )
    for path in packaged:
        raise Violation(
            expected="nothing in artifacts/ but what model_data/ holds",
            found="a file that model_data/ does not have",
            remedy="don't write into context.artifacts from model_code",
            where=Location(path),
        )


@rule("VCP605")
def test_vcp605_code_is_complete_and_clean(
    vcp_artifact: ModelArtifact, vcp_code: Code | None, vcp_digests: FileDigests
) -> None:
    """The artifact contains every file of model_code, and none that tools left behind."""
    litter = [file.path for file in vcp_artifact.files if find_ignored(file.path)]
    if litter:
        raise Violation(
            expected="neither byte-code nor files of version control, desktops or other tools",
            found=f"{find_ignored(litter[0])}{and_others(len(litter))}",
            remedy="delete it where it comes from: model_data/, or a run that loaded the artifact",
            where=Location(litter[0]),
        )
    if vcp_code is None:
        raise Unverified("the artifact alone is judged, without its source package")
    packaged = {file.path: file.sha256 for file in vcp_artifact.files}
    for file in vcp_code.files:
        found, kept = packaged.get(file.target), file.is_unchanged()
        if found is None or not kept or found != vcp_digests.digest(file.source):
            raise Violation(
                expected=f"model_code as it was when the run began, {file.source.name} included",
                found="different content" if found else "no such file in the artifact",
                remedy="check what model_code changes in MLflow or shutil while it is imported"
                if kept
                else "let nothing write into model_code while it is imported and packaged",
                where=Location(file.target),
            )


@rule("VCP607")
def test_vcp607_links_stay_inside(vcp_artifact: ModelArtifact) -> None:
    """No symbolic link in the artifact leads out of it, or nowhere."""
    strays = stray_links(vcp_artifact.path)
    if strays:
        raise Violation(
            expected="files, or relative links to files in the artifact",
            found=f"a link to {strays[0].target}{and_others(len(strays))}",
            remedy="replace the link in the package with the file it points to, and package again",
            where=Location(strays[0].path),
        )


# --------------------------------------------------------------------------------------- pickles
#
# The pickles in the artifact, read from the outside; none is loaded.

# The file of an artifact that MLflow unpickles, and the module that does so.
LOADED = ("python_model.pkl", "mlflow.pyfunc.model")


@rule("VCP608")
def test_vcp608_pickle_holds_code_by_reference(
    vcp_artifact: ModelArtifact, vcp_pickle: PickleFacts, vcp_settings: Settings
) -> None:
    """The pickled wrapper refers to its code, and contains neither weights nor paths.

    What a finished artifact holds besides its code is only advised: MLflow runs load_context on
    what it pickles, unless it is kept from that.
    """
    loaded = vcp_artifact.flavor.get("python_model"), vcp_artifact.flavor.get("loader_module")
    if loaded != LOADED:
        raise Violation(
            expected=f"MLmodel to have {LOADED[0]} loaded by {LOADED[1]}",
            found=f"{loaded[0]} loaded by {loaded[1]}",
            remedy="save an instance of the wrapper class, by mlflow.pyfunc.save_model",
            where=Location("MLmodel"),
        )
    faults = pickle_problem(vcp_pickle)
    # MLflow loads the weights into the object that it then pickles: advice for a finished artifact.
    is_alone = vcp_settings.artifact_only is not None
    problem = faults or held_problem(vcp_pickle, vcp_settings)
    if problem:
        received, remedy = problem
        if is_alone and not faults:
            remedy = "package it with this plugin: MLflow loads weights into what it pickles"
        raise Violation(
            expected="a small pickle that refers to model_code and holds nothing else",
            found=received,
            remedy=remedy,
            where=Location("python_model.pkl"),
            binds=bool(faults) or not is_alone,
        )


@rule("VCP609")
def test_vcp609_weights_only_build_data(vcp_weight_pickles: tuple[WeightPickle, ...]) -> None:
    """No pickle in the weights needs more than tensors, arrays and plain collections."""
    foreign = [entry for entry in vcp_weight_pickles if entry.foreign]
    if foreign:
        first = foreign[0]
        raise Violation(
            expected="weights whose pickles build tensors, arrays and plain collections only",
            found=f"a pickle that needs {first.foreign}{and_others(len(foreign))}",
            remedy="save arrays and state dicts (safetensors, .npz, torch), not objects",
            where=Location(first.path),
        )
    for entry in vcp_weight_pickles:
        if entry.unread:
            raise Unverified(f"{entry.path} can't be followed to its end: {entry.unread}")


def pickle_problem(pickle: PickleFacts) -> tuple[str, str] | None:
    """Describe what prevents the pickled wrapper from being loaded, and the remedy."""
    if pickle.problem:
        return pickle.problem, "check what model_code changes in MLflow while it is imported"
    if pickle.harmful:
        return (
            f"a pickle that {pickle.harmful[0]}{and_others(len(pickle.harmful))}",
            "keep plain values on self; whatever has to run, runs in load_context",
        )
    if pickle.by_value:
        return (
            f"the code of {name_rebuilt_kind(pickle.by_value[0])}, which other Pythons can't read",
            "define it at the top of a module in model_code; no lambda or inner function on self",
        )
    return None


def held_problem(pickle: PickleFacts, settings: Settings) -> tuple[str, str] | None:
    """Describe what else the pickled wrapper contains, and how to keep it out."""
    in_load_context = "load weights in load_context, not in the constructor"
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


def name_rebuilt_kind(maker: str) -> str:
    """Name the kind of object that a function of cloudpickle rebuilds from code in the pickle."""
    return "a function, perhaps a lambda" if maker.endswith("_make_function") else "a class"


# ---------------------------------------------------------------------------------- reproducible
#
# The same package gives the same artifact.


@rule("VCP611")
def test_vcp611_packaging_can_be_repeated(
    vcp_repackaging: Repackaging, vcp_pickle: PickleFacts
) -> None:
    """Packaging twice gives the same artifact, time stamps and ids aside."""
    expected = "the same files from packaging the same package twice"
    in_constructor = "keep times, random values and counters off self; set them in load_context"
    second = vcp_repackaging
    if second.failure is not None:
        raise Unverified(f"packaging a second time failed: {second.failure.summary}")
    if second.attribute is not None:
        raise Violation(
            expected=expected,
            found=f"a different value of self.{second.attribute} each time",
            remedy=in_constructor,
            where=Location("python_model.pkl"),
        )
    if second.differing:
        raise Violation(
            expected=expected,
            found=f"a different {second.differing[0]} each time{and_others(len(second.differing))}",
            remedy="make nothing in model_code and model_spec.py depend on time or chance",
            where=Location(second.differing[0]),
        )
    if vcp_pickle.has_unordered:
        raise Violation(
            expected=expected,
            found="a set of texts on the wrapper, which each process orders differently",
            remedy="keep a sorted list or a tuple on self",
            where=Location("python_model.pkl"),
        )
