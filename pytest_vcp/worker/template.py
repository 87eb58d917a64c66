"""Workers that are forked from a process that has imported their libraries.

Importing MLflow is most of what a worker on a small model costs. A template is a process of the
model's environment that has imported it, with libraries that read nothing from the environment
variables in which workers differ, and none of the package's code.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.conditions import Conditions
from pytest_vcp.worker.launching import Launch, Launched, Launcher
from pytest_vcp.worker.log import OutputReader
from pytest_vcp.worker.process import MAIN
from pytest_vcp.worker.server.template import LENGTH, MARKER, NO_MARKER, READY

# Variables that no library of a template reads at its import.
MAY_DIFFER = frozenset(
    {"HOME", "TMPDIR", "TMP", "TEMP", "MLFLOW_TRACKING_URI", "CUDA_VISIBLE_DEVICES", MARKER}
)
# Libraries whose import depends on none of these, which a template imports if the model does.
NEUTRAL = frozenset({"anndata", "h5py", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "torch"})
_READY_SECONDS = 300.0
_END_SECONDS = 10.0


@dataclass(frozen=True)
class Program:
    """What a forked process is to run; `descriptors` are its standard streams and those to pass."""

    script: Path
    arguments: Sequence[str]
    environ: Mapping[str, str]
    cwd: Path
    new_session: bool
    descriptors: Sequence[int]

    @classmethod
    def of(cls, launch: Launch, empty: int) -> Program:
        """Create the program of a worker, whose standard input is the descriptor `empty`."""
        return cls(
            script=launch.script,
            arguments=launch.arguments,
            environ=launch.environ,
            cwd=launch.cwd,
            new_session=True,
            descriptors=(empty, launch.output, launch.output, *launch.handed),
        )

    def send(self, channel: socket.socket, *first: int) -> None:
        """Request the process; `first` are descriptors before its own. Raises OSError."""
        body = json.dumps(
            {
                "script": str(self.script),
                "arguments": list(self.arguments),
                "environ": dict(self.environ),
                "cwd": str(self.cwd),
                "umask": _umask(),
                "new_session": self.new_session,
            }
        ).encode()
        socket.send_fds(channel, [LENGTH.pack(len(body))], [*first, *self.descriptors])
        channel.sendall(body)


def _umask() -> int:
    """Return the mask of this process, which os.umask could only tell by changing it."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("Umask:")[2].split()[0], 8)


