"""Whether MLflow's calls fit a method's parameters, judged with Python's own binding.

MLflow 3.1 calls `load_context(context)` when it saves a model and `load_context(context=context)`
when it loads one. It looks at the names of predict's parameters to decide what to pass:
the context first if a parameter is named `context`, or if exactly two are named neither `self`
nor `params`; then the model input; then `params=` if there is a parameter of that name.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from inspect import Parameter

from pytest_vcp.source.methods import Method

_POSITIONAL = Parameter.POSITIONAL_OR_KEYWORD
_CONTEXT, _INPUT, _PARAMS = "the context", "the model input", "the params"


def load_context_problem(method: Method) -> str | None:
    """Why MLflow can't call this load_context; None where it can."""
    if method.opaque:
        return None
    if isinstance(method.node, ast.AsyncFunctionDef):
        return f"async def {method.signature}, which MLflow never awaits"
    try:
        bound = _bound_signature(method, wrapped_static=False)
        bound.bind(_CONTEXT)
        bound.bind(context=_CONTEXT)
    except (TypeError, ValueError) as error:
        return f"{method.signature}: {error}"
    return None


def predict_problem(method: Method) -> str | None:
    """Why MLflow can't call this predict; None where it can."""
    if method.opaque:
        return None
    if isinstance(method.node, ast.AsyncFunctionDef):
        return f"async def {method.signature}, which MLflow never awaits"
    try:
        bound = _bound_signature(method, wrapped_static=True)
        positional = [_CONTEXT, _INPUT] if _takes_context(bound.parameters) else [_INPUT]
        keywords = {"params": _PARAMS} if "params" in bound.parameters else {}
        received = bound.bind(*positional, **keywords).arguments
    except (TypeError, ValueError) as error:
        return f"{method.signature}: {error}"
    return _mix_up(method, received)


def _mix_up(method: Method, received: Mapping[str, object]) -> str | None:
    """A call that binds can still hand the context to the parameter meant for the input."""
    for name, expected in (("context", _CONTEXT), ("model_input", _INPUT)):
        value = received.get(name, expected)
        if value != expected:
            return f"{method.signature}: MLflow would pass {value} as {name}"
    return None


def _takes_context(parameters: Mapping[str, Parameter]) -> bool:
    others = [name for name in parameters if name not in ("self", "params")]
    return "context" in parameters or len(others) == 2


def _bound_signature(method: Method, *, wrapped_static: bool) -> inspect.Signature:
    """The parameters that are left to the caller.

    MLflow wraps the predict of every class derived from PythonModel in a plain function. A
    static predict thereby receives the object after all (`wrapped_static`).
    """
    parameters = _parameters(method.node.args)
    if method.kind == "static" and not wrapped_static:
        return inspect.Signature(parameters)
    if not parameters or parameters[0].kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
        raise TypeError("it takes no self")
    starred = parameters[0].kind is Parameter.VAR_POSITIONAL
    return inspect.Signature(parameters if starred else parameters[1:])


def _parameters(args: ast.arguments) -> list[Parameter]:
    plain = [*args.posonlyargs, *args.args]
    required = len(plain) - len(args.defaults)
    found = [
        Parameter(
            arg.arg,
            Parameter.POSITIONAL_ONLY if arg in args.posonlyargs else _POSITIONAL,
            default=Parameter.empty if index < required else None,
        )
        for index, arg in enumerate(plain)
    ]
    if args.vararg:
        found.append(Parameter(args.vararg.arg, Parameter.VAR_POSITIONAL))
    found += [
        Parameter(arg.arg, Parameter.KEYWORD_ONLY, default=Parameter.empty if d is None else None)
        for arg, d in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    if args.kwarg:
        found.append(Parameter(args.kwarg.arg, Parameter.VAR_KEYWORD))
    return found
