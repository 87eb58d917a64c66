"""What becomes of a signature, and of outputs like the declared ones, when they travel as JSON."""

from __future__ import annotations

import json
from typing import Any

from .outputs import through_json
from .plain import dtype_name, first_line, strict_json

# Floats of less than 32 bits, those of extension packages among them.
_NARROW = ("float16", "bfloat", "float8", "float6_", "float4")
# Bytes of the widest float that everyone has.
_WIDEST_FLOAT = 8
_EXACT = {"absolute": 0.0, "relative": 0.0, "mismatch_ppm": 0.0}


def signature_problem(signature: Any) -> str | None:
    """Why what MLflow writes into MLmodel is not the signature any more; None where it is."""
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
    """The first part of the signature that came back as something else."""
    for part in ("inputs", "outputs", "params"):
        before, after = (_entries(getattr(each, part)) for each in (signature, read))
        if len(before) != len(after):
            return f"{len(before)} {part} come back as {len(after)}"
        for old, new in zip(before, after, strict=True):
            if old != new:
                return f"{_told(old)} comes back as {_told(new)}"
    return "it comes back as another signature"


def _entries(schema: Any) -> list[Any]:
    return [] if schema is None else list(schema)


def _told(entry: Any) -> str:
    """An input, output or param in a few words, which show what MLflow's own text leaves out."""
    from mlflow.types import TensorSpec

    if isinstance(entry, TensorSpec):
        return f"a TensorSpec of {dtype_name(entry.type)}, {entry.shape}"
    return f"the {type(entry).__name__} {' '.join(str(entry).split())[:80]}"


def dtype_problem(dtype: Any) -> str | None:
    """Why arrays of this dtype can't travel as JSON; None where they come back as they were."""
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
    """A small array of the dtype; of ones, where there is a one."""
    import numpy

    if dtype.kind in "MmV":
        return numpy.zeros((1, 2), dtype)
    return numpy.ones((1, 2), dtype)
