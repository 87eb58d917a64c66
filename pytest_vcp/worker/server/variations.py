"""Inputs other than the example's: missing, unreadable, fewer observations, unknown features."""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import device, outputs
from .comparing import compare
from .forward import SmallRequest, parsed_rows, small_request, whole_request
from .inputs import count
from .plain import dtype_name, format_problem
from .server import peak_rss_bytes

Reply = dict[str, Any]

# Observations of the cut-down example, at most; no more than half of those that there are.
CUT_OBSERVATIONS = 64
_GARBAGE = b"this is no data of any kind\n" * 40


def refusals(state: Reply, params: Reply) -> Reply:
    """Try the model on missing inputs, and on unreadable ones.

    `params`: payload, and column, that of its inputs. Each of the `cases` has whether an error was
    `raised`, its `text`, and whether it `names` an input.
    """
    folder = tempfile.mkdtemp(prefix="refused-")
    replies = {}
    for case, make in (("missing", None), ("unreadable", _garbage)):
        column = params["column"]
        frame, given = parsed_rows(state["model"], params["payload"])
        names = []
        for row in range(len(frame)):
            # A model may select its reader by the suffix.
            name = f"{case}-{row}-{os.path.basename(os.path.normpath(frame[column].iloc[row]))}"
            path = os.path.join(folder, name)
            if make is not None:
                make(path, os.path.isdir(frame[column].iloc[row]))
            names.append(path)
        frame[column] = names
        replies[case] = _answer(state["model"], frame, given, names)
    passes = sum(not reply["raised"] for reply in replies.values())
    return {"cases": replies, "passes": passes}


def _garbage(path: str, as_directory: bool) -> None:
    if as_directory:
        os.makedirs(path)
        path = os.path.join(path, "notes.txt")
    with open(path, "wb") as file:
        file.write(_GARBAGE)


def _answer(model: Any, frame: Any, given: Any, names: list[str]) -> Reply:
    try:
        model.predict(frame, params=given)
    except Exception as problem:  # noqa: BLE001 - a model refuses an input in any way
        text = _join_texts(problem)
        named = any(os.path.basename(name) in text for name in names)
        return {"raised": True, "names": named, "text": format_problem(problem)}
    return {"raised": False, "names": False, "text": ""}


def _join_texts(problem: BaseException) -> str:
    """Join the messages of an error and of those that led to it."""
    texts = []
    seen: BaseException | None = problem
    while seen is not None:
        texts.append(str(seen))
        hidden = seen.__suppress_context__
        seen = seen.__cause__ or (None if hidden else seen.__context__)
    return "\n".join(texts)


def cut(state: Reply, params: Reply) -> Reply:
    """Predict with few observations of each AnnData input, and keep that as a small request.

    Of each, every second observation is taken, or so many fewer that no more than CUT_OBSERVATIONS
    remain. `paths` are the inputs; None where there is nothing to cut or no prediction, for the
    reason in `problem`. `difference` is between its rows and those of the first prediction, if
    their rows are `judged` at all.
    """
    state["cut"] = None
    counts = [entry["observations"] or 0 for entry in map(count, params["inputs"])]
    steps = [max(2, math.ceil(size / CUT_OBSERVATIONS)) if size > 1 else 1 for size in counts]
    nothing: Reply = {"paths": None, "problem": None, "judged": False, "seconds": 0.0, "passes": 0}
    if all(step == 1 for step in steps):
        return nothing
    try:
        paths = [
            path if step == 1 else changed_copy(path, _every(step))
            for path, step in zip(params["inputs"], steps, strict=True)
        ]
    except Exception as problem:  # noqa: BLE001 - readers and writers raise what they like
        return {**nothing, "problem": format_problem(problem)}
    kept = _positions(counts, steps)
    request = SmallRequest(
        state["model"], params["payload"], None, params["column"], paths, len(kept)
    )
    frame, given = request.parse()
    started = time.perf_counter()
    try:
        prediction = state["model"].predict(frame, params=given)
    except Exception as problem:  # noqa: BLE001 - a model refuses an input in any way
        return {**nothing, "problem": format_problem(problem)}
    seconds = time.perf_counter() - started
    state["cut"] = replace(request, prediction=outputs.detach(prediction))
    rows = _compare_rows(state["prediction"], prediction, sum(counts), kept, params["tolerance"])
    return {"paths": paths, "problem": None, **rows, "seconds": seconds, "passes": 1}


