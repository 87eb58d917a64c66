"""The stage of a rule in the table is the one whose gate its facts pass: they are written twice."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.variant import Facts
from pytest_vcp.rules import BY_ID, STAGES
from pytest_vcp.suite import judges

_PREFIX = "vcp_"


def _work(name: str) -> Callable[..., object] | None:
    """The function behind a fact, a property or a method of the facts; None for other names."""
    found = inspect.getattr_static(Facts, name, None)
    if isinstance(found, fact):
        return found._work
    if isinstance(found, property):
        return found.fget
    return found if inspect.isfunction(found) else None


@cache
def _stages(name: str, seen: frozenset[str] = frozenset()) -> frozenset[str]:
    """The stages that are entered before a fact is worked out, by itself and by others."""
    work = _work(name)
    if work is None or name in seen:
        return frozenset()
    tree = ast.parse(textwrap.dedent(inspect.getsource(work)))
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._gates.enter":
            found.add(ast.literal_eval(node.args[1]))
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
            found |= _stages(node.attr, seen | {name})
    return frozenset(found)


def _entered(rule: str) -> Iterator[str]:
    for parameter in inspect.signature(judges()[rule]).parameters:
        yield from _stages(parameter.removeprefix(_PREFIX))


@pytest.mark.parametrize("rule", BY_ID)
def test_the_last_gate_is_that_of_the_stage(rule: str) -> None:
    # What is read from files passes no gate.
    last = max(map(STAGES.index, _entered(rule)), default=STAGES.index("static"))
    assert STAGES[last] == BY_ID[rule].stage
