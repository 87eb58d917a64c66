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
from typing import Any

from . import device, outputs
from .comparing import compare
from .forward import parse_payload, parsed_rows
from .inputs import count
from .plain import dtype_name, first_line
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
        message = f"{type(problem).__name__}: {first_line(problem)}"
        return {"raised": True, "names": named, "text": message}
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


def halved(state: Reply, params: Reply) -> Reply:
    """Predict with every second observation of the first input, and compare the rows of the rest.

    `judged` is False where no observation can be dropped; `problem` says why the attempt failed.
    """
    counts = [entry["observations"] or 0 for entry in map(count, params["inputs"])]
    total, first = sum(counts), counts[0]
    before = outputs.arrays(state["prediction"])
    rows = {name: array for name, array in before.items() if array.ndim and len(array) == total}
    reply: Reply = {"judged": False, "problem": None, "difference": None, "passes": 0}
    if first < 2 or not rows:
        return reply
    kept = [*range(0, first, 2), *range(first, total)]

    def halve(data: Any) -> Any:
        return data[::2].copy()

    attempt = _with_changed_input(state, params, halve)
    if attempt["problem"] is not None:
        return {**reply, **attempt}
    after = outputs.arrays(attempt.pop("prediction"))
    expected = {name: array[kept] for name, array in rows.items()}
    found = {name: after[name] for name in expected if name in after}
    difference = compare(expected, found, params["tolerance"])
    return {"judged": True, "problem": None, "difference": difference, "passes": 1}


def cut(state: Reply, params: Reply) -> Reply:
    """Predict with a few observations of the first input in place of each input, and keep that.

    `path` is the cut-down input; None where it could not be made or predicted on, for the reason
    in `problem`. The prediction is for `forward.compare_answers`.
    """

    def thin(data: Any) -> Any:
        return data[:: max(2, math.ceil(data.n_obs / CUT_OBSERVATIONS))].copy()

    attempt = _with_changed_input(state, params, thin, everywhere=True)
    path = attempt.pop("path", None)
    if "prediction" in attempt:
        state["cut"] = outputs.detach(attempt.pop("prediction"))
        return {**attempt, "path": path}
    return {**attempt, "path": None}


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

    attempt = _with_changed_input(state, params, rename)
    for key in ("prediction", "path"):
        attempt.pop(key, None)
    refused = attempt["problem"] is not None and not attempt["untried"]
    return {**attempt, "refused": refused}


def _with_changed_input(
    state: Reply, params: Reply, change: Callable[[Any], Any], *, everywhere: bool = False
) -> Reply:
    """Predict with the first input changed; `untried` where it can't be changed here.

    With `everywhere` it takes the place of the other inputs as well.
    """
    try:
        path = changed_copy(params["inputs"][0], change)
    except Exception as problem:  # noqa: BLE001 - readers and writers raise what they like
        text = f"{type(problem).__name__}: {first_line(problem)}"
        return {"untried": True, "problem": text, "passes": 0}
    frame, given = parsed_rows(state["model"], params["payload"])
    frame.loc[frame.index if everywhere else frame.index[0], params["column"]] = path
    try:
        prediction = state["model"].predict(frame, params=given)
    except Exception as problem:  # noqa: BLE001 - a model refuses an input in any way
        text = f"{type(problem).__name__}: {first_line(problem)}"
        return {"untried": False, "problem": text, "passes": 0}
    done = {"untried": False, "problem": None, "passes": 1}
    return {**done, "path": path, "prediction": prediction}


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
    declared = {entry.name: entry for entry in model.metadata.get_params_schema() or ()}
    entry = declared.get(_PRECISION)
    frame, given = parse_payload(model, params["payload"])
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
        text = f"{type(problem).__name__}: {first_line(problem)}"
        raise RuntimeError(f"the input could not be repeated: {text}") from problem
