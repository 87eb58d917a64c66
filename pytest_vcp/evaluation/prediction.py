"""What came back from the forward pass, as facts. The arrays themselves stay in the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_vcp.worker.failure import WorkerFailure


@dataclass(frozen=True)
class Output:
    """One array of a prediction, or what stands in its place.

    `type` is the Python type; the rest is filled for numpy arrays only. `dtype` is numpy's name,
    `bytes` the size of the array. `digest` is the SHA-256 over dtype, shape and bytes: equal
    arrays have equal digests. `not_finite` counts the values that are NaN or infinite;
    `first_not_finite` is the index and the value of the first one. `range` is minimum, maximum
    and mean of the finite values, None where there is none. `alike` is "values" or "rows" where
    all of them are the same.
    """

    is_array: bool
    type: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    bytes: int = 0
    digest: str = ""
    not_finite: int = 0
    first_not_finite: tuple[tuple[int, ...], str] | None = None
    range: tuple[float, float, float] | None = None
    alike: str | None = None


@dataclass(frozen=True)
class DeviceUse:
    """GPUs that the worker saw through torch, and the memory that was allocated there, in bytes.

    `added_bytes` is what the forward pass itself allocated: the peak less what was held before.
    `libraries` are those besides torch that the worker has loaded, and that could use a GPU.
    `is_used` is whether torch has begun to use one. `shown` is the CUDA_VISIBLE_DEVICES of the
    process after it, None where it is not set; `tf32` is whether torch may compute products of
    float32 in TF32.
    """

    gpus: tuple[str, ...]
    peak_bytes: int
    added_bytes: int
    libraries: tuple[str, ...] = ()
    is_used: bool = False
    shown: str | None = None
    tf32: bool = False


@dataclass(frozen=True)
class Prediction:
    """The result of one forward pass.

    `outputs` goes by name; the array of a plain output goes by the empty name. `type` is the Python
    type of what predict returned, `seconds` the time of the call.
    """

    type: str
    is_dict: bool
    outputs: Mapping[str, Output]
    seconds: float
    device: DeviceUse

    @property
    def output(self) -> Output:
        """The only output. Raises ValueError, naming them, where there are several or none."""
        if len(self.outputs) != 1:
            there = ", ".join(map(repr, self.outputs)) or "none"
            raise ValueError(f"there is no single output; there is {there}")
        return next(iter(self.outputs.values()))

    @property
    def is_arrays(self) -> bool:
        """Whether it is one numpy array, or a dict that holds nothing else."""
        return bool(self.outputs) and all(entry.is_array for entry in self.outputs.values())


@dataclass(frozen=True)
class Reply:
    """A step in a worker: its reply, or why there is none."""

    content: Mapping[str, Any] | None
    failure: WorkerFailure | None = None


@dataclass(frozen=True)
class Packaging:
    """What packaging came to: its failure, the files it left out, why the rest can't be read."""

    failure: WorkerFailure | None
    missing: tuple[str, ...]
    problem: str | None


@dataclass(frozen=True)
class Loading:
    """What loading came to: its failure, and processes that a worker left behind at its end."""

    failure: WorkerFailure | None
    leftovers: tuple[str, ...]


@dataclass(frozen=True)
class ProcessChange:
    """Something of the process that a step has left otherwise than it was.

    `binds` is whether a command relies on it; `old` and `new` are short texts.
    """

    step: str
    what: str
    binds: bool
    old: str
    new: str


@dataclass(frozen=True)
class Observations:
    """One input of the example: whether it is AnnData, and how many observations it holds.

    `problem` says why an AnnData input could not be counted.
    """

    uri: str
    is_anndata: bool
    observations: int | None
    problem: str | None


def read_prediction(reply: Mapping[str, Any]) -> Prediction:
    """Type the reply of the worker's ``forward.predict``."""
    summary = reply["summary"]
    return Prediction(
        type=summary["type"],
        is_dict=summary["is_dict"],
        outputs={name: _output(entry) for name, entry in summary["entries"].items()},
        seconds=reply["seconds"],
        device=read_device(reply),
    )


def read_device(reply: Mapping[str, Any]) -> DeviceUse:
    """Type what the same reply says about GPUs."""
    device = reply["device"]
    return DeviceUse(
        **{
            **device,
            "gpus": tuple(device["gpus"]),
            "libraries": tuple(device["libraries"]),
        }
    )


def render_outputs(reply: Reply | None) -> dict[str, dict[str, object]] | None:
    """What a forward pass returned, for the report: each array's shape, dtype, digest and range."""
    if reply is None or reply.content is None:
        return None
    return {
        name: {
            "shape": entry["shape"],
            "dtype": entry["dtype"],
            "sha256": entry["digest"],
            "range": entry["range"],
        }
        for name, entry in reply.content["summary"]["entries"].items()
        if entry["is_array"]
    }


def _output(entry: Mapping[str, Any]) -> Output:
    values = dict(entry)
    if "shape" in values:
        values["shape"] = tuple(values["shape"])
    if values.get("range"):
        values["range"] = tuple(values["range"])
    if values.get("first_not_finite"):
        index, value = values["first_not_finite"]
        values["first_not_finite"] = (tuple(index), value)
    return Output(**values)


# ------------------------------------------------------------------------------- packaging twice
#
# The result of packaging the model a second time.


@dataclass(frozen=True)
class Repackaging:
    """The files of the second artifact that differ from the first, names and times aside.

    `attribute` is the one of the wrapper that differs in the pickle, where that could be told.
    `without_arguments` is what the class raises where it is called without arguments, `failure`
    says why there is no second artifact.
    """

    differing: tuple[str, ...] = ()
    attribute: str | None = None
    without_arguments: str | None = None
    failure: WorkerFailure | None = None


def read_repackaging(reply: Reply) -> Repackaging:
    """Type the reply of the worker's ``packaging.save_again``."""
    if reply.content is None:
        return Repackaging(failure=reply.failure)
    found = reply.content
    differing = tuple(found["differing"])
    return Repackaging(differing, found["attribute"], found["without_arguments"])
