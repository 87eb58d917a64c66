"""GPUs as the model sees them through torch, and the memory that a forward pass takes there."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Callable
from typing import Any

# The first compute capability with TF32.
_FIRST_WITH_TF32 = (8, 0)


def seen(state: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    """Report whether a GPU is visible, for a caller that needs to know after a failure."""
    return {"gpu": visible()}


def visible() -> bool:
    """Return whether a GPU is visible to torch, if the model has already imported torch."""
    return _cuda() is not None


def in_use() -> list[dict[str, Any]]:
    """List name and compute capability of each GPU; empty before the model has used one."""
    cuda = _cuda()
    # See `Memory`: reading the capability would initialise CUDA.
    if cuda is None or not cuda.is_initialized():
        return []
    return [
        {
            "name": cuda.get_device_name(index),
            "capability": list(cuda.get_device_capability(index)),
        }
        for index in range(cuda.device_count())
    ]


def held_bytes() -> int | None:
    """Return the bytes that torch has allocated on all GPUs; None where it has no GPU."""
    return None if _cuda() is None else _each(_cuda().memory_allocated)


class Memory:
    """The memory that torch allocates on GPUs between construction and report."""

    def __init__(self) -> None:
        cuda = _cuda()
        # Before CUDA is initialised, no GPU has been used. It must not be initialised here: a model
        # that forks processes could not use a GPU in them afterwards.
        self._before = 0
        if cuda is not None and cuda.is_initialized():
            for index in range(cuda.device_count()):
                cuda.reset_peak_memory_stats(index)
            self._before = _each(cuda.memory_allocated)

    def report(self) -> dict[str, Any]:
        """Report the GPUs' names, the peak, the part of it that was added, and other libraries."""
        # Looked up again, since a model may import torch only when it predicts.
        cuda, others = _cuda(), list_loaded()
        if cuda is None:
            return {
                "gpus": [],
                "peak_bytes": 0,
                "added_bytes": 0,
                "is_used": False,
                "libraries": others,
                "shown": _visible_gpus(),
                "tf32": False,
            }
        peak = _each(cuda.max_memory_allocated)
        return {
            "gpus": [_name(cuda, index) for index in range(cuda.device_count())],
            "peak_bytes": peak,
            "added_bytes": peak - self._before,
            "is_used": cuda.is_initialized(),
            "libraries": others,
            "shown": _visible_gpus(),
            "tf32": _tf32(),
        }


def _cuda() -> Any:
    """Return torch.cuda if it has a GPU, else None."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda if cuda is not None and cuda.is_available() else None


def _visible_gpus() -> str | None:
    """Return the variable of visible GPUs, which the model's code may have changed."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def _name(cuda: Any, index: int) -> str:
    # See `Memory`: reading the name would initialise CUDA.
    return str(cuda.get_device_name(index)) if cuda.is_initialized() else f"GPU {index}"


def _tf32() -> bool:
    """Return whether torch may round factors to ten bits, in matrix products or convolutions."""
    if not any(tuple(gpu["capability"]) >= _FIRST_WITH_TF32 for gpu in in_use()):
        return False
    backends = getattr(sys.modules["torch"], "backends", None)
    matmul = getattr(getattr(backends, "cuda", None), "matmul", None)
    cudnn = getattr(backends, "cudnn", None)
    # From torch 2.9 on, each part has a precision; then reading the older switches may fail.
    parts = (backends, matmul, cudnn, *(getattr(cudnn, name, None) for name in ("conv", "rnn")))
    precisions = [getattr(part, "fp32_precision", None) for part in parts]
    if any(precisions):
        return "tf32" in precisions
    return any(bool(getattr(part, "allow_tf32", False)) for part in (matmul, cudnn))


def _each(measure: Any) -> int:
    cuda = _cuda()
    return sum(int(measure(index)) for index in range(cuda.device_count()))


# --------------------------------------------------------------------------------- gpu libraries
#
# Libraries besides torch that the model has loaded, and that were built to use a GPU.


def list_loaded() -> list[str]:
    """List these libraries by name, without initialising them; none of them implies a GPU."""
    return [name for name, uses_gpus in _KNOWN.items() if _holds(name, uses_gpus)]


def _holds(name: str, uses_gpus: Callable[[Any], bool]) -> bool:
    module = sys.modules.get(name)
    try:
        return module is not None and uses_gpus(module)
    except Exception:  # noqa: BLE001 - half imported, or something else of that name
        return False


def _onnxruntime(module: Any) -> bool:
    # The providers of the build: the list is the same without a GPU.
    return "CUDAExecutionProvider" in module.get_available_providers()


def _jax(module: Any) -> bool:
    # jax uses GPUs through a plugin, which is a separate distribution for each release of CUDA.
    names = (found.metadata["Name"] or "" for found in importlib.metadata.distributions())
    return any(name.lower().replace("_", "-").startswith("jax-cuda") for name in names)


def _tensorflow(module: Any) -> bool:
    return bool(module.test.is_built_with_cuda())


_KNOWN: dict[str, Callable[[Any], bool]] = {
    "onnxruntime": _onnxruntime,
    # No build of cupy is for machines without a GPU.
    "cupy": lambda module: True,
    "jax": _jax,
    "tensorflow": _tensorflow,
}


# --------------------------------------------------------------------------------------- kernels
#
# The GPUs that the model's torch was compiled for, as torch itself reports.

Reply = dict[str, Any]


def describe_kernels(state: Reply, params: Reply) -> Reply:
    """Report torch's version, its build, its architectures, and the GPUs that it has in use.

    If the model has not loaded torch, it is imported only with `params["wanted"]`, since that takes
    seconds. `torch` is None where it is not available. No GPU is initialised.
    """
    torch = sys.modules.get("torch")
    if torch is None and params["wanted"] and importlib.util.find_spec("torch"):
        torch = importlib.import_module("torch")
    if torch is None:
        return {"torch": None, "gpus": []}
    # A build for the CPU alone lacks this function.
    flags = getattr(torch._C, "_cuda_getArchFlags", lambda: None)()
    return {
        "torch": str(torch.__version__),
        "build": _build(torch.version),
        "architectures": (flags or "").split(),
        "gpus": in_use(),
    }


def _build(version: Any) -> str:
    for name, release in (("CUDA", version.cuda), ("ROCm", getattr(version, "hip", None))):
        if release:
            return f"{name} {release}"
    return "the CPU alone"
