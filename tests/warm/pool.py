"""The servers of one session of tests: where they listen, how one is started, how it is asked."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pytest_vcp.worker.server.template import MARKER, NO_MARKER
from pytest_vcp.worker.template import Forked, Program

_SERVER = Path(__file__).with_name("server.py")
_DESCRIPTION = "pool.json"


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
        program: Program,
    ) -> Forked:
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
        return _ask(path, program)

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
            env={**environ, MARKER: NO_MARKER},
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


def _ask(path: Path, program: Program) -> Forked:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
        program.send(connection)
        return Forked(connection)
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