def halved(state: Reply, params: Reply) -> Reply:
    """Predict with every second observation of the first input, and compare the rows of the rest.

    `judged` is False where no observation can be dropped; `problem` says why the attempt failed.
    """
    counts = [entry["observations"] or 0 for entry in map(count, params["inputs"])]
    total, first = sum(counts), counts[0]
    reply: Reply = {"judged": False, "problem": None, "difference": None, "passes": 0}
    before = outputs.arrays(state["prediction"])
    if first < 2 or not any(array.ndim and len(array) == total for array in before.values()):
        return reply

    attempt = _with_changed_input(_whole(state, params), _every(2))
    if attempt["problem"] is not None:
        return {**reply, **attempt}
    kept = _positions(counts, [2, *(1 for _ in counts[1:])])
    found = attempt["prediction"]
    rows = _compare_rows(state["prediction"], found, total, kept, params["tolerance"])
    return {"problem": None, **rows, "passes": 1}


def _positions(counts: list[int], steps: list[int]) -> list[int]:
    """Return the rows of a prediction that belong to every `step`-th observation of each input."""
    starts = [sum(counts[:number]) for number in range(len(counts))]
    return [
        start + row
        for start, size, step in zip(starts, counts, steps, strict=True)
        for row in range(0, size, step)
    ]


def _compare_rows(before: Any, after: Any, total: int, kept: list[int], tolerance: Reply) -> Reply:
    """Compare the outputs that have a row for each of `total` observations, in the rows `kept`."""
    rows = {
        name: array[kept]
        for name, array in outputs.arrays(before).items()
        if array.ndim and len(array) == total
    }
    found = {name: array for name, array in outputs.arrays(after).items() if name in rows}
    difference = compare(rows, found, tolerance) if rows else None
    return {"judged": bool(rows), "difference": difference}


def unknown_features(state: Reply, params: Reply) -> Reply:
    """Predict on observations whose features have names that no model knows.

    `refused` is whether that raised, `problem` the exception or why it could not be tried.
    """

    def rename(data: Any) -> Any:
        data = data.copy()
        data.raw = None
        data.var_names = [f"unknown-feature-{number}" for number in range(data.n_vars)]
        for column in data.var.columns:
            # A model may look features up by an identifier other than their name.
            if data.var[column].dtype.kind not in "fiub":
                data.var[column] = list(data.var_names)
        return data

    request = small_request(state, params["payload"])
    if request.paths is None:
        request = _whole(state, params)
    attempt = _with_changed_input(request, rename)
    attempt.pop("prediction", None)
    refused = attempt["problem"] is not None and not attempt["untried"]
    return {**attempt, "refused": refused}


def _with_changed_input(request: SmallRequest, change: Callable[[Any], Any]) -> Reply:
    """Predict with the first input changed; `untried` where it can't be changed here."""
    assert request.paths is not None
    try:
        path = changed_copy(request.paths[0], change)
    except Exception as problem:  # noqa: BLE001 - readers and writers raise what they like
        return {"untried": True, "problem": format_problem(problem), "passes": 0}
    frame, given = replace(request, paths=[path, *request.paths[1:]]).parse()
    try:
        prediction = request.model.predict(frame, params=given)
    except Exception as problem:  # noqa: BLE001 - a model refuses an input in any way
        return {"untried": False, "problem": format_problem(problem), "passes": 0}
    return {"untried": False, "problem": None, "passes": 1, "prediction": prediction}


def _whole(state: Reply, params: Reply) -> SmallRequest:
    request = whole_request(state, params["payload"])
    return replace(request, column=params["column"], paths=params["inputs"])


def _every(step: int) -> Callable[[Any], Any]:
    return lambda data: data[::step].copy()


