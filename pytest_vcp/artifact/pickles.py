"""What the pickled wrapper holds, read from its opcodes: nothing is unpickled, nothing runs."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pytest_vcp.artifact.opcodes import operations
from pytest_vcp.artifact.pickle_globals import is_harmful, is_loader
from pytest_vcp.artifact.pickle_machine import BINARIES, Binary, Machine
from pytest_vcp.artifact.torch_storages import LOADER, is_storage

# Binary data below this size is a flag or an identifier, not weights.
SMALL_BYTES = 1024

_TEXT = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_BINARY = (*BINARIES, "SHORT_BINSTRING", "BINSTRING")
# How protocols before 3 write byte strings: as text, to be encoded again.
_OLD_BYTES = "_codecs.encode"


@dataclass(frozen=True)
class PickleFacts:
    """A pickle from the outside.

    `bytes` is its size, `binary_bytes` the size of the byte strings in it, `arrays` the functions
    that would build arrays or tensors from them, `by_value` the code that it carries instead of
    referring to it, `harmful` what else than building values loading it does or could do, `texts`
    every string, and every path that is stored in parts. `has_unordered` tells of a set of texts,
    whose order differs between processes. `problem` says why it can't be read.
    """

    bytes: int
    binary_bytes: int = 0
    arrays: tuple[str, ...] = ()
    by_value: tuple[str, ...] = ()
    harmful: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    has_unordered: bool = False
    problem: str | None = None


def read_pickle(path: Path) -> PickleFacts:
    """Look at the opcodes of the pickle at `path`. Raises OSError if it can't be read."""
    size, machine = path.stat().st_size, Machine()
    texts: list[str] = []
    storages: list[bool] = []
    binary = 0
    try:
        with path.open("rb") as file:
            for operation in operations(file):
                machine.take(operation)
                if operation.name in BINARIES:
                    storages.append(_is_storage(file, operation.bytes))
                if operation.name in _BINARY:
                    binary += operation.bytes
                elif operation.name in _TEXT and isinstance(operation.argument, str):
                    texts.append(operation.argument)
    except OSError:
        raise
    except Exception as problem:  # noqa: BLE001 - the decoders of opcodes raise what they meet
        return PickleFacts(size, problem=f"a file that is no pickle: {problem}")
    names = [str(entry) for entry in machine.globals]
    if _OLD_BYTES in names:
        binary += sum(map(len, texts))
    arrays = tuple(name for name in names if _builds_arrays(name))
    return PickleFacts(
        bytes=size,
        binary_bytes=binary,
        arrays=arrays if binary > SMALL_BYTES else (),
        by_value=tuple(name for name in names if _carries_code(name)),
        harmful=tuple(dict.fromkeys(_harmful(machine, storages))),
        texts=(*texts, *machine.paths),
        has_unordered=machine.has_unordered,
    )


def _is_storage(file: BinaryIO, length: int) -> bool:
    """Whether the byte string that was just read is a storage of torch."""
    file.seek(-length, io.SEEK_CUR)
    return is_storage(file, length)


def _harmful(machine: Machine, storages: Sequence[bool]) -> Iterator[str]:
    for number, entry in enumerate(machine.called):
        if str(entry) == LOADER and _loads_storage(machine.arguments.get(number), storages):
            continue
        if is_harmful(entry) or is_loader(entry):
            yield f"calls {entry}"
    for entry in machine.globals:
        if is_harmful(entry):
            yield f"refers to {entry}"


def _loads_storage(arguments: object, storages: Sequence[bool]) -> bool:
    """Whether a call gets one byte string, and that is a storage of torch."""
    if not isinstance(arguments, tuple) or len(arguments) != 1:
        return False
    return isinstance(arguments[0], Binary) and storages[arguments[0].number]


def _builds_arrays(name: str) -> bool:
    module, _, function = name.rpartition(".")
    library = module.split(".")[0] in ("numpy", "torch", "scipy", "jax", "jaxlib", "pandas")
    return library and any(
        word in function for word in ("reconstruct", "buffer", "rebuild", "_load_from_bytes")
    )


def _carries_code(name: str) -> bool:
    return name.startswith("cloudpickle.") and "_make_" in name
