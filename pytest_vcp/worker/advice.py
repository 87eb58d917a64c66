"""What to do about a failure, where its kind tells that: whatever the model was doing."""

from __future__ import annotations

import re

_EXITS = "raise an exception in place of sys.exit: a server must go on after it"
_ENDS = "leave the process and its descriptors alone: no os._exit, no closing of what others opened"
_CRASHED = "compiled code has crashed: see whether the pins fit one another; the log has the rest"
_LESS = "let it hold less at a time, with a smaller batch_size or example"
_MEMORY = f"{_LESS}; or run it where there is more memory"
_DEVICE_MEMORY = f"{_LESS}; or take a GPU with more memory"
_NO_KERNELS = "pin a torch that has kernels for this GPU (VCP907), or run it on another"
_ON_DEVICE = (
    "find the call that fails with CUDA_LAUNCH_BLOCKING=1, without it a later one is blamed; "
    "then look at its indices and shapes"
)
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")
# How libraries say it: torch, CuPy, JAX, ONNX Runtime, and CUDA itself. The first that fits tells.
_BY_WORDS = (
    (re.compile(r"no kernel image is available"), _NO_KERNELS),
    (
        re.compile(
            r"CUDA out of memory|CUDA error: out of memory|CUDA_ERROR_OUT_OF_MEMORY"
            r"|CUDA failure \d+: out of memory"
            r"|\bOutOfMemoryError|CUBLAS_STATUS_ALLOC_FAILED"
        ),
        _DEVICE_MEMORY,
    ),
    (
        re.compile(r"CUDA error: |CUDA_ERROR_(?!NO_DEVICE)|CUDA failure |device-side assert"),
        _ON_DEVICE,
    ),
    (
        re.compile(
            r"MemoryError\b|std::bad_alloc|[Cc]an't allocate memory|Cannot allocate memory"
            r"|RESOURCE_EXHAUSTED|Failed to allocate memory|killed by signal: Killed"
        ),
        _MEMORY,
    ),
)


def advice(kind: str, exception: str | None, message: str, story: str) -> str | None:
    """The remedy for a kind of failure and the type of exception; None where neither tells.

    `story` is all that was said: the exception and what caused it, or the last that was printed.
    """
    if kind == "timeout":
        return "see what it waits for at this place; if it needs longer, give it --vcp-timeout"
    if exception == "SystemExit":
        return _EXITS
    if exception == "ModuleNotFoundError":
        return absent_module(message)
    if kind == "signal" and "SIGKILL" in message:
        return _MEMORY
    for words, remedy in _BY_WORDS:
        if words.search(story):
            return remedy
    if kind == "signal":
        return _CRASHED
    return _ENDS if kind == "exited" else None


def absent_module(message: str) -> str:
    """What to do about an import that finds nothing, told by the words of the exception."""
    found = _NO_MODULE.search(message)
    if found and "." in found[1] and not found[1].startswith("model_code."):
        top = found[1].partition(".")[0]
        return f"the {top} that is installed has no such module: correct the import, or the pin"
    return "move it into model_code, or add what provides it to requirements.in and compile"
