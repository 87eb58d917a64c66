"""Requests to workers: each is sent once, awaited when its reply is needed, and remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.rules.outcomes import ToolError, Violation
from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.client import Call, Worker, WorkerFailure


@dataclass(frozen=True)
class Request:
    """A request to a worker: a method and its params.

    `doing` is for messages and completes "while …"; `timeout` in seconds replaces the worker's.
    """

    method: str
    params: Mapping[str, Any]
    doing: str
    timeout: float | None = None

    @cached_property
    def key(self) -> str:
        """The identity of the request: method and params."""
        return json.dumps([self.method, self.params], sort_keys=True)


class RequestCache:
    """Sends each request once, and remembers its reply by method and params."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._calls: dict[str, Call] = {}
        self._replies: dict[str, Reply] = {}

    def send(self, worker: Worker, request: Request) -> None:
        """Send a request without waiting for the reply, unless it was sent before."""
        if request.key not in self._calls:
            self._calls[request.key] = worker.submit(
                request.method,
                dict(request.params),
                doing=request.doing,
                timeout=request.timeout,
            )

    def finish(self, request: Request) -> Reply:
        """Wait for the reply to a request that was sent. Raises ToolError for a full disk."""
        if request.key not in self._replies:
            self._replies[request.key] = self._wait(self._calls[request.key])
        return self._replies[request.key]

    def ask(self, worker: Worker, request: Request) -> Reply:
        """Send a request and wait for the reply."""
        self.send(worker, request)
        return self.finish(request)

    def known(self, request: Request) -> Reply | None:
        """Return the reply; None if it was not waited for."""
        return self._replies.get(request.key)

    def _wait(self, call: Call) -> Reply:
        with self._progress.step(call.doing):
            try:
                return Reply(call.result())
            except WorkerFailure as failure:
                if failure.disk_problem is not None:
                    raise ToolError(
                        f"{failure.disk_problem} while {call.doing}",
                        "free space where the artifact goes, and in the temporary directory",
                    ) from None
                return Reply(None, failure)


# --------------------------------------------------------------------------------------- replies
#
# The reply of a worker, for conformance tests that need one.


def answer(reply: Reply, expected: str) -> Mapping[str, Any]:
    """Return the reply's content. Raises Violation if the model ended or hung the process."""
    if reply.content is None:
        assert reply.failure is not None
        raise Violation(
            expected=expected,
            found=reply.failure.summary,
            remedy=reply.failure.remedy or "make predict end with a result or with an exception",
            where=reply.failure.where,
        ) from reply.failure
    return reply.content
