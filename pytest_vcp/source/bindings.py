"""What a name stands for in the modules of model_code, read from the source alone.

Follows definitions, imports (absolute, relative, star), assignments and attributes across modules.
What the source does not settle is `UNDECIDED`; callers give it the benefit of the doubt.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from pytest_vcp.rulebook.violations import Location
from pytest_vcp.source.package import CODE, SourceModule
from pytest_vcp.source.scopes import Binding, Imported, Scope, read_scope


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
