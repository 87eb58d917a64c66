"""The output of pip: one short line of progress, or the reason of a failure.

pip has no machine-readable errors, so its messages are matched here and nowhere else. They are
those of pip 24 to 26; an unknown message counts as a failed build, with pip's own words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pytest_vcp.util.text import truncate

FailureKind = Literal["resolver", "unavailable", "python", "build", "network", "machine"]

_WIDTH = 100
_DETAIL_LINES = 3


@dataclass(frozen=True)
class BuildFailure:
    """The reason why an environment could not be built from a lock.

    `kind`: "resolver" (pins contradict each other), "unavailable" (an index that answers has no
    such distribution for this platform), "python" (a distribution does not support this Python),
    "build" (a distribution does not build or install), "network" (an index is unreachable) or
    "machine" (disk, memory, pip itself). The last two are not the package's fault. `detail` has at
    most three lines of pip's own message, `log` the complete output. `resolved`: the resolver had
    accepted the complete lock before the failure. `refused`: the distribution, for the kind
    "python". `remedy` says what to do if the package is not at fault, and there is more to do than
    to check the connection or the log.
    """

    kind: FailureKind
    headline: str
    detail: tuple[str, ...]
    log: Path
    resolved: bool = False
    refused: Refused | None = None
    remedy: str | None = None

    @property
    def rule(self) -> str:
        """The rule that a failure of this kind breaks."""
        return {"build": "VCP302", "python": "VCP207"}.get(self.kind, "VCP208")

    @property
    def summary(self) -> str:
        """The most important part of pip's own message."""
        if self.kind == "resolver" and self.detail:
            return "; ".join(self.detail[:2])
        return ": ".join([self.headline, *self.detail[-1:]])


@dataclass(frozen=True)
class Refused:
    """A distribution that pip refused, with the Requires-Python that was the reason."""

    name: str
    requires_python: str


def _shorten(text: str) -> str:
    return truncate(" ".join(text.split()), _WIDTH)


# ---------------------------------------------------------------------------------------- progress

_NAME = r"([A-Za-z0-9][A-Za-z0-9._-]*)"
_PROGRESS = (
    (re.compile(rf"^Collecting {_NAME}"), "resolving {}"),
    (re.compile(r"^Processing .*?([^/]+\.(?:whl|zip|tar\.gz))"), "reading {}"),
    (re.compile(r"^\s*Downloading (?:\S*/)?(\S+ \([^)]*\))"), "downloading {}"),
    (re.compile(r"^\s*Preparing metadata"), "preparing metadata"),
    (re.compile(r"^\s*Installing build dependencies"), "installing build dependencies"),
    (re.compile(rf"^\s*Building wheel for {_NAME}"), "building a wheel for {}"),
)
_SOURCES = re.compile(
    r"^\s*(?:Processing|Downloading|Using cached) \S+\.(?:zip|tgz|tar(?:\.\w+)?)(?:\s|$)"
)
_INSTALLING = re.compile(r"^Installing collected packages: (.*)")


def progress_of(line: str) -> str | None:
    """Return the progress that a line of pip's output reports, in a few words, or None."""
    installing = _INSTALLING.match(line)
    if installing:
        return f"installing {installing[1].count(',') + 1} distributions"
    for pattern, words in _PROGRESS:
        match = pattern.match(line)
        if match:
            return words.format(*match.groups())
    return None


def takes_sources(line: str) -> bool:
    """Return whether a line of pip's output shows that something will have to be built."""
    return _SOURCES.match(line) is not None


# ----------------------------------------------------------------------------------------- notes


def yank_reasons(output: str) -> dict[tuple[str, str], str]:
    """Return the reasons, if given, of the yanks that pip warned of, by name and version."""
    found = {
        (match["name"], match["version"]): match["reason"] for match in _YANKED.finditer(output)
    }
    return {release: reason for release, reason in found.items() if reason != "<none given>"}


# ---------------------------------------------------------------------------------------- failures

