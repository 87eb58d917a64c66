"""What a name stands for in the modules of model_code, read from the source alone.

Follows definitions, imports (absolute, relative, star), assignments and attributes across modules.
What the source does not settle is `UNDECIDED`; callers give it the benefit of the doubt.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
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
        return self.module.at(self.node)


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
    """Something in model_code that is certainly no class; `what` says in a few words."""

    what: str
    where: Location
    node: ast.AST


class Doubt(Enum):
    """The source alone does not settle it."""

    UNDECIDED = "undecided"


UNDECIDED = Doubt.UNDECIDED
Target = InnerClass | InnerModule | Foreign | NoClass | Doubt


_LITERALS = {
    ast.Constant: "a constant",
    ast.JoinedStr: "a string",
    ast.Dict: "a dictionary",
    ast.List: "a list",
    ast.Tuple: "a tuple",
    ast.Set: "a set",
    ast.Lambda: "a function",
}


class Names:
    """Resolves names across all modules of model_code."""

    def __init__(self, modules: Iterable[SourceModule]) -> None:
        self.modules = {module.name: module for module in modules}
        self._scopes: dict[str, Scope] = {}

    def scope(self, module: SourceModule) -> Scope:
        """The names bound at the top of `module`."""
        if module.name not in self._scopes:
            body = module.tree.body if module.tree else []
            self._scopes[module.name] = read_scope(body, module)
        return self._scopes[module.name]

    def attribute(
        self, module_name: str, name: str, seen: frozenset[tuple[str, str]] = frozenset()
    ) -> Target | None:
        """What `module_name.name` stands for; None where model_code has no such name."""
        if not self._is_inner(module_name):
            return Foreign(f"{module_name}.{name}")
        if (module_name, name) in seen:
            return None
        seen |= {(module_name, name)}
        module = self.modules.get(module_name)
        found = self._bound(module, name, seen) if module else None
        if found is None and self._is_known(f"{module_name}.{name}"):
            return InnerModule(f"{module_name}.{name}")
        return found

    def expression(
        self,
        node: ast.AST,
        module: SourceModule,
        seen: frozenset[tuple[str, str]] = frozenset(),
    ) -> Target:
        """What an expression at the top of `module` stands for."""
        if isinstance(node, ast.Name):
            refers_back = (module.name, node.id) in seen
            look = self._before(node, module, seen) if refers_back else None
            found = look or self.attribute(module.name, node.id, seen)
            if found is None and hasattr(builtins, node.id):
                return Foreign(f"builtins.{node.id}")
            return UNDECIDED if found is None else found
        if isinstance(node, ast.Attribute):
            return self._member(self.expression(node.value, module, seen), node.attr, seen)
        if isinstance(node, ast.Subscript):  # Base[T] is as good as Base
            return self.expression(node.value, module, seen)
        if isinstance(node, ast.Call):
            made = self.expression(node.func, module, seen)
            if isinstance(made, InnerClass) and not made.node.keywords:
                return NoClass(f"an instance of {made.node.name}", module.at(node), node)
            return UNDECIDED
        what = _LITERALS.get(type(node))
        return NoClass(what, module.at(node), node) if what else UNDECIDED

    def base(self, node: ast.expr, derived: InnerClass) -> Target:
        """What a base in the head of a class stands for: `class C(C)` names an earlier C."""
        if isinstance(node, ast.Name) and node.id == derived.node.name:
            found = self._before(node, derived.module, frozenset())
            if found is not None:
                return found
        return self.expression(node, derived.module)

    def _before(
        self, node: ast.Name, module: SourceModule, seen: frozenset[tuple[str, str]]
    ) -> Target | None:
        """What the name stood for above this line: in `C = C()` it is the C from before."""
        for binding in reversed(self.scope(module).history.get(node.id, [])):
            last = (binding.node if isinstance(binding, Imported) else binding).end_lineno
            if last is not None and last < node.lineno:
                return self._binding(binding, module, seen)
        return None

    def _member(self, owner: Target, name: str, seen: frozenset[tuple[str, str]]) -> Target:
        if isinstance(owner, Foreign):
            return Foreign(f"{owner.name}.{name}")
        if isinstance(owner, InnerModule):
            found = self.attribute(owner.name, name, seen)
            return UNDECIDED if found is None else found
        if isinstance(owner, InnerClass):
            for binding in read_scope(owner.node.body, owner.module).names.get(name, ()):
                if isinstance(binding, ast.ClassDef):
                    return InnerClass(owner.module, binding)
        return UNDECIDED

    def _bound(
        self, module: SourceModule, name: str, seen: frozenset[tuple[str, str]]
    ) -> Target | None:
        scope = self.scope(module)
        found = [self._binding(entry, module, seen) for entry in scope.names.get(name, ())]
        # `try: from a import C` with a fallback binds C twice: a class is what was meant.
        for target in found:
            if target is not None and not isinstance(target, NoClass):
                return target
        if found:
            return found[0]
        return self._from_star(scope, module, name, seen)

    def _from_star(
        self, scope: Scope, module: SourceModule, name: str, seen: frozenset[tuple[str, str]]
    ) -> Target | None:
        foreign = False
        for origin in reversed(scope.stars):
            if not self._is_inner(origin):
                foreign = True
            elif self._exports(origin, name):
                found = self.attribute(origin, name, seen)
                if found is not None and not isinstance(found, InnerModule):
                    return found
        # A star import from elsewhere, or a module's own __getattr__, may supply any name.
        return UNDECIDED if foreign or "__getattr__" in scope.names else None

    def _exports(self, origin: str, name: str) -> bool:
        module = self.modules.get(origin)
        declared = self.scope(module).names.get("__all__") if module else None
        if not declared:
            return not name.startswith("_")
        elements = getattr(declared[-1], "elts", None)
        if elements is None:  # computed: anything may be in it
            return True
        return name in {getattr(element, "value", None) for element in elements}

    def _binding(
        self, binding: Binding, module: SourceModule, seen: frozenset[tuple[str, str]]
    ) -> Target | None:
        if isinstance(binding, ast.ClassDef):
            return InnerClass(module, binding)
        if isinstance(binding, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if binding.decorator_list:  # a decorator may return anything
                return UNDECIDED
            return NoClass("a function", module.at(binding), binding)
        if isinstance(binding, Imported):
            if binding.attribute is not None:
                return self.attribute(binding.module, binding.attribute, seen)
            if self._is_inner(binding.module):
                return InnerModule(binding.module)
            return Foreign(binding.module)
        return self.expression(binding, module, seen)

    def _is_inner(self, module_name: str) -> bool:
        return module_name == CODE or module_name.startswith(f"{CODE}.")

    def _is_known(self, module_name: str) -> bool:
        """Whether it is a module of model_code, or a folder that holds some."""
        prefix = f"{module_name}."
        return module_name in self.modules or any(n.startswith(prefix) for n in self.modules)


# ---------------------------------------------------------------------------------------- scopes
#
# The names that a block of source binds: imports, definitions, assignments, also inside if/try.

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
