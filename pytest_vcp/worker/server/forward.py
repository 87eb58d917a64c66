"""Loading and running of the finished artifact: the consumer's view."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import device, outputs, platform_packager, process_state
from .comparing import compare
from .inputs import count
from .packaging import skip_comparison
from .plain import first_line, strict_json
from .server import peak_rss_bytes

Reply = dict[str, Any]


def load(state: Reply, params: Reply) -> Reply:
    """Load the artifact at `params["artifact"]` with MLflow; report seconds, and visible GPUs.

    `libraries` are other loaded libraries that can use GPUs, `changes` lists the parts of the
    process state that were changed.
    """
    import mlflow.pyfunc

    state["process"] = process_state.read_state()
    started = time.perf_counter()
    with skip_comparison():
        state["model"] = mlflow.pyfunc.load_model(params["artifact"])
    state["as_loaded"] = platform_packager.as_loaded(_python_model(state["model"]))
    return {
        "seconds": time.perf_counter() - started,
        "gpu": device.visible(),
        "libraries": device.list_loaded(),
        "changes": process_state.changes(state["process"], process_state.read_state()),
    }


def predict(state: Reply, params: Reply) -> Reply:
    """Predict on a serving payload and store the result, under `slot`, for later requests."""
    slot = params.get("slot", "prediction")
    state.pop(slot, None)  # A failure must not leave an earlier result.
    frame, arguments = parse_payload(state["model"], params["payload"])
    memory = device.Memory()
    started = time.perf_counter()
    prediction = state["model"].predict(frame, params=arguments)
    seconds = time.perf_counter() - started
    # Before the checks of the tool, which need memory for themselves.
    peak = peak_rss_bytes()
    state[slot] = outputs.detach(prediction)
    return {
        "peak_rss_bytes": peak,
        "changes": process_state.changes(state["process"], process_state.read_state()),
        "seconds": seconds,
        "summary": outputs.summarise(prediction),
        "device": memory.report(),
    }


def repeat(state: Reply, params: Reply) -> Reply:
    """Predict with other params, then once more as before, and compare with the first result.

    `seconds` are those of the second of the two, `printed` the first lines on standard output
    meanwhile. A model may refuse the other values; only the second prediction counts. Without
    `params["others"]`, there is no pass with other params.
    """
    small = small_request(state, params["payload"])
    frame, arguments = small.parse()
    changed = _other_params(state["model"], arguments) if params["others"] else None
    passes = 0
    with capture_output() as printed:
        if changed is not None:
            try:
                state["model"].predict(frame, params=changed)
            except Exception:  # noqa: BLE001 - a model may refuse values in any way
                changed = None
            passes += 1
        frame, _ = parse_payload(state["model"], params["payload"])
        started = time.perf_counter()
        again = state["model"].predict(frame, params=arguments)
        seconds = time.perf_counter() - started
    return {
        "seconds": seconds,
        "printed": printed.lines,
        "passes": passes + 1,
        "other_params": changed is not None,
        "difference": compare(
            outputs.arrays(state["prediction"]), outputs.arrays(again), params["tolerance"]
        ),
    }


def save_result(state: Reply, params: Reply) -> Reply:
    """Write the arrays of the first result to a temporary file, for another process."""
    handle, path = tempfile.mkstemp(suffix=".npz")
    os.close(handle)
    outputs.write_arrays(state["prediction"], path)
    return {"path": path}


def compare_saved(state: Reply, params: Reply) -> Reply:
    """Compare the first result with the one that another process saved at `params["path"]`."""
    here = outputs.storable(state["prediction"])
    there = outputs.read_saved(params["path"], state["prediction"])
    return {"difference": compare(here, there, params["tolerance"])}


def as_json(state: Reply, params: Reply) -> Reply:
    """Check whether the first result survives conversion to MLflow's JSON and back."""
    return {"problem": outputs.through_json(state["prediction"], params["tolerance"])}


def compare_answers(state: Reply, params: Reply) -> Reply:
    """Compare the first result with JSON replies saved in files, up to the first that differs.

    `params["answers"]` are lists of an occasion, a file, and whether it answers the cut-down
    example (see `variations.cut`). `difference` has the occasion (`when`) and the problem (`what`),
    or is None. Of files with the same bytes, one is parsed.
    """
    agreeing: set[tuple[object, ...]] = state.setdefault("agreeing", set())
    for when, path, to_cut in params["answers"]:
        key = (_file_digest(path), to_cut, repr(params["tolerance"]))
        if key in agreeing:
            continue
        prediction = state["cut"].prediction if to_cut else state["prediction"]
        what = _compare_answer(path, prediction, params["tolerance"])
        if what is not None:
            return {"difference": {"when": when, "what": what}}
        agreeing.add(key)
    return {"difference": None}


def _compare_answer(path: str, prediction: Any, tolerance: Reply) -> str | None:
    """Describe how a JSON reply in a file differs from a prediction; None where they agree."""
    if (rows := outputs.read_rows(path, prediction)) is not None:
        return outputs.against_json(prediction, rows, tolerance)
    try:
        with open(path, encoding="utf-8") as file:
            received = strict_json(file.read())["predictions"]
    except (ValueError, KeyError, TypeError) as problem:
        return f"no predictions in strict JSON: {first_line(problem)}"
    return outputs.against_json(prediction, received, tolerance)


