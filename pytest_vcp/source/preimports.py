"""The source tree of a package directory, the inputs inside it, and imports ahead of loading."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.package import ModelPackage
from pytest_vcp.source.payload import inputs, read_payload, refusal, resolve_uri


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

    Empty if model_code sets environment variables while it is imported: a library may read them at
    its own import, which must then not come first.
    """
    trees = [module.tree for module in package.modules if module.tree is not None]
    if any(_sets_variables(tree) for tree in trees):
        return ()
    found = {name.split(".")[0] for tree in trees for name in _list_imported(tree)}
    return tuple(sorted(found - {"model_code", "model_spec", "__future__"}))


def _sets_variables(tree: ast.Module) -> bool:
    """Return whether the module, outside of functions, does more with os.environ than read it."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
        if name in ("environ", "putenv"):
            return True
        if isinstance(node, ast.Attribute) and node.attr in ("get", "copy", "items", "keys"):
            continue
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            pending.append(node.slice)
            continue
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            pending.extend(ast.iter_child_nodes(node))
    return False


def _list_imported(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
