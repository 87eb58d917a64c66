"""The operating-system side of a worker: its process, pipes, output, stack dumps and end."""

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

_MAIN = Path(__file__).with_name("server_main.py")

# How long its helpers (resource trackers, pools) may take to notice that the worker has ended.
_SETTLE_SECONDS = 2.0
_TERMINATE_SECONDS = 1.0
_STACK_SECONDS = 1.0
_REAP_SECONDS = 5.0


class WorkerProcess:
    """A started worker process and all that belongs to it on this side.

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
                script=_MAIN,
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
        """The number of the process; it leads a session of this number."""
        return self._launched.pid

    @property
    def status(self) -> int | None:
        """The exit status as Popen has it, once the process has been reaped."""
        return self._launched.returncode

    def has_ended(self) -> bool:
        """Whether the process has ended, without reaping it: its number must stay taken."""
        return self._launched.has_ended()

    def dump_stack(self) -> None:
        """Have the process write where each of its threads is."""
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
        """What was written at a crash or by `dump_stack`."""
        # Not by seeking: the process writes at the position that both share.
        raw = os.pread(self._stack.fileno(), self._stack_size(), 0)
        return raw.decode("utf-8", errors="replace")

    def leftovers(self) -> list[processes.Process]:
        """What runs now, the process itself included."""
        return processes.leftovers(self._marker, self.pid, self._known)

    def remember_children(self) -> None:
        """Note what the process has started, to know it again after its end."""
        self._known = processes.descendants(self.pid)

    def list_leftovers(self) -> list[str]:
        """Descriptions of what still runs although the process should have ended by now."""
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
        """End whatever runs, `gently` with SIGTERM first, and reap the process."""
        processes.end(self.leftovers, _TERMINATE_SECONDS if gently else 0)
        # One that hangs in the kernel can't be ended by anything that a process can do.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._launched.wait(_REAP_SECONDS)

    def release(self) -> None:
        """Close this side; the process has ended."""
        self._ours.close()

    def _stack_size(self) -> int:
        return os.fstat(self._stack.fileno()).st_size


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """A pipe whose ends are closed when the stack of their owner is."""
    read_end, write_end = os.pipe()
    reader.callback(os.close, read_end)
    writer.callback(os.close, write_end)
    return read_end, write_end
