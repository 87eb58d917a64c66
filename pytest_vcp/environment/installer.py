"""Calls of pip in an environment: one call with the resolver on, and the user's sources only."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pytest_vcp.environment import pip_messages, watched
from pytest_vcp.environment.interpreters import clean_environ
from pytest_vcp.environment.pip_messages import BuildFailure
from pytest_vcp.environment.watched import News, Progress
from pytest_vcp.requirements.lock import RequirementLine
from pytest_vcp.requirements.options import options_of
from pytest_vcp.rules.outcomes import ToolError

# Where distributions come from and how they are reached. Every other setting of the user's pip
# is left out, because it could change what is installed (no-deps, pre, constraint), how
# (no-build-isolation, only-binary) or to where (target, user, prefix).
SOURCE_SETTINGS = frozenset(
    {
        "cache-dir",
        "cert",
        "client-cert",
        "default-timeout",
        "extra-index-url",
        "find-links",
        "index-url",
        "keyring-provider",
        "no-cache-dir",
        "no-index",
        "proxy",
        "resume-retries",
        "retries",
        "timeout",
        "trusted-host",
        "use-feature",
    }
)
# Options of a lock that say where distributions come from, and pip's variables for them.
_OPTION_VARIABLES = {
    "--index-url": "PIP_INDEX_URL",
    "--extra-index-url": "PIP_EXTRA_INDEX_URL",
    "--find-links": "PIP_FIND_LINKS",
    "--trusted-host": "PIP_TRUSTED_HOST",
}
_ASK_LIMIT_SECONDS = 120.0


class NotOnlyWheels(Exception):
    """pip chose a source archive, which only pip can build."""


def install(
    python: Path,
    lock: Path,
    report: Path,
    log: Path,
    environ: Mapping[str, str],
    progress: Progress,
) -> BuildFailure | None:
    """Install the complete lock with the pip of `python`; return None if that worked.

    pip resolves, writes its installation report to `report` and its output to `log`. `environ` is
    that of `pip_environ`. Relative paths in the lock are resolved against the lock's directory. No
    byte-code is written. If anything is raised meanwhile (KeyboardInterrupt, a time-out), pip and
    its children are ended.
    """
    options = ("--no-compile", "--report", report)
    return _install(python, lock, options, log, environ, progress)


def resolve(
    python: Path,
    lock: Path,
    report: Path,
    log: Path,
    environ: Mapping[str, str],
    progress: Progress,
) -> BuildFailure | None:
    """Resolve like `install`, but install nothing: the result is only in `report`.

    Raises `NotOnlyWheels` as soon as pip chooses anything that has to be built, before building it.
    """
    options = ("--dry-run", "--report", report)
    return _install(python, lock, options, log, environ, progress, _only_wheels)


def _only_wheels(line: str) -> str | None:
    """Return the progress that a line reports. Raises `NotOnlyWheels` for a source archive."""
    if pip_messages.takes_sources(line):
        raise NotOnlyWheels(line.strip())
    return pip_messages.progress_of(line)


def try_out(python: Path, requirements: Path, log: Path, progress: Progress) -> BuildFailure | None:
    """Ask the pip of `python` whether it would install these requirements; None if it would.

    Already installed distributions do not count, and nothing is installed. Otherwise like
    `install`.
    """
    options = ("--dry-run", "--ignore-installed")
    return _install(python, requirements, options, log, pip_environ(python), progress)


def _install(
    python: Path,
    lock: Path,
    options: Sequence[str | Path],
    log: Path,
    environ: Mapping[str, str],
    progress: Progress,
    news: News = pip_messages.progress_of,
) -> BuildFailure | None:
    command = [
        *pip_command(python),
        "install",
        *("-r", lock.name),  # by its name: pip repeats it in its messages
        *options,
        *("--progress-bar", "off"),
    ]
    status = watched.run(command, environ, lock.parent, log, progress, news, "starting pip")
    failure = failure_of(status, log)
    if failure is None:
        return None
    return check_reachable(failure, log.read_text("utf-8", "replace"), python, environ)


def failure_of(status: int, log: Path) -> BuildFailure | None:
    """Return why a pip that ended with `status` and wrote `log` failed; None if it did not."""
    if status == 0:
        return None
    if status < 0:
        name = signal.Signals(-status).name
        return BuildFailure("machine", f"pip was ended by {name}", (), log)
    return pip_messages.explain(log.read_text(encoding="utf-8", errors="replace"), log)


def surroundings(failure: BuildFailure, when: str, log: Path) -> ToolError | None:
    """Return the error if the network or the machine is at fault, not the package; else None."""
    if failure.kind not in ("network", "machine"):
        return None
    remedy = f"see the end of {log}"
    if failure.remedy is not None:
        remedy = f"{failure.remedy}; all that was printed is in {log}"
    elif failure.kind == "network":
        remedy = "check the connection, the proxy and pip's index settings"
    return ToolError(f"{failure.headline} {when}", remedy)


def pip_environ(python: Path) -> dict[str, str]:
    """Return the variables for pip: the user's sources, without anything that affects resolving.

    The user's settings are read from variables and configuration files alike, as pip merges them;
    then the files are switched off and the remaining settings are passed in variables.
    """
    environ = {key: value for key, value in clean_environ().items() if key != "VIRTUAL_ENV"}
    asking = {key: value for key, value in environ.items() if key not in ("PIP_QUIET", "PIP_LOG")}
    try:
        answer = subprocess.run(
            [*pip_command(python), "config", "list"],
            capture_output=True,
            check=True,
            env=asking,
            timeout=_ASK_LIMIT_SECONDS,
            stdin=subprocess.DEVNULL,
        ).stdout
    except subprocess.SubprocessError as problem:
        raise ToolError(
            f"pip can't read its configuration: {problem}", "see what `pip config debug` says"
        ) from problem
    environ = {key: value for key, value in environ.items() if not key.startswith("PIP_")}
    environ.update(source_settings(answer.decode("utf-8", "replace")))
    environ["PIP_CONFIG_FILE"] = os.devnull
    return environ


def source_settings(listing: str) -> dict[str, str]:
    """Return the variables with the permitted settings of a `pip config list`.

    A setting for `install` overrides a global one, and a variable overrides both.
    """
    merged: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listing.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in merged and name in SOURCE_SETTINGS:
            merged[section][name] = " ".join(str(ast.literal_eval(value)).split())
    settings = {**merged["global"], **merged["install"], **merged[":env:"]}
    return {f"PIP_{name.upper().replace('-', '_')}": value for name, value in settings.items()}


def environ_for(environ: Mapping[str, str], lock: Iterable[RequirementLine]) -> dict[str, str]:
    """Return the variables for pip: the sources in `environ`, and those that the lock names.

    They are passed in variables, because `pip index` reads no file, and other users can see a
    command line.
    """
    environ = dict(environ)
    for line in lock:
        for option in options_of(line) if line.kind == "option" else ():
            variable = _OPTION_VARIABLES.get(option.name)
            if variable is None:
                continue
            before = "" if option.name == "--index-url" else environ.get(variable, "")
            environ[variable] = f"{before} {os.path.expandvars(option.value)}".strip()
    return environ


def pip_command(python: Path) -> list[str | Path]:
    """Return the command that starts the pip of an environment, isolated from its surroundings."""
    return [python, "-I", "-u", "-m", "pip", "--no-input", "--disable-pip-version-check"]


def check_reachable(
    failure: BuildFailure, output: str, python: Path, environ: Mapping[str, str]
) -> BuildFailure:
    """Distinguish a missing distribution from an unreachable index.

    pip reports "no matching distribution" for both. Its debug log does distinguish them, but has a
    line for each file of each project, so it is requested only now, and only for the requirement in
    question.
    """
    requirement = pip_messages.missing_requirement(output)
    if failure.kind not in ("unavailable", "build") or requirement is None:
        return failure
    if pip_messages.is_unreachable(output):
        return pip_messages.build_no_answer(output, failure.log)
    with tempfile.TemporaryDirectory(prefix="tmp-", dir=failure.log.parent) as scratch:
        debug_log = Path(scratch, "pip-debug.log")
        command = [*pip_command(python), "--log", debug_log, "download", "--no-deps", "-d", scratch]
        try:
            subprocess.run(
                [*command, "--", requirement],
                check=False,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                env=environ,
                timeout=_ASK_LIMIT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return pip_messages.build_no_answer("", failure.log)
        debug_output = debug_log.read_text(encoding="utf-8", errors="replace")
    return (
        pip_messages.build_no_answer(debug_output, failure.log)
        if pip_messages.was_refused(debug_output)
        else failure
    )
