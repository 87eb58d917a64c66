"""Tells what each tox environment has cost, in CPU seconds and by the clock, when all are done.

CONTRIBUTING.md says how much that may be, and what to do about more.
"""

from __future__ import annotations

import atexit
import resource
import time
from dataclasses import dataclass
from pathlib import Path

from tox.execute.api import Outcome
from tox.plugin import impl
from tox.tox_env.api import ToxEnv

# The file in which a session of tests notes its CPU seconds: those of the processes that it started
# and, on the same line, those of processes that are nobody's children.
_VARIABLE = "VCP_TEST_SECONDS"
_started = time.monotonic()


@dataclass
class _Cost:
    """Of one environment; `tested` is what its sessions of tests noted, None without one."""

    begun: float
    file: Path
    clock: float = 0.0
    tested: float | None = None
    forked: float = 0.0


_costs: dict[str, _Cost] = {}


@impl
def tox_before_run_commands(tox_env: ToxEnv) -> None:
    """Note where the clock stands."""
    file = tox_env.env_tmp_dir / "cpu-seconds"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    tox_env.environment_variables[_VARIABLE] = str(file)
    _costs[tox_env.name] = _Cost(time.monotonic(), file)


@impl
def tox_after_run_commands(tox_env: ToxEnv, exit_code: int, outcomes: list[Outcome]) -> None:
    """Note what the commands have taken."""
    cost = _costs[tox_env.name]
    cost.clock = time.monotonic() - cost.begun
    if cost.file.exists():
        noted = [line.split() for line in cost.file.read_text(encoding="ascii").splitlines()]
        cost.forked = sum(float(forked) for _, forked in noted)
        cost.tested = sum(float(own) for own, _ in noted) + cost.forked


@atexit.register
def _tell() -> None:
    """Print the table; where no tests run, CPU seconds are in the sum alone."""
    if not _costs:
        return
    print(f"{'environment':<12} {'CPU s':>6} {'s':>6}")
    for name, cost in _costs.items():
        tested = "" if cost.tested is None else f"{cost.tested:.0f}"
        print(f"{name:<12} {tested:>6} {cost.clock:>6.0f}")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = usage.ru_utime + usage.ru_stime + sum(cost.forked for cost in _costs.values())
    print(f"{'all':<12} {cpu:>6.0f} {time.monotonic() - _started:>6.0f}", flush=True)
