"""Failures of calls to a worker, each in one line, with the location in the author's code."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.util.text import truncate

Kind = Literal["raised", "exited", "signal", "timeout"]

_SIGNALS = {
    signal.SIGSEGV: "segmentation fault",
    signal.SIGABRT: "abort",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "arithmetic error",
    signal.SIGILL: "illegal instruction",
    signal.SIGKILL: "out of memory, or ended from outside",
    signal.SIGTERM: "ended from outside",
}

_STACK_FRAME = re.compile(r'^\s*File "(?P<file>.+)", line (?P<line>\d+|\?\?\?) in ', re.MULTILINE)
_MAX_SUMMARY = 500
# Terminal colours.
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# An error that is quoted in the message of another: its name and its message.
_INNER = re.compile(r"(?:\w+ )?\w*[Ee](?:rror|xception): (?P<cause>\S.*)$")


class WorkerFailure(Exception):
    """A call that got no result.

    `summary` is one line for people, `where` the innermost location inside the source roots (None
    where it is not known), `log_tail` the last lines that the process printed, `traceback` the
    complete traceback or stack dump. `exception` is the type's name where the model raised one, and
    `causes` are types and messages of the exceptions that led to it. `reached` is false where the
    process had ended before the call.
    """

    def __init__(
        self,
        *,
        kind: Kind,
        method: str,
        summary: str,
        where: Location | None = None,
        log_tail: str = "",
        traceback: str = "",
        exception: str | None = None,
        message: str = "",
        causes: tuple[str, ...] = (),
        reached: bool = True,
    ) -> None:
        super().__init__(summary)
        self.kind = kind
        self.method = method
        self.summary = summary
        self.where = where
        self.log_tail = log_tail
        self.traceback = traceback
        self.exception = exception
        self.message = message
        self.causes = causes
        self.reached = reached

    @property
    def remedy(self) -> str | None:
        """The remedy, where the kind of failure implies one; a rule knows more of the context."""
        raised = (f"{self.exception}: {self.message}", *self.causes)
        story = raised if self.kind == "raised" else (self.summary, self.log_tail)
        return advice(self.kind, self.exception, self.message or self.summary, "\n".join(story))

    @property
    def disk_problem(self) -> str | None:
        """The problem of the disk, where that was the cause; then the package is not at fault."""
        for number in (errno.ENOSPC, errno.EDQUOT):
            if self.kind == "raised" and f"[Errno {number}]" in self.message:
                return os.strerror(number)
        return None

    def for_method(self, method: str) -> WorkerFailure:
        """Return the same failure for a method that was never reached because of it."""
        return WorkerFailure(
            kind=self.kind,
            method=method,
            summary=self.summary,
            where=self.where,
            log_tail=self.log_tail,
            traceback=self.traceback,
            exception=self.exception,
            message=self.message,
            causes=self.causes,
            reached=False,
        )


def describe_raised(raised: Mapping[str, Any]) -> str:
    """Describe, in one line, an exception that the model raised."""
    if raised["type"] == "SystemExit":
        code = raised.get("code", "")
        return f"sys.exit({code if isinstance(code, int) else repr(code)}) was called"
    summary = _type_and_message(raised)
    causes = raised.get("causes", ())
    if causes and raised["type"].startswith("mlflow."):
        # MLflow's message has its activity, and advice; the actual problem is in the cause.
        summary = f"{summary.partition('. ')[0]}, because of {_type_and_message(causes[0])}"
    return truncate(summary, _MAX_SUMMARY)


def _type_and_message(raised: Mapping[str, Any]) -> str:
    line = telling_line(str(raised["message"]))
    return f"{raised['type']}: {line}" if line else str(raised["type"])


def telling_line(message: str) -> str:
    """Return the line of a message that states the cause; the first where no other does.

    Libraries write advice above it (torch), or a heading that ends with a colon.
    """
    plain = _ESCAPE.sub("", message)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    if len(lines) < 2:
        return "".join(lines)
    inner = next((found for line in lines[1:] if (found := _INNER.match(line))), None)
    if inner is not None:
        return inner["cause"]
    return f"{lines[0]} {lines[1]}" if lines[0].endswith(":") else lines[0]


def describe_end(status: int, seconds: float, doing: str) -> tuple[Kind, str]:
    """Describe a process that ended without a reply, as kind and line (`status` as in Popen)."""
    moment = f"after {seconds:.1f} s while {doing}"
    if status < 0:
        number = -status
        name = signal.Signals(number).name if number in _numbers() else f"signal {number}"
        meaning = _SIGNALS.get(signal.Signals(number)) if number in _numbers() else None
        return "signal", f"the process was killed by {name}{_bracket(meaning)} {moment}"
    hint = "os._exit?" if status == 0 else None
    line = f"the process ended with exit status {status} without an answer{_bracket(hint)} {moment}"
    return "exited", line


def describe_timeout(seconds: float, doing: str) -> str:
    """Describe, in one line, a call that took too long."""
    return f"no answer within {seconds:g} s while {doing}"


def locate_exception(raised: Mapping[str, Any], roots: Sequence[Path]) -> Location | None:
    """Find the innermost frame inside `roots`; in the causes if the exception itself has none."""
    for entry in (raised, *raised.get("causes", ())):
        frames = [(file, line) for file, line, _ in entry["frames"]]
        location = _innermost(reversed(frames), roots)
        if location is not None:
            return location
    return None


def locate_stack(stack: str, roots: Sequence[Path]) -> Location | None:
    """Find the innermost frame inside `roots` in the last thread dump that faulthandler wrote.

    The thread that serves the request is searched first: another one may only be waiting.
    """
    threads = re.split(r"\n(?=(?:Current thread|Thread|Fatal|Stack) )", stack)
    serving = [thread for thread in threads if "server.py" in thread]
    for thread in (*reversed(serving), *threads):
        frames = [
            (found["file"], int(found["line"]) if found["line"].isdigit() else None)
            for found in _STACK_FRAME.finditer(thread)
        ]
        location = _innermost(frames, roots)
        if location is not None:
            return location
    return None


def _innermost(frames: Iterable[tuple[str, int | None]], roots: Sequence[Path]) -> Location | None:
    spellings = {path for root in roots for path in (root.absolute(), root.resolve())}
    # The staged artifact lies inside the package directory: the nearest root names the file.
    nearest_first = sorted(spellings, key=lambda path: len(path.parts), reverse=True)
    for file, line in frames:
        for root in nearest_first:
            if Path(file).is_relative_to(root):
                # An environment inside the package directory is not the author's code.
                if "site-packages" in Path(file).relative_to(root).parts:
                    break
                return Location.within(root, Path(file), line)
    return None


def _numbers() -> frozenset[int]:
    return frozenset(int(member) for member in signal.Signals)


def _bracket(meaning: str | None) -> str:
    return f" ({meaning})" if meaning else ""


# -------------------------------------------------------------------------------------- remedies
#
# Remedies that follow from the kind of a failure, whatever the model was doing.

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
# The wording of libraries: torch, CuPy, JAX, ONNX Runtime, and CUDA itself. The first match counts.
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
    """Return the remedy for a kind of failure and type of exception; None without a known one.

    `story` is all that is known: the exception and its causes, or summary and last output.
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
    """Return the remedy for an import that finds nothing, from the exception's message."""
    found = _NO_MODULE.search(message)
    if found and "." in found[1] and not found[1].startswith("model_code."):
        top = found[1].partition(".")[0]
        return f"the {top} that is installed has no such module: correct the import, or the pin"
    return "move it into model_code, or add what provides it to requirements.in and compile"
