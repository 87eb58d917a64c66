"""The opcodes of a pickle, read in a stream: long data is skipped, and nothing is unpickled."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

# Beyond this a text is no name, and a byte string no flag.
LONGEST = 1 << 20
_MOST_IN_A_LINE = 1 << 20
# How many bytes say the length of the data that follows, and how the data is read.
_COUNTED = {
    "SHORT_BINBYTES": (1, "bytes"),
    "BINBYTES": (4, "bytes"),
    "BINBYTES8": (8, "bytes"),
    "BYTEARRAY8": (8, "bytes"),
    "SHORT_BINUNICODE": (1, "utf-8"),
    "BINUNICODE": (4, "utf-8"),
    "BINUNICODE8": (8, "utf-8"),
    "SHORT_BINSTRING": (1, "latin-1"),
    "BINSTRING": (4, "latin-1"),
    "LONG1": (1, "long"),
    "LONG4": (4, "long"),
}
_BY_CODE = {opcode.code: opcode for opcode in pickletools.opcodes}


class Operation(NamedTuple):
    """One opcode: its description by pickletools, its argument, the bytes of a counted argument.

    The argument is None where it was too long to be read.
    """

    opcode: pickletools.OpcodeInfo
    argument: object
    bytes: int = 0

    @property
    def name(self) -> str:
        return self.opcode.name


def operations(file: BinaryIO) -> Iterator[Operation]:
    """The operations of the pickle that begins here, STOP included.

    Raises ValueError for what is no pickle, and OSError.
    """
    stream = _Limited(file)
    while True:
        code = file.read(1)
        opcode = _BY_CODE.get(code.decode("latin-1"))
        if opcode is None:
            raise ValueError(f"{code!r} is no opcode" if code else "it ends before its last opcode")
        yield _operation(opcode, file, stream)
        if opcode.name == "STOP":
            return


def _operation(opcode: pickletools.OpcodeInfo, file: BinaryIO, stream: _Limited) -> Operation:
    if opcode.name in _COUNTED:
        width, kind = _COUNTED[opcode.name]
        length = int.from_bytes(_exactly(file, width), "little")
        if length > LONGEST:
            file.seek(length, io.SEEK_CUR)
            return Operation(opcode, None, length)
        return Operation(opcode, _decoded(_exactly(file, length), kind), length)
    if opcode.arg is None:
        return Operation(opcode, None)
    return Operation(opcode, opcode.arg.reader(stream))  # type: ignore[arg-type]


def _exactly(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise ValueError("it ends within an argument")
    return data


def _decoded(data: bytes, kind: str) -> object:
    if kind == "bytes":
        return data
    if kind == "long":
        return int.from_bytes(data, "little", signed=True)
    return data.decode(kind, "surrogatepass" if kind == "utf-8" else "strict")


class _Limited:
    """The file as the readers of pickletools want it; lines without an end are not waited for."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self._file = file

    def readline(self) -> bytes:
        line = self._file.readline(_MOST_IN_A_LINE)
        if len(line) == _MOST_IN_A_LINE:
            raise ValueError("a line in it has no end")
        return line
