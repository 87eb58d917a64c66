"""What a command said of a failure: in one line, with the place in the author's code."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_vcp.rulebook.violations import Location

HEAD = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s*File "(?P<file>.+)", line (?P<line>\d+), in ', re.MULTILINE)
_RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(: (?P<message>.*))?$", re.MULTILINE)
_MOST = 300


def raised(text: str) -> str | None:
    """The exception at the end of the first traceback in `text`; None where there is none.

    The first is the innermost process's: MLflow's own, about that process, follows it.
    """
    _, head, rest = text.partition(HEAD)
    if not head:
        return None
    found = _RAISED.search(rest)
    return _cut(found[0]) if found else None


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return _cut(lines[-1]) if lines else ""


def place(text: str, code: Path) -> Location | None:
    """The innermost frame below `code`, the artifact's, of the first traceback that has one."""
    roots = {code, code.resolve()}
    for part in text.split(HEAD)[1:]:
        for frame in reversed(list(_FRAME.finditer(part))):
            file = Path(frame["file"])
            for root in roots:
                if file.is_relative_to(root):
                    return Location.within(root, file, int(frame["line"]))
    return None


def _cut(text: str) -> str:
    return text if len(text) <= _MOST else f"{text[: _MOST - 1]}…"
