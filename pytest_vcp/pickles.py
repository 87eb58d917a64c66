"""What a pickle holds, read from its opcodes: nothing is unpickled, so nothing in it can run."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

# Binary data below this size is a flag or an identifier, not weights.
SMALL_BYTES = 1024

_PUSHES_TEXT = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
# How protocols before 3 write byte strings: as text, to be encoded again.
_OLD_BYTES = "_codecs.encode"
_READS_MEMO = ("BINGET", "LONG_BINGET", "GET")


@dataclass(frozen=True)
class PickleFacts:
    """A pickle from the outside.

    `bytes` is its size, `binary_bytes` the size of the byte strings in it, `arrays` the functions
    that would build arrays or tensors from them, `by_value` the code that it carries instead of
    referring to it, `texts` every string, and every path that is stored in parts. `problem` says
    why it can't be read.
    """

    bytes: int
    binary_bytes: int = 0
    arrays: tuple[str, ...] = ()
    by_value: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    problem: str | None = None


def read_pickle(path: Path) -> PickleFacts:
    """Look at the opcodes of the pickle at `path`. Raises OSError if it can't be read."""
    content = path.read_bytes()
    try:
        names, texts, binary = _walk(content)
    except Exception as problem:  # noqa: BLE001 - pickletools raises what its decoders meet
        return PickleFacts(len(content), problem=f"a file that is no pickle: {problem}")
    arrays = tuple(name for name in names if _builds_arrays(name))
    return PickleFacts(
        bytes=len(content),
        binary_bytes=binary,
        arrays=arrays if binary > SMALL_BYTES else (),
        by_value=tuple(name for name in names if _carries_code(name)),
        texts=tuple(texts),
    )


def _builds_arrays(name: str) -> bool:
    module, _, function = name.rpartition(".")
    library = module.split(".")[0] in ("numpy", "torch", "scipy", "jax", "jaxlib", "pandas")
    return library and ("reconstruct" in function or "buffer" in function or "rebuild" in function)


def _carries_code(name: str) -> bool:
    return name.startswith("cloudpickle.") and "_make_" in name


def _walk(content: bytes) -> tuple[list[str], list[str], int]:
    """Names of the globals, all strings, and the total size of byte strings."""
    names: list[str] = []
    texts: list[str] = []
    memo: dict[int, str | None] = {}
    pushed: list[str | None] = []
    binary = 0
    for opcode, argument in _opcodes(content):
        if opcode in _PUSHES_TEXT:
            pushed.append(str(argument))
            texts.append(str(argument))
        elif opcode == "MEMOIZE":
            memo[len(memo)] = pushed[-1] if pushed else None
        elif opcode in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[_index(argument)] = pushed[-1] if pushed else None
        elif opcode in _READS_MEMO:
            pushed.append(memo.get(_index(argument)))
        elif opcode == "STACK_GLOBAL":
            module, name = ([None, None, *pushed])[-2:]
            names.append(f"{module}.{name}")
            pushed.append(None)
        elif opcode in ("GLOBAL", "INST"):
            names.append(str(argument).replace(" ", "."))
            pushed.append(None)
        elif isinstance(argument, (bytes, bytearray)):
            binary += len(argument)
            pushed.append(None)
        elif opcode not in ("PROTO", "FRAME", "MARK"):
            pushed.append(None)
    if any(name.startswith("pathlib.") for name in names):
        texts += _paths_in_parts(pushed)
    if _OLD_BYTES in names:
        binary += sum(map(len, texts))
    return names, texts, binary


def _paths_in_parts(pushed: Sequence[str | None]) -> Iterator[str]:
    """Absolute paths as pathlib pickles them below Python 3.13: the root, then part after part."""
    for position, item in enumerate(pushed):
        if item == "/":
            parts = takewhile(lambda part: part is not None, pushed[position + 1 :])
            yield "/" + "/".join(str(part) for part in parts)


def _opcodes(content: bytes) -> Iterator[tuple[str, object]]:
    for opcode, argument, _ in pickletools.genops(content):
        yield opcode.name, argument


def _index(argument: object) -> int:
    assert isinstance(argument, int)
    return argument
