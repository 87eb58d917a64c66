"""Texts of a run without details of the machine: no path of it, no name of its user.

The terminal shows paths as they are. Saved and shared texts give them relative to the package
directory, or as placeholders.
"""

from __future__ import annotations

import getpass
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_vcp.settings.resolved import Settings

PACKAGE = "PACKAGE"
# Where a path can't begin: within a word, or within another path.
_BEFORE = r"(?<![\w.~-])"
_AFTER = r"(?![\w-])(?!\.\w)"
_NAME = r"[^/\s'\"`():,;]+"
# The path of a URL belongs to its host, that of a file to this machine. A path may directly follow
# the letter of an option, or an escaped line break.
_OF_A_FILE = r"(?:(?<=file://)|(?<=\s-[A-Za-z])|(?<=\\[nrt])|(?<![\w.~/-]))"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ANY_HOME = re.compile(
    rf"{_OF_A_FILE}(?:/(?:home|Users)/{_NAME}|/root{_AFTER})|\b[A-Za-z]:([\\/])Users\1[^\\\s'\"/]+"
)


class Portable:
    """Redacts texts of a run; `variants` are the settings of its variants, at least one."""

    def __init__(self, variants: Iterable[Settings]) -> None:
        words = sorted(_places(list(variants)), key=lambda pair: -len(pair[0]))
        self._places = [
            (re.compile(f"{_BEFORE}{re.escape(path)}{_AFTER}"), word) for path, word in words
        ]
        # The names below it differ between runs, and the first may contain that of the user.
        folder = re.escape(tempfile.gettempdir())
        self._temporary = re.compile(rf"{_OF_A_FILE}{folder}((?:/{_NAME})*)(?=/)")
        user = _user()
        self._homes = [_ANY_HOME]
        if user:
            owned = rf"{_OF_A_FILE}/(?:{_NAME}/)*?{re.escape(user)}{_AFTER}"
            self._homes.append(re.compile(owned))
        name = re.escape(user or "")
        # The folder that pytest and others create for a user has the user's name at its end.
        self._of_the_user = re.compile(rf"(?<=TMP)(?:/…)?/[\w.-]*{name}[\w.-]*") if user else None

    def text(self, text: str) -> str:
        """Replace the paths in a text by placeholders, and remove its colours."""
        text = _COLOUR.sub("", text)
        for path, word in self._places:
            text = path.sub(word, text)
        text = self._temporary.sub(lambda found: "TMP/…" if found[1] else "TMP", text)
        if self._of_the_user is not None:
            text = self._of_the_user.sub("/…", text)
        for home in self._homes:
            text = home.sub("~", text)
        return text

    def path(self, path: str) -> str:
        """Redact a path, relative to the package directory where it is inside or beside it."""
        redacted = self.text(path)
        return redacted.removeprefix(f"{PACKAGE}/") if redacted != PACKAGE else "."

    def document(self, value: Any) -> Any:
        """Redact all texts of a report; those under `path` or `where` are paths."""
        if isinstance(value, Mapping):
            return {
                key: self.path(entry)
                if key in ("path", "where") and isinstance(entry, str)
                else self.document(entry)
                for key, entry in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.document(entry) for entry in value]
        return self.text(value) if isinstance(value, str) else value


def _places(variants: list[Settings]) -> Iterator[tuple[str, str]]:
    """Yield the directories of the run, as given and with links resolved, each with its word."""
    settings = variants[0]
    known = [
        (settings.pkg_dir, PACKAGE),
        (settings.report_dir, "REPORT"),
        (settings.cache_dir, "CACHE"),
        *((entry.artifact_dir, "ARTIFACT") for entry in variants if _is_apart(entry)),
    ]
    if settings.artifact_only is not None:
        known.append((settings.artifact_only, "ARTIFACT"))
    known.append((Path(os.path.expanduser("~")), "~"))
    if not _holds_homes(settings.pkg_dir.parent):
        known.append((settings.pkg_dir.parent, f"{PACKAGE}/.."))
    for path, word in known:
        for spelling in dict.fromkeys((str(path), os.path.realpath(path))):
            if spelling != "/":
                yield spelling, word


def _is_apart(settings: Settings) -> bool:
    """Return whether the artifact is published outside of the package's repository."""
    beside = settings.pkg_dir if _holds_homes(settings.pkg_dir.parent) else settings.pkg_dir.parent
    return not settings.artifact_dir.is_relative_to(beside)


def _holds_homes(folder: Path) -> bool:
    """Return whether a folder holds the homes of other users, or everything."""
    return str(folder) in ("/", "/home", "/Users")


def _user() -> str | None:
    """Return the name of the user; None where unknown, as in a container without accounts."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None
