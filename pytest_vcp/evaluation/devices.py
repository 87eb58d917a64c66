"""Devices as seen by the processes of one session: a GPU, none, or another one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from pytest_vcp.evaluation import nvml
from pytest_vcp.evaluation.device_runs import DeviceRun, DeviceRunner, KeptPrediction, wants_a_gpu
from pytest_vcp.evaluation.gpu_memory import GpuUse, GpuWatch, LoadedSession
from pytest_vcp.evaluation.prediction import DeviceUse, Reply
from pytest_vcp.worker.client import WorkerFailure


class DeviceSession(LoadedSession, Protocol):
    """A session that has loaded the artifact and predicted."""

    def load(self) -> Reply: ...

    def predict(self) -> Reply: ...


class SessionDevices:
    """Asks the session about devices, and runs its artifact on others.

    `loads` and `passes` count the model's loads and forward passes in these runs.
    """

    def __init__(self, session: DeviceSession, runner: DeviceRunner) -> None:
        self.loads = 0
        self.passes = 0
        self._session = session
        self._runner = runner
        self._device = runner.settings.device
        self._watch = GpuWatch(self._device)

    def has_gpu(self) -> bool:
        """Return whether the process of the first forward pass had a GPU before or after it."""
        return self._watch.are_seen(self._session.load(), self._session.predict())

    def missing_gpu(self) -> WorkerFailure | None:
        """Return the failure for lack of a GPU, if the session's process sees none; else None."""
        load = self._session.load()
        failure = (load if load.failure is not None else self._session.predict()).failure
        if failure is None or not wants_a_gpu(failure):
            return None
        seen = self._session.ask("device.seen", {}, "looking for a GPU").content
        is_here = seen is None or seen["gpu"] or nvml.visible_with(self._device)
        return None if is_here else failure

    def measure_use(self, device: DeviceUse) -> GpuUse | None:
        """Measure the GPU memory used by the first forward pass; None if it is unknown."""
        return self._watch.measure_use(device, self._session.pid)

    def run(self, device: str, name: str, tolerance: Mapping[str, Any] | None = None) -> DeviceRun:
        """Run the forward pass in a process that sees only this device.

        With a tolerance, its result is compared with the one here. `name` is that of its logs.
        """
        kept = None
        if tolerance is not None:
            reply = self._session.ask("forward.save_result", {}, "keeping the prediction").content
            kept = KeptPrediction(Path(reply["path"]), tolerance) if reply else None
        run = self._runner.run(self._session.payload, device, name, kept)
        self.loads += 1
        self.passes += run.reply.failure is None
        return run
