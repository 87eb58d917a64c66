"""The texts that stand in source code as values."""

from __future__ import annotations

import ast
from collections.abc import Iterator


def texts(tree: ast.AST) -> Iterator[tuple[str, ast.Constant]]:
    """Every string in the order of the source, save those that are statements: docstrings.

    Of an f-string, each constant piece.
    """
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            pending.extend(reversed(list(ast.iter_child_nodes(node))))
