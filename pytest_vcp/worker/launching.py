"""The start of a worker process: with a new interpreter, or by a faster launcher.

However it is started, the process runs the same code, leads its own session, and inherits nothing
from this process but the three standard streams and the descriptors that are passed to it.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

# Options of the interpreter: isolated from the caller, no byte-code written, UTF-8 everywhere.
FLAGS = ("-I", "-B", "-X", "utf8")


@dataclass(frozen=True)
class Launch:
    """A process to start: `script` with `arguments` and the numbers of the `handed` descriptors.

    `output` is the descriptor for standard output and error; standard input is empty. `name`
    distinguishes the workers of a run.
    """

    name: str
    python: Path
    script: Path
    environ: Mapping[str, str]
    cwd: Path
    output: int
    handed: tuple[int, ...]
    arguments: tuple[str, ...] = ()


class Launched(Protocol):
    """A process that was started. `returncode` is as in subprocess, None before `wait`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def has_ended(self) -> bool:
        """Return whether the process has ended, without reaping it: its id must stay in use."""
        ...

    def wait(self, timeout: float) -> int:
        """Reap the process; raises subprocess.TimeoutExpired."""
        ...


class Launcher(Protocol):
    """Starts a process; raises OSError where it can't be started."""

    def __call__(self, launch: Launch) -> Launched: ...


class _Child:
    """A process that this process has started itself."""

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
    """Start a new interpreter for the process."""
    arguments = [*FLAGS, str(launch.script), *launch.arguments, *map(str, launch.handed)]
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
