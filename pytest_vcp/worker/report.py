"""Tells what happened to a call: the failure with the log's tail and the place in the source."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from pytest_vcp.worker import failure as worker_failure
from pytest_vcp.worker.call import Call
from pytest_vcp.worker.failure import WorkerFailure
from pytest_vcp.worker.process import WorkerProcess

_TAIL_LINES = 5
_MAX_WORDS = 100


class Reporter:
    """Makes the failures of one worker, and writes its log whenever it makes one."""

    def __init__(self, process: WorkerProcess, log_file: Path, roots: tuple[Path, ...]) -> None:
        self._process = process
        self._log_file = log_file
        self._roots = roots

    def write_log(self) -> None:
        """Write what the process has printed so far, and its stack dumps."""
        # The verdict does not depend on the log; a full disk is reported where it matters.
        with contextlib.suppress(OSError):
            self._process.output.write(self._log_file, more=self._process.stack())

    def raised(self, call: Call, raised: dict[str, Any]) -> WorkerFailure:
        """The method raised an exception."""
        return self._failure(
            call,
            kind="raised",
            summary=worker_failure.describe_raised(raised),
            where=worker_failure.place_of_exception(raised, self._roots),
            traceback=raised["traceback"],
            exception=raised["type"],
            message=raised["message"],
            causes=tuple(f"{each['type']}: {each['message']}" for each in raised["causes"]),
        )

    def overdue(self, call: Call) -> WorkerFailure:
        """The method took too long; the process still runs."""
        self._process.dump_stack()
        summary = worker_failure.describe_timeout(call.timeout, call.doing)
        return self._failure(call, kind="timeout", summary=summary)

    def silent(self, call: Call) -> WorkerFailure:
        """The process closed its end and runs on."""
        summary = f"the process closed the connection to pytest while {call.doing}"
        return self._failure(call, kind="exited", summary=summary)

    def ended(self, call: Call) -> WorkerFailure:
        """The process ended by itself, in the middle of the method."""
        status = self._process.status
        kind, summary = worker_failure.describe_end(status or 0, call.elapsed(), call.doing)
        return self._failure(call, kind=kind, summary=summary)

    def closed(self, call: Call) -> WorkerFailure:
        """The process was ended on request, in the middle of the method."""
        summary = f"the process was ended on request while {call.doing}"
        return self._failure(call, kind="exited", summary=summary)

    def _failure(self, call: Call, **told: Any) -> WorkerFailure:
        self._process.output.settle()
        self.write_log()
        stack = self._process.stack()
        told.setdefault("where", worker_failure.place_of_stack(stack, self._roots))
        told.setdefault("traceback", stack)
        log_tail = self._process.output.tail(_TAIL_LINES)
        # Any other exception speaks for itself.
        if told["kind"] != "raised" or told["exception"] == "SystemExit":
            told["summary"] += _last_words(log_tail)
        return WorkerFailure(method=call.method, log_tail=log_tail, **told)


def _last_words(log_tail: str) -> str:
    """The last line that the process printed, fit to stand behind a summary; empty for none."""
    line = log_tail.rpartition("\n")[2]
    shown = "".join(sign if sign.isprintable() else " " for sign in line).strip()
    if len(shown) > _MAX_WORDS:
        shown = shown[:_MAX_WORDS] + "…"
    return f"; last printed: {shown}" if shown else ""
