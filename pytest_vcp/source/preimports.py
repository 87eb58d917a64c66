"""The source tree of a package directory, the inputs inside it, and imports ahead of loading."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.package import ModelPackage, SourceModule
from pytest_vcp.source.payload import inputs, read_payload, refusal, resolve_uri

# What of sys an import depends on.
_STATE_OF_SYS = ("path", "meta_path", "path_hooks", "modules", "setdlopenflags")
# The functions and methods by which a program comes to the order of a set, or an address.
_OF_SETS = (
    *("set", "frozenset", "hash", "id", "__hash__"),
    *("union", "intersection", "difference", "symmetric_difference"),
)


def source_tree(settings: Settings) -> tuple[Path, ...]:
    """Return what the consumer of an artifact lacks: directories and modules of the package.

    Paths that this run itself needs are left out: the destinations of the artifact and the report,
    the cache, and an environment inside the package directory. A finished artifact that is judged
    by itself has no source tree.
    """
    if settings.artifact_only is not None:
        return ()
    needed = (
        settings.artifact_dir,
        settings.report_dir,
        settings.cache_dir,
        Path(sys.prefix),
        Path(sys.base_prefix),
    )
    return tuple(
        entry
        for entry in sorted(settings.pkg_dir.iterdir())
        if (entry.is_dir() or entry.suffix == ".py")
        and not entry.name.startswith(".")
        and not (entry / "pyvenv.cfg").exists()
        and not any(path.resolve().is_relative_to(entry.resolve()) for path in needed)
    )


def guessed_inputs(settings: Settings) -> tuple[Path, ...]:
    """Return the inputs of the forward pass, as far as they are known before any import.

    With a payload file they are the ones in that file, and have to exist: raises pytest.UsageError
    otherwise. Without one, every string in model_spec.py that names something inside the package
    may be an input.
    """
    if settings.payload is not None:
        named = inputs(read_payload(settings.payload), settings.policy.input_column)
        uris = [resolve_uri(uri, settings.pkg_dir) for uri in named]
        for uri, given in zip(uris, named, strict=True):
            if os.path.isabs(uri) and not os.path.exists(uri):
                raise refusal(settings.payload, f"names {given!r}, which is not at {uri}")
        return tuple(Path(uri) for uri in uris)
    if settings.artifact_only is not None:
        return ()
    return tuple(sorted(set(_named_paths(settings.pkg_dir))))


def _named_paths(pkg_dir: Path) -> Iterator[Path]:
    try:
        tree = ast.parse((pkg_dir / "model_spec.py").read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
            # A long text is a docstring, a bare name more likely a column than a folder.
            if "\n" in text or len(text) > 500 or ("." not in text and "/" not in text):
                continue
            path = pkg_dir / text
            # os.path accepts any text; a pathlib path raises if it can't be the name of a file.
            if os.path.exists(path) and path.resolve() != pkg_dir:
                yield path


def preimports(package: ModelPackage) -> tuple[str, ...]:
    """Return libraries that model_code imports unconditionally, to be imported ahead of loading.

    Empty if the package changes, while it is imported, what a library may read at its own import,
    which must then not come first.
    """
    if find_state_change(package) is not None:
        return ()
    trees = [module.tree for module in package.modules if module.tree is not None]
    found = {name.split(".")[0] for tree in trees for name in _list_imported(tree)}
    return tuple(sorted(found - {"model_code", "model_spec", "__future__"}))


def find_state_change(package: ModelPackage) -> Location | None:
    """Return a line that changes the state of the interpreter while the package is imported.

    That is a line that does more than read os.environ, or the lists in sys that imports depend on.
    """
    spec = () if package.spec_module is None else (package.spec_module,)
    return _find_first((*package.modules, *spec), _state_changes)


def find_set_use(package: ModelPackage) -> Location | None:
    """Return a line whose result may depend on the hashes of strings, or on addresses."""
    return _find_first(package.modules, _set_uses)


def _find_first(
    modules: Iterable[SourceModule], list_nodes: Callable[[ast.Module], Iterator[ast.AST]]
) -> Location | None:
    for module in modules:
        node = None if module.tree is None else next(list_nodes(module.tree), None)
        if node is not None:
            return module.locate(node)
    return None


def _state_changes(tree: ast.Module) -> Iterator[ast.AST]:
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
        if name in ("environ", "putenv") or _is_state_of_sys(node):
            yield node
        if isinstance(node, ast.Attribute) and node.attr in ("get", "copy", "items", "keys"):
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            pending.append(node.slice)
            continue
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))


def _is_state_of_sys(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
        return False
    return node.value.id == "sys" and (
        isinstance(node.ctx, ast.Store) or node.attr in _STATE_OF_SYS
    )


def _set_uses(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
        is_view = isinstance(node, ast.BinOp) and any(
            isinstance(side, ast.Call) and getattr(side.func, "attr", None) in ("keys", "items")
            for side in (node.left, node.right)
        )
        if name in _OF_SETS or is_view or isinstance(node, (ast.Set, ast.SetComp)):
            yield node


def _list_imported(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
