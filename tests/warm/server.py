"""A process that has imported its libraries and forks from itself whoever asks for a process.

Run by path with the interpreter that is to be warm: ``server.py SOCKET OWNER NAMES``. It imports
the modules NAMES (JSON), listens at SOCKET, and ends with the process OWNER. Its number lies in
SOCKET.pid. Standard library only.

One connection asks for one process: a JSON object behind its length, with the descriptors for
standard input, output and error and those that the process is handed. The answer is its number, a
line. The process stays unreaped until the client writes a byte, and answers with the exit status.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import types
import warnings
from dataclasses import dataclass
from typing import Any

LENGTH = struct.Struct(">Q")
MOST_DESCRIPTORS = 16
# Its value is what the plugin knows the processes of a worker by, and finds in /proc.
MARKER = "VCP_WORKER"
_ORPHAN_SECONDS = 0.5


@dataclass
class Task:
    """What a forked process is to run. `descriptors` are its own by then."""

    script: str
    arguments: list[str]
    environ: dict[str, str]
    cwd: str
    umask: int
    new_session: bool
    descriptors: list[int]

    def run(self) -> None:
        """Become that process; raises SystemExit and whatever the script raises."""
        if self.new_session:
            os.setsid()
        for number in range(3):
            os.dup2(self.descriptors[number], number)
            os.close(self.descriptors[number])
        os.umask(self.umask)
        os.environ.clear()
        os.environ.update(self.environ)
        os.chdir(self.cwd)
        _forget_what_the_server_found()
        _mark(self.environ.get(MARKER, ""))
        sys.argv[1:] = [*self.arguments, *map(str, self.descriptors[3:])]
        runpy.run_path(self.script, run_name="__main__")


def _forget_what_the_server_found() -> None:
    """What libraries have read of the environment, or drawn by chance, while they were imported."""
    tempfile.tempdir = None
    time.tzset()
    random.seed()
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _mark(marker: str) -> None:
    """Write the marker where /proc shows it: setenv leaves that place as it was at the start."""
    with open("/proc/self/environ", "rb") as environ:
        at_start = environ.read()
    place = at_start.find(f"{MARKER}=".encode()) + len(MARKER) + 1
    if not marker or at_start[place : place + len(marker) + 1].strip(b"0") != b"\0":
        return
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    memory = os.open("/proc/self/mem", os.O_WRONLY)
    os.pwrite(memory, marker.encode(), int(fields[47]) + place)
    os.close(memory)


class Server:
    """Listens until its owner ends, and forks."""

    def __init__(self, path: str, owner: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(64)
        self._owner = os.pidfd_open(owner)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._owner, selectors.EVENT_READ)
        self._children: dict[socket.socket, int] = {}
        self._orphans: set[int] = set()

    def serve(self) -> Task | None:
        """Returns a task in the process that is to run it; None in the server, once it is over."""
        while True:
            ready = self._selector.select(_ORPHAN_SECONDS if self._orphans else None)
            self._reap_orphans()
            for key, _ in ready:
                if key.fileobj == self._owner:
                    self._end_children()
                    return None
                if key.fileobj is not self._listener:
                    assert isinstance(key.fileobj, socket.socket)
                    self._reap(key.fileobj)
                    continue
                connection, _ = self._listener.accept()
                task = self._fork(connection)
                if task is not None:
                    return task

    def _fork(self, connection: socket.socket) -> Task | None:
        task = _receive(connection)
        if task is None:
            connection.close()
            return None
        with warnings.catch_warnings():
            # Libraries for arithmetic have threads that wait for work, and none that holds a lock.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            self._close_all(connection)
            return task
        for descriptor in task.descriptors:
            os.close(descriptor)
        self._children[connection] = pid
        self._selector.register(connection, selectors.EVENT_READ)
        with contextlib.suppress(OSError):
            connection.sendall(f"{pid}\n".encode())
        return None

    def _close_all(self, *more: socket.socket) -> None:
        self._selector.close()
        os.close(self._owner)
        for connection in (self._listener, *self._children, *more):
            connection.close()

    def _reap(self, connection: socket.socket) -> None:
        """The client has seen the end of its process, or has itself ended."""
        try:
            is_wanted = bool(connection.recv(1))
        except OSError:
            is_wanted = False
        self._selector.unregister(connection)
        pid = self._children.pop(connection)
        with connection:
            if not is_wanted:
                self._orphans.add(pid)
                return
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            with contextlib.suppress(OSError):
                connection.sendall(f"{status}\n".encode())

    def _reap_orphans(self) -> None:
        for pid in list(self._orphans):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._orphans.remove(pid)

    def _end_children(self) -> None:
        """Nobody is there any more who would end these."""
        for pid in (*self._children.values(), *self._orphans):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def _receive(connection: socket.socket) -> Task | None:
    """The request of a client; None where it ended before it was complete."""
    data, descriptors, _, _ = socket.recv_fds(connection, LENGTH.size, MOST_DESCRIPTORS)
    with connection.makefile("rb") as stream:
        (length,) = LENGTH.unpack(data) if len(data) == LENGTH.size else (0,)
        body = stream.read(length)
    if not body or len(body) < length:
        for descriptor in descriptors:
            os.close(descriptor)
        return None
    request: dict[str, Any] = json.loads(body)
    return Task(**request, descriptors=list(descriptors))


def preload(names: list[str]) -> None:
    """Import the modules, as far as the environment has them."""
    for name in names:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if threading.active_count() > 1:
        raise RuntimeError(f"a library has started a thread: {threading.enumerate()}")
    gc.collect()
    gc.freeze()


def as_package(folder: str, name: str) -> None:
    """Make the folder of this file importable as a package of a name that no test uses."""
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package


def main() -> Task | None:
    """Import, tell who waits that it is done, and serve."""
    path, owner, names = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    as_package(os.path.dirname(os.path.abspath(__file__)), "_vcp_warm")
    preload(names)
    server = Server(f"{path}.new", owner)
    os.rename(f"{path}.new", path)
    # Whoever starts it waits for the end of that process; what goes on is nobody's child.
    pid = os.fork()
    if pid:
        with open(f"{path}.pid", "w", encoding="ascii") as file:
            file.write(str(pid))
        os._exit(0)
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    os.close(nowhere)
    return server.serve()


if __name__ == "__main__":
    job = main()
    if job is not None:
        job.run()
