"""Python values in a plain form, to be sent or shown."""

from __future__ import annotations

import json
import math
from typing import Any


def strict_json(text: str) -> Any:
    """Parse JSON as in the standard. Raises ValueError for NaN and Infinity too."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def to_python(value: Any) -> Any:
    """Convert a numpy scalar or array to the corresponding Python value."""
    convert = getattr(value, "tolist", None)
    return convert() if convert is not None else value


def is_same(before: Any, after: Any) -> bool:
    """Return whether two values are equal, where NaN equals NaN, and 1 neither True nor 1.0."""
    if isinstance(before, float) and isinstance(after, float) and math.isnan(before):
        return math.isnan(after)
    if isinstance(before, (list, tuple)) and isinstance(after, list):
        return len(before) == len(after) and all(map(is_same, before, after))
    return type(before) is type(after) and bool(before == after)


def type_name(value: Any) -> str:
    """Return the type of a value as an author would write it."""
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__name__
    return f"{kind.__module__.split('.')[0]}.{kind.__name__}"


def dtype_name(dtype: Any) -> str:
    """Return a dtype as MLflow writes it in a signature, without the length of a string."""
    flexible = {"U": "str", "S": "bytes"}
    return flexible.get(dtype.kind) or str(dtype)


def format_problem(problem: BaseException) -> str:
    """Format an exception in one line, with its type."""
    return f"{type(problem).__name__}: {first_line(problem)}"


def first_line(problem: BaseException) -> str:
    """Return an exception's message on one line, without the frame that MLflow prints into it."""
    text = " ".join(str(problem).split())
    _, _, tail = text.rpartition("Error: ")
    return (tail or text or type(problem).__name__)[:300]
