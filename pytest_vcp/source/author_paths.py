"""Paths in the strings of the code: in home directories, and fixed ones for temporary files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.package import ModelPackage, SourceModule

# At the start of a text, or of a value within it: `see /home/…` in a message is no path in use.
_START = r"""(?:^|[='"])(?:file:///?)?"""
_NAME = r"\w[\w.@-]*"  # anything else is a pattern, or a gap to fill in
_AUTHOR_PATH = re.compile(
    rf"{_START}(?P<path>(?:/home|/Users|/mnt/[a-z]/Users)/{_NAME}(?:/[^\s'\"]*|$)"
    # Two characters, because `x:\d` is a regular expression; Windows' own folders are no user's.
    r"|[A-Za-z]:(?:\\+|/(?!/))(?!(?i:windows|program))[\w .-]{2,}(?:[\\/][^'\"]*|$))"
)
_WIDEST = 60


@dataclass(frozen=True)
class AuthorPath:
    """A path below a user's home directory, or on one of their drives."""

    text: str
    where: Location


def author_paths(modules: Iterable[SourceModule]) -> tuple[AuthorPath, ...]:
    """Return the paths in the strings of the modules; docstrings and comments are ignored."""
    return tuple(
        AuthorPath(found["path"][:_WIDEST], module.locate(node))
        for module in modules
        if module.tree is not None
        for text, node in texts(module.tree)
        if (found := _AUTHOR_PATH.search(text))
    )


# ------------------------------------------------------------------------------- string literals
#
# String values in source code.


def texts(tree: ast.AST) -> Iterator[tuple[str, ast.Constant]]:
    """Yield every string in the order of the source, except statements such as docstrings.

    Of an f-string, each constant piece is yielded.
    """
    pending = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, node
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            pending.extend(reversed(list(ast.iter_child_nodes(node))))


# ------------------------------------------------------------------------------- temporary paths
#
# Fixed paths in the directories for temporary files, found in the strings of the code.

_FIXED = re.compile(r"^/(?:var/)?tmp(?:/|$)")


def names_a_temporary_path(package: ModelPackage) -> bool:
    """Return whether model_code names a path below /tmp or /var/tmp.

    Two processes that load the model share it, so they must not do so at the same time.
    """
    return any(
        _FIXED.search(text)
        for module in package.modules
        if module.tree is not None
        for text, _ in texts(module.tree)
    )
