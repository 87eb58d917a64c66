"""Tensors inside a pickle: torch puts each storage there as bytes that it has written itself.

What loads them, `torch.storage._load_from_bytes`, unpickles whatever it is given. The bytes are
followed as it would do: five pickles, and then the numbers.
"""

from __future__ import annotations

import io
import tarfile
from typing import BinaryIO

from pytest_vcp.artifact.pickle_globals import builds_data
from pytest_vcp.artifact.pickle_reader import Machine, operations

LOADER = "torch.storage._load_from_bytes"
# Magic number, protocol, the system that wrote it, the storage, its key.
_PICKLES = 5
# They come before the numbers, and are small.
_MOST_BYTES = 1 << 20
_PROTOCOL = b"\x80\x02"


def is_storage(file: BinaryIO, length: int) -> bool:
    """Whether the next bytes of a file only build one storage; the file is left behind them."""
    start = file.tell()
    head = file.read(min(length, _MOST_BYTES))
    file.seek(start + length)
    # torch would read an archive of its oldest form otherwise.
    return not tarfile.is_tarfile(io.BytesIO(head)) and _only_builds(io.BytesIO(head))


def _only_builds(stream: BinaryIO) -> bool:
    try:
        for _ in range(_PICKLES):
            begin = stream.read(len(_PROTOCOL))
            stream.seek(-len(begin), io.SEEK_CUR)
            if begin != _PROTOCOL:
                return False
            machine = Machine()
            for operation in operations(stream):
                machine.take(operation)
            if not all(map(builds_data, machine.globals)):
                return False
    except Exception:  # noqa: BLE001 - the decoders of opcodes raise what they meet
        return False
    return True
