"""Locks between processes: files that stay, since one that is removed can be held by two.

The system lets go of a dead process's locks, so that what is left of a killed run is a file that
nobody holds.
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
        """Let go, and leave the file to others."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def attempt(path: Path, *, shared: bool = False) -> Lock | None:
    """Take a lock at once; None where another process, or another `Lock` of this one, holds it.

    Its folder has to be there. Raises OSError where the file can't be made, or knows no locks.
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
    """Hold a lock, after waiting for it; `waiting` is called every few seconds meanwhile.

    Raises TimeoutError after `patience` seconds, and OSError as `attempt` does.
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
    """The lock below `folder` of whoever writes to `destination`.

    There are 256 of them, so that they stay few. Two destinations that share one wait for each
    other.
    """
    name = hashlib.sha256(str(destination).encode(errors="surrogateescape")).hexdigest()[:2]
    return folder / f"{name}.lock"
