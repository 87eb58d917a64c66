"""The client of a worker process: starts it, sends requests, survives whatever the model does.

One thread per worker attends to it: it sends requests one after the other, receives the replies,
notices time-outs and the end of the process, and then cleans up completely. Calls are resolved by
that thread, so the caller is free to do something else meanwhile.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import selectors
import socket
import threading
import time
import weakref
from collections import deque
from pathlib import Path
from typing import Any, final

from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.util import processes
from pytest_vcp.util.text import truncate
from pytest_vcp.worker import failure as worker_failure
from pytest_vcp.worker.conditions import Conditions
from pytest_vcp.worker.failure import WorkerFailure
from pytest_vcp.worker.launching import Launcher, start
from pytest_vcp.worker.process import WorkerProcess
from pytest_vcp.worker.server import protocol

__all__ = ["Call", "Conditions", "Worker", "WorkerFailure"]

_CHUNK = 1 << 20
_TICK_SECONDS = 0.2
# How long a process may live on after it has closed its end without a request to stop.
_SILENT_SECONDS = 2.0

_live: weakref.WeakSet[Worker] = weakref.WeakSet()


@final
class Worker:
    """A process in the model's environment that answers requests.

    `python` is the environment's interpreter, `name` appears in messages, `timeout` limits each
    call that has no limit of its own, in seconds, `log_file` receives the output of the process,
    and `source_roots` are the directories whose files the author knows: locations in failures are
    relative to them. `launcher` starts the process.
    """

    def __init__(
        self,
        python: Path,
        name: str,
        conditions: Conditions,
        timeout: float,
        log_file: Path,
        source_roots: tuple[Path, ...] = (),
        launcher: Launcher = start,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self.marker = processes.new_marker()
        self.peak_rss_bytes: int | None = None
        self._python = python
        self._conditions = conditions
        self._timeout = timeout
        self._roots = source_roots
        self._launcher = launcher
        self._owner = os.getpid()
        self._queue: deque[Call] = deque()
        self._current: Call | None = None
        self._unwanted = False
        self._stopping = False
        self._over = False
        self._lock = threading.Lock()
        self._leftovers: list[str] = []
        self._cause: WorkerFailure | None = None
        self._decoder = protocol.Decoder()
        self._silent_since: float | None = None
        self._process: WorkerProcess | None = None
        self._hello: Call | None = None

    def __enter__(self) -> Worker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The id of the process; None before it is started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process and return at once; raises ToolError where it can't be started."""
        try:
            self._conditions.create_directories()
            self._process = WorkerProcess(
                self._python, self.name, self._conditions, self.marker, self._launcher
            )
        except OSError as error:
            raise ToolError(
                f"the worker could not be started with {self._python}: {error}",
                "check that this is the interpreter of an environment that works",
            ) from error
        self._reporter = Reporter(self._process, self.log_file, self._roots)
        self._bell, self._bell_rope = socket.socketpair()
        self._bell_rope.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._thread = threading.Thread(target=self._attend, name=f"vcp-{self.name}", daemon=True)
        self._selector.register(self._process.answers, selectors.EVENT_READ)
        self._selector.register(self._bell, selectors.EVENT_READ)
        _live.add(self)
        self._thread.start()
        self._hello = self.submit("probe.hello", self._conditions.as_params(), doing="starting")

    def hello(self) -> dict[str, Any]:
        """Wait for the process's own report: python, executable, sys_path, conditions in force."""
        if self._hello is None:
            raise RuntimeError("the worker has not been started")
        return self._hello.result()

    def submit(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        timeout: float | None = None,
        doing: str | None = None,
    ) -> Call:
        """Queue a request and return at once.

        `doing` completes "while …" in messages. The time-out counts from when the request is sent
        to the worker; exceeding it ends the process.
        """
        limit = self._timeout if timeout is None else timeout
        call = Call(method, params or {}, limit, doing or f"in {method}")
        with self._lock:
            if self._over or self._process is None:
                call.fail(self._not_reached(call))
                return call
            self._queue.append(call)
        self._ring()
        return call

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        timeout: float | None = None,
        doing: str | None = None,
    ) -> dict[str, Any]:
        """Send a request and wait for the result; raises WorkerFailure."""
        return self.submit(method, params, timeout=timeout, doing=doing).result()

    def close(self, grace: float = 5.0) -> list[str]:
        """End the process and all that it started; return descriptions of leftover processes.

        An idle worker is asked to stop and given `grace` seconds for a normal end. One that is
        busy, or has no grace, is ended at once, and then nothing counts as left over.
        """
        if self._process is None or os.getpid() != self._owner:
            return []
        try:
            with self._lock:
                idle = not self._over and self._current is None and not self._queue
            if idle and grace > 0:
                self._process.remember_children()
                self._stopping = True
                self.submit("probe.stop", timeout=threading.TIMEOUT_MAX, doing="stopping")
                self._thread.join(grace)
        finally:
            # Also when a second Ctrl-C interrupts the wait.
            self._unwanted = True
            self._ring()
        self._thread.join()
        _live.discard(self)
        return list(self._leftovers)

    def _ring(self) -> None:
        # A full socket wakes the thread as well, and a closed one has no thread to wake.
        with contextlib.suppress(OSError):
            self._bell_rope.send(b".")

    # The methods below run in the attending thread.

    def _attend(self) -> None:
        process = self._start_process()
        failure: WorkerFailure | None = None
        try:
            while failure is None and not process.has_ended() and not self._unwanted:
                self._send_next()
                self._take_answers(self._patience())
                failure = self._check_time_out() or self._check_silence()
            if failure is None:
                # A reply sent just before the end still counts, unlike one after a time-out.
                self._take_answers(0)
        finally:
            self._finish(failure)

    def _send_next(self) -> None:
        with self._lock:
            if self._current is not None or not self._queue:
                return
            self._current = call = self._queue.popleft()
        call.sent = time.monotonic()
        # The process no longer reads; the next check notices that it has ended.
        with contextlib.suppress(OSError):
            protocol.write(self._start_process().requests, call.request)

    def _patience(self) -> float:
        if self._silent_since is not None:
            return 0.01
        if self._current is None:
            return _TICK_SECONDS
        return max(0.0, min(_TICK_SECONDS, self._current.deadline - time.monotonic()))

    def _take_answers(self, patience: float) -> None:
        ready = {key.fd for key, _ in self._selector.select(patience)}
        if self._bell.fileno() in ready:
            self._bell.recv(_CHUNK)
        answers = self._start_process().answers
        while answers in ready:
            data = os.read(answers, _CHUNK)
            if not data:
                self._selector.unregister(answers)
                self._silent_since = time.monotonic()
                return
            for answer in self._decoder.feed(data):
                self._resolve(answer)
            ready = {key.fd for key, _ in self._selector.select(0)}

    def _resolve(self, answer: protocol.Message) -> None:
        with self._lock:
            call, self._current = self._current, None
        self.peak_rss_bytes = answer.get("peak_rss_bytes", self.peak_rss_bytes)
        if call is None or answer.get("id") != call.id:
            return
        call.seconds = answer["seconds"]
        if "raised" in answer:
            call.fail(self._reporter.report_exception(call, answer["raised"]))
        else:
            call.succeed(answer["result"])

    def _check_time_out(self) -> WorkerFailure | None:
        call = self._current
        if call is None or time.monotonic() < call.deadline:
            return None
        return self._reporter.report_time_out(call)

    def _check_silence(self) -> WorkerFailure | None:
        call = self._current
        if self._silent_since is None or self._stopping or call is None:
            return None
        if time.monotonic() - self._silent_since < _SILENT_SECONDS:
            return None
        return self._reporter.report_silence(call)

    def _finish(self, failure: WorkerFailure | None) -> None:
        """End everything that still runs, and fail every call that is still waiting."""
        process = self._start_process()
        with self._lock:
            self._over = True
            call, self._current = self._current, None
            waiting = list(self._queue)
            self._queue.clear()
        try:
            if self._stopping:
                self._leftovers = process.list_leftovers()
            process.end(gently=failure is not None or bool(self._leftovers))
        finally:
            wanted = self._unwanted or self._stopping
            report = self._reporter.report_close if wanted else self._reporter.report_end
            self._cause = failure or report(call or Call.none())
            if call is not None:
                call.fail(self._cause)
            for each in waiting:
                each.fail(self._not_reached(each))
            self._reporter.write_log()
            self._selector.close()
            process.release()
            self._bell.close()
            self._bell_rope.close()

    def _start_process(self) -> WorkerProcess:
        if self._process is None:
            raise RuntimeError("the worker has not been started")
        return self._process

    def _not_reached(self, call: Call) -> WorkerFailure:
        """Build the failure of a call that was never sent, from what ended the worker before."""
        if self._cause is not None:
            return self._cause.for_method(call.method)
        return WorkerFailure(kind="exited", method=call.method, summary="the worker is not running")


