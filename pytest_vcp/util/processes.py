"""Processes that a worker leaves behind: how to find, describe and end them.

A worker leads its own session and carries a marker, a random value in its environment that its
children inherit. On Linux both are read from /proc, so that a child which left the session (a
daemon) is found by the marker and one with an emptied environment by the session. Elsewhere `ps`
shows the members of the process group only.

The guard imports this module on its own, so it uses only the standard library.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MARKER_VARIABLE = "VCP_WORKER"

_PROC = Path("/proc")
_GUARD = Path(__file__).with_name("guard.py")
_POLL_SECONDS = 0.02
# Longer than an exec takes.
_BECOMING_SECONDS = 0.005
# The parent of the kernel's own threads, which have no environment variables.
_KERNEL = 2
_MAX_COMMAND = 200


@dataclass(frozen=True)
class Process:
    """A running process. `group` is its session on Linux and its process group elsewhere."""

    pid: int
    parent: int
    group: int
    started: str

    def __str__(self) -> str:
        return f"{command_line(self.pid)} (pid {self.pid})"


def new_marker() -> str:
    """Return a value that no other process carries."""
    return secrets.token_hex(16)


def descendants(leader: int) -> frozenset[Process]:
    """Return the processes that `leader` started, directly or through parents that still live."""
    alive = list(_processes())
    related = _descendants(alive, leader) - {leader}
    return frozenset(process for process in alive if process.pid in related)


def leftovers(marker: str, leader: int, known: frozenset[Process] = frozenset()) -> list[Process]:
    """List the processes that belong to the worker `leader`: itself included, zombies excluded.

    `known` are descendants seen earlier: once a parent ends, its children can't be linked to it.
    """
    seen = {(process.pid, process.started) for process in known}
    alive = list(_processes())
    related = _descendants(alive, leader) | _carriers(alive, f"{MARKER_VARIABLE}={marker}")
    return [
        process
        for process in alive
        if process.group == leader
        or process.pid in related
        or (process.pid, process.started) in seen
    ]


def end(find: Callable[[], list[Process]], grace: float) -> None:
    """End the processes from `find`: SIGTERM, `grace` seconds, then SIGKILL until none is left."""
    if grace > 0:
        _signal(find(), signal.SIGTERM)
        wait_until_gone(find, grace)
    # A process may start another one while it is being ended, so look again, but not for ever.
    for _ in range(100):
        remaining = find()
        if not remaining:
            return
        _signal(remaining, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def wait_until_gone(find: Callable[[], list[Process]], seconds: float) -> list[Process]:
    """Wait at most `seconds` until `find` finds nothing; return what it still finds."""
    deadline = time.monotonic() + seconds
    while True:
        remaining = find()
        if not remaining or time.monotonic() >= deadline:
            return remaining
        time.sleep(_POLL_SECONDS)


def command_line(pid: int) -> str:
    """Return the command of a process as a user would type it, or a stand-in if it has ended."""
    try:
        if _PROC.joinpath("self").exists():
            raw = _PROC.joinpath(str(pid), "cmdline").read_bytes()
            text = raw.replace(b"\0", b" ").decode(errors="replace").strip()
        else:
            text = _ps("-p", str(pid), "-o", "command=").strip()
    except OSError:
        text = ""
    if len(text) > _MAX_COMMAND:
        text = text[:_MAX_COMMAND] + "…"
    return text or "a process"


class Guard:
    """A small process that ends the worker if this process is killed without a chance to do so."""

    def __init__(self, marker: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(_GUARD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )
        self._write(marker)

    def watch(self, leader: int) -> None:
        """Set the worker to end."""
        self._write(str(leader))

    def dismiss(self) -> None:
        """End the guard, which then does nothing more, and reap it."""
        self._write("done")
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self, line: str) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()


def _processes() -> Iterator[Process]:
    if not _PROC.joinpath("self", "stat").exists():
        yield from _processes_by_ps()
        return
    for name in os.listdir(_PROC):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                # The name in parentheses may itself hold blanks and parentheses.
                stat = _PROC.joinpath(name, "stat").read_text(errors="replace")
                fields = stat.rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    yield Process(int(name), int(fields[1]), int(fields[3]), fields[19])


def _processes_by_ps() -> Iterator[Process]:
    for line in _ps("-axo", "pid=,ppid=,pgid=,stat=").splitlines():
        with contextlib.suppress(ValueError):
            pid, parent, group, state = line.split()
            if not state.startswith("Z"):
                yield Process(int(pid), int(parent), int(group), "")


def _ps(*arguments: str) -> str:
    return subprocess.run(
        ["ps", *arguments], capture_output=True, text=True, errors="replace", check=False
    ).stdout


def _descendants(alive: list[Process], ancestor: int) -> set[int]:
    related = {ancestor}
    growing = True
    while growing:
        found = {process.pid for process in alive if process.parent in related} - related
        related |= found
        growing = bool(found)
    return related


def _carriers(alive: list[Process], variable: str) -> set[int]:
    """Return the IDs of the processes with this variable.

    A process that is about to become another program shows no variables for a moment, so it is
    checked again.
    """
    wanted, found, bare = variable.encode(), set(), []
    for process in alive:
        environ = _environ(process.pid)
        if wanted in environ:
            found.add(process.pid)
        elif environ == [b""] and _KERNEL not in (process.pid, process.parent):
            bare.append(process.pid)
    if bare:
        time.sleep(_BECOMING_SECONDS)
        found.update(pid for pid in bare if wanted in _environ(pid))
    return found


def _environ(pid: int) -> list[bytes]:
    """List the variables with which a process was started; empty if they can't be read."""
    try:
        return _PROC.joinpath(str(pid), "environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _signal(found: list[Process], number: signal.Signals) -> None:
    for process in found:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, number)
