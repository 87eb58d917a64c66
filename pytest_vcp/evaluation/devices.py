"""Devices, as the processes of one trial see them: a GPU, none, or another one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vcp.evaluation import nvml
from pytest_vcp.evaluation.device_runs import DeviceRun, DeviceRunner, Kept, wants_a_gpu
from pytest_vcp.evaluation.gpu_memory import GpuUse, GpuWatch
from pytest_vcp.evaluation.prediction import DeviceUse
from pytest_vcp.worker.client import WorkerFailure

if TYPE_CHECKING:
    from pytest_vcp.evaluation.artifact_session import ArtifactSession


class SessionDevices:
    """Asks the trial about devices, and runs its artifact on others.

    `loads` and `passes` count what the model was made to do for it.
    """

    def __init__(self, trial: ArtifactSession, elsewhere: DeviceRunner) -> None:
        self.loads = 0
        self.passes = 0
        self._trial = trial
        self._elsewhere = elsewhere
        self._device = elsewhere.settings.device
        self._watch = GpuWatch(self._device)

    def has_gpu(self) -> bool:
        """Whether the process of the first forward pass had a GPU before or after it."""
        return self._watch.are_seen(self._trial.load(), self._trial.predict())

    def missing_gpu(self) -> WorkerFailure | None:
        """What the trial failed by for want of a GPU, where its process sees none; else None."""
        load = self._trial.load()
        failure = (load if load.failure is not None else self._trial.predict()).failure
        if failure is None or not wants_a_gpu(failure):
            return None
        seen = self._trial.ask("device.seen", {}, "looking for a GPU").reply
        is_here = seen is None or seen["gpu"] or nvml.visible_with(self._device)
        return None if is_here else failure

    def use(self, device: DeviceUse) -> GpuUse | None:
        """What the first forward pass took on the GPU; None where nobody can tell."""
        return self._watch.use(device, self._trial.pid)

    def run(self, device: str, name: str, tolerance: Mapping[str, Any] | None = None) -> DeviceRun:
        """The forward pass in a process that sees no device but this one.

        With a tolerance its result is compared with the one here. `name` is that of its logs.
        """
        kept = None
        if tolerance is not None:
            reply = self._trial.ask("forward.keep", {}, "keeping the prediction").reply
            kept = Kept(Path(reply["path"]), tolerance) if reply else None
        run = self._elsewhere.run(self._trial.payload, device, name, kept)
        self.loads += 1
        self.passes += run.attempt.failure is None
        return run
