"""Devices that the code takes for granted: `.cuda()` and the like, without any check for one.

They are read from the source alone, giving it the benefit of the doubt: a condition that mentions a
device, a handler around the call, or a deliberate refusal to run without a GPU all count as checks.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.package import SourceModule
from pytest_vcp.util.text import truncate

_DEVICE = re.compile(r"(?:cuda|mps|xpu|/(?:device:)?GPU)(?::\d+)?")
_ACCELERATOR = re.compile(r"gpu|cuda|mps")
_KEYWORDS = {
    "device": _DEVICE,
    "device_map": _DEVICE,
    "map_location": _DEVICE,
    "accelerator": _ACCELERATOR,
}
_TAKE_A_DEVICE = ("to", "device", "set_device", "set_default_device")
# Functions that report whether a device is present.
_ASKS = frozenset({"is_available", "device_count", "is_built", "mem_get_info"})
# In a condition, any word that contains one of these.
_CONDITION = re.compile(r"cuda|gpu|mps|device|accelerator", re.IGNORECASE)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_WIDEST = 60


@dataclass(frozen=True)
class FixedDevice:
    """A piece of code that needs the device it names."""

    code: str
    where: Location


def fixed_devices(modules: Sequence[SourceModule]) -> tuple[FixedDevice, ...]:
    """Return the devices that are used without a check in the same function, in source order.

    Empty if the code refuses to run without a GPU anywhere: it is then intended.
    """
    trees = [(module, module.tree) for module in modules if module.tree is not None]
    if not any(_is_fixed(node) for _, tree in trees for node in ast.walk(tree)):
        return ()  # in most packages, and the rest takes several times as long
    answers = _answers(tree for _, tree in trees)
    if any(_refuses_without(tree, answers) for _, tree in trees):
        return ()
    safe = _called_when_checked([tree for _, tree in trees], answers)
    return tuple(
        FixedDevice(_format_code(node), module.locate(node))
        for module, tree in trees
        for node in _find_unchecked(tree, answers, safe)
    )


def _answers(trees: Iterable[ast.Module]) -> frozenset[str]:
    """Return the names of variables and functions that hold the result of a device check."""
    found = set(_ASKS)
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if _mentions(node.value, _ASKS):
                    found.update(filter(None, map(_name, targets)))
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                returned = (n.value for n in ast.walk(node) if isinstance(n, ast.Return))
                if any(value is not None and _mentions(value, _ASKS) for value in returned):
                    found.add(node.name)
    return frozenset(found)


def _refuses_without(tree: ast.AST, answers: frozenset[str]) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert) and _mentions(node.test, answers):
            return True
        if isinstance(node, ast.If) and _mentions(node.test, answers):
            ends = [*node.body, *node.orelse]
            if any(isinstance(statement, ast.Raise) for statement in ends):
                return True
    return False


def _called_when_checked(trees: Sequence[ast.Module], answers: frozenset[str]) -> frozenset[str]:
    """Return the names of functions called under a condition on the device and nowhere else."""
    calls: dict[str, list[bool]] = {}
    for tree in trees:
        below: set[ast.AST] = set()
        for node in ast.walk(tree):
            if isinstance(node, (ast.If, ast.IfExp)) and _asks(node.test, answers):
                below.update(ast.walk(node))
            if isinstance(node, ast.Call) and (name := _name(node.func)):
                calls.setdefault(name, []).append(node in below)
    # A class that overrides `cuda` leaves the choice to the caller.
    return frozenset(name for name, checked in calls.items() if all(checked)) | {"cuda"}


def _find_unchecked(
    tree: ast.Module, answers: frozenset[str], safe: frozenset[str]
) -> Iterator[ast.AST]:
    """Yield the fixed devices of a module; code outside of functions has the module's checks."""
    pending: list[tuple[ast.AST, bool, bool]] = [(tree, _checks(tree, answers), False)]
    while pending:
        node, checked, in_function = pending.pop()
        if isinstance(node, _FUNCTIONS):
            checked = (checked and in_function) or _checks(node, answers)
            checked = checked or getattr(node, "name", None) in safe
            in_function = True
        if not checked and _is_fixed(node):
            yield node
        tried = getattr(node, "body", ()) if _is_forgiving(node) else ()
        for child in reversed(list(ast.iter_child_nodes(node))):
            pending.append((child, checked or child in tried, in_function))


def _checks(node: ast.AST, answers: frozenset[str]) -> bool:
    """Return whether anything below `node` checks for a device, or depends on one."""
    return _mentions(node, _ASKS) or any(_asks(inner, answers) for inner in _conditions(node))


def _asks(condition: ast.AST, answers: frozenset[str]) -> bool:
    return any(word in answers or _CONDITION.search(word) for word in _words(condition))


def _is_forgiving(node: ast.AST) -> bool:
    """Return whether a failure in the body is harmless, or can't happen when it is imported."""
    if isinstance(node, ast.With):
        return any(_mentions(item.context_expr, frozenset({"suppress"})) for item in node.items)
    if isinstance(node, ast.If):
        return "__name__" in _words(node.test)
    return bool(getattr(node, "handlers", ()))


def _conditions(node: ast.AST) -> Iterator[ast.AST]:
    for inner in ast.walk(node):
        if isinstance(inner, (ast.If, ast.IfExp, ast.While, ast.Assert)):
            yield inner.test
        elif isinstance(inner, ast.BoolOp):
            yield inner
        elif isinstance(inner, ast.Match):
            yield inner.subject


def _mentions(node: ast.AST, names: frozenset[str]) -> bool:
    return any(_name(inner) in names for inner in ast.walk(node))


def _words(node: ast.AST) -> Iterator[str]:
    for inner in ast.walk(node):
        yield _name(inner) or ""
        if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value


def _name(node: ast.AST) -> str | None:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)


def _is_fixed(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        called = _name(node.func)
        if called == "cuda" and isinstance(node.func, ast.Attribute):
            return True
        named = any(_is_text(value, _DEVICE) for value in node.args) or _is_index(node)
        if called in _TAKE_A_DEVICE and named:
            return True
        return any(
            keyword.arg in _KEYWORDS and _is_text(keyword.value, _KEYWORDS[keyword.arg])
            for keyword in node.keywords
        )
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        named = any("device" in (_name(target) or "").lower() for target in targets)
        return named and node.value is not None and _is_text(node.value, _DEVICE)
    return False


def _is_index(call: ast.Call) -> bool:
    """Return whether a call is one of torch.cuda, with the number of a device."""
    of_cuda = isinstance(call.func, ast.Attribute) and _name(call.func.value) == "cuda"
    numbers = (value.value for value in call.args if isinstance(value, ast.Constant))
    return of_cuda and any(isinstance(number, int) for number in numbers)


def _is_text(node: ast.AST, pattern: re.Pattern[str]) -> bool:
    value = node.value if isinstance(node, ast.Constant) else None
    if isinstance(node, ast.JoinedStr):  # f"cuda:{index}"
        pieces = (p.value if isinstance(p, ast.Constant) else 0 for p in node.values)
        value = "".join(map(str, pieces))
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _format_code(node: ast.AST) -> str:
    return truncate(" ".join(ast.unparse(node).split()), _WIDEST)
