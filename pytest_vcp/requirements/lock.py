"""Facts about requirements.in and requirements.txt, read line by line in the way pip reads them.

Environment variables (`${NAME}`) are left as written: a version that depends on the author's shell
is unknown to any other machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.util.text import truncate
from pytest_vcp.util.urls import mask_secrets

DECLARED = "requirements.in"
PINNED = "requirements.txt"

Kind = Literal["requirement", "option", "editable", "path", "vcs", "url", "nested", "invalid"]

# pip starts a comment at a hash sign only where a space or the start of the line precedes it.
_COMMENT = re.compile(r"(^|\s+)#.*$")
_VCS = re.compile(r"(git|hg|svn|bzr)\+", re.IGNORECASE)
_NAMED_URL = re.compile(r"^[A-Za-z0-9._-]+\s*(\[[^\]]*\])?\s*@\s*(?P<url>\S+)")
_ARCHIVES = (".whl", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_HASH = re.compile(r"--hash[= ]\s*(?P<value>\S+)")
_HASH_FRAGMENT = re.compile(r"[#&](md5|sha1|sha224|sha256|sha384|sha512)=[0-9a-fA-F]+")
_EGG = re.compile(r"[#&]egg=(?P<name>[A-Za-z0-9._-]+)")


@dataclass(frozen=True)
class RequirementLine:
    """One logical line: continuations joined, comments removed.

    `requirement` is set if the line follows the syntax of dependency specifiers; `url` if it points
    at a source or an archive; `hashes` are the values of its `--hash` options.
    """

    text: str
    where: Location
    kind: Kind
    requirement: Requirement | None = None
    url: str | None = None
    hashes: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """The line without its options and secrets, short enough for a message."""
        text = re.split(r"\s+--", self.text, maxsplit=1)[0] if self.requirement else self.text
        return truncate(mask_secrets(text), 60)

    @cached_property
    def name(self) -> str | None:
        """The canonical name of the distribution; None if the line does not state it."""
        if self.requirement is not None:
            return canonicalize_name(self.requirement.name)
        if self.url is None:
            return None
        egg = _EGG.search(self.url)
        if egg:
            return canonicalize_name(egg["name"])
        file = unquote(urlsplit(self.url).path).rpartition("/")[2]
        return canonicalize_name(file.split("-")[0]) if file.endswith(".whl") else None

    @property
    def exact_version(self) -> Version | None:
        """The version of a single `==` pin without wildcard, else None.

        `===` does not count: it compares strings, so that `1.0` and `1.0.0` differ, and installers
        disagree about it.
        """
        specifiers = list(self.requirement.specifier) if self.requirement else []
        if len(specifiers) != 1 or specifiers[0].operator != "==":
            return None
        version = specifiers[0].version
        return None if version.endswith(".*") else Version(version)

    @property
    def local_version(self) -> str | None:
        """The part after the plus sign of a required version such as 2.1.0+cu118; else None."""
        for specifier in self.requirement.specifier if self.requirement else ():
            if specifier.operator in ("==", "===") and "+" in specifier.version:
                return specifier.version.partition("+")[2]
        return None

    @property
    def is_hashed(self) -> bool:
        """Whether the line gives a hash that the installed file has to have."""
        return bool(self.hashes or _HASH_FRAGMENT.search(self.url or ""))


@dataclass(frozen=True)
class Lock:
    """The lines of requirements.in and requirements.txt, and those commented out in the former.

    `missing` are the files that don't exist. `declared_in_view` is false if requirements.in can't
    be seen, because an artifact is judged without its package.
    """

    declared: tuple[RequirementLine, ...]
    pinned: tuple[RequirementLine, ...]
    commented_out: tuple[RequirementLine, ...]
    missing: frozenset[str] = frozenset()
    declared_in_view: bool = True

    def declared_as(self, name: str) -> list[RequirementLine]:
        """List the lines of requirements.in for one distribution, by any spelling of its name."""
        wanted = canonicalize_name(name)
        return [line for line in self.declared if line.name == wanted]

    def pinned_as(self, name: str) -> list[RequirementLine]:
        """List the lines of requirements.txt for one distribution, by any spelling of its name."""
        wanted = canonicalize_name(name)
        return [line for line in self.pinned if line.name == wanted]


def read_lock(pkg_dir: Path) -> Lock:
    """Read both files; a missing one counts as empty (VCP101 judges its presence)."""
    declared = read_text(pkg_dir / DECLARED)
    return Lock(
        declared=parse_lines(declared, DECLARED),
        pinned=parse_lines(read_text(pkg_dir / PINNED), PINNED),
        commented_out=tuple(_read_commented_out(declared, DECLARED)),
        missing=frozenset(name for name in (DECLARED, PINNED) if not (pkg_dir / name).is_file()),
    )


def read_artifact_lock(path: Path) -> Lock:
    """Read the requirements.txt of an artifact, which contains no requirements.in."""
    return Lock(
        declared=(),
        pinned=parse_lines(read_text(path), PINNED),
        commented_out=(),
        missing=frozenset() if path.is_file() else frozenset({PINNED}),
        declared_in_view=False,
    )


def read_text(path: Path) -> str:
    """Read a requirements file, in the encodings that pip reads; empty without a file."""
    if not path.is_file():
        return ""
    content = path.read_bytes()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):  # what a Windows shell's redirect writes
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace")


# A run parses the same lock for the files, the environment, the artifact and the remaining work.
@lru_cache(maxsize=32)
def parse_lines(text: str, file: str) -> tuple[RequirementLine, ...]:
    """Parse the logical lines of a requirements file; `file` is its name in messages."""
    lines = ((number, _COMMENT.sub("", joined).strip()) for number, joined in _join_lines(text))
    return tuple(_parse(line, Location(file, number)) for number, line in lines if line)


def _join_lines(text: str) -> Iterator[tuple[int, str]]:
    """Join lines that end in a backslash, as pip does; a comment line is never continued."""
    start = 0
    parts: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        is_comment = _COMMENT.match(line) is not None
        start = start if parts else number
        if line.endswith("\\") and not is_comment:
            parts.append(line.strip("\\"))
            continue
        yield start, "".join([*parts, f" {line}" if is_comment else line])
        parts = []
    if parts:
        yield start, "".join(parts)


def _read_commented_out(text: str, file: str) -> Iterator[RequirementLine]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            parsed = _parse(line.strip().lstrip("# "), Location(file, number))
            if parsed.requirement is not None and parsed.requirement.specifier:
                yield parsed


def _parse(line: str, where: Location) -> RequirementLine:
    if line.startswith("-"):
        return RequirementLine(line, where, _option_kind(line))
    # Options of a single requirement follow it; no specifier has a word that starts with a dash.
    words = line.split()
    options_from = next((i for i, w in enumerate(words) if w.startswith("-")), len(words))
    text = " ".join(words[:options_from])
    hashes = tuple(m["value"] for m in _HASH.finditer(" ".join(words[options_from:])))
    if re.fullmatch(r"[^\s@:]+", text) and text.lower().endswith(_ARCHIVES):
        # It could be the name of a distribution, but pip treats it as a file.
        return RequirementLine(line, where, "path", None, text, hashes)
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return _parse_location(line, text, where, hashes)
    kind = _url_kind(requirement.url) if requirement.url else "requirement"
    return RequirementLine(line, where, kind, requirement, requirement.url, hashes)


def _parse_location(
    line: str, text: str, where: Location, hashes: tuple[str, ...]
) -> RequirementLine:
    """Parse a line that is no dependency specifier: a bare URL, a path, or an invalid line."""
    named = _NAMED_URL.match(text)
    target = named["url"] if named else text
    if _VCS.match(target) or re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", target):
        return RequirementLine(line, where, _url_kind(target), None, target, hashes)
    is_path = target.startswith((".", "/", "~", "\\")) or re.match(r"[\w.-]+[\\/]", target)
    if is_path or re.match(r"[A-Za-z]:\\", target) or target.lower().endswith(_ARCHIVES):
        return RequirementLine(line, where, "path", None, target, hashes)
    return RequirementLine(line, where, "invalid")


def _url_kind(url: str) -> Kind:
    if _VCS.match(url):
        return "vcs"
    return "url" if url.lower().startswith(("http:", "https:", "ftp:")) else "path"


def _option_kind(line: str) -> Kind:
    name = re.split(r"[\s=]", line, maxsplit=1)[0]
    if name == "--editable" or (name.startswith("-e") and not name.startswith("--")):
        return "editable"
    if name in ("--requirement", "--constraint") or re.match(r"-[rc](?!-)", name):
        return "nested"
    return "option"
