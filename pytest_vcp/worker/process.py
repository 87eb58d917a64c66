"""The operating-system side of a worker: process, pipes, output, stack dumps and clean-up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from pytest_vcp.util import processes
from pytest_vcp.worker.conditions import Conditions
from pytest_vcp.worker.launching import Launch, Launcher
from pytest_vcp.worker.log import OutputReader

MAIN = Path(__file__).with_name("server_main.py")

# How long its helpers (resource trackers, pools) may take to notice that the worker has ended.
_SETTLE_SECONDS = 2.0
_TERMINATE_SECONDS = 1.0
_STACK_SECONDS = 1.0
_REAP_SECONDS = 5.0


class WorkerProcess:
    """A started worker process and its resources on this side.

    `requests` and `answers` are the descriptors to write to and to read from. Raises OSError when
    `python` can't be started.
    """

    def __init__(
        self, python: Path, name: str, conditions: Conditions, marker: str, launcher: Launcher
    ) -> None:
        self.name = name
        self._marker = marker
        self._known: frozenset[processes.Process] = frozenset()
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as ours:
            request_end, self.requests = _pipe(theirs, ours)
            self.answers, answer_end = _pipe(ours, theirs)
            output, output_end = _pipe(ours, theirs)
            self._stack = ours.enter_context(tempfile.TemporaryFile())
            handed = (request_end, answer_end, self._stack.fileno())
            self._guard = processes.Guard(marker)
            ours.callback(self._guard.dismiss)
            launch = Launch(
                name=name,
                python=python,
                script=MAIN,
                environ={**conditions.environment(python), processes.MARKER_VARIABLE: marker},
                cwd=conditions.cwd,
                output=output_end,
                handed=handed,
            )
            self._launched = launcher(launch)
            self._guard.watch(self.pid)
            self.output = OutputReader(output, f"vcp-{name}-output")
            ours.callback(self.output.stop)
            self._ours = ours.pop_all()

    @property
    def pid(self) -> int:
        """The id of the process, and of the session that it leads."""
        return self._launched.pid

    @property
    def status(self) -> int | None:
        """The exit status as in Popen; None before the process has been reaped."""
        return self._launched.returncode

    def has_ended(self) -> bool:
        """Return whether the process has ended, without reaping it: its id must stay in use."""
        return self._launched.has_ended()

    def dump_stack(self) -> None:
        """Make the process write the stack of each of its threads."""
        size = before = self._stack_size()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR2)
        deadline = time.monotonic() + _STACK_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.05)
            last, size = size, self._stack_size()
            if last == size > before:
                return

    def stack(self) -> str:
        """Return the stacks that were written at a crash or by `dump_stack`."""
        # Without seeking, since the process writes at the position that both share.
        raw = os.pread(self._stack.fileno(), self._stack_size(), 0)
        return raw.decode("utf-8", errors="replace")

    def leftovers(self) -> list[processes.Process]:
        """List the processes that run now, including the worker itself."""
        return processes.leftovers(self._marker, self.pid, self._known)

    def remember_children(self) -> None:
        """Remember the processes that the worker has started, to recognize them after its end."""
        self._known = processes.descendants(self.pid)

    def list_leftovers(self) -> list[str]:
        """Describe the processes that still run although the worker should have ended."""
        patience = _SETTLE_SECONDS
        if not self.has_ended():
            patience = 0.0
            self.dump_stack()
        return [
            f"the process itself, which did not end when asked to: {process}"
            if process.pid == self.pid
            else str(process)
            for process in processes.wait_until_gone(self.leftovers, patience)
        ]

    def end(self, *, gently: bool) -> None:
        """End all processes, `gently` with SIGTERM first, and reap the worker."""
        processes.end(self.leftovers, _TERMINATE_SECONDS if gently else 0)
        # No signal ends a process that hangs in the kernel.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._launched.wait(_REAP_SECONDS)

    def release(self) -> None:
        """Close this side, once the process has ended."""
        self._ours.close()

    def _stack_size(self) -> int:
        return os.fstat(self._stack.fileno()).st_size


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """Open a pipe whose ends are closed with the exit stacks of their owners."""
    read_end, write_end = os.pipe()
    reader.callback(os.close, read_end)
    writer.callback(os.close, write_end)
    return read_end, write_end
