"""Tells what each tox environment costs: CPU seconds, beside the seconds that tox tells itself.

CONTRIBUTING.md says how much that may be, and what to do about more.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

from tox.execute.api import Outcome
from tox.plugin import impl
from tox.tox_env.api import ToxEnv

# Processes that tests fork from servers are nobody's children: the tests write down their seconds.
_VARIABLE = "VCP_TEST_SECONDS"
_begun: dict[str, tuple[float, float]] = {}


@impl
def tox_before_run_commands(tox_env: ToxEnv) -> None:
    """Note where the clocks stand."""
    file = _file(tox_env)
    file.unlink(missing_ok=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    tox_env.environment_variables[_VARIABLE] = str(file)
    _begun[tox_env.name] = time.monotonic(), _cpu_seconds()


@impl
def tox_after_run_commands(tox_env: ToxEnv, exit_code: int, outcomes: list[Outcome]) -> None:
    """Print what the commands have taken."""
    begun, before = _begun.pop(tox_env.name)
    cpu = _cpu_seconds() - before
    if (file := _file(tox_env)).exists():
        cpu += sum(map(float, file.read_text(encoding="ascii").split()))
    seconds = time.monotonic() - begun
    print(f"{tox_env.name}: {cpu:.0f} CPU seconds in {seconds:.0f} seconds", flush=True)


def _file(tox_env: ToxEnv) -> Path:
    return tox_env.env_tmp_dir / "forked-seconds"


def _cpu_seconds() -> float:
    """User and system time of all that tox has started and that has ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
