"""A command in a session of its own: its output in a log, and nothing left of it at the end."""

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
    """The words that make a command write for itself alone."""
    lists = (json.dumps([str(path.absolute()) for path in paths]) for paths in (TEMPORARY, public))
    return [sys.executable, "-I", "-S", "-B", str(_ALONE), *lists]


class Running:
    """A started command. `shown` is how a user would type it.

    What it writes to the machine's directories for temporary files, and not below `public`, it
    alone sees, where the kernel can do that. Raises ToolError where it can't be started.
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
        """What it has printed so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def exit_status(self) -> int | None:
        """Its exit status, as Popen has it; None while it runs."""
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        """Wait for its end, at most so long; returns the exit status, None where it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(max(0.0, seconds))
        return None

    def interrupt(self, patience: float) -> tuple[str, ...]:
        """End it as a supervisor does, with SIGTERM for its whole group.

        Returns what is left after `patience` seconds, and ends that, too.
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
        """End whatever runs of it, and reap it."""
        with self._ends:
            processes.end(self._all, 0 if self.exit_status() is not None else _TERMINATE_SECONDS)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_TERMINATE_SECONDS)

    def _all(self) -> list[processes.Process]:
        """What runs, the command itself included where it has not ended."""
        return processes.leftovers(self._marker, self._process.pid, self._known)


# ---------------------------------------------------------------------------- reading the output
#
# What a command said of a failure: in one line, with the place in the author's code.

HEAD = "Traceback (most recent call last):"
_FRAME = re.compile(r'^\s*File "(?P<file>.+)", line (?P<line>\d+), in ', re.MULTILINE)
_RAISED = re.compile(r"^(?P<type>[A-Za-z_][\w.]*)(: (?P<message>.*))?$", re.MULTILINE)
_MOST = 300


def find_exception(text: str) -> str | None:
    """The exception at the end of the first traceback in `text`; None where there is none.

    The first is the innermost process's: MLflow's own, about that process, follows it.
    """
    _, head, rest = text.partition(HEAD)
    if not head:
        return None
    found = _RAISED.search(rest)
    return truncate(found[0], _MOST) if found else None


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return truncate(lines[-1], _MOST) if lines else ""


def find_frame(text: str, code: Path) -> Location | None:
    """The innermost frame below `code`, the artifact's, of the first traceback that has one."""
    roots = {code, code.resolve()}
    for part in text.split(HEAD)[1:]:
        for frame in reversed(list(_FRAME.finditer(part))):
            file = Path(frame["file"])
            for root in roots:
                if file.is_relative_to(root):
                    return Location.within(root, file, int(frame["line"]))
    return None
