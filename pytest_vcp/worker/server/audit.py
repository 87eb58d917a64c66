"""Monitoring and access control by Python's audit events: files hidden or read-only, connections.

C libraries that open files by themselves raise no events; namespaces cover those. The hook runs at
every event of the process, so it first looks the event up and then compares strings.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

_MAX_RECORDED = 10_000
_MOST_SHOWN = 200
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

# Devices and process information: writes there leave no files.
_OF_THE_KERNEL = ("/dev/", "/proc/")

_REMOTE_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_LOOPBACK_NAMES = frozenset({"", "localhost", "localhost.localdomain", "::1", "ip6-localhost"})

# Processes that the model starts are beyond the hook's reach.
_STARTING = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "pty.spawn")

# For each event, the positions of (path, directory descriptor) in its arguments. A position of
# None means that the event does not have the descriptor.
_CHANGES: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "os.setxattr": ((0, None),),
    "os.removexattr": ((0, None),),
}
_READS: dict[str, tuple[tuple[int, int | None], ...]] = {
    "os.listdir": ((0, None),),
    "os.scandir": ((0, None),),
    "os.chdir": ((0, None),),
    "os.link": ((0, 2),),
    "os.rename": ((0, 2),),
    "sqlite3.connect": ((0, None),),
    "ctypes.dlopen": ((0, None),),
}


@dataclass(frozen=True)
class Limits:
    """The actions to refuse. The paths are absolute; `visible` lists exceptions from `hidden`.

    `writable` are the only directories that may be written to, None for all; attempts elsewhere
    are recorded, and refused with `refuse_writing`. Writes to one of the `shared` directories,
    which all processes of the machine share, are recorded, except below one of the process's `own`.
    """

    hidden: frozenset[str]
    visible: frozenset[str]
    read_only: frozenset[str]
    refuse_network: bool
    writable: frozenset[str] | None = None
    refuse_writing: bool = False
    shared: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()


class Monitor:
    """Records writes and connections of the process, and refuses what the limits forbid."""

    def __init__(self) -> None:
        self._limits = Limits(frozenset(), frozenset(), frozenset(), False)
        self._watching = False
        self._written: set[str] = set()
        self._outside: set[str] = set()
        self._shared: set[str] = set()
        self._connections: set[str] = set()
        self._started: set[str] = set()
        self._refused: set[tuple[str, str]] = set()
        self._handlers: dict[str, Callable[[str, tuple[Any, ...]], OSError | None]] = {
            "open": self._on_open,
            "socket.connect": self._on_connect,
            "socket.sendto": self._on_connect,
            "socket.sendmsg": self._on_connect,
            "socket.getaddrinfo": self._on_resolve,
            "socket.gethostbyname": self._on_resolve,
        }
        for event in (*_CHANGES, *_READS):
            self._handlers[event] = self._check_path
        for event in _STARTING:
            self._handlers[event] = self._on_start

    def watch(self, limits: Limits) -> None:
        """Enforce `limits` from now on. An audit hook can't be removed again."""
        # An exception only counts within a hidden tree: /usr contains the interpreter and may
        # contain, further down, the package directory that is to be hidden.
        inside = (path for path in limits.visible if _is_any_within(path, limits.hidden))
        self._limits = replace(limits, visible=frozenset(inside))
        if not self._watching:
            self._watching = True
            sys.addaudithook(self._hook)

    def observations(self) -> dict[str, Any]:
        """Return files opened for writing, remote addresses requested, and refused actions.

        `outside` are the paths outside of the writable directories that were to be changed,
        `shared` those that all processes of the machine share, and `started` are the processes that
        were started, whose actions are unknown.
        """
        return {
            "written": sorted(self._written),
            "outside": sorted(self._outside),
            "shared": sorted(self._shared),
            "connections": sorted(self._connections),
            "started": sorted(self._started),
            "refused": [{"event": event, "path": path} for event, path in sorted(self._refused)],
        }

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        handler = self._handlers.get(event)
        if handler is None:
            return
        try:
            refusal = handler(event, arguments)
        except Exception:  # noqa: BLE001
            # An argument of an unexpected type, which Python itself will check.
            return
        if refusal is not None:
            raise refusal

    def _on_open(self, event: str, arguments: tuple[Any, ...]) -> OSError | None:
        path = absolute(arguments[0])
        if path is None:
            return None
        if self._is_hidden(path):
            return self._build_absent(event, path)
        if not arguments[2] & _WRITING:
            return None
        refusal = self._on_change(event, path)
        if refusal is None and not path.startswith("/dev/"):
            _record(self._written, path)
        return refusal

    def _check_path(self, event: str, arguments: tuple[Any, ...]) -> OSError | None:
        for position, descriptor in _CHANGES.get(event, ()):
            path = _argument(arguments, position, descriptor)
            refusal = None if path is None else self._on_change(event, path)
            if refusal is not None:
                return refusal
        for position, descriptor in (*_READS.get(event, ()), *_CHANGES.get(event, ())):
            path = _argument(arguments, position, descriptor)
            if path is not None and self._is_hidden(path):
                return self._build_absent(event, path)
        return None

    def _on_change(self, event: str, path: str) -> OSError | None:
        limits = self._limits
        if event == "os.mkdir" and os.path.isdir(path):
            # Nothing changes, and many programs ensure in this way that a folder exists.
            return None
        if _is_any_within(path, limits.shared) and not _is_any_within(path, limits.own):
            _record(self._shared, path)
        protected = _is_any_within(path, limits.read_only)
        if not protected and not self._is_outside(path):
            return None
        _record(self._outside, path)
        return self._protected(event, path) if protected or limits.refuse_writing else None

    def _is_outside(self, path: str) -> bool:
        writable = self._limits.writable
        if writable is None or path.startswith(_OF_THE_KERNEL):
            return False
        return not _is_any_within(path, writable)

    def _on_start(self, event: str, arguments: tuple[Any, ...]) -> OSError | None:
        """Record program and first argument; for a copy of this process, the name of the event."""
        words = arguments[1] if event == "subprocess.Popen" and len(arguments) > 1 else event
        shown = words if isinstance(words, (str, bytes)) else " ".join(map(os.fsdecode, words[:2]))
        _record(self._started, os.fsdecode(shown)[:_MOST_SHOWN])
        return None

    def _on_connect(self, event: str, arguments: tuple[Any, ...]) -> OSError | None:
        connection, address = arguments[0], arguments[1]
        if connection.family not in _REMOTE_FAMILIES or not isinstance(address, tuple):
            return None
        host = str(address[0])
        if _is_loopback(host):
            return None
        _record(self._connections, f"{host}:{address[1]}")
        if not self._limits.refuse_network:
            return None
        return OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))

    def _on_resolve(self, event: str, arguments: tuple[Any, ...]) -> OSError | None:
        host = arguments[0]
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "")
        if _is_loopback(name) or _is_numeric(name):
            return None
        port = arguments[1] if len(arguments) > 1 else None
        _record(self._connections, name if port is None else f"{name}:{port}")
        if not self._limits.refuse_network:
            return None
        return socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    def _is_hidden(self, path: str) -> bool:
        limits = self._limits
        return _is_any_within(path, limits.hidden) and not _is_any_within(path, limits.visible)

    def _build_absent(self, event: str, path: str) -> OSError:
        _record(self._refused, (event, path))
        return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def _protected(self, event: str, path: str) -> OSError:
        _record(self._refused, (event, path))
        return PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def is_within(path: str, root: str) -> bool:
    """Return whether `path` is `root` or below it; both absolute."""
    return path == root or path.startswith(root if root.endswith("/") else root + "/")


