"""What to do about a failure, where its kind tells that: whatever the model was doing."""

from __future__ import annotations

import re

_EXITS = "raise an exception in place of sys.exit: a server must go on after it"
_ENDS = "leave the process and its descriptors alone: no os._exit, no closing of what others opened"
_CRASHED = "compiled code has crashed: see whether the pins fit one another; the log has the rest"
_KILLED = "let it hold less at a time, or run it where there is more memory"
_NO_MODULE = re.compile(r"No module named '([\w.]+)'")


def advice(kind: str, exception: str | None, message: str) -> str | None:
    """The remedy for a kind of failure and the type of exception; None where neither tells."""
    if kind == "timeout":
        return "see what it waits for at this place; if it needs longer, give it --vcp-timeout"
    if kind == "signal":
        return _KILLED if "SIGKILL" in message else _CRASHED
    if kind == "exited":
        return _ENDS
    if exception == "SystemExit":
        return _EXITS
    if exception == "MemoryError":
        return _KILLED
    if exception == "ModuleNotFoundError":
        return absent_module(message)
    return None


def absent_module(message: str) -> str:
    """What to do about an import that finds nothing, told by the words of the exception."""
    found = _NO_MODULE.search(message)
    if found and "." in found[1] and not found[1].startswith("model_code."):
        top = found[1].partition(".")[0]
        return f"the {top} that is installed has no such module: correct the import, or the pin"
    return "move it into model_code, or add what provides it to requirements.in and compile"
