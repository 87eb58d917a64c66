"""The meaning of names in the modules of model_code, read from the source alone.

Definitions, imports and plain assignments are followed across modules. Names that these do not
settle, because of star imports, calls and conditions, for example, are `UNDECIDED`: the stage that
imports judges them.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.package import CODE, SourceModule


@dataclass(frozen=True)
class InnerClass:
    """A class defined in model_code."""

    module: SourceModule
    node: ast.ClassDef

    @property
    def where(self) -> Location:
        return self.module.locate(self.node)


@dataclass(frozen=True)
class InnerModule:
    """A module of model_code, by its dotted name."""

    name: str


@dataclass(frozen=True)
class Foreign:
    """Something from outside model_code, by the dotted name under which it was imported."""

    name: str


@dataclass(frozen=True)
class NoClass:
    """An object in model_code that is certainly no class; `what` names it in a few words."""

    what: str
    where: Location


class Doubt(Enum):
    """The answer if the source alone does not settle a question."""

    UNDECIDED = "undecided"


UNDECIDED = Doubt.UNDECIDED
Target = InnerClass | InnerModule | Foreign | NoClass | Doubt
_Seen = frozenset[tuple[str, str]]


class Names:
    """A resolver of names across all modules of model_code."""

    def __init__(self, modules: Iterable[SourceModule]) -> None:
        self.modules = {module.name: module for module in modules}
        self._scopes: dict[str, Scope] = {}

    def attribute(self, module_name: str, name: str, seen: _Seen = frozenset()) -> Target | None:
        """Return what `module_name.name` refers to; None if model_code has no such name."""
        if not _is_inner(module_name):
            return Foreign(f"{module_name}.{name}")
        if (module_name, name) in seen:
            return None
        seen |= {(module_name, name)}
        module = self.modules.get(module_name)
        found = self._find_bound(module, name, seen) if module else None
        if found is None and self._is_known(f"{module_name}.{name}"):
            return InnerModule(f"{module_name}.{name}")
        return found

    def expression(self, node: ast.AST, module: SourceModule, seen: _Seen = frozenset()) -> Target:
        """Return what an expression at the top of `module` refers to."""
        if isinstance(node, ast.Name):
            found = self.attribute(module.name, node.id, seen)
            if found is None and hasattr(builtins, node.id):
                return Foreign(f"builtins.{node.id}")
            return found or UNDECIDED
        if isinstance(node, ast.Attribute):
            owner = self.expression(node.value, module, seen)
            if isinstance(owner, Foreign):
                return Foreign(f"{owner.name}.{node.attr}")
            if isinstance(owner, InnerModule):
                return self.attribute(owner.name, node.attr, seen) or UNDECIDED
        if isinstance(node, ast.Subscript):  # Base[T] counts as Base
            return self.expression(node.value, module, seen)
        if isinstance(node, ast.Constant):
            return NoClass("a constant", module.locate(node))
        return UNDECIDED

    def _find_bound(self, module: SourceModule, name: str, seen: _Seen) -> Target | None:
        if module.name not in self._scopes:
            body = module.tree.body if module.tree else []
            self._scopes[module.name] = read_scope(body, module)
        scope = self._scopes[module.name]
        found = [self._binding(entry, module, seen) for entry in scope.get(name, ())]
        # `try: from a import C` with a fallback binds C twice: the class is the intended one.
        for target in found:
            if target is not None and not isinstance(target, NoClass):
                return target
        if found:
            return found[0]
        for star in reversed(scope.get("*", [])) if not name.startswith("_") else ():
            if isinstance(star, Imported) and _is_inner(star.module):
                supplied = self.attribute(star.module, name, seen)
                if isinstance(supplied, InnerClass):
                    return supplied
        # A star import, or a module's own __getattr__, may supply any name.
        return UNDECIDED if "*" in scope or "__getattr__" in scope else None

    def _binding(self, binding: Binding, module: SourceModule, seen: _Seen) -> Target | None:
        if isinstance(binding, ast.ClassDef):
            return InnerClass(module, binding)
        if isinstance(binding, (ast.FunctionDef, ast.AsyncFunctionDef)):
            # A decorator may return anything.
            is_plain = not binding.decorator_list
            return NoClass("a function", module.locate(binding)) if is_plain else UNDECIDED
        if isinstance(binding, Imported):
            if binding.attribute is not None:
                return self.attribute(binding.module, binding.attribute, seen)
            is_inner = _is_inner(binding.module)
            return InnerModule(binding.module) if is_inner else Foreign(binding.module)
        if isinstance(binding, Instance):
            return NoClass(f"an instance of {binding.of}", module.locate(binding.node))
        return self.expression(binding, module, seen)

    def _is_known(self, module_name: str) -> bool:
        """Return whether it is a module of model_code, or a folder that contains one."""
        prefix = f"{module_name}."
        return module_name in self.modules or any(n.startswith(prefix) for n in self.modules)


def _is_inner(module_name: str) -> bool:
    return module_name == CODE or module_name.startswith(f"{CODE}.")


# ---------------------------------------------------------------------------------------- scopes
#
# The names that a block of source binds: imports, definitions, assignments, also inside if/try.


@dataclass(frozen=True)
class Imported:
    """A name bound by an import: a module, or an attribute of one."""

    module: str
    attribute: str | None


@dataclass(frozen=True)
class Instance:
    """A name bound to an instance of a class that is defined above it."""

    of: str
    node: ast.stmt


Binding = Imported | Instance | ast.expr | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
# Each name with its possible bindings: an unconditional one replaces those before it.
Scope = dict[str, list[Binding]]


def read_scope(body: Sequence[ast.stmt], module: SourceModule) -> Scope:
    """Collect the names that a module or class body binds; "*" is a star import."""
    scope: Scope = {}
    for statement, is_conditional in _statements(body):
        for name, binding in _bindings(statement, scope, module):
            known = scope.setdefault(name, [])
            if not is_conditional and name != "*":
                known.clear()
            known.append(binding)
    return scope


def _statements(
    body: Iterable[ast.stmt], is_conditional: bool = False
) -> Iterator[tuple[ast.stmt, bool]]:
    """Yield the statements that run with the block, each with whether it may be skipped."""
    for statement in body:
        if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield statement, is_conditional
        elif isinstance(statement, ast.If) and _never_runs_on_import(statement.test):
            yield from _statements(statement.orelse, is_conditional)
        elif blocks := list(_blocks(statement)):
            for block in blocks:
                yield from _statements(block, is_conditional or not isinstance(statement, ast.With))
        else:
            yield statement, is_conditional


def _blocks(statement: ast.AST) -> Iterator[list[ast.stmt]]:
    for part in ("body", "orelse", "finalbody"):
        yield from filter(None, [getattr(statement, part, None)])
    for part in ("handlers", "cases"):
        for branch in getattr(statement, part, ()):
            yield branch.body


def _never_runs_on_import(test: ast.expr) -> bool:
    if isinstance(test, ast.Compare):
        return isinstance(test.left, ast.Name) and test.left.id == "__name__"
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def _bindings(
    statement: ast.stmt, above: Scope, module: SourceModule
) -> Iterator[tuple[str, Binding]]:
    """Yield the names that a statement binds; `above` is what was bound before it."""
    if isinstance(statement, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        yield statement.name, statement
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            name = alias.name if alias.asname else alias.name.partition(".")[0]
            yield alias.asname or name, Imported(name, None)
    elif isinstance(statement, ast.ImportFrom):
        origin = _absolute(statement, module)
        for alias in statement.names:
            yield alias.asname or alias.name, Imported(origin, alias.name)
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            if isinstance(target, ast.Name):
                yield target.id, _value(statement.value, above, statement)
            elif isinstance(target, (ast.Tuple, ast.List)):
                parts = (part.id for part in target.elts if isinstance(part, ast.Name))
                yield from ((part, ast.Await(statement.value)) for part in parts)  # undecided


def _value(value: ast.expr, above: Scope, statement: ast.stmt) -> Binding:
    """Return the assigned value: of calls, only those of a plain class above are known."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        bound = above.get(value.func.id, [])
        if len(bound) == 1 and isinstance(bound[0], ast.ClassDef) and not bound[0].keywords:
            return Instance(bound[0].name, statement)
    return value


def _absolute(statement: ast.ImportFrom, module: SourceModule) -> str:
    """Return the dotted name of the module in a `from … import`, with relative ones resolved."""
    if not statement.level:
        return statement.module or ""
    parts = module.name.split(".")
    up = statement.level - (1 if module.is_package else 0)
    base = parts[: len(parts) - up] if up else parts
    return ".".join([*base, *([statement.module] if statement.module else [])])
