"""The methods that a class of model_code really has: own or inherited, in Python's own order."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from typing import Literal

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.bindings import (
    UNDECIDED,
    Binding,
    Doubt,
    Foreign,
    Imported,
    InnerClass,
    Names,
    NoClass,
    Target,
    read_scope,
)
from pytest_vcp.source.package import SourceModule

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
Kind = Literal["instance", "static", "class"]

# MLflow's base class has both methods, but only as places to fill in.
PYTHON_MODEL = frozenset({"mlflow.pyfunc.PythonModel", "mlflow.pyfunc.model.PythonModel"})
_FRAMEWORK_HOOKS = frozenset({"load_context", "predict"})
_ABSTRACT = frozenset({"abstractmethod", "abc.abstractmethod"})
# Decorators that leave the parameters of a method as they are written.
_TRANSPARENT = _ABSTRACT | {"override", "typing.override", "final", "typing.final"}


@dataclass(frozen=True)
class Method:
    """A method as written, and the class of model_code that holds it.

    `opaque` means that a decorator may have changed what a caller has to pass.
    """

    name: str
    owner: InnerClass
    node: FunctionNode
    where: Location
    kind: Kind = "instance"
    opaque: bool = False
    abstract: bool = False

    @property
    def module(self) -> SourceModule:
        return self.owner.module

    @property
    def signature(self) -> str:
        """The method's name and parameters, as the author wrote them, without annotations."""
        return f"{self.name}({ast.unparse(_without_annotations(self.node.args))})"


@dataclass(frozen=True)
class Ancestry:
    """A class and its bases in the order in which Python looks for a method."""

    classes: tuple[InnerClass | Foreign | Doubt, ...]

    @property
    def is_python_model(self) -> bool | None:
        """Whether it derives from MLflow's PythonModel; None where that can't be told."""
        if any(isinstance(c, Foreign) and c.name in PYTHON_MODEL for c in self.classes):
            return True
        return None if any(_may_hold_anything(c) for c in self.classes) else False


class Methods:
    """Finds methods of classes across the modules of model_code."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def ancestry(self, target: InnerClass | Foreign | Doubt) -> Ancestry:
        """The linearised bases of a class."""
        return Ancestry(tuple(self._linear(target, ())))

    def find(
        self, ancestry: Ancestry, name: str, after: InnerClass | None = None
    ) -> Method | Doubt | None:
        """The method that Python would use; None where there is none, not even an inherited one.

        With `after`, the search starts behind that class, as `super()` does.
        """
        classes = ancestry.classes
        if after is not None and after in classes:
            classes = classes[classes.index(after) + 1 :]
        for entry in classes:
            if isinstance(entry, InnerClass):
                found = self._own(entry, name)
                if found is not None:
                    return found
            elif isinstance(entry, Foreign) and entry.name in PYTHON_MODEL:
                if name in _FRAMEWORK_HOOKS:
                    break
            elif _may_hold_anything(entry):
                return UNDECIDED
        changed = any(self._is_changed_later(c, name) for c in classes if isinstance(c, InnerClass))
        return UNDECIDED if changed else None

    def _linear(
        self, target: InnerClass | Foreign | Doubt, below: tuple[Target, ...]
    ) -> list[InnerClass | Foreign | Doubt]:
        """The class, then its bases merged so that no base comes before a class derived from it."""
        if not isinstance(target, InnerClass) or target in below:
            return [target]
        bases = [self._base(node, target) for node in target.node.bases]
        lines = [self._linear(base, (*below, target)) for base in bases]
        return [target, *_merge([*lines, list(bases)])]

    def _base(self, node: ast.expr, derived: InnerClass) -> InnerClass | Foreign | Doubt:
        found = self._names.base(node, derived)
        return found if isinstance(found, (InnerClass, Foreign)) else UNDECIDED

    def _own(self, owner: InnerClass, name: str) -> Method | Doubt | None:
        bindings = read_scope(owner.node.body, owner.module).names.get(name)
        return self._as_method(owner, name, bindings[0]) if bindings else None

    def _as_method(self, owner: InnerClass, name: str, binding: Binding) -> Method | Doubt | None:
        where = owner.module.at(binding.node if isinstance(binding, Imported) else binding)
        if isinstance(binding, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return _decorated(Method(name, owner, binding, where), binding.decorator_list)
        if isinstance(binding, ast.Lambda):
            return Method(name, owner, binding, where)
        if isinstance(binding, ast.Constant):  # predict = None takes an inherited method away
            return None
        if isinstance(binding, ast.Name) and binding.id != name:
            found = self._own(owner, binding.id)
            if found is not None:
                return found
            target = self._names.expression(binding, owner.module)
            if isinstance(target, NoClass) and isinstance(
                target.node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
            ):
                return Method(name, owner, target.node, target.where)
        return UNDECIDED

    def _is_changed_later(self, owner: InnerClass, name: str) -> bool:
        """Whether code outside the class body may add the method: a decorator, a metaclass,
        or an assignment to the class at the top of its module."""
        for decorator in owner.node.decorator_list:
            if not _gives_nothing(self._names.expression(_callee(decorator), owner.module)):
                return True
        for keyword in owner.node.keywords:
            metaclass = self._names.expression(keyword.value, owner.module)
            if keyword.arg in (None, "metaclass") and not _gives_nothing(metaclass):
                return True
        tree = owner.module.tree
        return tree is not None and any(
            _sets_attribute(statement, owner.node.name, name) for statement in tree.body
        )


def _merge(lines: list[list[InnerClass | Foreign | Doubt]]) -> list[InnerClass | Foreign | Doubt]:
    """Python's own order (C3); where bases contradict one another, the order as written."""
    merged: list[InnerClass | Foreign | Doubt] = []
    while lines := [line for line in lines if line]:
        heads = [line[0] for line in lines]
        head = next((h for h in heads if all(h not in line[1:] for line in lines)), heads[0])
        merged.append(head)
        lines = [[entry for entry in line if entry != head] for line in lines]
    return merged


