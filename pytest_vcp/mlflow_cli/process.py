"""A command in its own session: its output goes to a log, and no process is left at the end."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_vcp.rules.outcomes import Location, ToolError
from pytest_vcp.util import processes
from pytest_vcp.util.text import truncate
from pytest_vcp.worker.conditions import TEMPORARY
from pytest_vcp.worker.server import alone

_TERMINATE_SECONDS = 5.0
_ALONE = Path(alone.__file__)


def _alone(public: Sequence[Path]) -> list[str]:
    """Return the prefix of a command that makes its temporary files visible to it alone."""
    lists = (json.dumps([str(path.absolute()) for path in paths]) for paths in (TEMPORARY, public))
    return [sys.executable, "-I", "-S", "-B", str(_ALONE), *lists]


class Running:
    """A started command. `shown` is how a user would type it.

    Files that it writes to the machine's temporary directories, and not below `public`, are
    visible to it alone, if the kernel supports that. Raises ToolError if it can't be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        environ: Mapping[str, str],
        log: Path,
        shown: str,
        public: Sequence[Path] = (),
    ) -> None:
        self.shown = shown
        self.log = log
        self.started = time.monotonic()
        self._marker = processes.new_marker()
        self._known: frozenset[processes.Process] = frozenset()
        if shutil.which(command[0], path=environ.get("PATH")) is None:
            raise ToolError(
                f"{shown} can't be started: there is no {command[0]}",
                "see whether the environment has the mlflow command",
            )
        log.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as ends, log.open("wb") as sink:
            guard = processes.Guard(self._marker)
            ends.callback(guard.dismiss)
            self._process = subprocess.Popen(
                [*_alone(public), *command],
                cwd=directory,
                env={**environ, processes.MARKER_VARIABLE: self._marker},
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            guard.watch(self._process.pid)
            self._ends = ends.pop_all()

    @property
    def output(self) -> str:
        """The output of the command so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def exit_status(self) -> int | None:
        """Return the exit status, as in Popen; None while the command runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait at most so long for the command; return its exit status, None if it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(max(0.0, seconds))
        return None

    def interrupt(self, patience: float) -> tuple[str, ...]:
        """End the command as a supervisor does, with SIGTERM to its process group.

        Returns the processes left after `patience` seconds, and ends those, too.
        """
        self._known = processes.descendants(self._process.pid)
        begun = time.monotonic()
        if self.exit_status() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGTERM)
            self.wait(patience)
        rest = patience - (time.monotonic() - begun)
        left = processes.wait_until_gone(self._all, max(0.0, rest))
        descriptions = tuple(str(process) for process in left)
        self.close()
        return descriptions

    def close(self) -> None:
        """End all processes of the command that still run, and reap it."""
        with self._ends:
            processes.end(self._all, 0 if self.exit_status() is not None else _TERMINATE_SECONDS)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_TERMINATE_SECONDS)

    def _all(self) -> list[processes.Process]:
        """List the running processes, including the command itself if it has not ended."""
        return processes.leftovers(self._marker, self._process.pid, self._known)


# ---------------------------------------------------------------------------- reading the output
#
# The failure that a command reported: in one line, with the location in the author's code.

HEAD = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s*File "(?P<file>.+)", line (?P<line>\d+), in ', re.MULTILINE)
_RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(: (?P<message>.*))?$", re.MULTILINE)
_MOST = 300


def find_exception(text: str) -> str | None:
    """Return the exception at the end of the first traceback in `text`; None without one.

    The first is that of the innermost process: MLflow's own, about that process, follows it.
    """
    _, head, rest = text.partition(HEAD)
    if not head:
        return None
    found = _RAISED.search(rest)
    return truncate(found[0], _MOST) if found else None


def last_line(text: str) -> str:
    """Return the last line that is not blank; an empty string without one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return truncate(lines[-1], _MOST) if lines else ""


def find_frame(text: str, code: Path) -> Location | None:
    """Return the innermost frame in the artifact's `code` of the first traceback that has one."""
    roots = {code, code.resolve()}
    for part in text.split(HEAD)[1:]:
        for frame in reversed(list(_FRAME.finditer(part))):
            file = Path(frame["file"])
            for root in roots:
                if file.is_relative_to(root):
                    return Location.within(root, file, int(frame["line"]))
    return None
