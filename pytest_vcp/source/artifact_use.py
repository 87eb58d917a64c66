"""The artifacts that the model class takes from its context in every case.

Only keys that `load_context` reads in every case count: a key that is read under a condition, in a
`try`, or in a function that may not be called, may belong to another variant.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import PurePosixPath

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.methods import Method
from pytest_vcp.source.wrapper import NotFound, WrapperFacts

_CONTEXT = "context"
_ARTIFACTS = "artifacts"
# Expressions within these are evaluated later, or not in every case.
_CONDITIONAL = (ast.Lambda, ast.IfExp, ast.BoolOp, ast.GeneratorExp, ast.ListComp, ast.DictComp)
_BRANCHES = (ast.If, ast.Try, ast.For, ast.AsyncFor, ast.While, ast.Match)


# Functions that pass a path on, or open it for another function.
_PASSES_ON = ("open", "str", "Path", "pathlib.Path", "os.fspath")
# The files that a function reads, by the last part of its name; if many libraries have a function
# of that name, by the name of the library, too.
_READS: Mapping[str, tuple[str, ...]] = {
    "np.load": (".npy", ".npz"),
    "numpy.load": (".npy", ".npz"),
    "json.load": (".json",),
    "yaml.safe_load": (".yaml", ".yml"),
    "torch.load": (".pt", ".pth", ".bin", ".ckpt", ".tar"),
    "joblib.load": (".joblib", ".pkl", ".gz"),
    "pickle.load": (".pkl", ".pickle"),
    "load_file": (".safetensors",),
    "read_csv": (".csv", ".tsv", ".txt", ".gz"),
    "read_parquet": (".parquet",),
    "read_h5ad": (".h5ad", ".h5"),
}


@dataclass(frozen=True)
class ArtifactRead:
    """A key of ``context.artifacts``, the function that gets its path, and the location."""

    key: str
    reader: str
    where: Location

    def takes(self, path: str) -> bool | None:
        """Return whether the function reads files with such a name; None if that is unknown."""
        suffixes = _READS.get(self.reader) or _READS.get(self.reader.rpartition(".")[2])
        return None if suffixes is None else PurePosixPath(path).suffix in suffixes


def artifact_reads(wrapper: WrapperFacts | NotFound) -> tuple[ArtifactRead, ...]:
    """Return the keys that loading reads in every case, in the order of the code."""
    if isinstance(wrapper, NotFound) or not isinstance(wrapper.load_context, Method):
        return ()
    method = wrapper.load_context
    path = method.where.path
    return tuple(
        ArtifactRead(key, reader, Location(path, line))
        for key, reader, line in _read(method.node.body, {""})
    )


def find_swapped(
    reads: Sequence[ArtifactRead], given: Mapping[str, str]
) -> tuple[ArtifactRead, ArtifactRead] | None:
    """Return two keys that were given each other's paths, judging by names or readers; or None."""
    known = {read.key: read for read in reads if read.key in given}
    for one, other in combinations(known.values(), 2):
        here, there = given[one.key], given[other.key]
        crossed = one.takes(there) and other.takes(here)
        straight = one.takes(here) is False and other.takes(there) is False
        if crossed and straight:
            return one, other
        stems = PurePosixPath(here).stem, PurePosixPath(there).stem
        if stems == (other.key, one.key):
            return one, other
    return None


def _read(statements: Sequence[ast.stmt], names: set[str]) -> Iterator[tuple[str, str, int]]:
    """Yield keys, readers and lines; `names` are the local names of the artifacts."""
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


def _keys(node: ast.AST, names: set[str], reader: str = "") -> Iterator[tuple[str, str, int]]:
    if isinstance(node, (*_CONDITIONAL, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return
    if (
        isinstance(node, ast.Subscript)
        and isinstance(node.ctx, ast.Load)
        and _is_artifacts(node.value, names)
        and isinstance(node.slice, ast.Constant)
        and isinstance(node.slice.value, str)
    ):
        yield node.slice.value, reader, node.lineno
    if isinstance(node, ast.Call) and ast.unparse(node.func) not in _PASSES_ON:
        reader = ast.unparse(node.func)
    for child in ast.iter_child_nodes(node):
        yield from _keys(child, names, reader)


def _is_artifacts(node: ast.AST, names: set[str]) -> bool:
    """Return whether an expression is ``context.artifacts``, or a name for it."""
    if isinstance(node, ast.Name):
        return node.id in names
    return (
        isinstance(node, ast.Attribute)
        and node.attr == _ARTIFACTS
        and isinstance(node.value, ast.Name)
        and node.value.id == _CONTEXT
    )


def _may_leave(node: ast.AST) -> bool:
    """Return whether the function may end within a statement."""
    return any(isinstance(inner, (ast.Return, ast.Raise)) for inner in ast.walk(node))
