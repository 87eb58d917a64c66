"""The description of model_spec.py: signature, example, and how MLflow handles both.

It consists of facts only; the conformance tests judge whether they are right.
"""

from __future__ import annotations

import importlib
import json
import os
import types
from typing import Any

from . import roundtrip
from .plain import dtype_name, first_line, type_name

Reply = dict[str, Any]


def describe(state: Reply, params: Reply) -> Reply:
    """Import model_spec and report on MODEL_SIGNATURE and INPUT_EXAMPLE.

    The module must be importable under the conditions of the worker.
    """
    return _describe(state, importlib.import_module("model_spec"))


def _describe(state: Reply, module: Any) -> Reply:
    signature = getattr(module, "MODEL_SIGNATURE", None)
    example = getattr(module, "INPUT_EXAMPLE", None)
    state["signature"] = signature
    state["example"] = example
    usable = is_signature(signature) and is_example(example)
    enforcement = _enforcement(signature, example) if usable else None
    # The round trip assumes an example that MLflow accepts.
    accepted = enforcement is not None and not any(enforcement.values())
    return {
        "signature": _signature(module, signature),
        "example": _example(module, example),
        "enforcement": enforcement,
        "round_trip": roundtrip.examine(signature, example) if accepted else None,
    }


def describe_artifact(state: Reply, params: Reply) -> Reply:
    """Report on signature and example of the artifact at `artifact`, in the same form."""
    from mlflow.models import Model

    path = params["artifact"]
    model = Model.load(path)
    holder = types.SimpleNamespace(MODEL_SIGNATURE=model.signature)
    try:
        frame = model.load_input_example(path)
        given = model.load_input_example_params(path)
    except Exception:  # noqa: BLE001 - whatever can't be read is no example
        with open(os.path.join(path, "input_example.json"), encoding="utf-8") as file:
            found = json.load(file)
        holder.INPUT_EXAMPLE = _with_no_params(model, found) or found
        return _describe(state, holder)
    if frame is not None:
        holder.INPUT_EXAMPLE = (frame, given or {})
    return _describe(state, holder)


def _with_no_params(model: Any, found: Any) -> tuple[Any, Reply] | None:
    """Read frame and params of an example without params; None for any other example.

    For an empty dict of params, MLflow 3.1.0 writes the file as if it had some, without recording
    that; then it can't read the file itself.
    """
    from mlflow.utils.proto_json_utils import dataframe_from_parsed_json

    if not isinstance(found, dict) or found.keys() != {"inputs", "params"} or found["params"]:
        return None
    try:
        frame = dataframe_from_parsed_json(
            found["inputs"], pandas_orient="split", schema=model.signature.inputs
        )
    except Exception:  # noqa: BLE001 - MLflow and pandas raise many kinds
        return None
    return frame, {}


def enforce_payload(state: Reply, params: Reply) -> Reply:
    """Run MLflow's own checks on the serving payload `payload`; must run after `describe`."""
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    signature = state["signature"]
    body = dict(params["payload"])
    given = body.pop("params", None)
    try:
        frame = infer_and_parse_data(body, signature.inputs)
    except Exception as problem:  # noqa: BLE001 - MLflow and pandas raise many kinds
        return {"frame": first_line(problem), "params": None, "unknown_params": []}
    reply = _enforcement(signature, (frame, given if isinstance(given, dict) else {}))
    if not isinstance(given, (dict, type(None))):
        reply["params"] = f"a {type_name(given)} where an object maps names to values"
    return reply


def is_signature(value: Any) -> bool:
    from mlflow.models import ModelSignature

    return isinstance(value, ModelSignature)


def is_example(value: Any) -> bool:
    """Return whether the value is a pair of DataFrame and dict, as the contract requires."""
    import pandas

    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[0], pandas.DataFrame)
        and isinstance(value[1], dict)
    )


def comparable(signature: Any) -> Reply:
    """Convert a signature to plain JSON values, the same for equal signatures."""
    return {
        part: json.loads(text) if isinstance(text, str) else text
        for part, text in signature.to_dict().items()
        if part in ("inputs", "outputs", "params")
    }


def _signature(module: Any, signature: Any) -> Reply:
    known = is_signature(signature)
    problem = roundtrip.signature_problem(signature) if known else None
    return {
        "declared": hasattr(module, "MODEL_SIGNATURE"),
        "type": type_name(signature),
        "is_signature": known,
        "inputs": _fields(signature.inputs) if known else [],
        "outputs": _fields(signature.outputs) if known else [],
        "params": [_param(entry) for entry in (signature.params or ())] if known else [],
        "document": comparable(signature) if known and problem is None else None,
        "problem": problem,
    }


