"""The GPUs that the model's torch was compiled for, as torch itself tells it."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from . import device

Reply = dict[str, Any]


def describe(state: Reply, params: Reply) -> Reply:
    """Version of torch, what it was built for, its architectures, and the GPUs that it has in use.

    A torch that the model has not loaded is imported only if `params["wanted"]` says so, since that
    takes seconds. `torch` is None where there is none to ask. No GPU is initialised.
    """
    torch = sys.modules.get("torch")
    if torch is None and params["wanted"] and importlib.util.find_spec("torch"):
        torch = importlib.import_module("torch")
    if torch is None:
        return {"torch": None, "gpus": []}
    # A build for the CPU alone has none of this.
    flags = getattr(torch._C, "_cuda_getArchFlags", lambda: None)()
    return {
        "torch": str(torch.__version__),
        "build": _build(torch.version),
        "architectures": (flags or "").split(),
        "gpus": device.in_use(),
    }


def _build(version: Any) -> str:
    for name, release in (("CUDA", version.cuda), ("ROCm", getattr(version, "hip", None))):
        if release:
            return f"{name} {release}"
    return "the CPU alone"