def _decorated(method: Method, decorators: list[ast.expr]) -> Method:
    """The method with what its decorators say about how it is bound and called."""
    kind, opaque, abstract = method.kind, False, False
    for decorator in decorators:
        name = ast.unparse(decorator)
        if name in ("staticmethod", "classmethod"):
            kind = "static" if name == "staticmethod" else "class"
        elif name not in _TRANSPARENT:
            opaque = True
        abstract = abstract or name in _ABSTRACT
    return Method(method.name, method.owner, method.node, method.where, kind, opaque, abstract)


def _gives_nothing(target: Target) -> bool:
    """Whether it is from Python itself, which knows nothing of MLflow's methods."""
    if not isinstance(target, Foreign):
        return False
    top = target.name.partition(".")[0]
    return top in sys.stdlib_module_names or top == "builtins"


def _may_hold_anything(entry: InnerClass | Foreign | Doubt) -> bool:
    if isinstance(entry, Foreign):
        return entry.name not in PYTHON_MODEL and not _gives_nothing(entry)
    return entry is UNDECIDED


def _callee(node: ast.expr) -> ast.expr:
    return node.func if isinstance(node, ast.Call) else node


def _sets_attribute(statement: ast.stmt, class_name: str, name: str) -> bool:
    """Whether the statement assigns `Class.name`, or passes the class to a call like setattr."""
    if isinstance(statement, ast.Assign):
        return any(
            isinstance(target, ast.Attribute)
            and target.attr == name
            and isinstance(target.value, ast.Name)
            and target.value.id == class_name
            for target in statement.targets
        )
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return any(isinstance(a, ast.Name) and a.id == class_name for a in statement.value.args)
    return False


def _without_annotations(args: ast.arguments) -> ast.arguments:
    """The parameters by name and default only: annotations would fill the line."""

    def bare(arg: ast.arg | None) -> ast.arg | None:
        return ast.arg(arg.arg) if arg else None

    return ast.arguments(
        posonlyargs=[ast.arg(a.arg) for a in args.posonlyargs],
        args=[ast.arg(a.arg) for a in args.args],
        vararg=bare(args.vararg),
        kwonlyargs=[ast.arg(a.arg) for a in args.kwonlyargs],
        kw_defaults=args.kw_defaults,
        kwarg=bare(args.kwarg),
        defaults=args.defaults,
    )
