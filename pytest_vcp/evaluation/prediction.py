"""Facts about the result of a forward pass. The arrays themselves stay in the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_vcp.worker.failure import WorkerFailure


@dataclass(frozen=True)
class Output:
    """One array of a prediction, or another object in its place.

    `type` is the Python type; the rest is filled for numpy arrays only. `dtype` is numpy's name,
    `bytes` the size of the array. `digest` is the SHA-256 of dtype, shape and bytes: equal
    arrays have equal digests. `not_finite` counts the values that are NaN or infinite;
    `first_not_finite` is the index and the value of the first one. `range` is minimum, maximum
    and mean of the finite values, None without any. `alike` is "values" or "rows" if all of
    them are the same.
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
    """GPUs that the worker saw through torch, and the memory allocated on them, in bytes.

    `added_bytes` is what the forward pass itself allocated: the peak minus the memory held before.
    `libraries` are libraries besides torch that the worker has loaded and that could use a GPU.
    `is_used` is whether torch has begun to use one. `shown` is the CUDA_VISIBLE_DEVICES of the
    process after the pass, None if it is not set; `tf32` is whether torch may compute products of
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

    `outputs` maps names to outputs; a plain output has the empty name. `type` is the Python type
    of the return value of predict, `seconds` the duration of the call.
    """

    type: str
    is_dict: bool
    outputs: Mapping[str, Output]
    seconds: float
    device: DeviceUse

    @property
    def output(self) -> Output:
        """The only output. Raises ValueError, with their names, if there are several or none."""
        if len(self.outputs) != 1:
            there = ", ".join(map(repr, self.outputs)) or "none"
            raise ValueError(f"there is no single output; there is {there}")
        return next(iter(self.outputs.values()))

    @property
    def is_arrays(self) -> bool:
        """Whether the result is one numpy array, or a dict that holds only numpy arrays."""
        return bool(self.outputs) and all(entry.is_array for entry in self.outputs.values())


@dataclass(frozen=True)
class Reply:
    """The reply to a request, or why there is none."""

    content: Mapping[str, Any] | None
    failure: WorkerFailure | None = None


@dataclass(frozen=True)
class Packaging:
    """The result of packaging: its failure, missing files, why the artifact can't be read."""

    failure: WorkerFailure | None
    missing: tuple[str, ...]
    problem: str | None


@dataclass(frozen=True)
class Loading:
    """The result of loading: its failure, and the processes that a worker left behind."""

    failure: WorkerFailure | None
    leftovers: tuple[str, ...]


@dataclass(frozen=True)
class ProcessChange:
    """A change to the state of the process, made by one step.

    `binds` is whether a command relies on that state; `old` and `new` are short texts.
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
    """Parse the reply of the worker's ``forward.predict``."""
    summary = reply["summary"]
    return Prediction(
        type=summary["type"],
        is_dict=summary["is_dict"],
        outputs={name: _output(entry) for name, entry in summary["entries"].items()},
        seconds=reply["seconds"],
        device=read_device(reply),
    )


def read_device(reply: Mapping[str, Any]) -> DeviceUse:
    """Parse the part about GPUs in the reply of a forward pass."""
    device = reply["device"]
    return DeviceUse(
        **{
            **device,
            "gpus": tuple(device["gpus"]),
            "libraries": tuple(device["libraries"]),
        }
    )


def render_outputs(reply: Reply | None) -> dict[str, dict[str, object]] | None:
    """Describe the outputs for the report: the shape, dtype, digest and range of each array."""
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
    """The files of the second artifact that differ from the first, apart from names and times.

    `attribute` is the attribute of the wrapper that differs in the pickle, if known.
    `without_arguments` is the exception of the class when called without arguments, `failure`
    says why there is no second artifact.
    """

    differing: tuple[str, ...] = ()
    attribute: str | None = None
    without_arguments: str | None = None
    failure: WorkerFailure | None = None


def read_repackaging(reply: Reply) -> Repackaging:
    """Parse the reply of the worker's ``packaging.save_again``."""
    if reply.content is None:
        return Repackaging(failure=reply.failure)
    found = reply.content
    differing = tuple(found["differing"])
    return Repackaging(differing, found["attribute"], found["without_arguments"])
