"""The output of a worker, within bounds: all of the beginning, and the end."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from pathlib import Path

from pytest_vcp.util.files import write_atomic

_CHUNK = 1 << 16
_HEAD_BYTES = 1 << 20
_TAIL_BYTES = 1 << 18


class BoundedLog:
    """Keeps the first `head` and the last `tail` bytes of what it is fed, and counts the rest."""

    def __init__(self, head: int = _HEAD_BYTES, tail: int = _TAIL_BYTES) -> None:
        self._head_room = head
        self._tail_room = tail
        self._head: list[bytes] = []
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self.dropped = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        start, rest = data[: self._head_room], data[self._head_room :]
        if start:
            self._head.append(start)
            self._head_room -= len(start)
        if rest:
            self._tail.append(rest)
            self._tail_size += len(rest)
        while self._tail and self._tail_size - len(self._tail[0]) >= self._tail_room:
            oldest = self._tail.popleft()
            self._tail_size -= len(oldest)
            self.dropped += len(oldest)

    def text(self) -> str:
        """Return the stored output; bytes that are not UTF-8 show as the replacement character."""
        head, tail = b"".join(self._head), b"".join(self._tail)
        if self.dropped:
            tail = f"\n[... {self.dropped} bytes left out ...]\n".encode() + tail
        return (head + tail).decode("utf-8", errors="replace")


class OutputReader:
    """Reads a pipe in a separate thread, so that its writers never wait."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._log = BoundedLog()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read, name=name, daemon=True)
        self._thread.start()

    def drain(self, seconds: float = 0.5) -> None:
        """Wait until everything written so far has been read, at most `seconds`."""
        deadline = time.monotonic() + seconds
        while self._thread.is_alive() and time.monotonic() < deadline:
            with self._lock:
                if not self._is_readable(0):
                    return
            time.sleep(0.001)

    def tail(self, lines: int) -> str:
        """Return the last lines that are not blank."""
        printed = [line.rstrip() for line in self._text()[-20_000:].splitlines() if line.strip()]
        return "\n".join(printed[-lines:])

    def write(self, path: Path, *, more: str = "") -> None:
        """Write the stored output to `path`, followed by `more`."""
        text = self._text()
        if more:
            text = f"{text}\n{more}"
        # Two runs may write a log of the same name; neither must be mixed with the other.
        write_atomic(path, text)

    def stop(self) -> None:
        """Stop reading, also when an escaped process still holds the other end."""
        self.drain()
        self._closing.set()
        self._thread.join()

    def _text(self) -> str:
        with self._lock:
            return self._log.text()

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while not self._closing.is_set():
                if not self._is_readable(100):
                    continue
                with self._lock:
                    data = os.read(self._descriptor, _CHUNK)
                    if not data:
                        break
                    self._log.feed(data)

    def _is_readable(self, milliseconds: int) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(milliseconds))
