"""What tools leave beside code and data, and what has no place in an artifact."""

from __future__ import annotations

from fnmatch import fnmatch

# Byte-code, version control, desktops, notebooks, checkers. What git is told by files that it
# keeps itself, such as .gitattributes, is no litter.
LITTER = (
    *("__pycache__", "*.pyc", "*.pyo"),
    *(".git", ".hg", ".svn", ".bzr", "CVS"),
    *(".DS_Store", "._*", "Thumbs.db", "desktop.ini"),
    *(".ipynb_checkpoints", ".mypy_cache", ".pytest_cache", ".ruff_cache"),
)


def litter_in(path: str) -> str | None:
    """The first part of a path with forward slashes that is litter."""
    return next((part for part in path.split("/") if _is_litter(part)), None)


def _is_litter(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in LITTER)
