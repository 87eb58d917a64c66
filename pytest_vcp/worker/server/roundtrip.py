"""The round trip of the example through serving JSON, and the differences that it makes.

Both sides are compared as the model would receive them: after MLflow's own enforcement of the
signature, which casts an int32 to a declared long, or a date string to a declared datetime.
"""

from __future__ import annotations

import json
from typing import Any

from .outputs import through_json
from .plain import dtype_name, first_line, is_same, strict_json, to_python


def examine(signature: Any, example: Any) -> dict[str, Any]:
    """Report problem and differences of the round trip; both empty where the example survives it.

    `payload` is the example in JSON, as MLflow also ships it with the artifact.
    """
    frame, params = example
    payload = None
    try:
        payload = _as_json(example)
        received_frame, received_params = _parse(signature, payload)
        sent_frame = _enforce(frame, signature)
        received_frame = _enforce(received_frame, signature)
        differences = _frame_differences(sent_frame, received_frame)
        differences += _param_differences(params, received_params, signature)
    except Exception as problem:  # noqa: BLE001 - MLflow and pandas raise many kinds
        return {"problem": first_line(problem), "differences": [], "payload": payload}
    return {"problem": None, "differences": differences, "payload": payload}


def _as_json(example: Any) -> dict[str, Any]:
    from mlflow.models import convert_input_example_to_serving_input

    payload: dict[str, Any] = strict_json(convert_input_example_to_serving_input(example))
    return payload


def _parse(signature: Any, payload: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    body = {name: value for name, value in payload.items() if name != "params"}
    return infer_and_parse_data(body, signature.inputs), payload.get("params", {})


def _enforce(frame: Any, signature: Any) -> Any:
    # MLflow has no public function that returns the enforced frame.
    from mlflow.models.utils import _enforce_schema

    return frame if signature.inputs is None else _enforce_schema(frame, signature.inputs)


def _frame_differences(sent: Any, received: Any) -> list[str]:
    """List the columns that changed. The row index is never sent, so it is not compared."""
    differences = []
    for name in sent.columns:
        if name not in received.columns:
            differences.append(f"column {name!r} is lost")
        elif _kind(sent[name].dtype) != _kind(received[name].dtype):
            differences.append(
                f"column {name!r}: {sent[name].dtype} becomes {received[name].dtype}"
            )
        else:
            differences += _cell_differences(name, sent[name], received[name])
    return differences


def _kind(dtype: Any) -> str:
    """Return the dtype, the same for all that pandas uses for strings; their cells are compared."""
    name = str(dtype)
    return "object" if name.startswith("str") else name


def _cell_differences(name: str, sent: Any, received: Any) -> list[str]:
    if len(sent) != len(received):
        return [f"column {name!r}: {len(sent)} rows become {len(received)}"]
    for row, (before, after) in enumerate(zip(sent.tolist(), received.tolist(), strict=True)):
        if not is_same(to_python(before), to_python(after)):
            return [f"column {name!r}, row {row}: {before!r} becomes {after!r}"]
    return []


def _param_differences(sent: dict[str, Any], received: dict[str, Any], signature: Any) -> list[str]:
    specs = {entry.name: entry for entry in (signature.params or ())}
    differences = []
    for name, value in sent.items():
        if name not in received:
            differences.append(f"param {name!r} is lost")
            continue
        before, after = to_python(value), received[name]
        if name in specs and value is not None:
            check = type(specs[name]).validate_param_spec
            before, after = check(value, specs[name]), check(after, specs[name])
        if not is_same(before, after):
            differences.append(f"param {name!r}: {value!r} becomes {received[name]!r}")
    return differences


# ---------------------------------------------------------------------------- problems with JSON
#
# Changes to a signature, and to outputs like the declared ones, when they are sent as JSON.

# Floats of less than 32 bits, including those of extension packages.
_NARROW = ("float16", "bfloat", "float8", "float6_", "float4")
# Bytes of the widest float that every platform has.
_WIDEST_FLOAT = 8
_EXACT = {"absolute": 0.0, "relative": 0.0, "mismatch_ppm": 0.0}


def signature_problem(signature: Any) -> str | None:
    """Describe how MLflow changes the signature on writing MLmodel; None where it does not."""
    from mlflow.models import ModelSignature

    try:
        written = signature.to_dict()
        for text in written.values():
            if isinstance(text, str):
                strict_json(text)
        read = ModelSignature.from_dict(json.loads(json.dumps(written)))
    except Exception as problem:  # noqa: BLE001 - any type may be in a signature
        return first_line(problem)
    return None if read == signature else _difference(signature, read)


def _difference(signature: Any, read: Any) -> str:
    """Describe the first part of the signature that came back changed."""
    for part in ("inputs", "outputs", "params"):
        before, after = (_entries(getattr(each, part)) for each in (signature, read))
        if len(before) != len(after):
            return f"{len(before)} {part} come back as {len(after)}"
        for old, new in zip(before, after, strict=True):
            if old != new:
                return f"{_describe(old)} comes back as {_describe(new)}"
    return "it comes back as another signature"


def _entries(schema: Any) -> list[Any]:
    return [] if schema is None else list(schema)


def _describe(entry: Any) -> str:
    """Describe an input, output or param in a few words, with details that MLflow leaves out."""
    from mlflow.types import TensorSpec

    if isinstance(entry, TensorSpec):
        return f"a TensorSpec of {dtype_name(entry.type)}, {entry.shape}"
    return f"the {type(entry).__name__} {' '.join(str(entry).split())[:80]}"


def dtype_problem(dtype: Any) -> str | None:
    """Explain why arrays of this dtype can't be sent as JSON; None where they return unchanged."""
    if dtype.hasobject:
        return "an array of Python objects may hold anything"
    if dtype.name.startswith(_NARROW):
        return "JSON has wider numbers, and few of its readers have this type"
    if dtype.kind == "S":
        return "JSON has texts, and no bytes"
    if dtype.kind == "f" and dtype.itemsize > _WIDEST_FLOAT:
        return "JSON's readers have no numbers of this width"
    try:
        return through_json(_sample(dtype), _EXACT)
    except Exception as problem:  # noqa: BLE001 - TensorSpec takes any dtype that numpy has
        return f"an array of it can't even be compared: {first_line(problem)}"


def _sample(dtype: Any) -> Any:
    """Create a small array of the dtype; of ones, where the dtype has a one."""
    import numpy

    if dtype.kind in "MmV":
        return numpy.zeros((1, 2), dtype)
    return numpy.ones((1, 2), dtype)
