"""Which condition a failing model can't live under: they are lifted one at a time.

The loading worker runs under all conditions from the start, so a conforming package pays nothing.
Only what fails is tried again, with what its failure points at relaxed.
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

# The mildest first: what helps without the others is what is named.
CONDITIONS: tuple[Condition, ...] = ("home", "network", "outside")

# How libraries say that there is no network, and that they may not write.
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
    # numba, which keeps what it compiles beside the source or in the home directory.
    "no locator available",
)
# Commands by which MLflow and Python find out where they are; nothing comes of them.
_LOOKING = ("uname", "git version", "ldconfig", "gcc", "cc", "ld", "lscpu")


@dataclass(frozen=True)
class Trace:
    """What a process asked for: addresses, and paths that it was to change and may not.

    `at_home` are those in the home directory. `started` are the commands of other processes that
    it started; what they asked for is not known.
    """

    connections: tuple[str, ...] = ()
    at_home: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    started: tuple[str, ...] = ()


@dataclass(frozen=True)
class LoadAttempt:
    """How far a process came: loading, and the first forward pass where there is one.

    `trace` is None where the process is gone and can't be asked. `places` maps directories of ours
    to what an author would call them.
    """

    load: Reply
    predict: Reply | None
    trace: Trace | None = None
    places: Mapping[str, str] = field(default_factory=dict)

    @property
    def failure(self) -> WorkerFailure | None:
        """What went wrong first."""
        if self.load.failure is not None:
            return self.load.failure
        return self.predict.failure if self.predict is not None else None

    @property
    def reached(self) -> int:
        """The number of steps that it got through."""
        if self.load.failure is not None:
            return 0
        return 1 if self.failure is not None else 2


@dataclass(frozen=True)
class Requirement:
    """A condition that the model can't live under: what it said, where, and what it wanted."""

    said: str
    where: Location | None
    wanted: tuple[str, ...]


@dataclass(frozen=True)
class Writing:
    """Writing to other than temporary places: the need of it, and files of the artifact that
    changed while the model was run where it might write. `shared` are paths that every process
    of the machine has in common."""

    requirement: Requirement | None
    changed: tuple[str, ...]
    shared: tuple[str, ...]


@dataclass(frozen=True)
class Requirements:
    """What the model can't do without; `lifted` are the conditions under which it was not run.

    A need that is not among those relaxed is known from what the model said, and could not be met
    here.
    """

    by_condition: Mapping[Condition, Requirement] = field(default_factory=dict)
    relaxed: frozenset[Condition] = frozenset()

    @property
    def unmet(self) -> tuple[Condition, ...]:
        """Those that could not be met."""
        return tuple(name for name in self.by_condition if name not in self.relaxed)


def explain(
    first: LoadAttempt, retry: Callable[[frozenset[Condition]], LoadAttempt]
) -> tuple[LoadAttempt, Requirements]:
    """Lift what the failure of `first` points at until the model gets further, or nothing helps.

    `retry` runs the model in a fresh process with these conditions relaxed. Returns the run that
    came furthest, and what it took.
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
    """The next step made possible: by one condition lifted, else by all that are suspected."""
    suspects = suspected(current) - requirements.relaxed
    tried = [frozenset({condition}) for condition in CONDITIONS if condition in suspects]
    position = 0
    while position < len(tried):
        run = retry(requirements.relaxed | tried[position])
        if run.reached > current.reached:
            return run, _add(requirements, current, tried[position])
        # With one obstacle away, the next one may show itself.
        suspects |= suspected(run) - requirements.relaxed - tried[position]
        position += 1
        if position == len(tried) and suspects not in tried and len(suspects) > 1:
            tried.append(suspects)
    return None


def suspected(run: LoadAttempt) -> frozenset[Condition]:
    """The conditions that may have made a run fail, by what it said and what it asked for."""
    failure, trace = run.failure, run.trace
    if failure is None:
        return frozenset()
    if failure.kind == "timeout":
        # Whoever waits for an answer from the network may wait for ever; a disk says no at once.
        return frozenset({"network"})
    if trace is None or not all(map(_only_looks, trace.started)):
        return frozenset(CONDITIONS)
    # A C library leaves no trace, only words.
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
    """The needs, and those that the words of a failure tell although nothing has helped.

    Where the machine has no network, or the model comes to grief on the next thing, relaxing a
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
    """Whether a failure is what a library says where there is no network."""
    return any(sign in _format_failure(failure) for sign in _OFFLINE)


def _sounds_read_only(failure: WorkerFailure) -> bool:
    return any(sign in _format_failure(failure) for sign in _READ_ONLY)


def _requirement_of(condition: Condition, run: LoadAttempt) -> Requirement:
    """What a failed run wanted of what the condition forbids."""
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
    """Type the reply of the worker's ``probe.observed``."""
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
