"""The contents of the pickled wrapper, read from its opcodes: nothing is unpickled or run."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO

from pytest_vcp.artifact.pickle_globals import builds_data, is_harmful, is_loader
from pytest_vcp.artifact.pickle_reader import BINARIES, Binary, Machine, operations

# Binary data below this size is a flag or an identifier, not weights.
SMALL_BYTES = 1024

_TEXT = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_BINARY = (*BINARIES, "SHORT_BINSTRING", "BINSTRING")
# How protocols before 3 write byte strings: as text, to be encoded again.
_OLD_BYTES = "_codecs.encode"


@dataclass(frozen=True)
class PickleFacts:
    """Facts about a pickle that is not loaded.

    `bytes` is its size, `binary_bytes` the size of the byte strings in it, `arrays` the functions
    that would build arrays or tensors from them, `by_value` the code that it contains instead of
    referring to it, `harmful` anything that loading it does or could do besides building values,
    `texts` every string, and every path that is stored in parts. `has_unordered` is whether it
    has a set of texts, whose order differs between processes. `problem` says why it can't be read.
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
    """Read the opcodes of the pickle at `path`. Raises OSError if it can't be read."""
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
    """Return whether the byte string that was just read is a torch storage."""
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
    """Return whether the only argument of a call is a byte string with a torch storage."""
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


# -------------------------------------------------------------------------------- weight pickles
#
# Pickles among the weights, and anything but data that they would build. Nothing is unpickled.
#
# They are found by their first bytes and by their names: plain, compressed, in the archives of
# torch and numpy, and after the header of an array of Python objects.

# A pickle of more operations stores its numbers one by one; reading them all takes seconds.
MOST_OPERATIONS = 500_000
# Skipping a part of a compressed file means reading all of it.
_MOST_COMPRESSED = 64 << 20

_SUFFIXES = frozenset((".pkl", ".pickle", ".joblib", ".dill"))
# Usually pickles, but other programs use these suffixes, too.
_CUSTOMARY = frozenset((".p", ".pk", ".sav", ".pt", ".pth", ".ckpt"))
_PACKED = frozenset((".gz", ".bz2", ".xz", ".lzma", ".z"))
_PROTOCOLS = tuple(b"\x80" + bytes([number]) for number in range(2, 6))
_ZIP, _NUMPY = b"PK\x03\x04", b"\x93NUMPY"
_COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
    b"\x5d\x00\x00": lzma.open,
}
_ZLIB = tuple(b"\x78" + bytes([level]) for level in (0x01, 0x5E, 0x9C, 0xDA))


@dataclass(frozen=True)
class WeightPickle:
    """One pickle: the path of its file in the artifact, and its name in an archive.

    `foreign` is the first global in it that builds more than data, None without any; `unread` says
    why the pickle could not be read to its end.
    """

    path: str
    member: str | None = None
    foreign: str | None = None
    unread: str | None = None


def read_weight_pickles(root: Path, paths: Iterable[str]) -> tuple[WeightPickle, ...]:
    """Find every pickle in these files below `root`. Raises OSError for an unreadable file."""
    return tuple(found for path in paths for found in _read_file(root, path))


def _read_file(root: Path, path: str) -> Iterator[WeightPickle]:
    file = root / path
    with file.open("rb") as stream:
        begin = stream.peek(8)[:8]
        if begin.startswith(_ZIP):
            yield from _read_archive(file, path)
        elif begin.startswith(_NUMPY):
            yield from _read_array(stream, path)
        elif begin.startswith(_PROTOCOLS) and file.suffix != ".safetensors":
            yield from _follow(stream, path, surely=_is_named(path, _SUFFIXES))
        elif _is_named(path, _SUFFIXES | _CUSTOMARY):
            yield from _of_unknown_form(stream, begin, path)


def _is_named(path: str, suffixes: frozenset[str]) -> bool:
    """Return whether a file has one of these suffixes, or had it before it was compressed.

    A file that accompanies a pickle, such as its digest in ``genes.pkl.sha256``, is not one.
    """
    found = [suffix.lower() for suffix in PurePosixPath(path).suffixes]
    if found and found[-1] in _PACKED:
        found.pop()
    return bool(found) and found[-1] in suffixes


