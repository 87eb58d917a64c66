"""Libraries besides torch that the model has loaded, and that were built to use a GPU."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable
from typing import Any


def loaded() -> list[str]:
    """Their names. None is initialised for it, and none says that there is a GPU."""
    return [name for name, uses_gpus in _KNOWN.items() if _holds(name, uses_gpus)]


def _holds(name: str, uses_gpus: Callable[[Any], bool]) -> bool:
    module = sys.modules.get(name)
    try:
        return module is not None and uses_gpus(module)
    except Exception:  # noqa: BLE001 - half imported, or something else of that name
        return False


def _onnxruntime(module: Any) -> bool:
    # The providers of the build: the list is the same where there is no GPU.
    return "CUDAExecutionProvider" in module.get_available_providers()


def _jax(module: Any) -> bool:
    # jax has its GPUs from a plugin, which is a distribution for each release of CUDA.
    names = (found.metadata["Name"] or "" for found in importlib.metadata.distributions())
    return any(name.lower().replace("_", "-").startswith("jax-cuda") for name in names)


def _tensorflow(module: Any) -> bool:
    return bool(module.test.is_built_with_cuda())


_KNOWN: dict[str, Callable[[Any], bool]] = {
    "onnxruntime": _onnxruntime,
    # There is no cupy for machines without a GPU.
    "cupy": lambda module: True,
    "jax": _jax,
    "tensorflow": _tensorflow,
}
