"""GPUs and the memory in use on them, as reported by the driver, whatever library uses them.

Without a driver, or with one that does not reply, no GPUs are found and memory is unknown.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pytest_vcp.settings.devices import variables, visible_gpus

T = TypeVar("T")

_PROC = Path("/proc")
# The inode of Linux's initial PID namespace; all others have other numbers.
_FIRST_NAMESPACE = 0xEFFFFFFC


@dataclass(frozen=True)
class Gpu:
    """One GPU: its index in the driver's list, name, compute capability and UUID."""

    index: int
    name: str
    capability: tuple[int, int]
    uuid: str


def gpus() -> tuple[Gpu, ...]:
    """List every GPU of the machine; none without a driver."""
    return _ask(lambda nvml: tuple(_gpus(nvml))) or ()


def used_bytes() -> int | None:
    """Return the bytes in use on all GPUs together, by any process; None if unknown."""
    return _ask(
        lambda nvml: sum(nvml.nvmlDeviceGetMemoryInfo(handle).used for handle in _handles(nvml))
    )


def used_by(pids: Collection[int]) -> int | None:
    """Return the bytes that these processes hold on all GPUs; None if unknown."""
    listed = _ask(_used_by_process)
    return None if listed is None else share_of(pids, listed, _knows_our_numbers())


def visible_with(device: str) -> tuple[Gpu, ...]:
    """List the GPUs that a process of the model sees with this value of ``--vcp-device``."""
    return visible(gpus(), {**os.environ, **variables(device)})


def visible(found: tuple[Gpu, ...], environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    """List the GPUs that CUDA_VISIBLE_DEVICES names, by index or by the beginning of the UUID.

    As in CUDA, an entry that names no GPU ends the list.
    """
    names = visible_gpus(environ)
    if names is None:
        return found
    left: list[Gpu] = []
    for name in names:
        named = [gpu for gpu in found if _is_called(gpu, name)]
        if len(named) != 1:
            break
        left += named
    return tuple(left)


def share_of(
    pids: Collection[int], listed: Mapping[int, int | None], knows_our_numbers: bool
) -> int | None:
    """Return how much of the memory `listed` by process, in bytes, belongs to `pids`.

    In a container, the driver lists no processes, or the ids that they have outside: the result
    is then unknown (None), unless one of `pids` is listed.
    """
    own = [used for pid, used in listed.items() if pid in pids]
    if None in own:
        return None
    if not own and not knows_our_numbers:
        return None
    return sum(used or 0 for used in own)


def is_here(pid: int) -> bool:
    """Return whether a process with this id exists here."""
    return (_PROC / str(pid)).exists()


def _knows_our_numbers() -> bool:
    """Return whether processes have the same ids here as for the driver (not in a container)."""
    try:
        return os.stat(_PROC / "self" / "ns" / "pid").st_ino == _FIRST_NAMESPACE
    except OSError:
        return False


def _ask(question: Callable[[Any], T]) -> T | None:
    """Query the driver's library; None if there is no driver, or the query fails."""
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            return question(pynvml)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return None


def _handles(nvml: Any) -> Iterator[Any]:
    return map(nvml.nvmlDeviceGetHandleByIndex, range(nvml.nvmlDeviceGetCount()))


def _gpus(nvml: Any) -> Iterator[Gpu]:
    for index, handle in enumerate(_handles(nvml)):
        major, minor = nvml.nvmlDeviceGetCudaComputeCapability(handle)
        yield Gpu(
            index=index,
            name=nvml.nvmlDeviceGetName(handle),
            capability=(major, minor),
            uuid=nvml.nvmlDeviceGetUUID(handle),
        )


def _used_by_process(nvml: Any) -> dict[int, int | None]:
    """Map each process to its bytes on all GPUs; None if the driver does not report them."""
    used: dict[int, int | None] = {}
    for handle in _handles(nvml):
        for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
            before, here = used.get(process.pid, 0), process.usedGpuMemory
            used[process.pid] = None if before is None or here is None else before + here
    return used


def _is_called(gpu: Gpu, name: str) -> bool:
    return name == str(gpu.index) or (name.startswith("GPU-") and gpu.uuid.startswith(name))
