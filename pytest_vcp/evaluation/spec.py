"""Facts declared in model_spec.py: the worker's description in typed form."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.rules.outcomes import Location
from pytest_vcp.settings.policy import FULL
from pytest_vcp.worker.failure import WorkerFailure

FILE = "model_spec.py"

# numpy's dtypes of text and of bytes of no particular length.
_NO_LENGTH = ("<U0", "|S0")


@dataclass(frozen=True)
class Field:
    """One input or output of the signature.

    `type` is MLflow's type name for a column ("string", "long"), numpy's dtype name for a tensor
    ("float32"). `shape` is that of a tensor, -1 for a free dimension, and None for a column; a
    dimension that is not an integer is stored as text. `json_problem` says why arrays of a
    tensor's dtype can't be sent as JSON, None if they can.
    """

    name: str | None
    is_tensor: bool
    type: str
    required: bool
    shape: tuple[int | str, ...] | None
    json_problem: str | None = None

    def admits_dtype(self, dtype: str) -> bool:
        """Return whether an array of this numpy dtype is as declared.

        MLflow accepts only strings without a length (``<U0``), but every array of them has one.
        """
        return dtype == self.type or (self.type in _NO_LENGTH and dtype[:2] == self.type[:2])


def uri_column(name: str) -> Field:
    """Return the input column `name`, through which a platform passes the location of the data."""
    return Field(name=name, is_tensor=False, type="string", required=True, shape=None)


@dataclass(frozen=True)
class Param:
    """One param of the signature.

    `type` is MLflow's type name, `default` the repr of the default; `problem` says why the
    default is not of the type, None if it is.
    """

    name: str
    type: str
    default: str
    problem: str | None


@dataclass(frozen=True)
class Signature:
    """MODEL_SIGNATURE.

    `declared` is whether the name exists, `type` the Python type of its value, and `is_signature`
    whether the value is a ModelSignature; if not, the rest is empty. `document` is the JSON form,
    the same for equal signatures, and `problem` why MLflow reads another signature from it; one of
    the two is None. `where` is the line of the assignment.
    """

    declared: bool
    type: str
    is_signature: bool
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    params: tuple[Param, ...]
    document: Mapping[str, Any] | None
    problem: str | None
    where: Location


@dataclass(frozen=True)
class Example:
    """INPUT_EXAMPLE.

    `declared` is whether the name exists, `type` the Python type of its value, and `is_example`
    whether the value is a pair of DataFrame and dict. `rows` counts the rows of the frame,
    `records` holds its string cells row by row, and `params` the names of the params.
    """

    declared: bool
    type: str
    is_example: bool
    rows: int
    columns: tuple[str, ...]
    records: tuple[Mapping[str, str], ...]
    params: tuple[str, ...]
    where: Location


@dataclass(frozen=True)
class Enforcement:
    """The result of MLflow's own checks of a request; None and empty if nothing is wrong."""

    frame: str | None
    params: str | None
    unknown_params: tuple[str, ...]


@dataclass(frozen=True)
class RoundTrip:
    """The effect of a round trip through serving JSON on the example, and that JSON."""

    problem: str | None
    differences: tuple[str, ...]
    payload: Mapping[str, Any] | None


@dataclass(frozen=True)
class ModelSpec:
    """All facts about model_spec.py; the last two need a usable signature and a usable example."""

    signature: Signature
    example: Example
    enforcement: Enforcement | None
    round_trip: RoundTrip | None


@dataclass(frozen=True)
class Description:
    """The worker's description of model_spec.py or of an artifact's `file`, or why it failed."""

    spec: ModelSpec | None
    failure: WorkerFailure | None = None
    file: str = FILE


def read_spec(reply: Mapping[str, Any], declared_in: Path) -> ModelSpec:
    """Parse the reply of the worker's ``spec.describe``; `declared_in` is the file described."""
    lines = _assignments(declared_in) if declared_in.suffix == ".py" else {}
    file = declared_in.name
    signature, example = dict(reply["signature"]), dict(reply["example"])
    enforcement, round_trip = reply["enforcement"], reply["round_trip"]
    signature["inputs"] = tuple(_field(entry) for entry in signature["inputs"])
    signature["outputs"] = tuple(_field(entry) for entry in signature["outputs"])
    signature["params"] = tuple(_param(entry) for entry in signature["params"])
    for key in ("columns", "records", "params"):
        example[key] = tuple(example[key])
    return ModelSpec(
        signature=Signature(**signature, where=Location(file, lines.get("MODEL_SIGNATURE"))),
        example=Example(**example, where=Location(file, lines.get("INPUT_EXAMPLE"))),
        enforcement=enforcement and read_enforcement(enforcement),
        round_trip=round_trip
        and RoundTrip(
            round_trip["problem"], tuple(round_trip["differences"]), round_trip["payload"]
        ),
    )


