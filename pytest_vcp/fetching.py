"""Whether another machine can fetch what a requirement line points at, and fetch the same thing."""

from __future__ import annotations

import re

from pytest_vcp.requirements import RequirementLine

_COMMIT = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)
_REVISION_NUMBER = re.compile(r"r?\d+")
_HASH_FRAGMENT = re.compile(r"[#&](md5|sha1|sha224|sha256|sha384|sha512)=[0-9a-fA-F]+")
_LOCATION_OPTION = re.compile(
    r"(?P<name>--find-links|-f|--index-url|-i|--extra-index-url|--pypi-url)[=\s]*(?P<where>\S+)"
)


def why_not_fetchable(line: RequirementLine) -> str | None:
    """What keeps another machine from fetching this line; None where nothing does."""
    if line.kind == "editable":
        return "an editable install"
    if line.kind == "nested":
        return "a reference to another file"
    if line.kind == "path":
        return "a local path"
    if line.kind == "option":
        return _local_option(line.text)
    if line.kind == "vcs":
        return _moving_source(line.url or "")
    if line.kind == "url":
        fixed = line.hashes or _HASH_FRAGMENT.search(line.url or "")
        return None if fixed else "a URL without a hash"
    return None


def _local_option(text: str) -> str | None:
    option = _LOCATION_OPTION.match(text)
    if option is None or re.match(r"(https?|ftp):|\$\{", option["where"], re.IGNORECASE):
        return None
    return f"a local path under {option['name']}"


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
