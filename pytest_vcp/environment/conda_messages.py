"""Read what conda, mamba and micromamba print: progress, and why they failed.

They run pip themselves and repeat what it says. That part is for `pip_messages`; the rest is about
channels and the machine, and nothing of it is the package's fault.
"""

from __future__ import annotations

import re
from pathlib import Path

from pytest_vcp.environment import pip_messages
from pytest_vcp.environment.pip_messages import BuildFailure

_PROGRESS = (
    (re.compile(r"^Collecting package metadata|^Channels:"), "reading the channels of conda"),
    (re.compile(r"^Solving environment|^Transaction$"), "choosing the packages of conda"),
    (re.compile(r"^Downloading and Extracting|^Linking "), "installing the packages of conda"),
    (re.compile(r"^Installing pip "), "installing the lock with pip"),
)
# From here on pip speaks, whichever command has started it.
_PIP = re.compile(
    r"^(?:Installing pip (?:dependencies|packages)|Pip subprocess (?:output|error):"
    r"|Ran pip subprocess)",
    re.MULTILINE,
)
_CHANNEL = re.compile(
    r"CondaHTTPError|CondaSSLError|SSLError|SSL certificate|ProxyError|HTTP 000|HTTP 5\d\d"
    r"|ConnectionError|Connection (?:failed|timed out|refused|reset)|Failed to connect"
    r"|Could(?: not|n't) (?:resolve|connect)|Timeout was reached|[Dd]ownload error"
    r"|UnavailableInvalidChannel|Temporary failure in name resolution|Network is unreachable"
)
_HOST = re.compile(r"https?://(?:[^/@\s]*@)?([^/\s:>]+)")
_NO_PACKAGE = re.compile(
    r"PackagesNotFoundError|ResolvePackageNotFound|LibMambaUnsatisfiable|UnsatisfiableError"
    r"|nothing provides|does not exist|No candidates were found|Could not solve"
)


def progress_of(line: str) -> str | None:
    """What a line says about the progress, in a few words; None for nothing."""
    for pattern, words in _PROGRESS:
        if pattern.match(line):
            return words
    return pip_messages.progress_of(line)


def told_by_pip(output: str) -> str | None:
    """The part of the output in which pip speaks; None where it was not come to."""
    match = _PIP.search(output)
    return output[match.start() :] if match else None


def explain(output: str, python: str, log: Path) -> BuildFailure:
    """Name the kind of a failure before pip was started, or without its doing.

    `python` is the version that was asked for.
    """
    channel = [line for line in output.splitlines() if _CHANNEL.search(line)]
    if channel:
        hosts = _HOST.findall("\n".join(channel)) or _HOST.findall(output) or ["conda-forge"]
        headline = f"a conda channel did not answer: {hosts[0]}"
        remedy = "check the connection, the proxy and the settings in .condarc"
        return BuildFailure("network", headline, (), log, remedy=remedy)
    if _NO_PACKAGE.search(output):
        headline = f"the channels of conda have no python={python} for this platform"
        remedy = "choose another version with --vcp-python"
        return BuildFailure("machine", headline, (), log, remedy=remedy)
    last = next((line for line in reversed(output.splitlines()) if line.strip()), "no output")
    return BuildFailure("machine", f"conda failed: {' '.join(last.split())[:100]}", (), log)
