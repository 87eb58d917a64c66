"""SHA-256 of files, each read once, since large weights take up most of the reading in a run."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path

_CHUNK = 4 << 20


class FileDigests:
    """Digests remembered by file identity, so that a hard link is not read a second time.

    A file whose size or modification time has changed counts as another one.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, int, int], Future[str]] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def digest(self, path: Path) -> str:
        """Return the hexadecimal SHA-256 of the file. Raises OSError if it can't be read."""
        status = path.stat()
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            known = self._known.get(identity)
            if known is None:
                mine = self._known[identity] = Future[str]()
        if known is not None:
            return known.result()
        # Outside the lock, so that other files can be read meanwhile.
        try:
            mine.set_result(_sha256(path))
        except BaseException as problem:
            with self._lock:
                del self._known[identity]
            mine.set_exception(problem)
            raise
        return mine.result()

    def read_ahead(self, paths: Iterable[Path]) -> threading.Thread:
        """Digest the files in the background, while other processes import libraries."""

        def work() -> None:
            for path in paths:
                if self._stopped.is_set():
                    return
                try:
                    self.digest(path)
                except OSError:
                    continue  # A caller that needs this digest gets the error, and reports it.

        thread = threading.Thread(target=work, name="vcp-digests", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Stop reading ahead after the current file."""
        self._stopped.set()


def _sha256(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()
