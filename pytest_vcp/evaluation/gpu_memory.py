"""GPU memory used by a model, by torch's own count if it has torch, else by the driver's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from pytest_vcp.evaluation import nvml
from pytest_vcp.evaluation.prediction import DeviceUse, Reply
from pytest_vcp.rules.outcomes import Unverified
from pytest_vcp.source.payload import Payload
from pytest_vcp.util import processes

BY_TORCH = "by torch's count"
BY_PROCESS = "by the driver's count of its processes"
# In containers, the driver does not report which process is whose.
BY_MACHINE = "by the driver's count of all GPUs together, whoever uses them"


class LoadedSession(Protocol):
    """A session whose loading process holds the model, and can be asked about it."""

    payload: Payload

    @property
    def pid(self) -> int: ...

    def ask(
        self, method: str, params: Mapping[str, Any], doing: str, timeout: float | None = None
    ) -> Reply: ...


@dataclass(frozen=True)
class GpuUse:
    """Bytes that the forward pass used on a GPU, the source of the count, and the GPU's name.

    `held_bytes` were in use before the pass, if known.
    """

    gpu: str
    bytes: int
    counted: str
    held_bytes: int = 0


@dataclass(frozen=True)
class HeldMemory:
    """Bytes that the model holds on GPUs after each of several predictions, and how counted.

    `last` is the reply of the last prediction: the one that failed, if one did.
    """

    bytes: tuple[int, ...]
    counted: str
    last: Reply

    @property
    def growth(self) -> int:
        """The total growth in bytes if memory grew with each prediction, else 0."""
        grows = all(before < after for before, after in pairwise(self.bytes))
        return self.bytes[-1] - self.bytes[0] if self.bytes and grows else 0


class GpuWatch:
    """Watches the memory in use on GPUs through the driver, from before the model is loaded."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._before = nvml.used_bytes()

    def are_seen(self, load: Reply, predict: Reply) -> bool:
        """Return whether the process that loaded and predicted had a GPU and a library for it."""
        loaded, predicted = load.content or {}, (predict.content or {}).get("device", {})
        if loaded.get("gpu") or predicted.get("gpus"):
            return True
        return bool(
            (loaded.get("libraries") or predicted.get("libraries"))
            and nvml.visible_with(self._device)
        )

    def measure_use(self, device: DeviceUse, pid: int) -> GpuUse | None:
        """Measure the memory used by the forward pass of process `pid`; None if unknown."""
        by_torch, visible = measure_by_torch(device), nvml.visible_with(self._device)
        # The driver no longer knows a process that has ended.
        if not visible or not nvml.is_here(pid):
            return by_torch
        if by_torch is not None:
            others = _descendants(pid) if device.is_used else {pid, *_descendants(pid)}
            # torch only counts in its own process, and another library may be in use besides it.
            own = None if by_torch.bytes else nvml.used_by(others)
            return measure_by_driver(visible[0].name, own, None) if own else by_torch
        now, before = nvml.used_bytes(), self._before
        growth = None if now is None or before is None else now - before
        return measure_by_driver(visible[0].name, _used_by(pid), growth)


def held_over_passes(session: LoadedSession, passes: int, counted: str) -> HeldMemory:
    """Predict once to warm up and then `passes` times, and measure the held memory after each.

    Raises Unverified if the memory can't be counted any more, or if the process had ended.
    """
    held = []
    for number in range(passes + 1):
        # The number tells this pass from those before, whose replies are remembered.
        reply = session.ask(
            "forward.after_a_pass",
            {"payload": session.payload, "number": number},
            f"repeating the forward pass on the GPU ({number} of {passes})",
        )
        if reply.content is None:
            break
        by_torch: int | None = reply.content["held_bytes"]
        now = by_torch if counted == BY_TORCH else _counted_by_driver(counted, session.pid)
        if now is None:
            raise Unverified(f"the memory that is held can't be told {counted} any more")
        held.append(now)
    if reply.failure is not None and not reply.failure.reached:
        raise Unverified("the model's process ended before this could be tried")
    return HeldMemory(tuple(held[1:]), counted, reply)


def measure_by_torch(device: DeviceUse) -> GpuUse | None:
    """Return torch's count; None without a GPU, or if another library may have used it instead."""
    if not device.gpus or (device.libraries and not device.added_bytes):
        return None
    before = device.peak_bytes - device.added_bytes
    return GpuUse(device.gpus[0], device.added_bytes, BY_TORCH, before)


def measure_by_driver(gpu: str, own: int | None, growth: int | None) -> GpuUse | None:
    """Return the driver's count: for the model's own processes, else the growth of the total.

    None if neither is known, or if others have released more than the model can have allocated.
    """
    if own is not None:
        return GpuUse(gpu, own, BY_PROCESS)
    if growth is None or growth < 0:
        return None
    return GpuUse(gpu, growth, BY_MACHINE)


def _counted_by_driver(counted: str, pid: int) -> int | None:
    return _used_by(pid) if counted == BY_PROCESS else nvml.used_bytes()


def _used_by(pid: int) -> int | None:
    return nvml.used_by({pid, *_descendants(pid)})


def _descendants(pid: int) -> set[int]:
    return {process.pid for process in processes.descendants(pid)}
