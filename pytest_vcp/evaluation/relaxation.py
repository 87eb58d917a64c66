"""The conditions that make a model fail, found by lifting them one at a time.

The loading worker runs under all conditions from the start, so a conforming package pays nothing.
Only a run that fails is retried, with the conditions relaxed that its failure points to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.rules.outcomes import Location
from pytest_vcp.worker.failure import WorkerFailure

Condition = Literal["home", "network", "outside"]

# The mildest first: the one that helps without the others is reported.
CONDITIONS: tuple[Condition, ...] = ("home", "network", "outside")

# Messages of libraries that find no network, or that may not write.
_OFFLINE = (
    "name resolution",
    "getaddrinfo",
    "nodename nor servname",
    "Name or service not known",
    "resolve host",
    "is unreachable",
    "URLError",
    "ConnectionError",
    "offline mode",
)
_READ_ONLY = (
    "PermissionError",
    "Permission denied",
    "Read-only file system",
    "readonly",
    "not writable",
    "unable to open database file",
    # numba, which caches compiled code next to the source or in the home directory.
    "no locator available",
)
# Commands with which MLflow and Python inspect the system; they have no effects.
_LOOKING = ("uname", "git version", "ldconfig", "gcc", "cc", "ld", "lscpu")


@dataclass(frozen=True)
class Trace:
    """The addresses that a process requested, and the forbidden paths that it tried to change.

    `at_home` are the paths in the home directory. `started` are the commands of other processes
    that it started; their own requests are unknown.
    """

    connections: tuple[str, ...] = ()
    at_home: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    started: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadAttempt:
    """The progress of a process: loading, and the first forward pass if there is one.

    `trace` is None if nothing failed, or if the process has ended and can't be asked. `places`
    maps our directories to the names that an author would use.
    """

    load: Reply
    predict: Reply | None
    trace: Trace | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def failure(self) -> WorkerFailure | None:
        """The first failure; None without one."""
        if self.load.failure is not None:
            return self.load.failure
        return self.predict.failure if self.predict is not None else None

    @property
    def reached(self) -> int:
        """The number of steps that succeeded."""
        if self.load.failure is not None:
            return 0
        return 1 if self.failure is not None else 2


@dataclass(frozen=True)
class Requirement:
    """A condition that makes the model fail: the message, its location, and what was requested."""

    said: str
    where: Location | None
    wanted: tuple[str, ...]


@dataclass(frozen=True)
class Writing:
    """Writing outside temporary directories: the need for it, and files of the artifact that
    changed while the model was run where it could write. `shared` are paths that all processes
    of the machine have in common."""

    requirement: Requirement | None
    changed: tuple[str, ...]
    shared: tuple[str, ...]


@dataclass(frozen=True)
class Requirements:
    """The needs of the model; `relaxed` are the conditions under which it was not run.

    A need whose condition was not relaxed is known from the model's message, and could not be met
    here.
    """

    by_condition: Mapping[Condition, Requirement] = field(default_factory=dict)
    relaxed: frozenset[Condition] = frozenset()

    @property
    def unmet(self) -> tuple[Condition, ...]:
        """The conditions whose needs could not be met."""
        return tuple(name for name in self.by_condition if name not in self.relaxed)


def explain(
    first: LoadAttempt, retry: Callable[[frozenset[Condition]], LoadAttempt]
) -> tuple[LoadAttempt, Requirements]:
    """Lift the conditions that a failure points to until the model runs, or nothing helps.

    `retry` runs the model in a fresh process with these conditions relaxed. Returns the run that
    got furthest, and its requirements.
    """
    current, requirements = first, Requirements()
    while current.failure is not None:
        found = _one_step(current, requirements, retry)
        if found is None:
            break
        current, requirements = found
    return current, requirements


def _one_step(
    current: LoadAttempt,
    requirements: Requirements,
    retry: Callable[[frozenset[Condition]], LoadAttempt],
) -> tuple[LoadAttempt, Requirements] | None:
    """Get one step further by lifting one condition, else all suspects; None if nothing helps."""
    suspects = suspected(current) - requirements.relaxed
    tried = [frozenset({condition}) for condition in CONDITIONS if condition in suspects]
    position = 0
    while position < len(tried):
        run = retry(requirements.relaxed | tried[position])
        if run.reached > current.reached:
            return run, _add(requirements, current, tried[position])
        # With one obstacle removed, the next one may show.
        suspects |= suspected(run) - requirements.relaxed - tried[position]
        position += 1
        if position == len(tried) and suspects not in tried and len(suspects) > 1:
            tried.append(suspects)
    return None


def suspected(run: LoadAttempt) -> frozenset[Condition]:
    """Return the conditions that may have made a run fail, by its message and its requests."""
    failure, trace = run.failure, run.trace
    if failure is None:
        return frozenset()
    if failure.kind == "timeout":
        # Waiting for a reply from the network may take for ever; a disk refuses at once.
        return frozenset({"network"})
    if trace is None or not all(map(_only_looks, trace.started)):
        return frozenset(CONDITIONS)
    # A C library leaves no trace, only a message.
    unseen = _sounds_read_only(failure) and not (trace.at_home or trace.outside)
    signs: dict[Condition, bool] = {
        "home": bool(trace.at_home) or unseen,
        "network": bool(trace.connections) or _sounds_offline(failure),
        "outside": bool(trace.outside) or unseen,
    }
    return frozenset(condition for condition in CONDITIONS if signs[condition])


def _only_looks(command: str) -> bool:
    program, _, argument = command.partition(" ")
    return " ".join((Path(program).name, argument)).strip().startswith(_LOOKING)


def add_unmet(
    run: LoadAttempt, requirements: Requirements, online: WorkerFailure | None
) -> Requirements:
    """Add the needs that are evident from the message of a failure although nothing has helped.

    If the machine has no network, or the model then fails for the next reason, relaxing a
    condition shows nothing. `online` is the failure of a process that was free to use a network.
    """
    failure, trace = run.failure, run.trace or Trace()
    if failure is None:
        return requirements
    message = _format_failure(failure)
    refused = _sounds_read_only(failure)
    clear: dict[Condition, bool] = {
        "network": online is not None and _sounds_offline(failure) and _sounds_offline(online),
        "outside": refused and any(path in message for path in trace.outside),
    }
    added = {condition: _requirement_of(condition, run) for condition in clear if clear[condition]}
    return Requirements({**requirements.by_condition, **added}, requirements.relaxed)


def _sounds_offline(failure: WorkerFailure) -> bool:
    """Return whether a failure is a message of a library that finds no network."""
    return any(sign in _format_failure(failure) for sign in _OFFLINE)


def _sounds_read_only(failure: WorkerFailure) -> bool:
    return any(sign in _format_failure(failure) for sign in _READ_ONLY)


def _requirement_of(condition: Condition, run: LoadAttempt) -> Requirement:
    """Describe what a failed run requested that the condition forbids."""
    assert run.failure is not None
    trace = run.trace or Trace()
    wanted: dict[Condition, tuple[str, ...]] = {
        "home": trace.at_home,
        "network": trace.connections,
        "outside": trace.outside,
    }
    shown = tuple(_replace_places(name, run.places) for name in wanted[condition])
    return Requirement(_replace_places(run.failure.summary, run.places), run.failure.where, shown)


def _replace_places(text: str, directories: Mapping[str, str]) -> str:
    for directory, name in directories.items():
        text = text.replace(directory, name)
    return text


def read_trace(reply: Mapping[str, Any], home: str) -> Trace:
    """Parse the reply of the worker's ``probe.observed``."""
    at_home = tuple(path for path in reply["outside"] if _is_below(path, home))
    outside = tuple(path for path in reply["outside"] if not _is_below(path, home))
    connections, started = tuple(reply["connections"]), tuple(reply["started"])
    return Trace(connections, at_home, outside, started)


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _add(
    requirements: Requirements, run: LoadAttempt, conditions: frozenset[Condition]
) -> Requirements:
    added = {condition: _requirement_of(condition, run) for condition in conditions}
    return Requirements({**requirements.by_condition, **added}, requirements.relaxed | conditions)


def _format_failure(failure: WorkerFailure) -> str:
    return f"{failure.exception}: {failure.message}\n{failure.traceback}\n{failure.log_tail}"
