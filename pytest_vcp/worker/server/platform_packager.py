"""Checks where the platform's own packager differs from this one, without loading once more.

It calls the class without arguments, and pickles the object after load_context has filled it.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

from .plain import first_line

Reply = dict[str, Any]

# Methods with which a class customizes its pickling.
_OWN_WAYS = ("__getstate__", "__reduce__", "__reduce_ex__")
# Module and name of types that are not tried, since they can be pickled, whatever their size.
_ARRAYS = (("numpy", "ndarray"), ("torch", "Tensor"), ("torch.nn.parameter", "Parameter"))


def without_arguments(wrapper: Callable[..., Any]) -> str | None:
    """Return the error of calling the class without arguments, as text; None without one."""
    if not inspect.signature(wrapper).parameters:
        return None
    try:
        wrapper()
    except Exception as problem:  # noqa: BLE001 - the author's code may raise anything
        return f"{type(problem).__name__}: {first_line(problem)}"
    return None


def as_loaded(model: Any) -> Any:
    """Copy the attributes that load_context has set, so that predicting does not add to them.

    Return the object itself where its class customizes pickling, or it has no attributes by name.
    """
    its_own = any(name in entry.__dict__ for entry in _own_classes(model) for name in _OWN_WAYS)
    held = getattr(model, "__dict__", None)
    return model if its_own or held is None else dict(held)


def pickled(state: Reply, params: Reply) -> Reply:
    """Report why the object can't be pickled: `problem`, and the `attribute` if one is at fault."""
    loaded = state["as_loaded"]
    problem = _problem(loaded)
    attribute = None
    if problem is not None:
        held = loaded if isinstance(loaded, dict) else getattr(loaded, "__dict__", {})
        attribute = next((name for name, value in held.items() if _problem(value)), None)
    return {"problem": problem, "attribute": attribute}


def _own_classes(model: Any) -> tuple[type, ...]:
    """Return the classes of the model that are not MLflow's."""
    classes = type(model).__mro__[:-1]
    return tuple(entry for entry in classes if not entry.__module__.startswith("mlflow."))


def _problem(value: Any) -> str | None:
    cloudpickle = importlib.import_module("cloudpickle")  # It comes with MLflow.

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc, name-defined]
        def persistent_id(self, found: Any) -> str | None:
            kind = type(found)
            plain = (kind.__module__, kind.__name__) in _ARRAYS
            return "array" if plain and str(found.dtype) != "object" else None

    try:
        Pickler(_Nowhere()).dump(value)
    except Exception as problem:  # noqa: BLE001 - objects of any type are pickled here
        return f"{type(problem).__name__}: {first_line(problem)}"
    return None


class _Nowhere:
    """A file that discards everything."""

    def write(self, data: Any) -> int:
        return len(data)
