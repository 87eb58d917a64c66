"""The client of a worker process: start it, ask it, survive whatever the model does to it.

One thread per worker attends to it: sends requests one after the other, takes the answers,
notices time-outs and the end of the process, and then leaves nothing of it behind. Calls are
resolved by that thread, so the caller is free to do something else meanwhile.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import selectors
import socket
import threading
import time
import weakref
from collections import deque
from pathlib import Path
from typing import Any, final

from pytest_vcp.inside import protocol
from pytest_vcp.rulebook.violations import ToolError
from pytest_vcp.util import processes
from pytest_vcp.worker.call import Call
from pytest_vcp.worker.conditions import Conditions
from pytest_vcp.worker.failure import WorkerFailure
from pytest_vcp.worker.launching import Launcher, start
from pytest_vcp.worker.process import WorkerProcess
from pytest_vcp.worker.report import Reporter

__all__ = ["Call", "Conditions", "Worker", "WorkerFailure"]

_CHUNK = 1 << 20
_TICK_SECONDS = 0.2
# How long a process may live on after it has closed its end without being told to stop.
_SILENT_SECONDS = 2.0

_live: weakref.WeakSet[Worker] = weakref.WeakSet()


@final
class Worker:
    """A process in the model's environment that answers requests.

    `python` is the environment's interpreter, `name` appears in messages, `timeout` is how long
    one call may take unless it says otherwise, `log_file` receives what the process printed, and
    `source_roots` are the directories whose files the author knows: places in failures are
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
        """The number of the process, once started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process and return at once; raises ToolError when there is nothing to start."""
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
        """What the process says about itself: python, executable, sys_path, conditions in force."""
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

        `doing` completes "while …" in messages. The time-out counts from when the worker gets to
        the request; passing it ends the process.
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
        """Ask and wait for the result; raises WorkerFailure."""
        return self.submit(method, params, timeout=timeout, doing=doing).result()

    def close(self, grace: float = 5.0) -> list[str]:
        """End the process and all that it started; returns descriptions of what was left running.

        An idle worker is asked to stop and given `grace` seconds for a normal end. One that is
        busy, or has no grace, is ended at once, and then nothing counts as left.
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
            # Also when a second Ctrl-C comes while waiting.
            self._unwanted = True
            self._ring()
        self._thread.join()
        _live.discard(self)
        return list(self._leftovers)

    def _ring(self) -> None:
        # A full pipe wakes the thread as well, and a closed one has no thread to wake.
        with contextlib.suppress(OSError):
            self._bell_rope.send(b".")

    # What follows runs in the attending thread.

    def _attend(self) -> None:
        process = self._started()
        failure: WorkerFailure | None = None
        try:
            while failure is None and not process.has_ended() and not self._unwanted:
                self._send_next()
                self._take_answers(self._patience())
                failure = self._overdue() or self._fallen_silent()
            if failure is None:
                # What was sent just before the end is an answer; what comes too late is none.
                self._take_answers(0)
        finally:
            self._finish(failure)

    def _send_next(self) -> None:
        with self._lock:
            if self._current is not None or not self._queue:
                return
            self._current = call = self._queue.popleft()
        call.sent = time.monotonic()
        # Nobody reads any more: that the process has ended is noticed next.
        with contextlib.suppress(OSError):
            protocol.write(self._started().requests, call.request)

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
        answers = self._started().answers
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
            call.fail(self._reporter.raised(call, answer["raised"]))
        else:
            call.succeed(answer["result"])

    def _overdue(self) -> WorkerFailure | None:
        call = self._current
        if call is None or time.monotonic() < call.deadline:
            return None
        return self._reporter.overdue(call)

    def _fallen_silent(self) -> WorkerFailure | None:
        call = self._current
        if self._silent_since is None or self._stopping or call is None:
            return None
        if time.monotonic() - self._silent_since < _SILENT_SECONDS:
            return None
        return self._reporter.silent(call)

    def _finish(self, failure: WorkerFailure | None) -> None:
        """Leave nothing running, and tell every call that still waits."""
        process = self._started()
        with self._lock:
            self._over = True
            call, self._current = self._current, None
            waiting = list(self._queue)
            self._queue.clear()
        try:
            if self._stopping:
                self._leftovers = process.settle()
            process.end(gently=failure is not None or bool(self._leftovers))
        finally:
            wanted = self._unwanted or self._stopping
            told = self._reporter.closed if wanted else self._reporter.ended
            self._cause = failure or told(call or Call.none())
            if call is not None:
                call.fail(self._cause)
            for each in waiting:
                each.fail(self._not_reached(each))
            self._reporter.write_log()
            self._selector.close()
            process.release()
            self._bell.close()
            self._bell_rope.close()

    def _started(self) -> WorkerProcess:
        if self._process is None:
            raise RuntimeError("the worker has not been started")
        return self._process

    def _not_reached(self, call: Call) -> WorkerFailure:
        """For a call that the worker never got to: what ended the worker before."""
        if self._cause is not None:
            return self._cause.instead_of(call.method)
        return WorkerFailure(kind="exited", method=call.method, summary="the worker is not running")


@atexit.register
def _close_all() -> None:
    """A worker that nobody closed must not outlive the interpreter."""
    for worker in list(_live):
        worker.close(grace=0)
