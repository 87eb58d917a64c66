"""Which artifacts the model class takes from its context, whatever else it does.

Only what `load_context` reads in every case counts: a key that is read under a condition, in a
`try`, or in a function that may not be called, may be one that another variant has.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_vcp.rulebook.violations import Location
from pytest_vcp.source.methods import Method
from pytest_vcp.source.wrapper import NotFound, WrapperFacts

_CONTEXT = "context"
_ARTIFACTS = "artifacts"
# What stands in these is evaluated later, or not in every case.
_CONDITIONAL = (ast.Lambda, ast.IfExp, ast.BoolOp, ast.GeneratorExp, ast.ListComp, ast.DictComp)
_BRANCHES = (ast.If, ast.Try, ast.For, ast.AsyncFor, ast.While, ast.Match)


@dataclass(frozen=True)
class ArtifactRead:
    """A key of ``context.artifacts``, and where it is read."""

    key: str
    where: Location


def artifact_reads(wrapper: WrapperFacts | NotFound) -> tuple[ArtifactRead, ...]:
    """The keys that loading reads in every case, in the order of the code."""
    if isinstance(wrapper, NotFound) or not isinstance(wrapper.load_context, Method):
        return ()
    method = wrapper.load_context
    if isinstance(method.node, ast.Lambda):
        return ()
    path = method.where.path
    return tuple(
        ArtifactRead(key, Location(path, line)) for key, line in _read(method.node.body, {""})
    )


def _read(statements: Sequence[ast.stmt], names: set[str]) -> Iterator[tuple[str, int]]:
    """Keys and lines; `names` are the local names of the artifacts."""
    for statement in statements:
        if isinstance(statement, _BRANCHES):
            if _may_leave(statement):
                return
            continue
        if isinstance(statement, (ast.With, ast.AsyncWith)):
            for item in statement.items:
                yield from _keys(item.context_expr, names)
            yield from _read(statement.body, names)
            continue
        yield from _keys(statement, names)
        if isinstance(statement, (ast.Return, ast.Raise)):
            return
        if isinstance(statement, ast.Assign) and _is_artifacts(statement.value, names):
            names |= {target.id for target in statement.targets if isinstance(target, ast.Name)}


def _keys(node: ast.AST, names: set[str]) -> Iterator[tuple[str, int]]:
    if isinstance(node, (*_CONDITIONAL, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and _is_artifacts(node.value, names)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    ):
        yield node.slice.value, node.lineno
    for child in ast.iter_child_nodes(node):
        yield from _keys(child, names)


def _is_artifacts(node: ast.AST, names: set[str]) -> bool:
    """Whether an expression is ``context.artifacts``, or a name for that."""
    if isinstance(node, ast.Name):
        return node.id in names
    return (
        isinstance(node, ast.Attribute)
        and node.attr == _ARTIFACTS
        and isinstance(node.value, ast.Name)
        and node.value.id == _CONTEXT
    )


def _may_leave(node: ast.AST) -> bool:
    """Whether the function may end within a statement."""
    return any(isinstance(inner, (ast.Return, ast.Raise)) for inner in ast.walk(node))
