"""The messages between client and worker: JSON objects, each after its length in eight bytes."""

from __future__ import annotations

import json
import os
import struct
from typing import Any

_LENGTH = struct.Struct(">Q")
_CHUNK = 1 << 20

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """Encode one message; raises TypeError for a value that JSON can't represent."""
    body = json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode("ascii")
    return _LENGTH.pack(len(body)) + body


def send(descriptor: int, message: Message) -> None:
    """Write one complete message; raises OSError when the other end is closed."""
    write(descriptor, encode(message))


def write(descriptor: int, encoded: bytes) -> None:
    """Write all of an encoded message."""
    left = memoryview(encoded)
    while left:
        left = left[os.write(descriptor, left) :]


class Decoder:
    """Assembles messages from bytes as they arrive."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """Return the messages that `data` completes, in order."""
        self._held += data
        complete: list[Message] = []
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            end = _LENGTH.size + length
            if len(self._held) < end:
                break
            complete.append(json.loads(bytes(self._held[_LENGTH.size : end])))
            del self._held[:end]
        return complete


class Inbox:
    """Blocking reader of messages; an exception in the middle of one loses no bytes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._decoder = Decoder()
        self._waiting: list[Message] = []

    def receive(self) -> Message | None:
        """Wait for the next message; None when the other end is closed."""
        while not self._waiting:
            data = os.read(self._descriptor, _CHUNK)
            if not data:
                return None
            self._waiting += self._decoder.feed(data)
        return self._waiting.pop(0)
