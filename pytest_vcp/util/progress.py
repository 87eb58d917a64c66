"""Lines on the terminal during long steps: what is being done, and for how long."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

# A step that ends within this time is not worth a line.
_QUIET_SECONDS = 2.0
_HEARTBEAT_SECONDS = 10.0


class Progress:
    """A writer to the terminal that pytest was started from, past pytest's capture.

    `stream` is duplicated at once, before capture redirects it; without a file descriptor (a pytest
    run inside another) nothing is written.
    """

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        self._descriptor: int | None = None
        self._lock = threading.Lock()
        self._lines = 0
        if not quiet:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                self._descriptor = os.dup(stream.fileno())

    @property
    def lines(self) -> int:
        """The number of lines written so far, so that a reporter knows when to start a new one."""
        return self._lines

    def say(self, text: str) -> None:
        """Write one line."""
        with self._lock:
            if self._descriptor is None:
                return
            self._lines += 1
            encoding = sys.__stdout__.encoding if sys.__stdout__ else "utf-8"
            line = f"\n  vcp: {text}".encode(encoding or "utf-8", "replace")
            with contextlib.suppress(OSError):
                os.write(self._descriptor, line)

    def reporter(self) -> Callable[[str], None]:
        """Return a function that writes the text it is given, once this has taken a while.

        A repeated text is written only as often as the lines of other steps.
        """
        started = time.monotonic()
        last = ("", started)

        def say(text: str) -> None:
            nonlocal last
            now = time.monotonic()
            repeated = text == last[0] and now - last[1] < _HEARTBEAT_SECONDS
            if now - started > _QUIET_SECONDS and not repeated:
                last = (text, now)
                self.say(f"{text} ({now - started:.0f} s)")

        return say

    @contextlib.contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Announce a step once it takes long, and again every few seconds until it ends."""
        ended = threading.Event()
        started = time.monotonic()

        def watch() -> None:
            pause = _QUIET_SECONDS
            while not ended.wait(pause):
                self.say(f"{doing} ({time.monotonic() - started:.0f} s)")
                pause = _HEARTBEAT_SECONDS

        thread = threading.Thread(target=watch, name="vcp-progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def close(self) -> None:
        """Close the descriptor."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
