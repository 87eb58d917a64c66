"""The public fixtures, and every class that a test can come to from one of them."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from collections.abc import Iterator
from types import FunctionType
from typing import Any, NamedTuple, get_args, get_type_hints

from pytest_vcp import WorkerFailure, session

_PACKAGE = "pytest_vcp."


class Fixture(NamedTuple):
    """One public fixture: its name, the class of what it gives, its docstring."""

    name: str
    gives: type
    text: str


def public() -> list[Fixture]:
    """The fixtures that the module calls public, in its order."""
    said = (session.__doc__ or "").partition("every other")[0]
    names = re.findall(r"`(vcp_\w+)`", said)
    functions = {
        node.name: node
        for node in ast.parse(inspect.getsource(session)).body
        if isinstance(node, ast.FunctionDef)
    }
    return [_fixture(functions[name]) for name in names]


def _fixture(function: ast.FunctionDef) -> Fixture:
    """Read from the source: pytest wraps the function, differently from release to release."""
    assert isinstance(function.returns, ast.Name)
    name = function.returns.id
    gives = getattr(session, name, None) or getattr(builtins, name)
    return Fixture(function.name, gives, ast.get_docstring(function) or "")


def classes(roots: list[type]) -> list[type]:
    """These classes of the plugin, and those that their public attributes and methods lead to."""
    found: list[type] = []
    pending = list(roots)
    while pending:
        entry = pending.pop(0)
        if entry not in found and entry.__module__.startswith(_PACKAGE):
            found.append(entry)
            pending.extend(_reached(entry))
    return found


def _reached(entry: type) -> Iterator[type]:
    for hint in [*_attributes(entry), *_results(entry)]:
        yield from _named(hint)


def _attributes(entry: type) -> list[Any]:
    return [hint for name, hint in get_type_hints(entry).items() if not name.startswith("_")]


def _results(entry: type) -> Iterator[Any]:
    for name, member in vars(entry).items():
        function = getattr(member, "fget", None) or getattr(member, "__func__", member)
        if not name.startswith("_") and isinstance(function, FunctionType):
            yield get_type_hints(function).get("return")


def _named(hint: Any) -> Iterator[type]:
    if isinstance(hint, type) and not get_args(hint):
        yield hint
    for inner in get_args(hint):
        yield from _named(inner)


def part() -> Iterator[str]:
    """The fixtures with what they give, then each class with the types of its attributes."""
    found = public()
    yield "## Fixtures\n"
    yield "```{eval-rst}"
    for fixture in found:
        yield f"\n.. py:data:: {fixture.name}"
        yield f"   :type: {_full_name(fixture.gives)}\n"
        yield from (f"   {line}" for line in fixture.text.splitlines())
    yield "```"
    yield "\n## What they give\n"
    yield "```{eval-rst}"
    for entry in classes([*(fixture.gives for fixture in found), WorkerFailure]):
        yield f"\n.. autoclass:: {_full_name(entry)}"
        yield "   :members:"
        yield "   :undoc-members:"
        yield "   :exclude-members: __init__, __new__"
    yield "```"


def _full_name(entry: type) -> str:
    return (
        entry.__name__ if entry.__module__ == "builtins" else f"{entry.__module__}.{entry.__name__}"
    )
