"""Whether another machine can fetch what a requirement line points at, and fetch the same thing."""

from __future__ import annotations

import re

from pytest_vcp.requirements.lock import RequirementLine
from pytest_vcp.requirements.options import LOCATIONS, options_of, variables_in

_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)
_REVISION_NUMBER = re.compile(r"r?\d+")


def why_not_fetchable(line: RequirementLine) -> str | None:
    """What keeps another machine from fetching this line; None where nothing does."""
    if line.kind == "editable":
        return "an editable install"
    if line.kind == "nested":
        return "a reference to another file"
    if line.kind == "path":
        return "a local path"
    if line.kind == "option":
        return _local_option(line)
    # Whoever installs this has no such variable: pip would ask for the name as it is written.
    if variables := variables_in(line.url or ""):
        return f"a URL with the variable {variables[0]}"
    if line.kind == "vcs":
        return _moving_source(line.url or "")
    if line.kind == "url":
        return None if line.is_hashed else "a URL without a hash"
    return None


def _local_option(line: RequirementLine) -> str | None:
    for option in options_of(line):
        if option.name not in LOCATIONS:
            continue
        if variables := variables_in(option.value):
            return f"{option.name} with the variable {variables[0]}"
        if not re.match(r"(https?|ftp):", option.value, re.IGNORECASE):
            return f"a local path under {option.name}"
    return None


def _moving_source(url: str) -> str | None:
    system, _, rest = url.partition("+")
    if rest.lower().startswith("file:") or ":" not in rest:
        return "a local repository"
    # The revision follows an @ in the path; one before the host separates the user's name.
    path = rest.partition("#")[0].partition("://")[2].partition("/")[2]
    revision = path.rpartition("@")[2] if "@" in path else None
    if revision is None:
        return "a repository without a commit"
    pattern = _COMMIT if system.lower() in ("git", "hg") else _REVISION_NUMBER
    return None if pattern.fullmatch(revision) else f"the moving revision {revision!r}"
