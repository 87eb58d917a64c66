"""The example's observations several times over: what a forward pass on them takes."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

from . import device, outputs
from .forward import parsed_rows
from .plain import first_line
from .server import peak_rss_bytes
from .variations import changed_copy

Reply = dict[str, Any]


def predict(state: Reply, params: Reply) -> Reply:
    """Predict with each AnnData input's observations `params["factor"]` times over.

    Tells seconds and GPU memory of the pass, and the most memory that the process has held so far.
    Repeating and writing are not timed, and their files are gone afterwards.
    """
    frame, given = parsed_rows(state["model"], params["payload"])
    copies = [_repeated(path, params["factor"]) for path in frame[params["column"]]]
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


def _repeated(path: str, factor: int) -> str:
    """A copy of an AnnData input with its observations `factor` times, each under its own name.

    Raises RuntimeError where there can be none.
    """

    def repeat(data: Any) -> Any:
        import numpy

        # By position, so that whatever belongs to an observation comes along.
        repeated = data[numpy.tile(numpy.arange(data.n_obs), factor)].copy()
        repeated.obs_names = [f"{name}-{turn}" for turn in range(factor) for name in data.obs_names]
        return repeated

    try:
        return changed_copy(path, repeat)
    except Exception as problem:
        text = f"{type(problem).__name__}: {first_line(problem)}"
        raise RuntimeError(f"the input could not be repeated: {text}") from problem
