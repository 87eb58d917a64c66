"""How a worker process is started: with an interpreter of its own, or by whoever can do it sooner.

Whatever starts it, the process runs the same code, leads a session of its own, and has nothing of
this process but the three standard streams and the descriptors that it is handed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Options of the interpreter: nothing of the caller's, no byte-code written, UTF-8 everywhere.
FLAGS = ("-I", "-B", "-X", "utf8")


@dataclass(frozen=True)
class Launch:
    """A process to start: `script` with the numbers of the `handed` descriptors as arguments.

    `output` is the descriptor for standard output and error; standard input is empty. `name` tells
    the workers of a run apart.
    """

    name: str
    python: Path
    script: Path
    environ: Mapping[str, str]
    cwd: Path
    output: int
    handed: tuple[int, ...]


class Launched(Protocol):
    """A process that was started. `returncode` is as subprocess has it, None before `wait`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def has_ended(self) -> bool:
        """Whether the process has ended, without reaping it: its number must stay taken."""
        ...

    def wait(self, timeout: float) -> int:
        """Reap the process; raises subprocess.TimeoutExpired."""
        ...


class Launcher(Protocol):
    """Starts a process; raises OSError where it can't be started."""

    def __call__(self, launch: Launch) -> Launched: ...


class _Child:
    """A process that this one has started by itself."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        return self._popen.returncode

    def has_ended(self) -> bool:
        if not hasattr(os, "waitid"):
            return self._popen.poll() is not None
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        return ended is not None

    def wait(self, timeout: float) -> int:
        return self._popen.wait(timeout)


def start(launch: Launch) -> Launched:
    """Start an interpreter for it."""
    arguments = [*FLAGS, str(launch.script), *map(str, launch.handed)]
    popen = subprocess.Popen(
        [str(launch.python), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=launch.output,
        stderr=launch.output,
        env=launch.environ,
        cwd=launch.cwd,
        pass_fds=launch.handed,
        start_new_session=True,
    )
    return _Child(popen)