def read_enforcement(reply: Mapping[str, Any]) -> Enforcement:
    """Parse the result of MLflow's checks of the example, or of another request."""
    return Enforcement(reply["frame"], reply["params"], tuple(reply["unknown_params"]))


def read_description(reply: Reply, declared_in: Path) -> Description:
    """Parse the reply to the request for a description."""
    if reply.content is None:
        return Description(None, reply.failure, declared_in.name)
    return Description(read_spec(reply.content, declared_in), file=declared_in.name)


def _field(entry: Mapping[str, Any]) -> Field:
    shape = entry["shape"]
    return Field(**{**entry, "shape": None if shape is None else tuple(shape)})


def _param(entry: Mapping[str, Any]) -> Param:
    return Param(entry["name"], entry["type"], entry["default"], entry["problem"])


def _assignments(path: Path) -> dict[str, int]:
    """Map each name to the line of its last top-level assignment."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    lines = {}
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                lines[target.id] = node.lineno
    return lines


# ------------------------------------------------------------------------------------- precision
#
# The precision in which a model computes, as selected by a param.

PARAM = "precision"
# Names of the precisions in trainers and models.
_NAMES = {
    FULL: (FULL, "32", "32-true", "fp32"),
    "tf32": ("tf32",),
    "16-mixed": ("16-mixed", "16", "16-true", "fp16", "float16"),
    "bf16-mixed": ("bf16-mixed", "bf16", "bf16-true", "bfloat16"),
}
PRECISIONS = tuple(_NAMES)


def precision_of(params: Mapping[str, Any] | None, defaults: Mapping[str, Any]) -> str:
    """Return the precision, one of PRECISIONS, of a request with `params`, others at `defaults`.

    Without such a param, or with an unknown value, it is float32.
    """
    given = {**defaults, **(params or {})}.get(PARAM)
    name = str(given).strip().lower()
    return next((known for known, names in _NAMES.items() if name in names), FULL)


def defaults_of(signature: Signature) -> dict[str, Any]:
    """Return the defaults of the declared params as values, except those that can't be read."""
    found = {}
    for param in signature.params:
        try:
            found[param.name] = ast.literal_eval(param.default)
        except (ValueError, SyntaxError):
            continue
    return found


# -------------------------------------------------------------------------------- example inputs
#
# The inputs that the example names: their paths, their sizes, and whether they can be opened.


@dataclass(frozen=True)
class ExampleInput:
    """One input: its URI as given, its path, and the bytes of all its files."""

    uri: str
    path: Path
    bytes: int


@dataclass(frozen=True)
class Opening:
    """The result of opening an input in the model's environment.

    `problem` says why it does not have the format of its name, None if it does; `too_old` is the
    library, with its version, that is too old to read it. `lacking` is the missing library that
    is needed to check it. `failure` is the failure of the process that tried.
    """

    uri: str
    problem: str | None = None
    lacking: str | None = None
    too_old: str | None = None
    failure: WorkerFailure | None = None


def read_inputs(example: Example, column: str, root: Path) -> tuple[ExampleInput, ...] | None:
    """List the inputs, each once, relative ones below `root`; None if one is missing."""
    uris = dict.fromkeys(record.get(column) for record in example.records)
    paths = {uri: root / uri for uri in uris if uri and os.path.exists(root / uri)}
    if len(paths) < len(uris):
        return None
    return tuple(ExampleInput(uri, path, sum(_sizes(path))) for uri, path in paths.items())


def read_openings(
    inputs: Iterable[ExampleInput], reply: Mapping[str, Any] | None, failure: WorkerFailure | None
) -> tuple[Opening, ...]:
    """Parse the reply of the worker's ``inputs.open_all``."""
    if reply is None:
        return tuple(Opening(entry.uri, failure=failure) for entry in inputs)
    return tuple(
        Opening(entry.uri, **found) for entry, found in zip(inputs, reply["openings"], strict=True)
    )


def _sizes(path: Path) -> Iterator[int]:
    """Yield the bytes of the file, or of each file in the directory."""
    if path.is_file():
        yield path.stat().st_size
    for parent, _, names in os.walk(path):
        for name in names:
            yield os.lstat(os.path.join(parent, name)).st_size
