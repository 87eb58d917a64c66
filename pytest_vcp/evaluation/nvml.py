"""GPUs and the memory in use on them, as the driver tells it: whatever library uses them.

Where there is no driver, or none that answers, there are no GPUs and nothing is known of memory.
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
# The namespace of processes in which Linux itself begins; all others have other numbers.
_FIRST_NAMESPACE = 0xEFFFFFFC


@dataclass(frozen=True)
class Gpu:
    """One GPU: its place in the driver's list, compute capability, identity."""

    index: int
    name: str
    capability: tuple[int, int]
    uuid: str


def gpus() -> tuple[Gpu, ...]:
    """Every GPU of the machine; none without a driver."""
    return _ask(lambda nvml: tuple(_gpus(nvml))) or ()


def used_bytes() -> int | None:
    """Memory in use on all GPUs together, whoever uses it; None where the driver can't tell."""
    return _ask(
        lambda nvml: sum(nvml.nvmlDeviceGetMemoryInfo(handle).used for handle in _handles(nvml))
    )


def used_by(pids: Collection[int]) -> int | None:
    """Memory that these processes hold on all GPUs; None where the driver can't tell."""
    listed = _ask(_used_by_process)
    return None if listed is None else share_of(pids, listed, _knows_our_numbers())


def visible_with(device: str) -> tuple[Gpu, ...]:
    """The GPUs that a process of the model sees under this value of ``--vcp-device``."""
    return visible(gpus(), {**os.environ, **variables(device)})


def visible(found: tuple[Gpu, ...], environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Those that CUDA_VISIBLE_DEVICES leaves: by place or by the beginning of the UUID.

    As in CUDA, what comes after an entry that names no GPU is left out, too.
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
    """What of the memory `listed` by process, in bytes, belongs to `pids`.

    In a container the driver lists no process, or the numbers that they have outside: there it is
    not known what belongs to whom, unless one of `pids` is listed.
    """
    own = [used for pid, used in listed.items() if pid in pids]
    if None in own:
        return None
    if not own and not knows_our_numbers:
        return None
    return sum(used or 0 for used in own)


def is_here(pid: int) -> bool:
    """Whether a process runs here that has this number."""
    return (_PROC / str(pid)).exists()


def _knows_our_numbers() -> bool:
    """Whether processes have the same numbers here as for the driver, so in no container."""
    try:
        return os.stat(_PROC / "self" / "ns" / "pid").st_ino == _FIRST_NAMESPACE
    except OSError:
        return False


def _ask(question: Callable[[Any], T]) -> T | None:
    """What the driver's library answers; None where there is no driver, or it refuses."""
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
    """Bytes of each process on all GPUs together; None where the driver keeps them to itself."""
    used: dict[int, int | None] = {}
    for handle in _handles(nvml):
        for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
            before, here = used.get(process.pid, 0), process.usedGpuMemory
            used[process.pid] = None if before is None or here is None else before + here
    return used


def _is_called(gpu: Gpu, name: str) -> bool:
    return name == str(gpu.index) or (name.startswith("GPU-") and gpu.uuid.startswith(name))
