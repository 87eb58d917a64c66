"""What a model writes to standard output, print and C libraries alike."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator

_STDOUT = 1
_MOST_BYTES = 4096
_MOST_LINES = 3
_CHUNK = 1 << 20


class Heard:
    """The first lines that were written; filled when listening ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []


@contextlib.contextmanager
def listening() -> Iterator[Heard]:
    """Note what is written meanwhile; it is passed on to where it was going afterwards."""
    heard = Heard()
    _flush()
    with tempfile.TemporaryFile() as sink:
        usual = os.dup(_STDOUT)
        os.dup2(sink.fileno(), _STDOUT)
        try:
            yield heard
        finally:
            _flush()
            os.dup2(usual, _STDOUT)
            os.close(usual)
            sink.seek(0)
            start = sink.read(_MOST_BYTES).decode("utf-8", "replace")
            heard.lines = [line for line in start.splitlines() if line.strip()][:_MOST_LINES]
            sink.seek(0)
            while data := sink.read(_CHUNK):
                _write(data)


def _flush() -> None:
    # Whatever the model put in place of the stream may be unable to flush.
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(_STDOUT, view) :]
