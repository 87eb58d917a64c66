"""A process that has imported its libraries, and forks the processes that need them.

A forked process is like one that was started with a new interpreter and did the same imports: it
leads a session of its own and has its own variables, directory, descriptors and random numbers.
Only the hashes of strings, and with them the order of sets, are those of the template.

This module needs only the standard library, and is also run outside of its package.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import selectors
import signal
import socket
import struct
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

# A request is a JSON object after its length; the descriptors come with the length.
LENGTH = struct.Struct(">Q")
MOST_DESCRIPTORS = 16
# The variable by whose value the processes of a worker are recognized in /proc.
MARKER = "VCP_WORKER"
# A template is started with this value, which has the length of a marker.
NO_MARKER = "0" * 32
READY = "ready"
_ORPHAN_SECONDS = 0.5


@dataclass
class Job:
    """A process to become. `descriptors` are its standard streams and what is passed to it."""

    environ: dict[str, str]
    cwd: str
    umask: int
    new_session: bool
    arguments: list[str]
    script: str
    descriptors: list[int]

    def become(self) -> list[int]:
        """Take on everything but the script; return the descriptors besides the streams."""
        if self.new_session:
            os.setsid()
        for number in range(3):
            os.dup2(self.descriptors[number], number)
            os.close(self.descriptors[number])
        os.umask(self.umask)
        os.environ.clear()
        os.environ.update(self.environ)
        os.chdir(self.cwd)
        _forget()
        _mark(self.environ.get(MARKER, ""))
        return self.descriptors[3:]


def _forget() -> None:
    """Discard what libraries read from the environment, or drew at random, at their import."""
    tempfile.tempdir = None
    time.tzset()
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.seed()


def _mark(marker: str) -> None:
    """Write the marker where /proc shows it, since os.environ does not change that memory."""
    with open("/proc/self/environ", "rb") as environ:
        at_start = environ.read()
    place = at_start.find(f"{MARKER}=".encode()) + len(MARKER) + 1
    if not marker or at_start[place : place + len(marker) + 1] != NO_MARKER.encode() + b"\0":
        return
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()
    memory = os.open("/proc/self/mem", os.O_WRONLY)
    os.pwrite(memory, marker.encode(), int(fields[47]) + place)
    os.close(memory)


def preload(names: list[str]) -> str | None:
    """Import the modules that there are; return why the process can't be forked, if so."""
    with without_collector():
        for name in names:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                # Whoever needs the module will report that.
                continue
            except Exception as problem:  # noqa: BLE001 - a library raises what it likes
                # A second attempt in the same process can fail for another reason.
                return f"{name} can't be imported here: {type(problem).__name__}"
    if threading.active_count() > 1:
        return f"a library has started a thread: {threading.enumerate()[1].name}"
    return None


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Collect no garbage during an import, which makes hardly any, and never look through that.

    What libraries have made stays, and need not be looked through again and again.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


class Forks:
    """The processes that were forked for clients, each of which has a connection."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._children: dict[socket.socket, int] = {}
        self._orphans: set[int] = set()

    @property
    def patience(self) -> float | None:
        """How many seconds the selector may wait."""
        return _ORPHAN_SECONDS if self._orphans else None

    def fork(self, job: Job, connection: socket.socket) -> bool:
        """Fork, and tell the client the process id. Return True in the child."""
        with warnings.catch_warnings():
            # Libraries for arithmetic have threads that wait for work, and none that holds a lock.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            for other in (*self._children, connection):
                other.close()
            return True
        for descriptor in job.descriptors:
            os.close(descriptor)
        self._children[connection] = pid
        self._selector.register(connection, selectors.EVENT_READ)
        with contextlib.suppress(OSError):
            connection.sendall(f"{pid}\n".encode())
        return False

    def reap(self, connection: socket.socket) -> None:
        """Reap the process of a client that has asked for its status, or has itself ended."""
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

    def reap_orphans(self) -> None:
        """Reap the processes whose clients have ended."""
        for pid in list(self._orphans):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self._orphans.remove(pid)

    def end_all(self) -> None:
        """End the processes, since nobody is left who would."""
        for pid in (*self._children.values(), *self._orphans):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def receive(stream: socket.socket) -> Job | None:
    """Receive a request; None if the client ended before it was complete."""
    data, descriptors, _, _ = socket.recv_fds(stream, LENGTH.size, MOST_DESCRIPTORS)
    with stream.makefile("rb") as body_of:
        (length,) = LENGTH.unpack(data) if len(data) == LENGTH.size else (0,)
        body = body_of.read(length)
    if not body or len(body) < length:
        for descriptor in descriptors:
            os.close(descriptor)
        return None
    request: dict[str, Any] = json.loads(body)
    return Job(**request, descriptors=list(descriptors))


def serve(control: int, names: list[str]) -> list[int] | None:
    """Import the modules and fork on request, until the client closes its end.

    Returns, in a forked process, the descriptors that were passed to it; in the template None, at
    the end. The first descriptor of each request is the connection for the new process.
    """
    channel = socket.socket(fileno=control)
    refusal = preload(names)
    channel.sendall(f"{refusal or READY}\n".encode())
    selector = selectors.DefaultSelector()
    selector.register(channel, selectors.EVENT_READ)
    forks = Forks(selector)
    while refusal is None:
        ready = selector.select(forks.patience)
        forks.reap_orphans()
        for key, _ in ready:
            if key.fileobj is not channel:
                assert isinstance(key.fileobj, socket.socket)
                forks.reap(key.fileobj)
                continue
            job = receive(channel)
            if job is None:
                forks.end_all()
                return None
            connection = socket.socket(fileno=job.descriptors.pop(0))
            if forks.fork(job, connection):
                selector.close()
                channel.close()
                return job.become()
    return None
