"""Locks between processes, on files that stay: a removed file could be locked by two at once.

The system releases the locks of a dead process, so a killed run leaves only an unlocked file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.05
_NEWS_SECONDS = 2.0


class Lock:
    """A lock that is held until `release`, or until the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Release the lock, and leave the file to other processes."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def attempt(path: Path, *, shared: bool = False) -> Lock | None:
    """Try to take a lock; None if another process, or another `Lock` of this one, holds it.

    Its folder has to exist. Raises OSError if the file can't be created, or does not support locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return Lock(descriptor)


@contextmanager
def hold(
    path: Path, waiting: Callable[[], None] = lambda: None, patience: float = float("inf")
) -> Iterator[None]:
    """Wait for a lock and hold it; `waiting` is called every few seconds in the meantime.

    Raises TimeoutError after `patience` seconds, and OSError like `attempt`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = announced = time.monotonic()
    while (lock := attempt(path)) is None:
        now = time.monotonic()
        if now - begun > patience:
            raise TimeoutError(f"{path} is held by another process")
        if now - announced >= _NEWS_SECONDS:
            announced = now
            waiting()
        time.sleep(_POLL_SECONDS)
    try:
        yield
    finally:
        lock.release()


def lock_of(folder: Path, destination: Path) -> Path:
    """Return the lock file below `folder` for writing to `destination`.

    To keep them few, only 256 of them exist. Two destinations that share one wait for each other.
    """
    name = hashlib.sha256(str(destination).encode(errors="surrogateescape")).hexdigest()[:2]
    return folder / f"{name}.lock"
