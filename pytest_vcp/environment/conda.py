"""Environments made by conda, mamba or micromamba, from a file like an artifact's `conda.yaml`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import yaml

from pytest_vcp.environment import pip_messages, watched
from pytest_vcp.environment.cache_entry import LOG, REPORT
from pytest_vcp.environment.installer import check_reachable, pip_environ
from pytest_vcp.environment.interpreters import Interpreter
from pytest_vcp.environment.pip_messages import BuildFailure
from pytest_vcp.environment.watched import Progress
from pytest_vcp.rules.outcomes import ToolError

CHANNEL = "conda-forge"
# The pip whose messages `pip_messages` knows.
PIP = "pip<=26.99"
_COMMANDS = ("conda", "micromamba", "mamba")
_VARIABLES = ("MAMBA_EXE", "CONDA_EXE")
_PREFIX = "env"
_FILE = "conda.yaml"


def make(
    directory: Path, python: str, host: Interpreter, lock: bytes, progress: Progress
) -> tuple[Path, BuildFailure | None]:
    """Make an environment in `directory` from the lock; return its Python and any failure.

    `python` is the version for conda to install, `host` an interpreter of this machine. Raises
    ToolError if conda is not found.
    """
    command = find_command()
    directory.mkdir()
    file, prefix, log = directory / _FILE, directory / _PREFIX, directory / LOG
    file.write_text(specification(python, lock), encoding="utf-8")
    environ = _environ(host, directory / REPORT)
    news, step = progress_of, f"starting {command.name}"
    status = watched.run(
        _arguments(command, prefix, file), environ, directory, log, progress, news, step
    )
    there = _python_of(prefix)
    if status == 0 and there.exists():
        return there, None
    if status < 0:
        headline = f"{command.name} was ended by {signal.Signals(-status).name}"
        return there, BuildFailure("machine", headline, (), log)
    return there, _failure(log, there, environ, python)


def find_command() -> Path:
    """Return the command that makes conda environments. Raises ToolError without one."""
    for name in _COMMANDS:
        found = shutil.which(name)
        if found:
            return Path(found)
    for variable in _VARIABLES:
        path = os.environ.get(variable)
        if path and os.access(path, os.X_OK):
            return Path(path)
    raise ToolError(
        "there is no conda, micromamba or mamba on PATH, nor does MAMBA_EXE or CONDA_EXE name one",
        "install one of them, or build with --vcp-env-manager virtualenv",
    )


def specification(python: str, lock: bytes) -> str:
    """Return a file's text as MLflow writes it: one channel, Python, pip, and the lock for pip."""
    requirements = list(_logical_lines(lock.decode("utf-8", "replace")))
    dependencies = [f"python={python}", PIP, {"pip": requirements}]
    content = {"channels": [CHANNEL], "dependencies": dependencies, "name": "mlflow-env"}
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=sys.maxsize)


def _logical_lines(lock: str) -> Iterator[str]:
    """Yield the lines of a requirements file without comments, continuations joined."""
    for line in re.sub(r"[ \t]*\\\r?\n\s*", " ", lock).splitlines():
        bare = re.sub(r"(^|\s+)#.*$", "", line).strip()
        if bare:
            yield bare


def _arguments(command: Path, prefix: Path, file: Path) -> list[str | Path]:
    if "micromamba" in command.name:
        return [command, "create", "--yes", "-p", prefix, "-f", file]
    return [command, "env", "create", "-p", prefix, "-f", file]


def _environ(host: Interpreter, report: Path) -> dict[str, str]:
    """Return the variables for conda, and for the pip that it starts: the plugin's settings."""
    return {
        **_sources(host),
        "CONDA_ALWAYS_YES": "true",
        "MAMBA_ALWAYS_YES": "true",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_REPORT": str(report),
        "PYTHONUNBUFFERED": "1",
    }


def _sources(host: Interpreter) -> dict[str, str]:
    """Return the variables for pip, from a pip that exists before conda has installed one."""
    for python in (Path(sys.executable), host.executable):
        with suppress(ToolError):
            return pip_environ(python)
    raise ToolError(
        "there is no pip here that could tell how package indexes are reached",
        f"install pip beside pytest: {sys.executable} -m ensurepip",
    )


def _python_of(prefix: Path) -> Path:
    return prefix / "bin" / "python"


def _failure(log: Path, python: Path, environ: dict[str, str], version: str) -> BuildFailure:
    """Return why the command failed: from pip's output if pip was started, else from its own."""
    output = log.read_text(encoding="utf-8", errors="replace")
    by_pip = find_pip_output(output)
    if by_pip is None or not python.exists():
        return explain(output, version, log)
    return check_reachable(pip_messages.explain(by_pip, log), by_pip, python, environ)


# -------------------------------------------------------------------------------- conda messages
#
# The output of conda, mamba and micromamba: progress, and the reasons of failures.
#
# They run pip themselves and repeat its output. That part is left to `pip_messages`; the rest is
# about channels and the machine, and none of it is the package's fault.

_PROGRESS = (
    (re.compile(r"^Collecting package metadata|^Channels:"), "reading the channels of conda"),
    (re.compile(r"^Solving environment|^Transaction$"), "choosing the packages of conda"),
    (re.compile(r"^Downloading and Extracting|^Linking "), "installing the packages of conda"),
    (re.compile(r"^Installing pip "), "installing the lock with pip"),
)
# From here on the output is pip's, whichever command has started it.
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
    """Return the progress that a line reports, in a few words; None if it reports none."""
    for pattern, words in _PROGRESS:
        if pattern.match(line):
            return words
    return pip_messages.progress_of(line)


def find_pip_output(output: str) -> str | None:
    """Return the part of the output that is pip's; None if pip was not started."""
    match = _PIP.search(output)
    return output[match.start() :] if match else None


def explain(output: str, python: str, log: Path) -> BuildFailure:
    """Classify a failure that happened before pip was started, or without its doing.

    `python` is the requested version.
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