class Forked:
    """A process that a template has forked, which reaps it on request through `connection`.

    Raises OSError if the template has ended.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("r", encoding="ascii")
        line = self._answers.readline()
        if not line:
            raise OSError("the process to fork from has ended")
        self.pid = int(line)
        self.returncode: int | None = None
        self._end = os.pidfd_open(self.pid)

    def has_ended(self) -> bool:
        """Return whether the process has ended, without reaping it."""
        return self.returncode is not None or self._ends_within(0)

    def wait(self, timeout: float) -> int:
        """Reap the process; raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not self._ends_within(timeout):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            self.returncode = self._ask_status()
            os.close(self._end)
            self._answers.close()
            self._connection.close()
        return self.returncode

    def _ask_status(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._connection.sendall(b".")
            return int(self._answers.readline())
        # The template was killed, and the status went with it.
        return -1

    def _ends_within(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


class Template:
    """A process of the interpreter `python` that imports `names` and can then be forked.

    `launcher` starts it. It ends when it is closed, or with this process.
    """

    def __init__(self, python: Path, names: tuple[str, ...], launcher: Launcher) -> None:
        self.python = python
        self._refusal: str | None = None
        self._is_ready = False
        self._lock = threading.Lock()
        with contextlib.ExitStack() as ends:
            scratch = Path(tempfile.mkdtemp(prefix="vcp-template-"))
            ends.callback(shutil.rmtree, scratch, ignore_errors=True)
            conditions = Conditions(cwd=scratch, home=scratch / "home", tmp=scratch / "tmp")
            conditions.create_directories()
            self._environ = {**conditions.environment(python), MARKER: NO_MARKER}
            self._channel, theirs = socket.socketpair()
            self._channel.settimeout(_READY_SECONDS)
            # A pipe, as forked processes get: a stream notes at its start whether it can seek.
            output, output_end = os.pipe()
            ends.callback(os.close, output)
            ends.callback(OutputReader(output, "vcp-template-output").stop)
            with theirs, open(output_end, "wb"):
                self._process = launcher(
                    Launch(
                        name="template",
                        python=python,
                        script=MAIN,
                        environ=self._environ,
                        cwd=scratch,
                        output=output_end,
                        handed=(theirs.fileno(),),
                        arguments=("template", json.dumps(names)),
                    )
                )
            ends.callback(self._end_process)
            ends.callback(self._channel.close)
            self._ends = ends.pop_all()

    def why_not(self, environ: Mapping[str, str]) -> str | None:
        """Wait until it can be forked; return why a process with these variables can't be."""
        names = sorted(differing(self._environ, environ) - MAY_DIFFER)
        if names:
            return f"its variables differ: {', '.join(names)}"
        with self._lock:
            if not self._is_ready and self._refusal is None:
                self._wait_until_ready()
            return self._refusal

    def _wait_until_ready(self) -> None:
        try:
            with self._channel.makefile("r", encoding="utf-8") as answers:
                answer = answers.readline().strip()
        except OSError as error:
            answer = str(error)
        self._is_ready = answer == READY
        self._refusal = None if self._is_ready else answer or "the process to fork from has ended"

    def fork(self, launch: Launch) -> Launched:
        """Fork a process. Raises OSError if the template has ended."""
        ours, theirs = socket.socketpair()
        try:
            with theirs, Path(os.devnull).open("rb") as empty, self._lock:
                Program.of(launch, empty.fileno()).send(self._channel, theirs.fileno())
            return Forked(ours)
        except BaseException:
            ours.close()
            raise

    def close(self) -> None:
        """End the process, whose forks have ended by now."""
        self._ends.close()

    def _end_process(self) -> None:
        if not self._is_ready:
            os.kill(self._process.pid, signal.SIGKILL)
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(_END_SECONDS)


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> frozenset[str]:
    """Return the names of the variables in which two environments differ."""
    return frozenset(name for name in {**one, **other} if one.get(name) != other.get(name))


class ForkingLauncher:
    """Forks the workers of a package where that can't change a verdict, and starts the others.

    `starter` starts processes. `names` are what a template imports. `refusal` says why none is
    forked, if so. If `separately`, the first process of each role gets an interpreter of its own,
    and no two roles share one: so do the hashes of strings differ between roles.
    """

    def __init__(
        self,
        starter: Launcher,
        names: tuple[str, ...],
        progress: Progress,
        *,
        refusal: str | None,
        separately: str | None,
    ) -> None:
        self._starter = starter
        self._names = names
        self._progress = progress
        self._refusal = refusal or _missing()
        self._separately = separately
        self._started: set[str] = set()
        self._templates: dict[str, Template] = {}

    def warm_up(self, python: Path) -> None:
        """Start the process from which the first workers will be forked, if they will be."""
        if self._refusal is None and self._separately is None:
            self._template(python, "")

    def __call__(self, launch: Launch) -> Launched:
        why_not = self._refusal or self._is_first(launch.name)
        if why_not is None:
            try:
                template = self._template(
                    launch.python, launch.name if self._separately is not None else ""
                )
                with self._progress.step("importing the model's libraries"):
                    why_not = template.why_not(launch.environ)
                if why_not is None:
                    return template.fork(launch)
            except OSError as error:
                why_not = str(error)
        with contextlib.suppress(OSError):
            os.write(launch.output, f"pytest-vcp: a new interpreter, since {why_not}\n".encode())
        return self._starter(launch)

    def _is_first(self, name: str) -> str | None:
        is_first = name not in self._started
        self._started.add(name)
        return self._separately if is_first else None

    def _template(self, python: Path, role: str) -> Template:
        template = self._templates.get(role)
        if template is None:
            template = self._templates[role] = Template(python, self._names, self._starter)
        if template.python != python:
            raise OSError(f"the libraries that were imported are not those of {python}")
        return template

    def close(self) -> None:
        """End the processes."""
        with contextlib.ExitStack() as ends:
            while self._templates:
                ends.callback(self._templates.popitem()[1].close)


def _missing() -> str | None:
    """Return what this system lacks, if it does."""
    if not sys.platform.startswith("linux") or not hasattr(os, "pidfd_open"):
        return "this system can't tell of a process that another has forked when it ends"
    try:
        os.close(os.pidfd_open(os.getpid()))
        _umask()
    except (OSError, IndexError, ValueError) as error:
        return f"this system can't follow forked processes: {error}"
    return None
