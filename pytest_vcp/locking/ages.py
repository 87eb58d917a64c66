"""New pins that are over a year behind, because existing pins hold them back."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

_PUBLIC = "https://pypi.org/simple"
_FORMAT = "application/vnd.pypi.simple.v1+json"
_SECONDS = 10.0
_AT_ONCE = 8
# The values of pip's variables that switch an option off.
_OFF = ("", "0", "false", "no", "off")
_LONG = timedelta(days=365)


@dataclass(frozen=True)
class Behind:
    """A new pin with the day of its release, and the newest release with its day."""

    name: str
    version: str
    released: datetime
    newest: str
    newest_released: datetime

    def line(self) -> str:
        """Return the message for the author."""
        return (
            f"{self.name} {self.version} is of {self.released:%B %Y}, and {self.newest} "
            f"of {self.newest_released:%B %Y}"
        )


def find_outdated(
    added: Iterable[tuple[str, str]], options: Iterable[str], environ: Mapping[str, str]
) -> tuple[Behind, ...]:
    """Return the new pins that are more than a year older than their newest release.

    `options` are those of requirements.in and `environ` the variables of pip, each of which may
    name the index. No pin is returned from an index that does not state upload times, or can't be
    reached.
    """
    asked = [words for line in options if (words := line.replace("=", " ", 1).split())]
    named = [words[1] for words in asked if words[0] == "--index-url" and len(words) > 1]
    index = [environ.get("PIP_INDEX_URL", _PUBLIC), *named][-1]
    offline = environ.get("PIP_NO_INDEX", "").lower() not in _OFF
    if offline or not index.startswith(("http://", "https://")):
        return ()
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        found = threads.map(lambda pin: _judge(index, *pin), added)
        return tuple(entry for entry in found if entry is not None)


def _judge(index: str, name: str, version: str) -> Behind | None:
    try:
        days = _days(_ask_index(index, name))
        here = days[Version(version)]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    newest = max(entry for entry in days if not entry.is_prerelease or entry == Version(version))
    if days[newest] - here <= _LONG:
        return None
    return Behind(name, version, here, str(newest), days[newest])


def _ask_index(index: str, name: str) -> Mapping[str, Any]:
    url = f"{index.rstrip('/')}/{name}/"
    request = urllib.request.Request(url, headers={"Accept": _FORMAT})
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        found: Mapping[str, Any] = json.load(answer)
        return found


def _days(project: Mapping[str, Any]) -> dict[Version, datetime]:
    """Map each release to the upload time of its first file; yanked releases are left out."""
    found: dict[Version, datetime] = {}
    for file in project["files"]:
        version = _version(file["filename"])
        if version is None or file.get("yanked"):
            continue
        day = datetime.fromisoformat(file["upload-time"].replace("Z", "+00:00"))
        found[version] = min(day, found.get(version, day))
    return found


def _version(filename: str) -> Version | None:
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[1]
        return parse_sdist_filename(filename)[1]
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
