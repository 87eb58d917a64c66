"""Predictions: their description, storage and transfer. The arrays themselves stay here."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from .comparing import difference
from .plain import dtype_name, first_line, strict_json, type_name

Reply = dict[str, Any]

# Values of an array that are sent through JSON and back to see whether it can carry them.
MOST_THROUGH_JSON = 1_000_000
# From this size in bytes on, a file of predictions is read piece by piece, of so many characters.
_LARGE_FILE = 4_000_000
_TEXT = 4_000_000
# No name of an output is longer, in characters, with what surrounds it.
_LONGEST_KEY = 10_000

# For array values that are compared exactly, by the kind of their dtype: the type that JSON has for
# them, and a dtype that can hold any of them.
_EXACT: dict[str, tuple[type, str]] = {
    "b": (bool, "bool"),
    "i": (int, "int64"),
    "u": (int, "uint64"),
    "U": (str, "str"),
    "O": (object, "object"),
}


def summarise(prediction: Any) -> Reply:
    """Describe the container and, for each array, shape, dtype, range, digest, non-finite values.

    The single array of a plain output has the empty name.
    """
    entries = _entries(prediction)
    return {
        "type": type_name(prediction),
        "is_dict": isinstance(prediction, dict),
        "entries": {name: _entry(value) for name, value in entries.items()},
    }


def arrays(prediction: Any) -> dict[str, Any]:
    """Return the numpy arrays of a prediction by name, without other values."""
    import numpy

    entries = _entries(prediction)
    return {name: value for name, value in entries.items() if isinstance(value, numpy.ndarray)}


def _entries(prediction: Any) -> dict[str, Any]:
    if isinstance(prediction, dict):
        return {str(name): value for name, value in prediction.items()}
    return {"": prediction}


def _entry(value: Any) -> Reply:
    import numpy

    if not isinstance(value, numpy.ndarray):
        return {"is_array": False, "type": type_name(value)}
    reply: Reply = {
        "is_array": True,
        "type": type_name(value),
        "shape": list(value.shape),
        "dtype": dtype_name(value.dtype),
        "bytes": int(value.nbytes),
        "digest": digest(value),
        "not_finite": 0,
        "first_not_finite": None,
        "range": None,
        "alike": _alike(value),
    }
    if value.dtype.kind in "fciub" and value.size:
        reply.update(_numbers(value))
    return reply


def _alike(value: Any) -> str | None:
    """Return "values" or "rows" where those of an array are all the same; else None."""
    if value.size < 2 or value.dtype.hasobject:
        return None
    # NaN differs from itself, and is left to another rule.
    if bool((value == value.flat[0]).all()):
        return "values"
    if value.ndim > 1 and len(value) > 1 and bool((value == value[:1]).all()):
        return "rows"
    return None


def digest(array: Any) -> str:
    """Return the SHA-256 over dtype, shape and the bytes in C order."""
    import numpy

    hashed = hashlib.sha256(f"{array.dtype}{array.shape}".encode())
    if array.dtype.hasobject:
        hashed.update(repr(array.tolist()).encode())
    else:
        hashed.update(numpy.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


def _numbers(value: Any) -> Reply:
    import numpy

    data = numpy.asarray(value)
    finite = numpy.isfinite(data)
    bad = int(data.size - numpy.count_nonzero(finite))
    reply: Reply = {"not_finite": bad}
    if bad:
        index = numpy.unravel_index(int(numpy.argmin(finite)), data.shape)
        reply["first_not_finite"] = [[int(position) for position in index], str(data[index])]
    if bad < data.size and data.dtype.kind != "c":
        kept = data[finite]
        reply["range"] = [float(kept.min()), float(kept.max()), float(kept.mean())]
    return reply


def detach(prediction: Any) -> Any:
    """Copy the arrays of a prediction, since a model may return a buffer that it fills again."""
    return _map_arrays(prediction, lambda array: array.copy())


def _map_arrays(prediction: Any, change: Callable[[Any], Any]) -> Any:
    """Change each array of a prediction, and leave everything else as it is."""
    import numpy

    def changed(value: Any) -> Any:
        return change(value) if isinstance(value, numpy.ndarray) else value

    if isinstance(prediction, dict):
        return {name: changed(value) for name, value in prediction.items()}
    return changed(prediction)


def write_arrays(prediction: Any, path: str) -> bool:
    """Write the arrays of a prediction to `path`; return False where it has none."""
    import numpy

    found = storable(prediction)
    # Positions instead of names, which may be illegal as member names of the archive.
    members = {f"array_{position}": found[name] for position, name in enumerate(sorted(found))}
    numpy.savez(path, **members)
    return bool(found)


def storable(prediction: Any) -> dict[str, Any]:
    """Return the arrays of a prediction, with Python objects replaced by their representations."""
    import numpy

    return {
        name: numpy.array(list(map(repr, array.ravel().tolist())), str).reshape(array.shape)
        if array.dtype.hasobject
        else array
        for name, array in arrays(prediction).items()
    }


def read_saved(path: str, like: Any) -> dict[str, Any]:
    """Read the arrays that `write_arrays` wrote, under the names of the prediction `like`."""
    import numpy

    names = sorted(arrays(like))
    with numpy.load(path, allow_pickle=False) as archive:
        return {
            name: archive[f"array_{position}"]
            for position, name in enumerate(names)
            if f"array_{position}" in archive
        }


def through_json(prediction: Any, tolerance: Reply) -> str | None:
    """Describe the problem of a prediction as MLflow's server would send it; None without one."""
    import numpy
    from mlflow.pyfunc.scoring_server import predictions_to_json

    body = io.StringIO()
    whole, prediction = prediction, _sample(prediction)
    try:
        predictions_to_json(prediction, body)
        received = strict_json(body.getvalue())["predictions"]
    except Exception as problem:  # noqa: BLE001 - encoders of any type are run
        return f"{type(problem).__name__}: {first_line(problem)}"
    for name, array in arrays(whole).items():
        if masked := int(numpy.ma.count_masked(array)):
            return f"{_title(name)} has {masked} of {array.size} values masked: null in JSON"
    return against_json(prediction, received, tolerance)


