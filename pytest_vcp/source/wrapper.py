"""Facts about the model class, found in the source of model_code without importing it."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from inspect import Parameter
from typing import TYPE_CHECKING

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.bindings import (
    UNDECIDED,
    Doubt,
    Foreign,
    InnerClass,
    InnerModule,
    Names,
    NoClass,
    Target,
)
from pytest_vcp.source.methods import Ancestry, FunctionNode, Method, Methods
from pytest_vcp.source.package import SourceModule

if TYPE_CHECKING:
    from pytest_vcp.settings.values import ModelClass

ENTRY_POINTS = ("load_context", "predict")
HOOKS = (*ENTRY_POINTS, "_get_input", "_forward")
_CATCHES_OPEN_HOOK = {"NotImplementedError", "RuntimeError", "Exception", "BaseException"}


@dataclass(frozen=True)
class OpenHook:
    """A method that is used but that the author has not filled in."""

    method: Method
    raises: bool


@dataclass(frozen=True)
class WrapperFacts:
    """The model class as MLflow sees it.

    `load_context` and `predict` are None if the class has none, and `UNDECIDED` if a base from a
    library may supply it. `is_python_model` is None if that is unknown.
    """

    where: Location
    load_context: Method | Doubt | None
    predict: Method | Doubt | None
    call: Method | Doubt | None
    constructor: Method | Doubt | None
    is_python_model: bool | None
    open_hooks: tuple[OpenHook, ...]


@dataclass(frozen=True)
class NotFound:
    """The result if the name is no class: `what` completes "found ...", `near` are near misses.

    `remedy` is what to do if the name is right but something else has it; `classes` are the
    existing ones, as MODULE:Class.
    """

    what: str
    where: Location | None
    near: tuple[str, ...]
    remedy: str = ""
    classes: tuple[str, ...] = ()


def find_class(modules: Sequence[SourceModule], model_class: ModelClass) -> WrapperFacts | NotFound:
    """Find the class that `--vcp-model-class` names, defined in its module or re-exported there."""
    names = Names(modules)
    module = names.modules.get(model_class.module)
    near, classes = tuple(near_misses(modules, model_class)), tuple(_classes(modules))
    if module is None:
        return NotFound(f"no module {model_class.module}", None, near, classes=classes)
    target = names.attribute(model_class.module, model_class.name)
    if isinstance(target, (InnerClass, Foreign, Doubt)):
        where = target.where if isinstance(target, InnerClass) else module.where
        return _facts(target, where, Methods(names))
    found = _not_a_class(target, module, model_class.name, near)
    return replace(found, classes=classes)


def _not_a_class(
    target: Target | None, module: SourceModule, name: str, near: tuple[str, ...]
) -> NotFound:
    if isinstance(target, NoClass):
        remedy = f"delete or rename what stands there: it takes the place of the class {name}"
        return NotFound(f"{name} is {target.what}", target.where, near, remedy)
    if isinstance(target, InnerModule):
        return NotFound(f"{name} is the module {target.name}", module.where, near)
    return NotFound(f"no {name} in {module.where.path}", module.where, near)


def near_misses(modules: Sequence[SourceModule], model_class: ModelClass) -> list[str]:
    """List classes of model_code that may have been meant, as MODULE:Class, likeliest first."""
    known = _classes(modules)
    elsewhere = [full for full, name in known.items() if name == model_class.name]
    # Only the names of the classes are compared: the module's is long and often the right one,
    # so that with it any two classes of one module would look alike.
    alike = difflib.get_close_matches(model_class.name, dict.fromkeys(known.values()), n=3)
    near = [full for wanted in alike for full, name in known.items() if name == wanted]
    return [full for full in dict.fromkeys([*elsewhere, *near]) if full != str(model_class)]


def _classes(modules: Sequence[SourceModule]) -> dict[str, str]:
    """Map the classes at the top of modules, as MODULE:Class, to their own names."""
    return {
        f"{module.name}:{node.name}": node.name
        for module in modules
        if module.tree is not None
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
    }


def _facts(target: InnerClass | Foreign | Doubt, where: Location, methods: Methods) -> WrapperFacts:
    ancestry = methods.ancestry(target)
    found = {name: methods.find(ancestry, name) for name in (*ENTRY_POINTS, "__call__", "__init__")}
    return WrapperFacts(
        where=where,
        load_context=found["load_context"],
        predict=found["predict"],
        call=found["__call__"],
        constructor=found["__init__"],
        is_python_model=ancestry.is_python_model,
        open_hooks=tuple(_open_hooks(ancestry, methods)),
    )


def _open_hooks(ancestry: Ancestry, methods: Methods) -> Iterator[OpenHook]:
    """Yield the hooks that MLflow's calls reach and that were left open.

    They are followed from the constructor, load_context and predict through `self.method` and
    `super().method`: a hook that is overridden below, or that nothing refers to, is harmless.
    """
    start: tuple[str, ...] = ("__init__", *ENTRY_POINTS)
    if methods.find(ancestry, "predict") is UNDECIDED:
        start += HOOKS  # a library's predict may call any of them
    queue = [methods.find(ancestry, name) for name in start]
    seen: set[tuple[str, Location]] = set()
    while queue:
        method = queue.pop(0)
        if not isinstance(method, Method) or (method.name, method.where) in seen:
            continue
        seen.add((method.name, method.where))
        is_hook = method.name in HOOKS or method.abstract
        if is_hook and (left := _left_open(method)) is not None:
            yield left
        for name, through_super in _references(method.node):
            after = method.owner if through_super else None
            queue.append(methods.find(ancestry, name, after))


def _left_open(method: Method) -> OpenHook | None:
    node = method.node
    body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
    if body and _is_not_implemented(body[-1]) and not _returns(node):
        return OpenHook(method, raises=True)
    # A model may have nothing to load; a prediction, an input or a forward pass is never empty.
    empty = all(isinstance(s, ast.Pass) or _is_ellipsis(s) for s in body)
    return OpenHook(method, raises=False) if empty and method.name != "load_context" else None


def _is_not_implemented(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Raise) or statement.exc is None:
        return False
    raised = statement.exc.func if isinstance(statement.exc, ast.Call) else statement.exc
    return isinstance(raised, ast.Name) and raised.id == "NotImplementedError"


def _is_ellipsis(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and statement.value.value is Ellipsis
    )


def _returns(node: FunctionNode) -> bool:
    """Return whether the function itself can end other than with its last statement."""
    pending: list[ast.AST] = list(ast.iter_child_nodes(node))
    while pending:
        inner = pending.pop()
        if isinstance(inner, (ast.Return, ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            pending.extend(ast.iter_child_nodes(inner))
    return False


def _references(node: FunctionNode) -> list[tuple[str, bool]]:
    """List the attributes of its own object that a method uses: name, and if through super()."""
    arguments = [*node.args.posonlyargs, *node.args.args]
    own = arguments[0].arg if arguments else None
    found: list[tuple[str, bool]] = []
    for part in node.body:
        for inner in _unguarded(part):
            if isinstance(inner, ast.Attribute):
                if isinstance(inner.value, ast.Name) and inner.value.id == own:
                    found.append((inner.attr, False))
                elif _is_super(inner.value):
                    found.append((inner.attr, True))
    return found


def _unguarded(node: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes below, except code under a handler that expects an open hook."""
    yield node
    skipped = node.body if isinstance(node, ast.Try) and _expects_open_hook(node) else []
    for child in ast.iter_child_nodes(node):
        if child not in skipped:
            yield from _unguarded(child)