_UNREACHABLE = re.compile(
    r"Max retries exceeded|Retrying \(Retry|ReadTimeoutError|Read timed out|ConnectTimeout"
    r"|NewConnectionError|NameResolutionError|Could not resolve host|Temporary failure in name"
    r"|Connection refused|Connection reset|Connection aborted|ProxyError|ProtocolError"
    r"|IncompleteRead|IncompleteDownloadError|confirming the ssl certificate|SSLError"
    r"|ERROR: HTTP error 5\d\d|ERROR: HTTP error 40[137]|not a trusted or secure host"
    r"|fatal: unable to access|Name or service not known|Network is unreachable|Download failed"
)
_HOST = re.compile(r"host='([^']+)'|https?://(?:[^/@\s]*@)?([^/\s:]+)|located at (\S+)")
_INDEXES = re.compile(r"^Looking in indexes: (.+)$", re.MULTILINE)
_MACHINE = re.compile(
    r"No space left on device|Disk quota exceeded|Read-only file system|Too many open files"
    r"|^ERROR: Could not install packages due to an OSError: \[Errno (?:1|5|12|13)\]|^MemoryError",
    re.MULTILINE,
)
_NO_MATCH = re.compile(r"ERROR: No matching distribution found for (.+?)\s*$", re.MULTILINE)
_OTHER_PLATFORM = re.compile(r"^ERROR: (.+ is not a supported wheel on this .+)$", re.MULTILINE)
_OTHER_PYTHON = re.compile(
    r"^ERROR: (Package '?([^\s']+)'? requires a different Python: .+ not in '(.+)')$", re.MULTILINE
)
_CONFLICT = re.compile(r"^ERROR: (?:Cannot install .+|ResolutionImpossible.*)$", re.MULTILINE)
_WRONG_PYTHON = re.compile(
    r"^ERROR: Ignored the following .*different python version: (.+)$", re.MULTILINE
)
_PINNED = re.compile(r"([A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(\S+)$")
_YANKED = re.compile(
    r"yanked version: '(?P<name>\S+)' candidate \(version (?P<version>\S+) .*\n"
    r"Reason for being yanked: (?P<reason>.+)$",
    re.MULTILINE,
)
_BUILD = re.compile(
    r"^\s*error: (?:subprocess-exited-with-error|metadata-generation-failed)", re.MULTILINE
)
# A missing build backend: pip ends with its own traceback.
_BACKEND = re.compile(r"^pip\._vendor\.pyproject_hooks\S*: (.+)$", re.MULTILINE)
# git's message about an unreachable server precedes pip's own.
_GIT = re.compile(r"^\s*× git ", re.MULTILINE)
_GIT_UNREACHABLE = re.compile(
    r"^.*(?:fatal: unable to access (?!.* error: 4\d\d).*"
    r"|ssh: (?:Could not resolve hostname|connect to host).*)$",
    re.MULTILINE,
)
_BUILD_STEP = re.compile(r"^\s*× (.+?)\.?$", re.MULTILINE)
_BUILD_OUTPUT = re.compile(r"╰─> .*\n((?:.*\n)*?)\s*\[end of output\]")
_BUILT = re.compile(
    r"Failed to build '?([A-Za-z0-9][\w.-]*)'? when|Failed building wheel for (\S+)"
    r"|projects? \((\S+?)\)|dependencies for ([A-Za-z0-9][\w.-]*) did not run"
)
_TAKEN_UP = re.compile(r"^(?:Collecting|Processing) (?:\S*/)?(\S+)", re.MULTILINE)
_RESOLVED = re.compile(r"^(?:Building wheels for|Installing) collected packages", re.MULTILINE)
_ERROR = re.compile(r"^ERROR: (.+)$", re.MULTILINE)


def missing_requirement(output: str) -> str | None:
    """Return the requirement, also one of a build, for which pip found no distribution; or None."""
    match = _NO_MATCH.search(output)
    return match[1] if match else None


def is_unreachable(output: str) -> bool:
    """Return whether pip's own output says that an index or a file did not answer."""
    return _UNREACHABLE.search(output) is not None


_REFUSED = re.compile(r"Could not fetch URL \S+ (?!404|410)(.+?)(?: - skipping)?$", re.MULTILINE)


