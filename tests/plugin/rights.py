"""Runs a command with the rights of an ordinary user, for whom file modes mean something."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.runs import HANG_SECONDS, command, environment

# Root keeps its name, and loses the capabilities that overrule file modes when it starts the
# next program. Others have none to lose, and the call fails without harm.
_DROP = """
import ctypes, os, sys
DAC_OVERRIDE, DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24
for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def run_without_root_rights(
    cwd: Path, options: Sequence[str], env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin in `cwd`; stderr comes with stdout."""
    return subprocess.run(
        [sys.executable, "-c", _DROP, *command(options)],
        cwd=cwd,
        env=environment(env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
