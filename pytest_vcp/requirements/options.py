"""The options in requirement files, as pip reads them, and whether they change its choice."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from urllib.parse import urlsplit

from pytest_vcp.requirements.lock import RequirementLine

# Where distributions come from.
LOCATIONS = ("--index-url", "--extra-index-url", "--find-links")
# Options about where distributions come from, in which form, with which proof, or how one of them
# is built: with exact pins, the versions stay the same.
_LEGAL = (
    *LOCATIONS,
    "--trusted-host",
    "--no-binary",
    "--only-binary",
    "--prefer-binary",
    "--require-hashes",
    "--hash",
    "--config-settings",
    "--global-option",
)
# The other options that some release of pip accepts in a file.
_OTHERS = ("--no-index", "--pre", "--all-releases", "--only-final", "--use-feature")
_SAME = {"-i": "--index-url", "--pypi-url": "--index-url", "-f": "--find-links"}
_SAME |= {"-C": "--config-settings", "--config-setting": "--config-settings"}
# PyPI refuses uploads with a local version, so such a pin has to come from elsewhere.
_WITHOUT_LOCAL_VERSIONS = re.compile(r"(test\.)?pypi\.(python\.)?org")
# pip substitutes such a variable in the line if it is set.
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")


@dataclass(frozen=True)
class FileOption:
    """One option, by its long name, even if the file has a short or abbreviated form."""

    name: str
    value: str = ""

    @property
    def changes_the_choice(self) -> bool:
        """Whether the option changes which distributions pip installs, or pip may refuse it."""
        return self.name not in _LEGAL

    @property
    def serves_local_versions(self) -> bool:
        """Whether this is a source that can have versions such as 2.1.0+cu118."""
        host = urlsplit(self.value).hostname or ""
        return self.name in LOCATIONS and not _WITHOUT_LOCAL_VERSIONS.fullmatch(host)


def options_of(line: RequirementLine) -> tuple[FileOption, ...]:
    """Return every option of a line; a line of a file may hold several."""
    if line.kind in ("editable", "nested"):
        return ()
    try:
        words = shlex.split(line.text)
    except ValueError:  # pip refuses an open quote as well
        words = line.text.split()
    found: list[FileOption] = []
    for word in words:
        if word.startswith("-"):
            found.append(_option(word))
        elif found and not found[-1].value:
            found[-1] = FileOption(found[-1].name, word)
    return tuple(found)


def _option(word: str) -> FileOption:
    if word.startswith("--"):
        name, _, value = word.partition("=")
    else:
        name, value = word[:2], word[2:]
    return FileOption(_full_name(name), value)


def _full_name(name: str) -> str:
    """Return the long name; pip accepts every unambiguous beginning of a name."""
    name = _SAME.get(name, name)
    known = (*_LEGAL, *_OTHERS)
    if name in known or not name.startswith("--"):
        return name
    fitting = [entry for entry in known if entry.startswith(name)]
    return fitting[0] if len(fitting) == 1 else name


def variables_in(text: str) -> tuple[str, ...]:
    """Return the names of environment variables that pip would substitute in a line."""
    return tuple(_VARIABLE.findall(text))
