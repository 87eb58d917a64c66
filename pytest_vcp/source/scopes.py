"""The names that a block of source binds: imports, definitions, assignments, also inside if/try."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_vcp.source.package import SourceModule

# `try` with `except*` is a node of its own, from Python 3.11 on.
_TRY: tuple[type[ast.Try], ...] = (ast.Try, getattr(ast, "TryStar", ast.Try))


@dataclass(frozen=True)
class Imported:
    """A name bound by an import: a module, or an attribute of one."""

    module: str
    attribute: str | None
    node: ast.stmt


Binding = Imported | ast.expr | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Scope:
    """The names that a block of statements binds, each with its possible bindings in order.

    An unconditional binding replaces earlier ones; a conditional one is kept beside them.
    `history` keeps them all, because `class C(C)` refers to the one before its own.
    """

    names: dict[str, list[Binding]] = field(default_factory=dict)
    history: dict[str, list[Binding]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)

    def bind(self, name: str, binding: Binding, conditional: bool) -> None:
        known = self.names.setdefault(name, [])
        if not conditional:
            known.clear()
        known.append(binding)
        self.history.setdefault(name, []).append(binding)


def read_scope(body: Sequence[ast.stmt], module: SourceModule) -> Scope:
    """Collect what the statements of a module or of a class body bind."""
    scope = Scope()
    for statement, conditional in _statements(body):
        _bind_statement(scope, statement, conditional, module)
    return scope


def _statements(
    body: Iterable[ast.stmt], conditional: bool = False
) -> Iterator[tuple[ast.stmt, bool]]:
    """The statements that run when the block does, each with whether it may be skipped."""
    for statement in body:
        if isinstance(statement, ast.If):
            if _never_runs_on_import(statement.test):
                yield from _statements(statement.orelse, conditional)
            else:
                yield from _statements([*statement.body, *statement.orelse], True)
        elif isinstance(statement, (ast.For, ast.While)):
            yield from _statements([*statement.body, *statement.orelse], True)
        elif isinstance(statement, ast.With):
            yield from _statements(statement.body, conditional)
        elif isinstance(statement, ast.Match):
            for case in statement.cases:
                yield from _statements(case.body, True)
        elif isinstance(statement, _TRY):
            yield from _try_statements(statement, conditional)
        else:
            yield statement, conditional


def _try_statements(statement: ast.Try, conditional: bool) -> Iterator[tuple[ast.stmt, bool]]:
    yield from _statements(statement.body, conditional)
    for handler in statement.handlers:
        yield from _statements(handler.body, True)
    yield from _statements(statement.orelse, True)
    yield from _statements(statement.finalbody, conditional)


def _never_runs_on_import(test: ast.expr) -> bool:
    if isinstance(test, ast.Compare):
        return isinstance(test.left, ast.Name) and test.left.id == "__name__"
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _bind_statement(
    scope: Scope, statement: ast.stmt, conditional: bool, module: SourceModule
) -> None:
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        scope.bind(statement.name, statement, conditional)
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            name = alias.asname or alias.name.partition(".")[0]
            full = alias.name if alias.asname else name
            scope.bind(name, Imported(full, None, statement), conditional)
    elif isinstance(statement, ast.ImportFrom):
        origin = _absolute(statement, module)
        for alias in statement.names:
            if alias.name == "*":
                scope.stars.append(origin)
            else:
                imported = Imported(origin, alias.name, statement)
                scope.bind(alias.asname or alias.name, imported, conditional)
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            _bind_target(scope, target, statement.value, conditional)
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        _bind_target(scope, statement.target, statement.value, conditional)
    elif isinstance(statement, ast.Delete):
        for target in statement.targets:
            if isinstance(target, ast.Name) and not conditional:
                scope.names.pop(target.id, None)


def _bind_target(scope: Scope, target: ast.expr, value: ast.expr, conditional: bool) -> None:
    if isinstance(target, ast.Name):
        scope.bind(target.id, value, conditional)
    elif isinstance(target, (ast.Tuple, ast.List)):
        values: Sequence[ast.expr] = getattr(value, "elts", ())
        for index, part in enumerate(target.elts):
            # Unpacking something other than a literal leaves the parts open, like a call does.
            known = values[index] if len(values) == len(target.elts) else ast.Await(value)
            _bind_target(scope, part, known, conditional)


def _absolute(statement: ast.ImportFrom, module: SourceModule) -> str:
    """The dotted name of the module that a `from … import` names, relative ones resolved."""
    if not statement.level:
        return statement.module or ""
    parts = module.name.split(".")
    up = statement.level - (1 if module.is_package else 0)
    base = parts[: len(parts) - up] if up else parts
    return ".".join([*base, *([statement.module] if statement.module else [])])