@atexit.register
def _close_all() -> None:
    """Close workers that were not closed, so that none outlives the interpreter."""
    for worker in list(_live):
        worker.close(grace=0)


# ------------------------------------------------------------------------------------------ call
#
# A request that was handed to a worker, and its result when it comes.

_numbers = itertools.count(1)


class Call:
    """A pending or finished call. `seconds` is the duration of the method itself, once done.

    Raises TypeError for params that JSON can't represent.
    """

    def __init__(self, method: str, params: dict[str, Any], timeout: float, doing: str) -> None:
        self.id = next(_numbers)
        self.method = method
        self.request = protocol.encode({"id": self.id, "method": method, "params": params})
        self.timeout = timeout
        self.doing = doing
        self.sent: float | None = None
        self.seconds: float | None = None
        self._finished = threading.Event()
        self._result: dict[str, Any] = {}
        self._failure: WorkerFailure | None = None

    @classmethod
    def none(cls) -> Call:
        """Create a placeholder for the call of an idle worker."""
        return cls("", {}, 0.0, "waiting for a request")

    @property
    def deadline(self) -> float:
        """The time, on the monotonic clock, after which a reply is too late."""
        return (time.monotonic() if self.sent is None else self.sent) + self.timeout

    def elapsed(self) -> float:
        """Return the seconds since the request was sent; 0 before."""
        return 0.0 if self.sent is None else time.monotonic() - self.sent

    def is_done(self) -> bool:
        """Return whether there is a result or a failure."""
        return self._finished.is_set()

    def result(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for the result; raises the WorkerFailure where there is none.

        `timeout` only limits this wait (the builtin TimeoutError), so that the caller can show
        progress; the call goes on.
        """
        if not self._finished.wait(timeout):
            raise TimeoutError(f"{self.method} has not answered yet")
        if self._failure is not None:
            raise self._failure
        return self._result

    def succeed(self, result: dict[str, Any]) -> None:
        """Resolve the call with a result."""
        self._result = result
        self._finished.set()

    def fail(self, failure: WorkerFailure) -> None:
        """Resolve the call with a failure."""
        if self.seconds is None:
            self.seconds = self.elapsed()
        self._failure = failure
        self._finished.set()


# -------------------------------------------------------------------------- failures of a worker
#
# Reports of failed calls, with the end of the log and the location in the source.

_TAIL_LINES = 5
_MAX_WORDS = 100


class Reporter:
    """Builds the failures of one worker, and writes its log with each."""

    def __init__(self, process: WorkerProcess, log_file: Path, roots: tuple[Path, ...]) -> None:
        self._process = process
        self._log_file = log_file
        self._roots = roots

    def write_log(self) -> None:
        """Write the output of the process so far, and its stack dumps."""
        # The verdict does not depend on the log; a full disk is reported where it matters.
        with contextlib.suppress(OSError):
            self._process.output.write(self._log_file, more=self._process.stack())

    def report_exception(self, call: Call, raised: dict[str, Any]) -> WorkerFailure:
        """Report that the method raised an exception."""
        return self._failure(
            call,
            kind="raised",
            summary=worker_failure.describe_raised(raised),
            where=worker_failure.locate_exception(raised, self._roots),
            traceback=raised["traceback"],
            exception=raised["type"],
            message=raised["message"],
            causes=tuple(f"{each['type']}: {each['message']}" for each in raised["causes"]),
        )

    def report_time_out(self, call: Call) -> WorkerFailure:
        """Report that the method took too long; the process still runs."""
        self._process.dump_stack()
        summary = worker_failure.describe_timeout(call.timeout, call.doing)
        return self._failure(call, kind="timeout", summary=summary)

    def report_silence(self, call: Call) -> WorkerFailure:
        """Report that the process closed its end and runs on."""
        summary = f"the process closed the connection to pytest while {call.doing}"
        return self._failure(call, kind="exited", summary=summary)

    def report_end(self, call: Call) -> WorkerFailure:
        """Report that the process ended by itself, in the middle of the method."""
        status = self._process.status
        kind, summary = worker_failure.describe_end(status or 0, call.elapsed(), call.doing)
        return self._failure(call, kind=kind, summary=summary)

    def report_close(self, call: Call) -> WorkerFailure:
        """Report that the process was ended on request, in the middle of the method."""
        summary = f"the process was ended on request while {call.doing}"
        return self._failure(call, kind="exited", summary=summary)

    def _failure(self, call: Call, **details: Any) -> WorkerFailure:
        self._process.output.drain()
        self.write_log()
        stack = self._process.stack()
        details.setdefault("where", worker_failure.locate_stack(stack, self._roots))
        details.setdefault("traceback", stack)
        log_tail = self._process.output.tail(_TAIL_LINES)
        # Any other exception explains itself.
        if details["kind"] != "raised" or details["exception"] == "SystemExit":
            details["summary"] += _last_words(log_tail)
        return WorkerFailure(method=call.method, log_tail=log_tail, **details)


def _last_words(log_tail: str) -> str:
    """Format the last line that the process printed as a suffix of a summary; empty without one."""
    line = log_tail.rpartition("\n")[2]
    shown = "".join(sign if sign.isprintable() else " " for sign in line).strip()
    return f"; last printed: {truncate(shown, _MAX_WORDS)}" if shown else ""