def _fields(schema: Any) -> list[Reply]:
    return [] if schema is None else [_field(entry) for entry in schema.inputs]


def _field(entry: Any) -> Reply:
    from mlflow.types import TensorSpec

    tensor = isinstance(entry, TensorSpec)
    return {
        "name": None if entry.name is None else str(entry.name),
        "is_tensor": tensor,
        "type": dtype_name(entry.type) if tensor else getattr(entry.type, "name", str(entry.type)),
        "required": bool(getattr(entry, "required", True)),
        # MLflow accepts anything as a dimension; values other than integers are sent as text.
        "shape": [_dimension(size) for size in entry.shape] if tensor else None,
        "json_problem": roundtrip.dtype_problem(entry.type) if tensor else None,
    }


def _dimension(size: Any) -> int | str:
    import numpy

    whole = isinstance(size, (int, numpy.integer)) and not isinstance(size, bool)
    return int(size) if whole else repr(size)


def _param(entry: Any) -> Reply:
    return {
        "name": entry.name,
        "type": getattr(entry.dtype, "name", str(entry.dtype)),
        "shape": list(entry.shape) if entry.shape is not None else None,
        "default": repr(entry.default),
        "problem": _param_problem(entry, entry.default),
    }


def _param_problem(entry: Any, value: Any) -> str | None:
    """Explain why a value is not of the param's declared type, by MLflow's own check.

    None as a value, alone or in a list, is refused here, since MLflow lets it pass.
    """
    if value is None:
        return "MLflow lets it pass, and the model receives None"
    if isinstance(value, (list, tuple)) and any(item is None for item in value):
        return "MLflow lets it pass, and the model receives a list that holds None"
    try:
        type(entry).validate_param_spec(value, entry)
    except Exception as problem:  # noqa: BLE001 - MLflow raises many kinds
        return first_line(problem)
    return _overflow(entry.dtype, value)


def _overflow(dtype: Any, value: Any) -> str | None:
    """Check the range of integers: MLflow accepts any size for integer (32 bits) and long (64)."""
    import numpy
    from mlflow.types import DataType

    if dtype not in (DataType.integer, DataType.long):
        return None
    limits = numpy.iinfo(dtype.to_numpy())
    outside = [item for item in numpy.ravel(value).tolist() if not limits.min <= item <= limits.max]
    if not outside:
        return None
    # The message already names a single value.
    which = "" if outside == [value] else f"{outside[0]} is "
    return f"{which}beyond the range of {dtype.name}, {limits.min} to {limits.max}"


def _example(module: Any, example: Any) -> Reply:
    import pandas

    pair = isinstance(example, (tuple, list)) and len(example) == 2
    frame: Any = example[0] if pair else None
    params = example[1] if pair else None
    is_frame = isinstance(frame, pandas.DataFrame)
    return {
        "declared": hasattr(module, "INPUT_EXAMPLE"),
        "type": _example_type(example),
        "is_example": is_example(example),
        "rows": len(frame) if is_frame else 0,
        "columns": [str(name) for name in frame.columns] if is_frame else [],
        "records": _records(frame) if is_frame else [],
        "params": sorted(str(name) for name in params) if isinstance(params, dict) else [],
    }


def _example_type(example: Any) -> str:
    if isinstance(example, (tuple, list)):
        inner = ", ".join(type_name(item) for item in example[:5])
        return f"{type_name(example)} of ({inner})"
    return type_name(example)


def _records(frame: Any) -> list[Reply]:
    """Return the string cells of the frame, row by row, which name the inputs."""
    return [
        {str(name): value for name, value in row.items() if isinstance(value, str)}
        for row in frame.to_dict(orient="records")
    ]


def _enforcement(signature: Any, example: Any) -> Reply:
    from mlflow.models import validate_schema

    frame, params = example
    reply: Reply = {"frame": None, "params": None}
    if signature.inputs is not None:
        try:
            validate_schema(frame, signature.inputs)
        except Exception as problem:  # noqa: BLE001 - MLflow raises many kinds
            reply["frame"] = first_line(problem)
    known = {entry.name: entry for entry in (signature.params or ())}
    reply["unknown_params"] = [str(name) for name in params if name not in known]
    problems = (
        (name, _param_problem(known[name], value))
        for name, value in params.items()
        if name in known
    )
    for name, text in problems:
        if text and reply["params"] is None:
            reply["params"] = f"{name} = {params[name]!r}: {text}"
    return reply
