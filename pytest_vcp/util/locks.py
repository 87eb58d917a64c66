"""Locks between processes, by files that go again: whoever lets go of one removes its file.

The system lets go of a dead process's locks, so that what is left of a killed run is a file that
nobody holds. A process can come to hold a file that has just been removed, while a third one holds
the new file of that name: so whoever gets a lock looks whether the name still leads to it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_POLL_SECONDS = 0.05
_NEWS_SECONDS = 2.0


class Lock:
    """A lock that is held until `release` or `discard`, or until the process ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let go, and leave the file to others."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def discard(self) -> None:
        """Remove the file while it is held, then let go. For locks that nobody shares."""
        if self._descriptor is not None:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        self.release()


def attempt(path: Path, *, shared: bool = False) -> Lock | None:
    """Take a lock at once; None where another process, or another `Lock` of this one, holds it.

    Its folder has to be there. Raises OSError where the file can't be made, or knows no locks.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        if _leads_to(path, descriptor):
            return Lock(path, descriptor)
        os.close(descriptor)


@contextmanager
def held(
    path: Path, waiting: Callable[[], None] = lambda: None, patience: float = float("inf")
) -> Iterator[None]:
    """Hold a lock, after waiting for it; `waiting` is called every few seconds meanwhile.

    Raises TimeoutError after `patience` seconds, and OSError as `attempt` does.
    """
    begun = told = time.monotonic()
    while (lock := attempt(path)) is None:
        now = time.monotonic()
        if now - begun > patience:
            raise TimeoutError(f"{path} is held by another process")
        if now - told >= _NEWS_SECONDS:
            told = now
            waiting()
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        lock.discard()


def _leads_to(path: Path, descriptor: int) -> bool:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)