def _sample(prediction: Any) -> Any:
    """Replace each large array by a part of its values: evenly spread, least, greatest, and the
    first that is not finite."""
    import numpy

    def sampled(array: Any) -> Any:
        if array.size <= MOST_THROUGH_JSON:
            return array
        flat = array.reshape(-1)
        chosen = [numpy.linspace(0, flat.size - 1, MOST_THROUGH_JSON).astype(int)]
        if array.dtype.kind in "fiu":
            chosen.append([flat.argmin(), flat.argmax(), numpy.isfinite(flat).argmin()])
        return flat[numpy.unique(numpy.concatenate(chosen))]

    return _map_arrays(prediction, sampled)


def against_json(prediction: Any, received: Any, tolerance: Reply) -> str | None:
    """Describe how the `predictions` in a reply differ from a prediction; None where they agree."""
    for name, array in arrays(prediction).items():
        try:
            part = received[name] if isinstance(prediction, dict) else received
            back = _from_json(part, array)
        except (ValueError, TypeError, KeyError, OverflowError) as problem:
            return f"{_title(name)} comes back as something else: {first_line(problem)}"
        changed = difference(array, back, tolerance)
        if changed is not None:
            return f"{_title(name)} comes back changed: {changed}"
    return None


def read_rows(path: str, like: Any) -> Any:
    """Read the `predictions` of a large JSON file piece by piece, into arrays like those of `like`.

    None for a small file, for a prediction with anything but arrays of numbers, and for a file that
    does not look as it should: those are parsed as a whole. Whole numbers come in the widest dtype.
    """
    import numpy

    entries = like.values() if isinstance(like, dict) else [like]
    if os.path.getsize(path) < _LARGE_FILE or not all(
        isinstance(entry, numpy.ndarray) and entry.ndim and entry.dtype.kind in "fiu"
        for entry in entries
    ):
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return _read_predictions(_Text(file), like)
    except (ValueError, TypeError, KeyError):
        return None


