"""The methods that a class of model_code has: own or inherited, in Python's own order."""

from __future__ import annotations

import ast
import copy
import sys
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.bindings import (
    UNDECIDED,
    Doubt,
    Foreign,
    InnerClass,
    Names,
    Target,
    read_scope,
)
from pytest_vcp.source.package import SourceModule

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
Kind = Literal["instance", "static", "class"]

# MLflow's base class has both methods, but only as stubs.
PYTHON_MODEL = frozenset({"mlflow.pyfunc.PythonModel", "mlflow.pyfunc.model.PythonModel"})
_FRAMEWORK_HOOKS = frozenset({"load_context", "predict"})
_ABSTRACT = frozenset({"abstractmethod", "abc.abstractmethod"})
# Decorators that leave the parameters of a method as they are written.
_TRANSPARENT = _ABSTRACT | {"override", "typing.override", "final", "typing.final"}


@dataclass(frozen=True)
class Method:
    """A method as written, and the class of model_code that defines it.

    `opaque` means that a decorator may have changed the arguments that a caller has to pass.
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
    """A class and its bases in the order in which Python looks up a method."""

    classes: tuple[InnerClass | Foreign | Doubt, ...]

    @property
    def is_python_model(self) -> bool | None:
        """Whether the class derives from MLflow's PythonModel; None if that is unknown."""
        if any(isinstance(c, Foreign) and c.name in PYTHON_MODEL for c in self.classes):
            return True
        return None if any(_may_hold_anything(c) for c in self.classes) else False


class Methods:
    """A look-up of methods in classes across the modules of model_code."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def ancestry(self, target: InnerClass | Foreign | Doubt) -> Ancestry:
        """Return a class with its linearised bases."""
        return Ancestry(tuple(self._linear(target, ())))

    def find(
        self, ancestry: Ancestry, name: str, after: InnerClass | None = None
    ) -> Method | Doubt | None:
        """Return the method that Python would use, own or inherited; None if there is none.

        With `after`, the search starts behind that class, as with `super()`.
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
        ours = (entry for entry in classes if isinstance(entry, InnerClass))
        return UNDECIDED if any(map(_is_changed_later, ours)) else None

    def _linear(
        self, target: InnerClass | Foreign | Doubt, below: tuple[Target, ...]
    ) -> list[InnerClass | Foreign | Doubt]:
        """Return the class, then its merged bases, with no base before a class derived from it."""
        if not isinstance(target, InnerClass) or target in below:
            return [target]
        bases = [self._base(node, target) for node in target.node.bases]
        lines = [self._linear(base, (*below, target)) for base in bases]
        # Of a class that several bases share, the last mention counts.
        later_first = reversed([target, *chain.from_iterable(lines)])
        return list(dict.fromkeys(later_first))[::-1]

    def _base(self, node: ast.expr, derived: InnerClass) -> InnerClass | Foreign | Doubt:
        if isinstance(node, ast.Name) and node.id == derived.node.name:
            return UNDECIDED  # `class C(C)` names an earlier C
        found = self._names.expression(node, derived.module)
        return found if isinstance(found, (InnerClass, Foreign)) else UNDECIDED

    def _own(self, owner: InnerClass, name: str) -> Method | Doubt | None:
        bindings = read_scope(owner.node.body, owner.module).get(name)
        if not bindings:
            return None
        binding = bindings[0]
        if isinstance(binding, (ast.FunctionDef, ast.AsyncFunctionDef)):
            method = Method(name, owner, binding, owner.module.locate(binding))
            return _apply_decorators(method, binding.decorator_list)
        # `predict = None` removes an inherited method; anything else may be a method.
        return None if isinstance(binding, ast.Constant) else UNDECIDED


def _is_changed_later(owner: InnerClass) -> bool:
    """Return whether code outside the class body may add methods.

    Such code is a decorator, a metaclass, or a statement at the top of its module that involves the
    class.
    """
    if owner.node.decorator_list or owner.node.keywords:
        return True
    body = owner.module.tree.body if owner.module.tree else []
    return any(
        isinstance(part, ast.Name) and part.id == owner.node.name
        for statement in body
        if isinstance(statement, (ast.Assign, ast.Expr))
        for part in ast.walk(statement)
    )


def _apply_decorators(method: Method, decorators: list[ast.expr]) -> Method:
    """Return the method with the effects of its decorators on how it is bound and called."""
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
    """Return whether it is from Python itself, which has none of MLflow's methods."""
    if not isinstance(target, Foreign):
        return False
    top = target.name.partition(".")[0]
    return top in sys.stdlib_module_names or top == "builtins"


def _may_hold_anything(entry: InnerClass | Foreign | Doubt) -> bool:
    if isinstance(entry, Foreign):
        return entry.name not in PYTHON_MODEL and not _gives_nothing(entry)
    return entry is UNDECIDED


def _without_annotations(args: ast.arguments) -> ast.arguments:
    """Return the parameters by name and default only: annotations would fill the line."""
    bare = copy.deepcopy(args)
    for part in ast.walk(bare):
        if isinstance(part, ast.arg):
            part.annotation = None
    return bare