def _of_unknown_form(stream: IO[bytes], begin: bytes, path: str) -> Iterator[WeightPickle]:
    """Read a file that may be a pickle by its name: compressed, or of the first protocols."""
    surely = _is_named(path, _SUFFIXES)
    opener = next(
        (opener for magic, opener in _COMPRESSED.items() if begin.startswith(magic)), None
    )
    if opener is not None:
        if Path(stream.name).stat().st_size > _MOST_COMPRESSED:
            yield WeightPickle(path, unread="it is compressed, and too large to be read for this")
            return
        with opener(stream) as inner:
            yield from _follow(inner, path, surely=surely)
    elif begin.startswith(_ZLIB):
        content = zlib.decompressobj().decompress(stream.read(_MOST_COMPRESSED), _MOST_COMPRESSED)
        yield from _follow(io.BufferedReader(io.BytesIO(content)), path, surely=surely)
    elif surely or _is_whole(stream):
        yield from _follow(stream, path, surely=surely)


def _is_whole(stream: Any) -> bool:
    """Return whether a complete pickle begins here. A text may begin like one."""
    try:
        for _ in islice(operations(stream), MOST_OPERATIONS):
            pass
    except (ValueError, OSError):
        return False
    finally:
        stream.seek(0)
    return True


def _read_archive(file: Path, path: str) -> Iterator[WeightPickle]:
    """Read the pickles and arrays of a zip file, as written by torch.save and numpy.savez."""
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        return
    with archive:
        for member in archive.infolist():
            pickled = _is_named(member.filename, _SUFFIXES)
            if not pickled and not member.filename.endswith(".npy"):
                continue
            packed = member.compress_type != zipfile.ZIP_STORED
            if packed and pickled and member.file_size > _MOST_COMPRESSED:
                reason = "it is compressed, and too large to be read for this"
                yield WeightPickle(path, member.filename, unread=reason)
                continue
            try:
                with archive.open(member) as stream:
                    if pickled:
                        yield from _follow(stream, path, member.filename, surely=True)
                    else:
                        yield from _read_array(stream, path, member.filename)
            except (zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error) as problem:
                yield WeightPickle(path, member.filename, unread=str(problem))


def _read_array(stream: IO[bytes], path: str, member: str | None = None) -> Iterator[WeightPickle]:
    """Read the pickle after the header of a numpy array, if it contains Python objects."""
    begin = stream.read(8)
    width = 2 if begin[6:7] == b"\x01" else 4
    header = stream.read(int.from_bytes(stream.read(width), "little"))
    if begin.startswith(_NUMPY) and b"|O'" in header:
        yield from _follow(stream, path, member, surely=True)


def _follow(
    stream: Any, path: str, member: str | None = None, *, surely: bool
) -> Iterator[WeightPickle]:
    """Read the pickle that begins here, and those right after it, as one.

    If it can't be read, it is reported if it is `surely` a pickle, and otherwise ignored.
    """
    taken = 0
    first = True
    try:
        while first or stream.peek(2)[:2] in _PROTOCOLS:
            machine, seen = Machine(), 0  # The memo of each pickle starts at 0.
            for operation in operations(stream):
                machine.take(operation)
                taken += 1
                for entry in machine.globals[seen:]:
                    if not builds_data(entry):
                        yield WeightPickle(path, member, foreign=str(entry))
                        return
                seen = len(machine.globals)
                if taken > MOST_OPERATIONS:
                    reason = f"it goes on after {MOST_OPERATIONS} operations"
                    yield WeightPickle(path, member, unread=reason)
                    return
            first = False
    except (ValueError, EOFError, OSError, zlib.error, lzma.LZMAError) as problem:
        # Anything may follow the first pickle, such as the bytes of tensors.
        if first:
            if surely:
                yield WeightPickle(path, member, unread=f"it is no pickle: {problem}")
            return
    yield WeightPickle(path, member)


# -------------------------------------------------------------------------------- torch storages
#
# Tensors inside a pickle: torch puts each storage there as bytes that it has serialised itself.
#
# They are loaded by `torch.storage._load_from_bytes`, which unpickles anything. The bytes are read
# as it would read them: five pickles, and then the numbers.

LOADER = "torch.storage._load_from_bytes"
# Magic number, protocol, the system that wrote it, the storage, its key.
_PICKLES = 5
# The pickles come before the numbers, and are small.
_MOST_BYTES = 1 << 20
_PROTOCOL = b"\x80\x02"


def is_storage(file: BinaryIO, length: int) -> bool:
    """Return whether the next bytes of a file only build one storage; move to their end."""
    start = file.tell()
    head = file.read(min(length, _MOST_BYTES))
    file.seek(start + length)
    # torch would read a tar file as an archive of its oldest format.
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
