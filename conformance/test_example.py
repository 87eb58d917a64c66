"""Section 5: the input example, the first request that the hub sends."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pytest_vcp.evaluation.spec import (
    Enforcement,
    Example,
    ExampleInput,
    Field,
    ModelSpec,
    Opening,
    RoundTrip,
    uri_column,
)
from pytest_vcp.rules.outcomes import Blocked, Location, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.util.text import truncate

_NOT_THERE = "there is no such file or directory"


# Maximum characters of a problem in a message.
_WIDEST = 110


@rule("VCP501")
def test_vcp501_example_is_a_frame_and_params(vcp_spec: ModelSpec) -> None:
    """INPUT_EXAMPLE is a pair of a DataFrame with at least one row and a dict of params."""
    example = vcp_spec.example
    received = None
    if not example.declared:
        received = "no INPUT_EXAMPLE"
    elif not example.is_example:
        received = f"a {example.type}"
    elif not example.rows:
        received = "a DataFrame without rows"
    if received:
        raise Violation(
            expected="INPUT_EXAMPLE = (DataFrame with at least one row, dict of params)",
            found=received,
            remedy="write (pd.DataFrame({...}), {...}); the dict may be empty",
            where=example.where,
        )


@rule("VCP502")
def test_vcp502_example_satisfies_the_input_schema(vcp_spec: ModelSpec) -> None:
    """The example's frame passes MLflow's own enforcement of the input schema."""
    problem = require_enforcement(vcp_spec).frame
    if problem:
        raise Violation(
            expected="a frame that MLflow accepts for the signature's inputs",
            found=problem,
            remedy="give the columns and types of MODEL_SIGNATURE, or correct the signature",
            where=vcp_spec.example.where,
        )


@rule("VCP503")
def test_vcp503_example_params_are_declared(vcp_spec: ModelSpec) -> None:
    """Every param of the example is declared in the signature, and of its declared type."""
    found = require_enforcement(vcp_spec)
    if found.unknown_params:
        known = ", ".join(param.name for param in vcp_spec.signature.params) or "none"
        raise Violation(
            expected=f"params that the signature declares: {known}",
            found=f"{found.unknown_params[0]!r}, which MLflow ignores silently",
            remedy="declare it with ParamSpec in MODEL_SIGNATURE, or remove it from the example",
            where=vcp_spec.example.where,
        )
    if found.params:
        raise Violation(
            expected="params of their declared types",
            found=found.params,
            remedy="give a value of the type that ParamSpec declares",
            where=vcp_spec.example.where,
        )


@rule("VCP504")
def test_vcp504_example_inputs_are_in_the_package(
    vcp_spec: ModelSpec, vcp_settings: Settings
) -> None:
    """Every input of the example is a relative path to something inside the package."""
    example = require_example(vcp_spec)
    column = vcp_settings.policy.input_column
    placeholder = vcp_settings.policy.placeholders.input
    if inputs(vcp_spec)[0] != uri_column(column):
        raise Blocked("VCP402")
    if column not in example.columns:
        raise Blocked("VCP502")
    for row, record in enumerate(example.records):
        uri = record.get(column)
        shown = "a value that is no text" if uri is None else repr(uri)
        problem = None if uri is None else uri_problem(uri, vcp_settings.pkg_dir, placeholder)
        if problem == _NOT_THERE and vcp_settings.artifact_only is not None:
            raise Unverified("the inputs of the example are not part of an artifact")
        if uri is None or problem:
            raise Violation(
                expected=f"a path relative to the package in {column!r}, to a real input in it",
                found=f"{shown} in row {row}" + (f": {problem}" if problem else ""),
                remedy="put a small real input beside model_spec.py and name it relative to that",
                where=example.where,
            )


@rule("VCP505")
def test_vcp505_example_inputs_open(vcp_openings: tuple[Opening, ...], vcp_spec: ModelSpec) -> None:
    """Every input of the example opens as what its name says, and is not empty."""
    for entry in vcp_openings:
        received = entry.failure.summary if entry.failure else entry.problem
        if received:
            old = f"too new for {entry.too_old}: " if entry.too_old else ""
            raise Violation(
                expected=f"{entry.uri} to open as its name says, and to hold something",
                found=truncate(f"{old}{received}", _WIDEST),
                remedy="pin a newer release of that library, or write the file with the pinned one"
                if entry.too_old
                else "put a sound file there, or rename it; a clone may lack what Git LFS keeps",
                where=vcp_spec.example.where,
            ) from entry.failure
    for entry in vcp_openings:
        if entry.lacking:
            raise Unverified(f"the environment has no {entry.lacking} to open {entry.uri} with")


@rule("VCP506")
def test_vcp506_example_inputs_are_small(
    vcp_inputs: tuple[ExampleInput, ...], vcp_settings: Settings, vcp_spec: ModelSpec
) -> None:
    """The inputs of the example are no larger than the policy allows."""
    most = vcp_settings.policy.input_bytes
    total = sum(entry.bytes for entry in vcp_inputs)
    if total > most:
        largest = max(vcp_inputs, key=lambda entry: entry.bytes)
        raise Violation(
            expected=f"inputs of at most {most:,} bytes",
            found=f"{total:,} bytes, most of them in {largest.uri}",
            remedy="keep a few observations that show what the model does",
            where=vcp_spec.example.where,
        )


@rule("VCP507")
def test_vcp507_example_survives_serving_json(vcp_spec: ModelSpec) -> None:
    """The example survives serving JSON and back."""
    if inputs(vcp_spec)[0].is_tensor:
        raise Blocked("VCP402")
    trip = require_round_trip(vcp_spec)
    received = trip.problem or (trip.differences[0] if trip.differences else None)
    if received:
        raise Violation(
            expected="the same frame and params after serving JSON and back",
            found=received,
            remedy="use values that JSON can carry, of the types that the signature declares",
            where=vcp_spec.example.where,
        )


@rule("VCP508")
def test_vcp508_payload_satisfies_the_signature(
    vcp_payload: Enforcement | None, vcp_settings: Settings, vcp_spec: ModelSpec
) -> None:
    """A payload file passes MLflow's own enforcement of the signature."""
    if vcp_payload is None:
        return
    received, remedy = vcp_payload.frame, "give the columns and types that MODEL_SIGNATURE declares"
    if vcp_payload.unknown_params:
        known = ", ".join(param.name for param in vcp_spec.signature.params) or "none"
        received = f"the param {vcp_payload.unknown_params[0]!r}, which MLflow ignores silently"
        remedy = f"remove it; the signature declares: {known}"
    elif vcp_payload.params:
        received, remedy = vcp_payload.params, "give values of the types that ParamSpec declares"
    if received:
        raise Violation(
            expected="a payload that MLflow accepts for the signature",
            found=truncate(received, _WIDEST),
            remedy=remedy,
            where=Location(str(vcp_settings.payload)),
        )