def changed_copy(path: str, change: Callable[[Any], Any]) -> str:
    """Write a changed copy of an AnnData input, under the same name in a new directory."""
    import anndata

    name = os.path.basename(os.path.normpath(path))
    folder = os.path.join(tempfile.mkdtemp(prefix="changed-"), re.sub(r"^\.+", "", name))
    as_zarr = os.path.isdir(path)
    changed = change(anndata.read_zarr(path) if as_zarr else anndata.read_h5ad(path))
    for table in (changed.obs, changed.var):
        # Other programs write such a column, which anndata can read, but refuses to write.
        table.drop(columns="_index", inplace=True, errors="ignore")
    with _write_everything(anndata):
        (changed.write_zarr if as_zarr else changed.write_h5ad)(folder)
    return folder


def _write_everything(anndata: Any) -> contextlib.AbstractContextManager[Any]:
    """Make anndata write kinds of columns that it can read, but does not write by default."""
    settings: Any = getattr(anndata, "settings", None)
    if not hasattr(settings, "allow_write_nullable_strings"):
        return contextlib.nullcontext()
    override: contextlib.AbstractContextManager[Any] = settings.override(
        allow_write_nullable_strings=True
    )
    return override


# ------------------------------------------------------------------------------------ precisions
#
# The forward pass in a precision other than the example's, if the model documents it.


_PRECISION = "precision"


def try_one(state: Reply, params: Reply) -> Reply:
    """Predict in `params["precision"]`, where the model declares a string param `precision`.

    `dtypes` has the dtypes of the arrays by name; None without such a param, where the model
    refuses the value, which is then undocumented, and for that of the example, judged before.
    """
    model, precision = state["model"], params["precision"]
    request = small_request(state, params["payload"])
    declared = {entry.name: entry for entry in model.metadata.get_params_schema() or ()}
    entry = declared.get(_PRECISION)
    frame, given = request.parse()
    if entry is None or entry.dtype.name != "string":
        return {"dtypes": None, "passes": 0}
    if precision == (given or {}).get(_PRECISION, entry.default):
        return {"dtypes": None, "passes": 0}
    try:
        prediction = model.predict(frame, params={**(given or {}), _PRECISION: precision})
    except Exception:  # noqa: BLE001 - a model refuses values in any way
        return {"dtypes": None, "passes": 0}
    found = outputs.arrays(prediction)
    dtypes = {name: dtype_name(array.dtype) for name, array in found.items()}
    return {"dtypes": dtypes, "passes": 1}


# --------------------------------------------------------------------------------------- scaling
#
# The cost of a forward pass on the example's observations, repeated several times.


def predict_scaled(state: Reply, params: Reply) -> Reply:
    """Predict with each AnnData input's observations repeated `params["factor"]` times.

    Report seconds and GPU memory of the pass, and the peak memory of the process so far. Repeating
    and writing are not timed, and their files are removed afterwards.
    """
    frame, given = parsed_rows(state["model"], params["payload"])
    copies = [_repeat(path, params["factor"]) for path in frame[params["column"]]]
    frame[params["column"]] = copies
    try:
        memory = device.Memory()
        started = time.perf_counter()
        prediction = state["model"].predict(frame, params=given)
        seconds = time.perf_counter() - started
        return {
            "seconds": seconds,
            "summary": outputs.summarise(prediction),
            "device": memory.report(),
            "peak_rss_bytes": peak_rss_bytes(),
        }
    finally:
        for copy in copies:
            shutil.rmtree(os.path.dirname(copy), ignore_errors=True)


def _repeat(path: str, factor: int) -> str:
    """Write a copy of an AnnData input with its observations `factor` times, with unique names.

    Raises RuntimeError where that fails.
    """

    def repeat(data: Any) -> Any:
        import numpy

        # By position, so that all data of an observation is repeated.
        repeated = data[numpy.tile(numpy.arange(data.n_obs), factor)].copy()
        repeated.obs_names = [f"{name}-{turn}" for turn in range(factor) for name in data.obs_names]
        return repeated

    try:
        return changed_copy(path, repeat)
    except Exception as problem:
        raise RuntimeError(
            f"the input could not be repeated: {format_problem(problem)}"
        ) from problem
