"""Which condition a failing model can't live under: they are lifted one at a time.

The loading worker runs under all conditions from the start, so a conforming package pays nothing.
Only what fails is tried again, with what its failure points at lifted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_vcp.prediction import Attempt
from pytest_vcp.worker_failure import WorkerFailure

Condition = Literal["home", "network", "elsewhere"]

# The mildest first: what helps without the others is what is named.
CONDITIONS: tuple[Condition, ...] = ("home", "network", "elsewhere")

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
_READ_ONLY = ("PermissionError", "Permission denied", "Read-only file system", "not writable")


@dataclass(frozen=True)
class Trace:
    """What a process asked for: addresses, and paths to change that it may not change.

    `started` is whether it had others do something; what they asked for is not known.
    """

    connections: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    started: bool = False


@dataclass(frozen=True)
class Run:
    """How far a process came: loading, and the first forward pass where there is one.

    `trace` is None where the process is gone and can't be asked.
    """

    load: Attempt
    predict: Attempt | None
    trace: Trace | None = None

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
class Need:
    """A condition that the model can't live under: its failure, and what it wanted."""

    failure: WorkerFailure
    wanted: tuple[str, ...]


@dataclass(frozen=True)
class Needs:
    """What the model can't do without; `lifted` are the conditions under which it was not run.

    A need that is not among those lifted is known from what the model said, and could not be met
    here.
    """

    by_condition: Mapping[Condition, Need] = field(default_factory=dict)
    lifted: frozenset[Condition] = frozenset()


def explain(
    first: Run, home: str, retry: Callable[[frozenset[Condition]], Run]
) -> tuple[Run, Needs]:
    """Lift what the failure of `first` points at until the model gets further, or nothing helps.

    `home` is the home directory; `retry` runs the model in a fresh process with these conditions
    lifted. Returns the run that came furthest, and what it took.
    """
    current, needs = first, Needs()
    while current.failure is not None:
        found = _one_step(current, needs, home, retry)
        if found is None:
            break
        current, needs = found
    return current, needs


def _one_step(
    current: Run, needs: Needs, home: str, retry: Callable[[frozenset[Condition]], Run]
) -> tuple[Run, Needs] | None:
    """The next step made possible: by one condition lifted, else by all that are suspected."""
    suspects = suspected(current, home) - needs.lifted
    tried = [frozenset({condition}) for condition in CONDITIONS if condition in suspects]
    position = 0
    while position < len(tried):
        run = retry(needs.lifted | tried[position])
        if run.reached > current.reached:
            return run, _with(needs, current, tried[position], home)
        # With one obstacle away, the next one may show itself.
        suspects |= suspected(run, home) - needs.lifted - tried[position]
        position += 1
        if position == len(tried) and suspects not in tried and len(suspects) > 1:
            tried.append(suspects)
    return None


def suspected(run: Run, home: str) -> frozenset[Condition]:
    """The conditions that may have made a run fail, by what it said and what it asked for."""
    failure, trace = run.failure, run.trace
    if failure is None:
        return frozenset()
    if failure.kind == "timeout":
        # Whoever waits for an answer from the network may wait for ever; a disk says no at once.
        return frozenset({"network"})
    if trace is None or trace.started:
        return frozenset(CONDITIONS)
    at_home = [path for path in trace.outside if is_below(path, home)]
    found: set[Condition] = set()
    if trace.connections or sounds_offline(failure):
        found.add("network")
    if at_home or (not trace.outside and _sounds_read_only(failure)):
        found.add("home")
    if len(at_home) < len(trace.outside) or (not at_home and _sounds_read_only(failure)):
        found.add("elsewhere")
    return frozenset(found)


def sounds_offline(failure: WorkerFailure) -> bool:
    """Whether a failure is what a library says where there is no network."""
    return any(sign in _told(failure) for sign in _OFFLINE)


def _sounds_read_only(failure: WorkerFailure) -> bool:
    return any(sign in _told(failure) for sign in _READ_ONLY)


def need_of(condition: Condition, run: Run, home: str) -> Need:
    """What a failed run wanted of what the condition forbids."""
    assert run.failure is not None
    trace = run.trace or Trace()
    wanted = {
        "network": trace.connections,
        "home": tuple(path for path in trace.outside if is_below(path, home)),
        "elsewhere": tuple(path for path in trace.outside if not is_below(path, home)),
    }
    return Need(run.failure, wanted[condition])


def read_trace(reply: Mapping[str, Any]) -> Trace:
    """Type the reply of the worker's ``probe.observed``."""
    return Trace(tuple(reply["connections"]), tuple(reply["outside"]), reply["started"])


def is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(f"{root}/")


def _with(needs: Needs, run: Run, conditions: frozenset[Condition], home: str) -> Needs:
    added = {condition: need_of(condition, run, home) for condition in conditions}
    return Needs({**needs.by_condition, **added}, needs.lifted | conditions)


def _told(failure: WorkerFailure) -> str:
    return f"{failure.exception}: {failure.message}\n{failure.traceback}\n{failure.log_tail}"
