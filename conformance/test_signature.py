"""Section 4: the signature that model_spec.py declares."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_vcp.artifact.artifact import ModelArtifact
from pytest_vcp.evaluation.spec import Description, Field, ModelSpec, Signature, uri_column
from pytest_vcp.rules.outcomes import Blocked, Location, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.util.text import truncate


@rule("VCP401")
def test_vcp401_signature_is_a_model_signature(vcp_description: Description) -> None:
    """MODEL_SIGNATURE is a ModelSignature with inputs and outputs."""
    expected = "MODEL_SIGNATURE, an mlflow.models.ModelSignature with inputs and outputs"
    spec, failure = vcp_description.spec, vcp_description.failure
    if spec is None:
        raise Violation(
            expected=expected,
            found=str(failure),
            remedy="build it from ModelSignature, Schema, ColSpec and TensorSpec",
            where=(failure and failure.where) or Location(vcp_description.file),
        )
    signature = spec.signature
    received = None
    if not signature.declared:
        received = "no MODEL_SIGNATURE"
    elif not signature.is_signature:
        received = f"a {signature.type}"
    elif not signature.inputs or not signature.outputs:
        missing = [part for part in ("inputs", "outputs") if not getattr(signature, part)]
        received = f"a signature without {' and '.join(missing)}"
    if received:
        raise Violation(
            expected=expected,
            found=received,
            remedy="assign MODEL_SIGNATURE = ModelSignature(inputs=..., outputs=..., params=...)",
            where=signature.where,
        )


@rule("VCP402")
def test_vcp402_first_input_is_the_uri(vcp_spec: ModelSpec, vcp_settings: Settings) -> None:
    """The first input is a required string column named input_uri."""
    signature = require_signature(vcp_spec)
    first = signature.inputs[0]
    column = vcp_settings.policy.input_column
    if first != uri_column(column):
        raise Violation(
            expected=f"a required string column {column!r} as first input",
            found=describe_field(first),
            remedy=f'make ColSpec("string", "{column}") the first input of the signature',
            where=signature.where,
        )


@rule("VCP403")
def test_vcp403_inputs_are_named_columns(vcp_spec: ModelSpec) -> None:
    """Every further input is a named column, and no name occurs twice."""
    signature = require_signature(vcp_spec)
    for position, entry in enumerate(signature.inputs[1:], start=2):
        if entry.is_tensor or not entry.name:
            raise Violation(
                expected=f"a named column as input {position}",
                found=describe_field(entry),
                remedy="declare it as ColSpec(type, name)",
                where=signature.where,
            )
    if twice := find_repeated_name(entry.name for entry in signature.inputs):
        raise Violation(
            expected="inputs with different names",
            found=f"two inputs named {twice!r}",
            remedy="give each column a different name",
            where=signature.where,
        )


@rule("VCP404")
def test_vcp404_outputs_are_tensors(vcp_spec: ModelSpec) -> None:
    """There is at least one output, each is a TensorSpec, and several have distinct names."""
    signature = require_signature(vcp_spec)
    for entry in signature.outputs:
        if not entry.is_tensor:
            raise Violation(
                expected="a TensorSpec for every output",
                found=describe_field(entry),
                remedy="declare it as TensorSpec(np.dtype(...), (-1, ...))",
                where=signature.where,
            )
    if len(signature.outputs) == 1:
        return
    names = [entry.name for entry in signature.outputs]
    twice = find_repeated_name(names)
    if twice or not all(names):
        raise Violation(
            expected=f"a name of its own for each of the {len(names)} outputs",
            found=f"two outputs named {twice!r}" if twice else "an output without a name",
            remedy="pass the name as third argument of TensorSpec",
            where=signature.where,
        )


@rule("VCP405")
def test_vcp405_shapes_describe_arrays(vcp_spec: ModelSpec) -> None:
    """Every output shape has rank 1 or more, and dimensions that are positive or -1."""
    signature = require_signature(vcp_spec)
    for entry in signature.outputs:
        shape = entry.shape
        if shape is None:
            raise Blocked("VCP404")
        if not shape or not all(is_dimension(size) for size in shape):
            raise Violation(
                expected="a shape of positive integers and -1 for what is free, such as (-1, 50)",
                found=f"{shown_shape(shape)} for {titled(entry.name)}",
                remedy="declare the shape that predict returns, observations first",
                where=signature.where,
            )


@rule("VCP406")
def test_vcp406_params_have_defaults(vcp_spec: ModelSpec) -> None:
    """Every param has a default of its own declared type."""
    signature = require_signature(vcp_spec)
    for param in signature.params:
        if param.problem:
            raise Violation(
                expected=f"a default of type {param.type} for the param {param.name!r}",
                found=f"{param.default}: {param.problem}",
                remedy="declare a wider type, such as long, or give a default within the range"
                if "beyond the range" in param.problem
                else "give the value that the model uses when the request names none",
                where=signature.where,
            )


@rule("VCP407")
def test_vcp407_params_and_columns_have_different_names(vcp_spec: ModelSpec) -> None:
    """No param has the name of an input column."""
    signature = require_signature(vcp_spec)
    columns = {entry.name for entry in signature.inputs}
    both = [param.name for param in signature.params if param.name in columns]
    if both:
        raise Violation(
            expected="params and input columns with different names",
            found=f"{both[0]!r} as column and as param{and_others(len(both))}",
            remedy="keep the column where it differs from row to row, the param where it does not",
            where=signature.where,
        )


@rule("VCP408")
def test_vcp408_signature_survives_json(vcp_spec: ModelSpec) -> None:
    """MLflow reads the same signature from the JSON that it writes."""
    signature = require_signature(vcp_spec)
    if signature.problem:
        raise Violation(
            expected="a signature that MLflow reads from its JSON as it was",
            found=format_value(signature.problem),
            remedy="give dimensions as int, defaults as finite values, dtypes in native byte order",
            where=signature.where,
        )


@rule("VCP409")
def test_vcp409_artifact_carries_the_signature(
    vcp_source_spec: ModelSpec, vcp_artifact: ModelArtifact
) -> None:
    """The saved MLmodel contains exactly the declared signature."""
    signature = require_signature(vcp_source_spec)
    saved = vcp_artifact.signature
    for part, wanted in (signature.document or {}).items():
        if saved.get(part) != wanted:
            raise Violation(
                expected=f"the {part} of MODEL_SIGNATURE in MLmodel: {format_value(wanted)}",
                found=format_value(saved.get(part)),
                remedy="remove the type hints of predict's model_input: MLflow prefers them",
                where=signature.where,
            )


@rule("VCP410")
def test_vcp410_output_dtypes_travel_as_json(vcp_spec: ModelSpec) -> None:
    """Arrays of every declared output dtype survive JSON."""
    signature = require_signature(vcp_spec)
    for entry in signature.outputs:
        if entry.json_problem:
            raise Violation(
                expected=f"a dtype for {titled(entry.name)} that JSON can carry, such as float32",
                found=f"{entry.type}: {format_value(entry.json_problem)}",
                remedy="declare and return float32 or float64, an integer, bool or str dtype",
                where=signature.where,
            )


@rule("VCP411")
def test_vcp411_outputs_have_a_fixed_dimension(vcp_spec: ModelSpec) -> None:
    """Every output of rank 2 or more declares the size of at least one dimension."""
    signature = require_signature(vcp_spec)
    for entry in signature.outputs:
        shape = entry.shape or ()
        if len(shape) > 1 and all(size == -1 for size in shape):
            raise Violation(
                expected=f"a number for at least one dimension of {titled(entry.name)}",
                found=f"the shape {shown_shape(shape)}",
                remedy="declare what the model fixes, such as the width of the embedding: (-1, 50)",
                where=signature.where,
            )


def require_signature(spec: ModelSpec) -> Signature:
    """Return the signature. Raises Blocked without a complete one."""
    if not (spec.signature.is_signature and spec.signature.inputs and spec.signature.outputs):
        raise Blocked("VCP401")
    return spec.signature


def describe_field(entry: Field) -> str:
    """Describe an input or output in the author's terms."""
    name = "without a name" if entry.name is None else repr(entry.name)
    if entry.is_tensor:
        return f"the TensorSpec {name} of {entry.type} {shown_shape(entry.shape or ())}"
    kind = "" if entry.required else "optional "
    return f"the {kind}{entry.type} column {name}"


def titled(name: str | None) -> str:
    """Format the name of an output in a message."""
    return f"output {name!r}" if name else "the output"


def shown_shape(shape: tuple[int | str, ...]) -> str:
    """Format a shape as Python writes it."""
    inner = ", ".join(str(size) for size in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def is_dimension(size: int | str) -> bool:
    """Return whether a size is a positive integer, or -1 for a free dimension."""
    return isinstance(size, int) and (size > 0 or size == -1)


def find_repeated_name(names: Iterable[str | None]) -> str | None:
    """Return the first name that occurs twice; None without one."""
    seen = set()
    for name in names:
        if name is not None and name in seen:
            return name
        seen.add(name)
    return None


def format_value(value: object) -> str:
    """Format a JSON value, truncated to fit on a line."""
    return truncate(str(value), 90)
