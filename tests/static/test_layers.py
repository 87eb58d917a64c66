"""The layers of docs/architecture.md: each imports from those above it, never from those below."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_vcp"
# The server of the workers runs elsewhere, and imports nothing of the rest.
SERVER = PACKAGE / "worker" / "server"
SERVER_FILES = (PACKAGE / "worker" / "server_main.py", *SERVER.glob("*.py"))


def _layers() -> dict[str, int]:
    """The place of each module or folder in the table."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.partition("## Layers\n")[2].partition("\n## ")[0]
    rows = [row.split("|")[2] for row in table.splitlines() if row.startswith("| ")][1:]
    return {
        name: place for place, cell in enumerate(rows) for name in re.findall(r"`(\w+)/?`", cell)
    }


def _imports(file: Path) -> Iterator[tuple[str, int]]:
    """What a module imports of the package: top names, and lines.

    Imports for types count, and so do those within functions, but for those of the entry: it loads
    the rest when a run asks for it.
    """
    for node in ast.walk(_without_functions(file) if file.stem == "plugin" else _tree(file)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_vcp"):
            parts = (node.module or "").split(".")
            for name in parts[1:2] or [alias.name for alias in node.names]:
                yield name, node.lineno


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_bytes())


def _without_functions(file: Path) -> ast.Module:
    tree = _tree(file)
    tree.body = [node for node in tree.body if not isinstance(node, ast.FunctionDef)]
    return tree


def _modules() -> Iterator[tuple[str, Path]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        top = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if top != "__init__" and file not in SERVER_FILES:
            yield top, file


def test_every_module_has_a_layer() -> None:
    assert {top for top, _ in _modules()} == _layers().keys()


def test_imports_lead_upwards() -> None:
    layers = _layers()
    downwards = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for top, file in _modules()
        for name, line in _imports(file)
        if name in layers and layers[name] > layers[top]
    ]
    assert downwards == []


def test_no_imports_go_in_a_circle() -> None:
    """Whether they are for types, or within functions, makes no difference."""
    files = {
        ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
        for file in PACKAGE.rglob("*.py")
        if file not in SERVER_FILES and file != PACKAGE / "__init__.py"
    }
    graph = {
        module: {
            found
            for node in ast.walk(_tree(file))
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
            for found in (f"{node.module}.{alias.name}", node.module)
            if found in files
        }
        for module, file in files.items()
    }
    TopologicalSorter(graph).prepare()


def test_the_server_imports_nothing_of_the_plugin() -> None:
    files = SERVER_FILES
    assert [(file.name, name) for file in files for name, _ in _imports(file)] == []