def _file_digest(path: str) -> str:
    hashed = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            hashed.update(chunk)
    return hashed.hexdigest()


def observations(state: Reply, params: Reply) -> Reply:
    """Count the observations of each input that is AnnData; see `inputs.count`."""
    return {"counts": [count(path) for path in params["inputs"]]}


def values(state: Reply, params: Reply) -> Reply:
    """Return a stored result as nested lists, for outputs of at most `params["limit"]` values."""
    if params["slot"] not in state:
        raise LookupError("there is no prediction to take values from")
    found = outputs.arrays(state[params["slot"]])
    size = sum(array.size for array in found.values())
    if size > params["limit"]:
        return {"size": size, "values": None}
    return {"size": size, "values": {name: array.tolist() for name, array in found.items()}}


def parse_payload(model: Any, payload: Reply) -> tuple[Any, Any]:
    """Parse the payload as MLflow's server does, into data and params."""
    from mlflow.pyfunc.scoring_server import infer_and_parse_data

    body = dict(payload)
    arguments = body.pop("params", None) or None
    return infer_and_parse_data(body, model.metadata.get_input_schema()), arguments


def parsed_rows(model: Any, payload: Reply) -> tuple[Any, Any]:
    """Parse the payload, with the data as rows even where the request gives separate columns."""
    import pandas

    data, arguments = parse_payload(model, payload)
    if isinstance(data, dict):
        data = pandas.DataFrame({name: list(values) for name, values in data.items()})
    return data, arguments


@dataclass(frozen=True)
class SmallRequest:
    """A request with few observations, for what needs an answer that is known, and no more.

    `paths` replace the example's inputs in `column`; None where these are as small as can be.
    """

    model: Any
    payload: Reply
    prediction: Any
    column: str = ""
    paths: list[str] | None = None
    observations: int = 0

    def parse(self) -> tuple[Any, Any]:
        """Return data and params, anew each time, since a model may change them."""
        if self.paths is None:
            return parse_payload(self.model, self.payload)
        frame, arguments = parsed_rows(self.model, self.payload)
        frame[self.column] = self.paths
        return frame, arguments


def small_request(state: Reply, payload: Reply) -> SmallRequest:
    """Return the cut-down example, if one was predicted on (`variations.cut`), or the example."""
    cut: SmallRequest | None = state.get("cut")
    if cut is not None and cut.payload == payload:
        return cut
    return whole_request(state, payload)


def whole_request(state: Reply, payload: Reply) -> SmallRequest:
    """Return the example itself as such a request."""
    return SmallRequest(state["model"], payload, state["prediction"])


def _python_model(model: Any) -> Any:
    """Return the author's object; None where another flavour of MLflow has none."""
    try:
        return model.unwrap_python_model()
    except Exception:  # noqa: BLE001 - MLflow's own, of several types
        return None


def _other_params(model: Any, given: Reply | None) -> Reply | None:
    """Return params with every number and boolean changed; None where none can be changed."""
    schema = model.metadata.get_params_schema()
    changed = dict(given or {})
    turned = False
    for entry in schema or ():
        value = changed.get(entry.name, entry.default)
        if isinstance(value, bool):
            changed[entry.name], turned = not value, True
        elif isinstance(value, (int, float)):
            changed[entry.name], turned = value + 1, True
    return changed if turned else None


# ------------------------------------------------------------------------------- captured output
#
# Output of a model on standard output, by print and by C libraries alike.

_STDOUT = 1
_MOST_BYTES = 4096
_MOST_LINES = 3
_CHUNK = 1 << 20


class Heard:
    """The first lines that were written; filled when the capture ends."""

    def __init__(self) -> None:
        self.lines: list[str] = []


@contextlib.contextmanager
def capture_output() -> Iterator[Heard]:
    """Capture the first lines of standard output, and then pass on all of the output."""
    heard = Heard()
    _flush()
    with tempfile.TemporaryFile() as sink:
        usual = os.dup(_STDOUT)
        os.dup2(sink.fileno(), _STDOUT)
        try:
            yield heard
        finally:
            _flush()
            os.dup2(usual, _STDOUT)
            os.close(usual)
            sink.seek(0)
            start = sink.read(_MOST_BYTES).decode("utf-8", "replace")
            heard.lines = [line for line in start.splitlines() if line.strip()][:_MOST_LINES]
            sink.seek(0)
            while data := sink.read(_CHUNK):
                _write(data)


def _flush() -> None:
    # The model may have replaced the stream by an object that can't flush.
    with contextlib.suppress(BaseException):
        sys.stdout.flush()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(_STDOUT, view) :]


# --------------------------------------------------------------------------------- device memory
#
# The memory that the model holds on GPUs between one prediction and the next.


def after_a_pass(state: Reply, params: Reply) -> Reply:
    """Predict, release the result, and report how many bytes torch then holds on all GPUs.

    `held_bytes` is None where torch has no GPU.
    """
    frame, arguments = parse_payload(state["model"], params["payload"])
    state["model"].predict(frame, params=arguments)
    gc.collect()
    return {"held_bytes": device.held_bytes(), "passes": 1}