def _read_predictions(text: _Text, like: Any) -> Any:
    """Read an array, or a dict of arrays. Raises ValueError for anything else, and KeyError."""
    text.take(r'\{\s*"predictions"\s*:')
    if not isinstance(like, dict):
        array = _read_array(text, like)
        text.take(r"\}$")
        return array
    found: dict[str, Any] = {}
    while len(found) < len(like):
        key = text.take(r',\s*"[^"\\]*"\s*:' if found else r'\{\s*"[^"\\]*"\s*:').split('"')[1]
        found[key] = _read_array(text, like[key])
    text.take(r"\}\s*\}$")
    return found


def _read_array(text: _Text, like: Any) -> Any:
    import numpy

    is_whole = like.dtype.kind in _EXACT
    dtype = _EXACT[like.dtype.kind][1] if is_whole else like.dtype
    rows, filled = numpy.empty(like.shape, dtype), 0
    text.take(r"\[")
    for piece in text.rows(like.ndim):
        part = numpy.array(strict_json(f"[{piece}]"))
        # An "e" is in 1e3, true and false.
        if is_whole and ("e" in piece or not _holds(dtype, part)):
            raise ValueError("not the whole numbers that there should be")
        rows[filled : filled + len(part)] = part
        filled += len(part)
    if filled < len(rows):
        raise ValueError("too few rows")
    return rows


class _Text:
    """The text of a file, of which only a part is held."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._held = ""

    def take(self, pattern: str) -> str:
        """Return and pass what matches here, after blanks. Raises ValueError if nothing does."""
        if len(self._held) < _LONGEST_KEY:
            self._held += self._file.read(_TEXT)
        self._held = self._held.lstrip()
        found = re.match(pattern, self._held.rstrip() if pattern.endswith("$") else self._held)
        if found is None:
            raise ValueError("no JSON of the expected form")
        self._held = self._held[found.end() :]
        return found[0]

    def rows(self, ndim: int) -> Iterator[str]:
        """Yield the rows up to the end of an array, many at a time, with commas between them.

        Raises ValueError if the end is missing.
        """
        # No end within a row has as many brackets.
        row_end, array_end = "]" * (ndim - 1) + ",", "]" * ndim
        while (end := self._held.find(array_end)) < 0:
            last = self._held.rfind(row_end)
            if last >= 0:
                yield self._held[: last + ndim - 1]
                self._held = self._held[last + ndim :]
            more = self._file.read(_TEXT)
            if not more:
                raise ValueError("no end of an array")
            self._held += more
        yield self._held[: end + ndim - 1]
        self._held = self._held[end + ndim :]


def _holds(dtype: str, part: Any) -> bool:
    """Return whether an array has whole numbers that this dtype, int64 or uint64, can hold."""
    if part.dtype.kind == "u":
        return dtype == "uint64"
    return part.dtype.kind == "i" and (dtype == "int64" or not (part < 0).any())


def _from_json(part: Any, like: Any) -> Any:
    """Convert a part of a reply to an array of the shape and kind of `like`; raises if impossible.

    Values that are compared exactly are not cast to their dtype, which would drop a fraction, or
    the end of a string.
    """
    import numpy

    if isinstance(part, numpy.ndarray):
        return part  # of read_rows
    if like.dtype.kind not in _EXACT:
        return numpy.array(part).astype(like.dtype).reshape(like.shape)
    wanted, roomy = _EXACT[like.dtype.kind]
    values = numpy.array(part, dtype=object).reshape(like.shape)
    for value in values.flat:
        if wanted not in (object, type(value)):
            raise TypeError(f"{value!r} instead of {dtype_name(like.dtype)}")
    return values.astype(roomy)


def _title(name: str) -> str:
    return f"output {name!r}" if name else "the output"
