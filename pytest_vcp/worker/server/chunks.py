"""One chunk of each array of an input: whether what lies behind the headers can be read, too.

A compression that the library does not know is left to the model, which may bring it along when it
is loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from .plain import first_line

# A chunk is read as a whole: a larger one is left to the model.
_MOST_BYTES = 1 << 28
# What HDF5 and zarr say of a compression that they do not know.
_COMPRESSION = ("is not registered", "filter plugin", "codec")


def check_hdf5(path: str, library: Any) -> str | None:
    """What is wrong with the first array of an HDF5 file that can't be read; None without one."""
    with library.File(path, "r") as file:
        return _check_datasets(file, library)


def _check_datasets(file: Any, library: Any) -> str | None:
    def look(name: str, item: Any) -> str | None:
        if not isinstance(item, library.Dataset) or not item.size:
            return None
        if item.chunks and math.prod(item.chunks) * item.dtype.itemsize > _MOST_BYTES:
            return None
        return _check_read(name, lambda: _first_of(item))

    found: str | None = file.visititems(look)
    return found


def check_zarr(root: Any, name: str) -> str | None:
    """What is wrong with the first chunk of an array of a zarr store; None where it is read."""

    def read() -> None:
        array = root[name] if name else root
        if math.prod(array.chunks) * array.dtype.itemsize <= _MOST_BYTES:
            _first_of(array)

    return _check_read(name or "the array", read)


def check_parquet(file: Any) -> str | None:
    """What is wrong with the first rows of the first row group; None where they are read."""
    if not file.metadata.num_row_groups:
        return None
    if file.metadata.row_group(0).total_byte_size > _MOST_BYTES:
        return None
    return _check_read("the first rows", lambda: next(file.iter_batches(batch_size=1), None))


def check_archive(archive: Any) -> str | None:
    """What is wrong with the first bytes of the first member that can't be read."""

    def begin(name: str) -> None:
        with archive.zip.open(name) as member:
            member.read(1 << 16)

    problems = (_check_read(name, partial(begin, name)) for name in archive.zip.namelist())
    return next(filter(None, problems), None)


def problem_of(error: Exception) -> str | None:
    """What a reader says, in one line; None where it does not know the compression."""
    message = f"{type(error).__name__}: {first_line(error)}"
    return None if any(sign in message.lower() for sign in _COMPRESSION) else message


def _first_of(array: Any) -> Any:
    return array[(0,) * len(array.shape)]


def _check_read(name: str, read: Callable[[], object]) -> str | None:
    try:
        read()
    except Exception as problem:  # noqa: BLE001 - readers raise what they like
        message = problem_of(problem)
        return message and f"{name} can't be read: {message}"
    return None