def absolute(path: Any, directory: Any = None) -> str | None:
    """Return `path` as an absolute string; None for a descriptor.

    A relative path starts at `directory`, a descriptor, or else at the current directory. None as
    `path` stands for the current directory.
    """
    if path is None:
        return os.getcwd()
    if isinstance(path, int):
        return None
    text = os.fsdecode(path)
    if not text.startswith("/"):
        if isinstance(directory, int) and directory >= 0:
            text = os.path.join(os.readlink(f"/proc/self/fd/{directory}"), text)
        else:
            text = os.path.join(os.getcwd(), text)
    if "/." in text or "//" in text or text.endswith("/"):
        text = os.path.normpath(text)
    return text


def _argument(arguments: tuple[Any, ...], position: int, descriptor: int | None) -> str | None:
    directory = arguments[descriptor] if descriptor is not None else None
    path = arguments[position]
    if path is None and position != 0:
        return None
    return absolute(path, directory)


def _is_any_within(path: str, roots: frozenset[str]) -> bool:
    return any(is_within(path, root) for root in roots)


def _is_loopback(host: str) -> bool:
    return host in _LOOPBACK_NAMES or host.startswith(("127.", "::ffff:127."))


def _is_numeric(host: str) -> bool:
    """Return whether `host` is already an address, which needs no look-up."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.inet_pton(family, host.partition("%")[0])
    except OSError:
        return False
    return True


def _record(seen: set[Any], entry: Any) -> None:
    if len(seen) < _MAX_RECORDED:
        seen.add(entry)
