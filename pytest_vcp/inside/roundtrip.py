"""Send the example through serving JSON and back, and list what came back differently.

Both sides are compared as the model would receive them: after MLflow's own enforcement of the
signature, which casts an int32 to a declared long, or a date string to a declared datetime.
"""

from __future__ import annotations

from typing import Any

from .plain import first_line, plain, same, strict_json


def examine(signature: Any, example: Any) -> dict[str, Any]:
    """Problem and differences of the round trip; both empty where the example survives it.

    `payload` is what travels; it is also what MLflow ships with the artifact.
    """
    frame, params = example
    payload = None
    try:
        payload = _as_json(example)
        received_frame, received_params = _parsed(signature, payload)
        sent_frame = _enforced(frame, signature)
        received_frame = _enforced(received_frame, signature)
        differences = _frame_differences(sent_frame, received_frame)
        differences += _param_differences(params, received_params, signature)
    except Exception as problem:  # noqa: BLE001 - MLflow and pandas raise many kinds
        return {"problem": first_line(problem), "differences": [], "payload": payload}
    return {"problem": None, "differences": differences, "payload": payload}


def _as_json(example: Any) -> dict[str, Any]:
    from mlflow.models import convert_input_example_to_serving_input

    payload: dict[str, Any] = strict_json(convert_input_example_to_serving_input(example))
    return payload


def _parsed(signature: Any, payload: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    body = {name: value for name, value in payload.items() if name != "params"}
    return infer_and_parse_data(body, signature.inputs), payload.get("params", {})


def _enforced(frame: Any, signature: Any) -> Any:
    # MLflow has no public function that returns what enforcement makes of a frame.
    from mlflow.models.utils import _enforce_schema

    return frame if signature.inputs is None else _enforce_schema(frame, signature.inputs)


def _frame_differences(sent: Any, received: Any) -> list[str]:
    """Columns that changed. The row index never travels, so it is not compared."""
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
    """The dtype; pandas has several for Python objects, and changes among them. Cells tell."""
    name = str(dtype)
    return "object" if name.startswith("str") else name


def _cell_differences(name: str, sent: Any, received: Any) -> list[str]:
    if len(sent) != len(received):
        return [f"column {name!r}: {len(sent)} rows become {len(received)}"]
    for row, (before, after) in enumerate(zip(sent.tolist(), received.tolist(), strict=True)):
        if not same(plain(before), plain(after)):
            return [f"column {name!r}, row {row}: {before!r} becomes {after!r}"]
    return []


def _param_differences(sent: dict[str, Any], received: dict[str, Any], signature: Any) -> list[str]:
    specs = {entry.name: entry for entry in (signature.params or ())}
    differences = []
    for name, value in sent.items():
        if name not in received:
            differences.append(f"param {name!r} is lost")
            continue
        before, after = plain(value), received[name]
        if name in specs and value is not None:
            check = type(specs[name]).validate_param_spec
            before, after = check(value, specs[name]), check(after, specs[name])
        if not same(before, after):
            differences.append(f"param {name!r}: {value!r} becomes {received[name]!r}")
    return differences