def inputs(spec: ModelSpec) -> tuple[Field, ...]:
    """Return the declared inputs. Raises Blocked without any."""
    if not spec.signature.inputs:
        raise Blocked("VCP401")
    return spec.signature.inputs


def require_example(spec: ModelSpec) -> Example:
    """Return the example. Raises Blocked where it is not valid."""
    if not spec.example.is_example or not spec.example.rows:
        raise Blocked("VCP501")
    return spec.example


def require_enforcement(spec: ModelSpec) -> Enforcement:
    """Return MLflow's findings on the example. Raises Blocked where it could not be checked."""
    require_example(spec)
    if spec.enforcement is None:
        raise Blocked("VCP401")
    return spec.enforcement


def require_round_trip(spec: ModelSpec) -> RoundTrip:
    """Return the result of the round trip through JSON. Raises Blocked where it was not tried."""
    found = require_enforcement(spec)
    if found.frame:
        raise Blocked("VCP502")
    if found.params or found.unknown_params:
        raise Blocked("VCP503")
    assert spec.round_trip is not None
    return spec.round_trip


def uri_problem(uri: str, pkg_dir: Path, placeholder: str) -> str | None:
    """Say why a path can't be replayed from a copy of the package; None where it can."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", uri):
        return "it is a remote or absolute URI"
    if Path(uri).is_absolute():
        return "it is an absolute path"
    if uri == placeholder:
        return "it is the placeholder of the template"
    if not uri.strip() or not os.path.exists(pkg_dir / uri):
        return _NOT_THERE
    path, package = (pkg_dir / uri).resolve(), pkg_dir.resolve()
    if path == package:
        return "it is the package itself"
    if not path.is_relative_to(package):
        return "it leads out of the package, by .. or by a link"
    return None
