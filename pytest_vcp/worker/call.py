"""A request that was handed to a worker, and its result when it comes."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

from pytest_vcp.inside import protocol
from pytest_vcp.worker.failure import WorkerFailure

_numbers = itertools.count(1)


class Call:
    """A pending or finished call. `seconds` is what the method itself took, once it is done.

    Raises TypeError for params that JSON has no form for.
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
        """Stands for the call of a worker that has none."""
        return cls("", {}, 0.0, "waiting for a request")

    @property
    def deadline(self) -> float:
        """The moment, on the monotonic clock, at which an answer comes too late."""
        return (time.monotonic() if self.sent is None else self.sent) + self.timeout

    def elapsed(self) -> float:
        """Seconds since the request was sent; 0 before."""
        return 0.0 if self.sent is None else time.monotonic() - self.sent

    def done(self) -> bool:
        """Whether there is a result or a failure."""
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
        """Resolve the call."""
        self._result = result
        self._finished.set()

    def fail(self, failure: WorkerFailure) -> None:
        """Resolve the call with a failure."""
        if self.seconds is None:
            self.seconds = self.elapsed()
        self._failure = failure
        self._finished.set()
