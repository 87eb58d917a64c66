"""The prediction on the example, written to a file for comparison with later ones.

The file is a numpy archive without pickles: a member for each output, and ``record.json``, which
describes them. For an output that is too large, the file has rows spread evenly from the first to
the last, and the digest of the complete output.
"""

from __future__ import annotations

import io
import json
import math
import os
import platform
import tempfile
import zipfile
from collections.abc import Sequence
from typing import Any

from . import outputs
from .comparing import compare_arrays
from .plain import dtype_name, first_line

Reply = dict[str, Any]

# Rows are made small enough that at least so many fit into the file.
_LEAST_ROWS = 16
# A fixed time stamp, so that the same prediction gives the same file.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def record(state: Reply, params: Reply) -> Reply:
    """Write the first result to a temporary file, and return its `path`.

    `params["record"]` has further entries for the record, `params["bytes"]` is the limit for the
    values of all outputs together.
    """
    found = outputs.storable(state["prediction"])
    share = params["bytes"] // max(len(found), 1)
    summaries, members = [], []
    for name in sorted(found):
        entry, kept = _describe(found[name], share)
        summaries.append({"name": name, **entry})
        members.append(kept)
    document = {**params["record"], "outputs": summaries}
    document["environment"] = {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **document["environment"],
    }
    handle, path = tempfile.mkstemp(suffix=".npz")
    with os.fdopen(handle, "wb") as file:
        _write(file, document, members)
    return {"path": path}


def replay(state: Reply, params: Reply) -> Reply:
    """Compare the first result with the file at `params["path"]`.

    `params["outputs"]` are the outputs according to its record. `unreadable` says why the file
    can't be used, `difference` how the result differs; both are None where nothing is wrong.
    """
    now = outputs.storable(state["prediction"])
    try:
        kept = [
            (str(entry["name"]), entry, values)
            for entry, values in zip(
                params["outputs"], _members(params["path"], params["outputs"]), strict=True
            )
        ]
    except Exception as problem:  # noqa: BLE001 - an archive can be damaged in any way
        return {"unreadable": first_line(problem), "difference": None}
    return {"unreadable": None, "difference": _difference(kept, now, params["tolerance"])}


def _describe(array: Any, share: int) -> tuple[Reply, Any]:
    """Return the record of an output, and the rows to store."""
    depth, rows = sampling(array.shape, array.itemsize, share)
    entry = {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "sha256": outputs.digest(array),
        "depth": depth,
        "rows": rows,
    }
    return entry, _rows(array, depth, rows)


def sampling(shape: tuple[int, ...], itemsize: int, share: int) -> tuple[int, int]:
    """Return how many leading axes index the rows, and how many rows to store; (0, 1) for all.

    The rows are those of the first axis, unless they are so large that only a few would fit.
    """
    if math.prod(shape) * itemsize <= share or not shape:
        return 0, 1
    depth = 1
    while depth < len(shape) and math.prod(shape[depth:]) * itemsize * _LEAST_ROWS > share:
        depth += 1
    fitting = share // max(math.prod(shape[depth:]) * itemsize, 1)
    return depth, min(math.prod(shape[:depth]), max(fitting, 2))


def _rows(array: Any, depth: int, rows: int) -> Any:
    """Return the rows to store, of shape (rows, *shape[depth:])."""
    import numpy

    total = math.prod(array.shape[:depth])
    flat = numpy.ascontiguousarray(array).reshape((total, *array.shape[depth:]))
    return flat[spread_rows(total, rows)]


def spread_rows(total: int, rows: int) -> list[int]:
    """Return the positions of the rows to store: the first, the last, and evenly in between."""
    return [number * (total - 1) // max(rows - 1, 1) for number in range(rows)]


def _write(file: Any, document: Reply, members: Sequence[Any]) -> None:
    from numpy.lib import format as numpy_format

    with zipfile.ZipFile(file, "w") as archive:
        text = json.dumps(document, indent=1, sort_keys=True)
        _add(archive, "record.json", text.encode())
        for position, values in enumerate(members):
            content = io.BytesIO()
            numpy_format.write_array(content, values, allow_pickle=False)
            _add(archive, f"output_{position}.npy", content.getvalue())


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, _NO_TIME)
    archive.writestr(member, content, zipfile.ZIP_DEFLATED, 9)


def _members(path: str, summaries: Sequence[Reply]) -> list[Any]:
    """Read the values of each output. Raises exceptions of any type for an inconsistent file."""
    import numpy

    found = []
    with numpy.load(path, allow_pickle=False) as archive:
        for position, entry in enumerate(summaries):
            values = archive[f"output_{position}"]
            shape, depth, rows = tuple(entry["shape"]), entry["depth"], entry["rows"]
            if not (0 <= depth <= len(shape) and 1 <= rows <= math.prod(shape[:depth])):
                raise ValueError(f"{rows} rows over {depth} axes of {shape}")
            _check(values, (rows, *shape[depth:]), entry["dtype"])
            if depth == 0 and outputs.digest(values.reshape(shape)) != entry["sha256"]:
                raise ValueError(f"output_{position} is not what its digest says")
            found.append(values)
    return found


def _check(values: Any, shape: tuple[int, ...], dtype: str) -> None:
    if values.shape != shape or str(values.dtype) != dtype:
        raise ValueError(f"{values.dtype}{values.shape} stands where {dtype}{shape} should")


def _difference(kept: Sequence[tuple[str, Reply, Any]], now: Reply, tolerance: Reply) -> str | None:
    names = [name for name, _, _ in kept]
    if sorted(now) != names:
        return f"outputs {sorted(now)} instead of {names}"
    for name, entry, values in kept:
        what = _of_output(entry, values, now[name], tolerance)
        if what is not None:
            return f"in output {name!r}: {what}" if name else what
    return None


def _of_output(entry: Reply, values: Any, now: Any, tolerance: Reply) -> str | None:
    """Describe how one output differs from its stored values; None where it does not."""
    shape, depth, rows = tuple(entry["shape"]), entry["depth"], entry["rows"]
    if now.shape != shape:
        return f"shape {now.shape} instead of {shape}"
    if dtype_name(now.dtype) != dtype_name(values.dtype):
        return f"dtype {dtype_name(now.dtype)} instead of {dtype_name(values.dtype)}"
    if outputs.digest(now) == entry["sha256"]:
        return None
    here = _rows(now, depth, rows)
    mismatch = compare_arrays(values, here, tolerance)
    if mismatch is not None:
        row, *within = mismatch.index
        among = f" of the {rows} rows that were kept" if depth else ""
        index = [*_row_index(shape, depth, rows, row), *within]
        return mismatch.format(among, index, share=True)
    # Floats may differ in their last digits. Values that are compared exactly have the same digest,
    # unless the same strings have a dtype of another length.
    if depth and now.dtype.kind not in "fc" and now.dtype == values.dtype:
        return f"the {rows} rows that were kept are the same, and the digest of the whole is not"
    return None


def _row_index(shape: tuple[int, ...], depth: int, rows: int, row: int) -> list[int]:
    """Return the leading part of the index in the output, for a stored row."""
    import numpy

    total = math.prod(shape[:depth])
    number = spread_rows(total, rows)[row]
    return [int(index) for index in numpy.unravel_index(number, shape[:depth])] if depth else []