def was_refused(debug_log: str) -> bool:
    """Return whether pip's debug log shows an index that gave no answer ("not found" is one)."""
    return _REFUSED.search(debug_log) is not None or is_unreachable(debug_log)


def explain(output: str, log: Path) -> BuildFailure:
    """Classify a failed `pip install` by its output, and select the lines that matter."""
    if _MACHINE.search(output):
        return _machine(output, log)
    if _CONFLICT.search(output):
        return _resolver(output, log)
    build = _BUILD.search(output) or _BACKEND.search(output)
    if build and is_unreachable(output[build.start() :]):
        return build_no_answer(output[build.start() :], log)
    if _GIT.search(output) and (said := _GIT_UNREACHABLE.search(output)):
        return BuildFailure("network", _shorten(f"git could not fetch: {said[0].strip()}"), (), log)
    if build:
        return _build(output, log)
    refused = _find_refused(output)
    if refused:
        headline = f"{refused.name} requires Python {refused.requires_python}"
        return BuildFailure("python", _shorten(headline), (), log, refused=refused)
    if _NO_MATCH.search(output) or _OTHER_PLATFORM.search(output):
        return _read_unavailable(output, log)
    if is_unreachable(output):
        return build_no_answer(output, log)
    if "Traceback (most recent call last)" in output or not _ERROR.search(output):
        last = (output.strip().splitlines() or ["no output"])[-1]
        return BuildFailure("machine", "pip itself failed", (_shorten(last),), log)
    lines = [_shorten(line) for line in _ERROR.findall(output)]
    resolved = _RESOLVED.search(output) is not None
    return BuildFailure("build", lines[-1], tuple(lines[:-1][-_DETAIL_LINES:]), log, resolved)


def _machine(output: str, log: Path) -> BuildFailure:
    lines = [line for line in output.splitlines() if _MACHINE.search(line)]
    return BuildFailure("machine", "this machine stopped pip", (_shorten(lines[-1]),), log)


def build_no_answer(output: str, log: Path) -> BuildFailure:
    """Return the failure of a silent index, with the host that pip names, or all those asked."""
    lines = [line for line in output.splitlines() if is_unreachable(line) or _REFUSED.search(line)]
    hosts = _hosts(lines[:1]) or _hosts(_INDEXES.findall(output)) or ["pypi.org"]
    return BuildFailure(
        "network", _shorten(f"a package index did not answer: {' or '.join(hosts)}"), (), log
    )


def _hosts(lines: list[str]) -> list[str]:
    found = [match.group(match.lastindex or 0) for line in lines for match in _HOST.finditer(line)]
    return list(dict.fromkeys(found))


def _resolver(output: str, log: Path) -> BuildFailure:
    lines = [_shorten(line) for line in chain(output) or _ERROR.findall(output)]
    headline = "pins of requirements.txt contradict each other"
    return BuildFailure("resolver", headline, tuple(lines[:_DETAIL_LINES]), log)


def _find_refused(output: str) -> Refused | None:
    """Return the distribution that pip found but refused because of its Requires-Python."""
    refused = _OTHER_PYTHON.search(output)
    if refused:
        return Refused(refused[2], refused[3])
    # If other versions exist, "no matching distribution" has this among its reasons.
    ignored, pin = _WRONG_PYTHON.search(output), _PINNED.match(missing_requirement(output) or "")
    for entry in ignored[1].split("; ") if ignored and pin else ():
        version, _, requires_python = entry.strip().partition(" Requires-Python ")
        if pin and same_version(version, pin[2]):
            return Refused(pin[1], requires_python)
    return None


def same_version(first: str, second: str) -> bool:
    """Return whether two spellings mean one version; invalid ones are compared as strings."""
    try:
        return Version(first) == Version(second)
    except InvalidVersion:
        return first == second


def _read_unavailable(output: str, log: Path) -> BuildFailure:
    other = _OTHER_PLATFORM.search(output)
    requirement = missing_requirement(output) or "a requirement"
    headline = other[1] if other else f"no index has {requirement} for this Python and platform"
    return BuildFailure("unavailable", _shorten(headline), (), log)


