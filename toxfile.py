"""Tells what each tox environment has cost, in CPU seconds and by the clock, when all are done.

CONTRIBUTING.md says how much that may be, and what to do about more.
"""

from __future__ import annotations

import atexit
import resource
import time
from pathlib import Path

from tox.execute.api import Outcome
from tox.plugin import impl
from tox.tox_env.api import ToxEnv

# Processes that tests fork from servers are nobody's children: the tests write down their seconds.
_VARIABLE = "VCP_TEST_SECONDS"
_begun: dict[str, tuple[float, float]] = {}
_spent: dict[str, tuple[float, float]] = {}


@impl
def tox_before_run_commands(tox_env: ToxEnv) -> None:
    """Note where the clocks stand."""
    file = _file(tox_env)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    tox_env.environment_variables[_VARIABLE] = str(file)
    _begun[tox_env.name] = _cpu_seconds(), time.monotonic()


@impl
def tox_after_run_commands(tox_env: ToxEnv, exit_code: int, outcomes: list[Outcome]) -> None:
    """Note what the commands have taken."""
    cpu, clock = _begun.pop(tox_env.name)
    file = _file(tox_env)
    forked = file.read_text(encoding="ascii").split() if file.exists() else []
    spent = _cpu_seconds() - cpu + sum(map(float, forked))
    _spent[tox_env.name] = spent, time.monotonic() - clock


@atexit.register
def _tell() -> None:
    if _spent:
        print(f"{'environment':<12} {'CPU s':>6} {'s':>6}")
    for name, (cpu, clock) in _spent.items():
        print(f"{name:<12} {cpu:>6.0f} {clock:>6.0f}", flush=True)


def _file(tox_env: ToxEnv) -> Path:
    return tox_env.env_tmp_dir / "forked-seconds"


def _cpu_seconds() -> float:
    """User and system time of all that tox has started and that has ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
