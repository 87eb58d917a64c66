"""The check that another machine can fetch a requirement line, and gets the same content."""

from __future__ import annotations

import re
from typing import NamedTuple

from pytest_vcp.requirements.lock import RequirementLine
from pytest_vcp.requirements.options import LOCATIONS, options_of, variables_in

_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)
_REVISION_NUMBER = re.compile(r"r?\d+")


class Unfetchable(NamedTuple):
    """The obstacle to fetching a line on another machine: completes "found ...", and the remedy."""

    what: str
    remedy: str


_OWN_CODE = "move the code into model_code/, or publish it and pin its release; delete this line"
_COMMIT_WANTED = "write a full commit id after @ (git ls-remote prints it), or pin a release"


def why_not_fetchable(line: RequirementLine) -> Unfetchable | None:
    """Return why another machine can't fetch this line, or not the same; None if it can."""
    if line.kind == "editable":
        is_remote = "://" in line.text and "file:" not in line.text
        remedy = "drop -e, and write it as NAME @ URL@COMMIT" if is_remote else _OWN_CODE
        return Unfetchable("an editable install", remedy)
    if line.kind == "nested":
        remedy = "put the pins of that file here, and delete this line"
        return Unfetchable("a reference to another file", remedy)
    if line.kind == "path":
        return Unfetchable("a local path", _OWN_CODE)
    if line.kind == "option":
        return _local_option(line)
    # The installing machine has no such variable: pip would request the name as it is written.
    if variables := variables_in(line.url or ""):
        remedy = "write the URL in full; the hub has no such variable"
        return Unfetchable(f"a URL with the variable {variables[0]}", remedy)
    if line.kind == "vcs":
        return _moving_source(line.url or "")
    if line.kind == "url" and not line.is_hashed:
        remedy = "add #sha256=HASH to the URL (pip hash FILE prints it), or pin a release"
        return Unfetchable("a URL without a hash", remedy)
    return None


def _local_option(line: RequirementLine) -> Unfetchable | None:
    for option in options_of(line):
        if option.name not in LOCATIONS:
            continue
        if variables := variables_in(option.value):
            remedy = "delete it, or give a public URL in full; the hub has no such variable"
            return Unfetchable(f"{option.name} with the variable {variables[0]}", remedy)
        if not re.match(r"(https?|ftp):", option.value, re.IGNORECASE):
            remedy = "delete this line, and pin releases that an index serves"
            return Unfetchable(f"a local path under {option.name}", remedy)
    return None


def _moving_source(url: str) -> Unfetchable | None:
    system, _, rest = url.partition("+")
    if rest.lower().startswith("file:") or ":" not in rest:
        return Unfetchable("a local repository", _OWN_CODE)
    # The revision follows an @ in the path; one before the host separates the user's name.
    path = rest.partition("#")[0].partition("://")[2].partition("/")[2]
    revision = path.rpartition("@")[2] if "@" in path else None
    if revision is None:
        return Unfetchable("a repository without a commit", _COMMIT_WANTED)
    pattern = _COMMIT if system.lower() in ("git", "hg") else _REVISION_NUMBER
    if pattern.fullmatch(revision):
        return None
    return Unfetchable(f"the moving revision {revision!r}", _COMMIT_WANTED)