def _build(output: str, log: Path) -> BuildFailure:
    named = _BUILT.search(output)
    # If pip does not name it, the distribution that it started last has failed.
    names = [name for name in named.groups() if name] if named else _TAKEN_UP.findall(output)[-1:]
    steps = [step for step in _BUILD_STEP.findall(output) if "Encountered error" not in step]
    printed = _BUILD_OUTPUT.search(output)
    inner = [line for line in printed[1].splitlines() if line.strip()] if printed else []
    detail = [_shorten(steps[0])] if steps else []
    detail += [_shorten(line) for line in inner[-1:] or _BACKEND.findall(output)[-1:]]
    headline = f"{names[0]} can't be built" if names else "a distribution can't be built"
    resolved = _RESOLVED.search(output) is not None
    return BuildFailure("build", _shorten(headline), tuple(detail[:_DETAIL_LINES]), log, resolved)


# ------------------------------------------------------------------------------------- conflicts
#
# pip's report of a conflict, shortened to the contradicting requirements and their origins.

_CAUSES = re.compile(r"^The conflict is caused by:\n((?:[ \t]+\S.*\n)+)", re.MULTILINE)
_DEPENDS = re.compile(r"(?P<name>\S+) (?P<version>\S+) depends on (?P<wanted>.+)")
_REQUESTED = re.compile(r"The user requested (?:\(constraint\) )?(?P<wanted>.+)")
# Why pip collects a distribution: others require it, the nearest first, from a line of a file.
_BROUGHT_IN = re.compile(
    r"^(?:Collecting|Processing) (?:\S*/)?(?P<name>[A-Za-z0-9][\w.]*(?:-(?!\d)[\w.]+)*).*"
    r" \(from (?P<way>.+)->-[rc] .*\)$",
    re.MULTILINE,
)


def chain(output: str) -> list[str]:
    """List the contradicting requirements, one line each: pip's own sentences, versions merged.

    A distribution that is not requested itself is followed by those that require it, beginning with
    the requested one. Empty if pip names no causes.
    """
    found = _CAUSES.search(output)
    causes = [line.strip() for line in found[1].splitlines()] if found else []
    contested = _contested(causes[0]) if causes else None
    matter = [line for line in causes if _contested(line) == contested]
    ways = _ways(output)
    merged = _merged(matter if len(matter) > 1 else causes)
    return [_format_cause(cause, count, ways) for cause, count in merged.items()]


def _contested(cause: str) -> str | None:
    """Return the canonical name of the distribution that a cause is about; None if unknown."""
    match = _REQUESTED.fullmatch(cause) or _DEPENDS.fullmatch(cause)
    try:
        return canonicalize_name(Requirement(match["wanted"]).name) if match else None
    except InvalidRequirement:
        return None


def _merged(causes: list[str]) -> dict[str, int]:
    """Count the versions of a distribution with the same need, by the cause of the first one."""
    firsts: dict[tuple[str, ...], str] = {}
    counts: dict[str, int] = {}
    for cause in causes:
        match = _DEPENDS.fullmatch(cause)
        key = (match["name"], match["wanted"]) if match else (cause,)
        first = firsts.setdefault(key, cause)
        counts[first] = counts.get(first, 0) + 1
    return counts


def _ways(output: str) -> dict[str, tuple[str, ...]]:
    """Map each distribution to those through which it is required, the requested one first."""
    ways: dict[str, tuple[str, ...]] = {}
    for match in _BROUGHT_IN.finditer(output):
        names = [re.split(r"[\s<>=!~;\[(@]", part)[0] for part in match["way"].split("->")]
        ways.setdefault(canonicalize_name(match["name"]), tuple(reversed(names)))
    return ways


def _format_cause(cause: str, count: int, ways: dict[str, tuple[str, ...]]) -> str:
    match = _DEPENDS.fullmatch(cause)
    if not match:
        return cause
    others = f" (and {count - 1} other version{'s' if count > 2 else ''})" if count > 1 else ""
    way = ways.get(canonicalize_name(match["name"]), ())
    by = f" (by way of {', '.join(way)})" if way else ""
    return f"{match['name']} {match['version']}{others} depends on {match['wanted']}{by}"
