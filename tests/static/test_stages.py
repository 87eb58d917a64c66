"""The stage of a rule in the table is the one whose gate its facts pass: they are written twice."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from pytest_vcp.facts.fact import Fact
from pytest_vcp.facts.variant import Facts
from pytest_vcp.rules.registry import BY_ID, STAGES
from pytest_vcp.rules.suite import judging_tests

_PREFIX = "vcp_"


def _work(name: str) -> Callable[..., object] | None:
    """The function behind a fact, a property or a method of the facts; None for other names."""
    found = inspect.getattr_static(Facts, name, None)
    if isinstance(found, Fact):
        return found.work
    if isinstance(found, property):
        return found.fget
    return found if inspect.isfunction(found) else None


@cache
def _read(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """The stages that the work on a fact enters, and what else of the facts it asks for."""
    work = _work(name)
    if work is None:
        return frozenset(), frozenset()
    stages: set[str] = set()
    asked: set[str] = set()
    found = inspect.getattr_static(Facts, name, None)
    if isinstance(found, Fact):
        stages.update(found.conditions.get("stage", ()))
        asked.update(name for kind in ("when", "after") for name in found.conditions.get(kind, ()))
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(work)))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._gates.enter":
            stages.add(ast.literal_eval(node.args[1]))
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
            asked.add(node.attr)
    return frozenset(stages), frozenset(asked)


def _stages(name: str) -> Iterator[str]:
    """The stages that are entered before a fact is worked out, by itself and by others."""
    seen, pending = set(), [name]
    while pending:
        current = pending.pop()
        if current not in seen:
            seen.add(current)
            stages, asked = _read(current)
            yield from stages
            pending.extend(asked)


def _entered(rule: str) -> Iterator[str]:
    for parameter in inspect.signature(judging_tests()[rule]).parameters:
        yield from _stages(parameter.removeprefix(_PREFIX))


@pytest.mark.parametrize("rule", BY_ID)
def test_the_last_gate_is_that_of_the_stage(rule: str) -> None:
    # What is read from files passes no gate.
    last = max(map(STAGES.index, _entered(rule)), default=STAGES.index("static"))
    assert STAGES[last] == BY_ID[rule].stage
