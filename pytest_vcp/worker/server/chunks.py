"""Checks of one chunk of each array of an input: whether data after the headers can be read, too.

A compression that the library does not know is left to the model, which may register it when it is
loaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from .plain import first_line

# Chunks are read completely; larger ones are left to the model.
_MOST_BYTES = 1 << 28
# Phrases of HDF5 and zarr about an unknown compression.
_COMPRESSION = ("is not registered", "filter plugin", "codec")


def check_hdf5(path: str, library: Any) -> str | None:
    """Describe the first array of an HDF5 file that can't be read, and why; None without one."""
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
    """Say why the first chunk of an array of a zarr store can't be read; None where it can."""

    def read() -> None:
        array = root[name] if name else root
        if math.prod(array.chunks) * array.dtype.itemsize <= _MOST_BYTES:
            _first_of(array)

    return _check_read(name or "the array", read)


def check_parquet(file: Any) -> str | None:
    """Say why the first rows of the first row group can't be read; None where they can."""
    if not file.metadata.num_row_groups:
        return None
    if file.metadata.row_group(0).total_byte_size > _MOST_BYTES:
        return None
    return _check_read("the first rows", lambda: next(file.iter_batches(batch_size=1), None))


def check_archive(archive: Any) -> str | None:
    """Describe the first member whose first bytes can't be read, and why; None without one."""

    def begin(name: str) -> None:
        with archive.zip.open(name) as member:
            member.read(1 << 16)

    problems = (_check_read(name, partial(begin, name)) for name in archive.zip.namelist())
    return next(filter(None, problems), None)


def problem_of(error: Exception) -> str | None:
    """Format a reader's error in one line; None where it does not know the compression."""
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
