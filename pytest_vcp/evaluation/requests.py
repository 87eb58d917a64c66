"""Requests to workers: each is sent once, waited for when its answer is wanted, and remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.rules.outcomes import ToolError, Violation
from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.client import Call, Worker, WorkerFailure


class RequestCache:
    """What was asked so far, by a key of the asker's choice."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._calls: dict[str, Call] = {}
        self._answers: dict[str, Reply] = {}

    def send(
        self,
        key: str,
        worker: Worker,
        method: str,
        params: Mapping[str, Any],
        doing: str,
        timeout: float | None = None,
    ) -> None:
        """Send a request ahead, unless it was sent before; `timeout` replaces the worker's."""
        if key not in self._calls:
            self._calls[key] = worker.submit(method, dict(params), doing=doing, timeout=timeout)

    def finish(self, key: str) -> Reply:
        """Wait for a request that was sent. Raises ToolError for a full disk."""
        if key not in self._answers:
            self._answers[key] = self._waited(self._calls[key])
        return self._answers[key]

    def ask(
        self,
        key: str,
        worker: Worker,
        method: str,
        params: Mapping[str, Any],
        doing: str,
        timeout: float | None = None,
    ) -> Reply:
        """Send a request and wait for it."""
        self.send(key, worker, method, params, doing, timeout)
        return self.finish(key)

    def answered(self, key: str) -> Reply | None:
        """The answer, where somebody has waited for it."""
        return self._answers.get(key)

    def _waited(self, call: Call) -> Reply:
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
# The answer of a worker, for conformance tests that need one.


def answer(reply: Reply, expected: str) -> Mapping[str, Any]:
    """The reply of the worker; a violation where the model ended or hung the process."""
    if reply.content is None:
        assert reply.failure is not None
        raise Violation(
            expected=expected,
            found=reply.failure.summary,
            remedy=reply.failure.remedy or "make predict end with a result or with an exception",
            where=reply.failure.where,
        ) from reply.failure
    return reply.content
