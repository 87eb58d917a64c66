"""State that belongs to the process, not to the model: its directory, umask, and global settings.

Libraries set some of it when they are imported; so the state is read after the model's own modules
and their libraries have been imported, and again after each step.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Any

Reply = dict[str, Any]

# The state that a command or a server relies on, as opposed to changes that it can tolerate.
_BINDING = ("the working directory", "the umask")
_WIDEST = 40
_VARIABLE = "the environment variable "
# MLflow, Python and libraries set these variables themselves while they load or predict; matplotlib
# does where the home directory is read-only.
_OTHERS_SET = (
    *("MLFLOW_", "_MLFLOW_", "KMP_", "OMP_", "TF_", "PYTORCH_", "CUDA_", "LC_CTYPE"),
    "MPLCONFIGDIR",
)


def read_state() -> Reply:
    """Read the current state, as values that can be compared and reported."""
    return {
        "the working directory": _directory(),
        "the umask": _umask(),
        **{f"{_VARIABLE}{name}": value for name, value in _environ().items()},
        **{f"the handler of {name}": handler for name, handler in _handlers().items()},
        "the warnings that are shown": _silences(),
        **_numpy(),
        **_torch(),
    }


def changes(before: Reply, now: Reply) -> list[Reply]:
    """List the differences: `what` changed, whether that `binds`, and both values, shortened."""
    found = []
    for what in (*before, *(name for name in now if name not in before)):
        old, new = before.get(what), now.get(what)
        # A library that was imported meanwhile adds its own settings.
        if old == new or (old is None and what.startswith(("numpy", "torch"))):
            continue
        # Variables may hold secrets.
        tell = _describe_silently if what.startswith(_VARIABLE) else _format
        found.append({"what": what, "binds": what in _BINDING, "old": tell(old), "new": tell(new)})
    return found


def _directory() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "a directory that is gone"


def _umask() -> str:
    # Elsewhere, the umask can't be read without being set.
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as status:
            words = status.read().partition("\nUmask:")[2].split()
    except OSError:
        return ""
    return words[0] if words else ""


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS_SET)}


def _handlers() -> dict[str, str]:
    found = {}
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        name = number.name if isinstance(number, signal.Signals) else f"signal {number}"
        found[name] = getattr(handler, "__qualname__", None) or str(handler)
    return found


def _silences() -> int:
    """Count the filters that silence all warnings."""
    return sum(
        entry[0] == "ignore" and entry[1] is None and entry[2] is Warning and entry[3] is None
        for entry in warnings.filters
    )


def _numpy() -> dict[str, str]:
    numpy = sys.modules.get("numpy")
    return {} if numpy is None else {"numpy's handling of errors": str(numpy.geterr())}


def _torch() -> dict[str, str]:
    torch = sys.modules.get("torch")
    # Another module under this name may lack these functions.
    asked = {
        "torch's default dtype": getattr(torch, "get_default_dtype", None),
        "torch's recording of gradients": getattr(torch, "is_grad_enabled", None),
    }
    return {what: str(ask()) for what, ask in asked.items() if ask is not None}


def _describe_silently(value: object) -> str:
    return "unset" if value is None else "another value"


def _format(value: object) -> str:
    text = "nothing" if value is None else str(value)
    # The end of a path says more than its beginning.
    return text if len(text) <= _WIDEST else f"...{text[3 - _WIDEST :]}"
