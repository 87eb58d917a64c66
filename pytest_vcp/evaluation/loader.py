"""The process that loads the artifact and predicts first, and its successors if it fails."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.evaluation.relaxation import (
    Condition,
    LoadAttempt,
    Requirements,
    Trace,
    add_unmet,
    explain,
    read_trace,
)
from pytest_vcp.evaluation.requests import Request, RequestCache
from pytest_vcp.evaluation.worker_factory import WorkerFactory
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.payload import Payload, inputs
from pytest_vcp.source.preimports import guessed_inputs, source_tree
from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.client import Worker
from pytest_vcp.worker.conditions import TEMPORARY
from pytest_vcp.worker.failure import WorkerFailure

NOTHING: frozenset[Condition] = frozenset()


class Loader:
    """Owns the loading worker, which runs under all conditions or those that the model tolerates.

    `loads` and `passes` count the model's loads and forward passes here.
    """

    def __init__(
        self, settings: Settings, artifact: Path, factory: WorkerFactory, progress: Progress
    ) -> None:
        self.loads = 0
        self.passes = 0
        self._settings = settings
        self._artifact = artifact
        self._factory = factory
        self._progress = progress
        self._visible = guessed_inputs(settings)
        self._worker: Worker | None = None
        self._peaks: list[int] = []
        self._number = 0
        self._payload: Payload | None = None
        self._sent = RequestCache(progress)
        self._online: WorkerFailure | None = None
        self._settled: tuple[LoadAttempt, Requirements] | None = None

    @property
    def worker(self) -> Worker:
        """The process that holds the loaded model."""
        assert self._worker is not None
        return self._worker

    def warm_up(self) -> None:
        """Start the process; it begins with its imports."""
        self._start(NOTHING)

    def begin(self, payload: Payload | None) -> None:
        """Start to load, and to predict on the payload if given, without waiting for either."""
        self._payload = payload
        self._let_see(payload or {})
        self._send()

    def wait(self) -> None:
        """Wait until the process has replied to the requests sent to it."""
        self._sent.finish(self._loading)
        if self._payload is not None:
            self._sent.finish(self._predicting)

    def keeps_to_itself(self) -> bool:
        """Return whether other processes can't see its files in shared temporary directories."""
        try:
            in_force = self.worker.hello()["conditions"]
        except WorkerFailure:
            return False
        return set(in_force["private"]) == set(map(os.path.realpath, TEMPORARY))

    def load_failed(self) -> bool:
        """Wait for the first load, and return whether it failed."""
        return self._sent.finish(self._loading).failure is not None

    def load(self) -> Reply:
        """Return the reply of loading; once a failure is explained, that of the furthest run."""
        return self._sent.finish(self._loading) if self._settled is None else self._settled[0].load

    def predict(self) -> Reply:
        """Return the reply of the first forward pass, once settled; empty without a payload."""
        assert self._settled is not None
        return self._settled[0].predict or Reply(None)

    def find_requirements(self, free: Callable[[], Reply] | None) -> Requirements:
        """Wait for loading and predicting, and find out what the model needs if they fail.

        `free` returns the reply to the same request under no conditions at all.
        """
        if self._settled is None:
            first = self._finish()
            self._settled = first, Requirements()
            if first.failure is not None:
                failure = None if free is None else free().failure
                self._settled = self._explain(first, failure)
        return self._settled[1]

    def known_replies(self) -> tuple[Reply | None, Reply | None]:
        """Return the replies of loading and the first forward pass; None if not waited for."""
        if self._settled is not None:
            return self._settled[0].load, self._settled[0].predict
        return self._sent.known(self._loading), None

    def peak_rss_bytes(self) -> int | None:
        """Return the peak memory of any of the processes; None if unknown."""
        now = self._worker.peak_rss_bytes if self._worker is not None else None
        return max([*self._peaks, *([now] if now else [])], default=None)

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.close()

    def _start(self, relaxed: frozenset[Condition]) -> None:
        self._number += 1
        self._worker = self._factory.started_loader(self._visible, relaxed, self._number)

    def _let_see(self, payload: Payload) -> None:
        """Restart the process if the guess was wrong about what it may see.

        Inputs inside the package stay readable while the source tree around them does not. They
        had to be guessed before model_spec.py was imported, which may compute their names, or
        name files that are not inputs.
        """
        wanted = tuple(Path(uri) for uri in inputs(payload, self._settings.policy.input_column))
        hidden = source_tree(self._settings)
        anyway = tuple(path for path in wanted if not _lies_in(path, hidden))
        seen = (*self._visible, *anyway)
        unseen = any(not _lies_in(path, seen) and path.exists() for path in wanted)
        others = (path for path in self._visible if _lies_in(path, hidden))
        if unseen or not all(_lies_in(path, wanted) for path in others):
            self.worker.close(grace=0)
            self._visible = wanted
            self._start(NOTHING)

    def _send(self) -> None:
        self._sent = RequestCache(self._progress)
        self._sent.send(self.worker, self._loading)
        if self._payload is not None:
            self._sent.send(self.worker, self._predicting)

    @property
    def _loading(self) -> Request:
        return Request("forward.load", {"artifact": str(self._artifact)}, "loading the artifact")

    @property
    def _predicting(self) -> Request:
        return Request("forward.predict", {"payload": self._payload}, "predicting")

    def _finish(self) -> LoadAttempt:
        """Wait for the requests that were sent, and count them."""
        load = self._sent.finish(self._loading)
        self.loads += 1
        predict = None
        if self._payload is not None:
            predict = self._sent.finish(self._predicting)
            self.passes += load.failure is None
        run = LoadAttempt(load, predict)
        if run.failure is None:
            return run
        directories = {str(self._artifact): self._settings.artifact_dir.name, self._home: "~"}
        return LoadAttempt(load, predict, self._trace(), directories)

    @property
    def _home(self) -> str:
        return str(self._factory.home(self._number))

    def _trace(self) -> Trace | None:
        try:
            reply = self.worker.call("probe.observed", doing="asking what was refused")
        except WorkerFailure:
            return None
        return read_trace(reply, self._home)

    def _explain(
        self, first: LoadAttempt, free: WorkerFailure | None
    ) -> tuple[LoadAttempt, Requirements]:
        """Retry under milder conditions; `free` is the failure of a process under none at all."""
        if free is not None:
            # The conditions are not the cause of the failure, or there is no network here.
            return first, add_unmet(first, Requirements(), free)
        run, requirements = explain(first, self._try_relaxed)
        return run, add_unmet(run, requirements, self._online)

    def _try_relaxed(self, relaxed: frozenset[Condition]) -> LoadAttempt:
        """Load and predict in a fresh process; the previous one releases its memory first."""
        if self.worker.peak_rss_bytes:
            self._peaks.append(self.worker.peak_rss_bytes)
        self.worker.close(grace=0)
        self._start(relaxed)
        self._send()
        run = self._finish()
        if "network" in relaxed:
            self._online = run.failure
        return run


def _lies_in(path: Path, roots: tuple[Path, ...]) -> bool:
    real = path.resolve()
    return any(real.is_relative_to(root.resolve()) for root in roots)