def _expects_open_hook(node: ast.Try) -> bool:
    for handler in node.handlers:
        caught = handler.type
        if caught is None:
            return True
        kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
        if any(isinstance(kind, ast.Name) and kind.id in _CATCHES_OPEN_HOOK for kind in kinds):
            return True
    return False


def _is_super(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"
    )


# ----------------------------------------------------------------------------------------- calls
#
# The check that MLflow's calls fit a method's parameters, by Python's own binding.
#
# MLflow 3.1 calls `load_context(context)` when it saves a model and
# `load_context(context=context)` when it loads one. It looks at the names of predict's parameters
# to decide what to pass: the context first if a parameter is named `context`, or if exactly two
# are named neither `self` nor `params`; then the model input; then `params=` if there is a
# parameter of that name.

_POSITIONAL = Parameter.POSITIONAL_OR_KEYWORD
_CONTEXT, _INPUT, _PARAMS = "the context", "the model input", "the params"


def load_context_problem(method: Method) -> str | None:
    """Return why MLflow can't call this load_context; None if it can."""
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
    """Return why MLflow can't call this predict; None if it can."""
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
    """Return the problem of a call that binds but confuses context and input; None without one."""
    for name, expected in (("context", _CONTEXT), ("model_input", _INPUT)):
        value = received.get(name, expected)
        if value != expected:
            return f"{method.signature}: MLflow would pass {value} as {name}"
    return None


def _takes_context(parameters: Mapping[str, Parameter]) -> bool:
    others = [name for name in parameters if name not in ("self", "params")]
    return "context" in parameters or len(others) == 2


def _bound_signature(method: Method, *, wrapped_static: bool) -> inspect.Signature:
    """Return the parameters that are left to the caller.

    MLflow wraps the predict of every class derived from PythonModel in a plain function, so a
    static predict receives the object after all (`wrapped_static`).
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
