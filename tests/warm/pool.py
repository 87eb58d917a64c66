"""The servers of one session of tests: where they listen, how one is started, how it is asked."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .server import LENGTH, MARKER

_SERVER = Path(__file__).with_name("server.py")
# As long as a marker of the plugin, which takes the place of it.
_PLACE_OF_MARKER = "0" * 32
_DESCRIPTION = "pool.json"


@dataclass(frozen=True)
class Request:
    """A process to fork; `descriptors` are its standard streams and what else it is handed."""

    script: Path
    arguments: Sequence[str]
    environ: Mapping[str, str]
    cwd: Path
    new_session: bool
    descriptors: Sequence[int]


class Process:
    """A forked process, which is the child of its server."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("r", encoding="ascii")
        line = self._answers.readline()
        if not line:
            raise OSError("the server of warm processes has ended")
        self.pid = int(line)
        self.returncode: int | None = None
        self._end = os.pidfd_open(self.pid)

    def has_ended(self) -> bool:
        """Whether it has ended, without reaping it."""
        return self.returncode is not None or self._ends_within(0)

    def wait(self, timeout: float) -> int:
        """Reap it; raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not self._ends_within(timeout):
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            self._connection.sendall(b".")
            self.returncode = int(self._answers.readline())
            os.close(self._end)
            self._answers.close()
            self._connection.close()
        return self.returncode

    def _ends_within(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._end, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


class Pool:
    """A directory with the sockets of servers, which end with the process that made it.

    `environ` is the environment of that process: what servers are started with.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        described = json.loads((directory / _DESCRIPTION).read_text(encoding="utf-8"))
        self.environ: dict[str, str] = described["environ"]
        self._owner: int = described["owner"]

    @classmethod
    def create(cls, environ: Mapping[str, str]) -> Pool:
        """Make the directory; it is for whoever makes it to remove."""
        # Short, because the path of a socket may have a hundred characters.
        directory = Path(tempfile.mkdtemp(prefix="vcp-warm-"))
        described = {"environ": dict(environ), "owner": os.getpid()}
        (directory / _DESCRIPTION).write_text(json.dumps(described), encoding="utf-8")
        return cls(directory)

    def fork(
        self,
        role: str,
        command: Sequence[str],
        modules: Sequence[str],
        environ: Mapping[str, str],
        request: Request,
    ) -> Process:
        """A process from the server of this interpreter and role, which is started where needed.

        `command` is the interpreter with its options, `modules` are what it imports, `environ` is
        what it is started with. Raises OSError where it can't be started.
        """
        key = hashlib.sha256("\0".join([role, *command]).encode()).hexdigest()[:16]
        path = self.directory / key
        with self._locked(key):
            if not path.exists():
                self._start(path, command, modules, environ)
        self.count(f"forked by {role}")
        return _ask(path, request)

    def count(self, what: str) -> None:
        """Note that something was done, for the summary of the session."""
        folder = self.directory / "counts"
        folder.mkdir(exist_ok=True)
        with (folder / what).open("ab") as file:
            file.write(b".")

    def counts(self) -> dict[str, int]:
        """How often each thing was noted."""
        files = sorted(self.directory.glob("counts/*"))
        return {file.name: file.stat().st_size for file in files}

    def cpu_seconds(self) -> float:
        """What the servers and the processes that they forked have taken so far."""
        return sum(map(_cpu_seconds, self.directory.glob("*.pid")))

    def _start(
        self,
        path: Path,
        command: Sequence[str],
        modules: Sequence[str],
        environ: Mapping[str, str],
    ) -> None:
        # Pipes, as those who are forked get: a stream notes at its start that it can't be sought.
        done = subprocess.run(
            [*command, str(_SERVER), str(path), str(self._owner), json.dumps(list(modules))],
            cwd=self.directory,
            env={**environ, MARKER: _PLACE_OF_MARKER},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        if done.returncode != 0:
            raise OSError(done.stdout.decode(errors="replace"))
        self.count("servers")

    @contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        with (self.directory / f"{key}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def can_be_used() -> bool:
    """Whether this system has what it takes, and nobody asked for cold runs."""
    return sys.platform == "linux" and not os.environ.get("VCP_TEST_COLD")


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> frozenset[str]:
    """The names of the variables in which two environments differ."""
    return frozenset(name for name in {**one, **other} if one.get(name) != other.get(name))


def _ask(path: Path, request: Request) -> Process:
    body = json.dumps(
        {
            "script": str(request.script),
            "arguments": list(request.arguments),
            "environ": dict(request.environ),
            "cwd": str(request.cwd),
            "umask": _umask(),
            "new_session": request.new_session,
        }
    ).encode()
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
        socket.send_fds(connection, [LENGTH.pack(len(body))], list(request.descriptors))
        connection.sendall(body)
        return Process(connection)
    except BaseException:
        connection.close()
        raise


def _cpu_seconds(file: Path) -> float:
    """User and system time of the process whose number is in a file, and of its ended children."""
    number = file.read_text(encoding="ascii")
    try:
        stat = Path("/proc", number, "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # Somebody has ended it.
        return 0.0
    ticks = map(int, stat.rpartition(")")[2].split()[11:15])
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def _umask() -> int:
    """The mask of this process, which can't be asked for without being set but here."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return int(status.partition("Umask:")[2].split()[0], 8)
