"""Runs of the finished artifact in another process, which sees other devices than the first."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_vcp.evaluation.loader import Loader
from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.evaluation.requests import Request, RequestCache
from pytest_vcp.evaluation.worker_factory import WorkerFactory
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.payload import Payload
from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.client import WorkerFailure

# Name of the log and scratch directories of a run with no GPU visible.
WITHOUT_GPU = "without-gpu"
# The same for a run with only another GPU visible.
SECOND_GPU = "second-gpu"

# Messages of libraries that find no GPU, and of authors who refuse to go on without one. Among
# shared libraries, only the driver's count: CUDA's own, such as libcudart, come with a package.
_WANTS_A_GPU = re.compile(
    r"\b(cuda(?!rt)\w*|gpus?|nvidia|active drivers)\b|\blib(cuda|nvidia-\w+|nvcuvid)\.so",
    re.IGNORECASE,
)
_PATH = re.compile(r"(?<!\w)(?:\.{0,2}|~)/\S+|\b\w+://\S+")
_NOT_HERE = ("FileNotFoundError", "ModuleNotFoundError")


@dataclass(frozen=True)
class KeptPrediction:
    """The result of the first process, saved in a file, and the tolerance for the comparison."""

    path: Path
    tolerance: Mapping[str, Any]


@dataclass(frozen=True)
class DeviceRun:
    """The outcome of the process: its prediction, or why it failed to load or predict.

    `comparison` compares its result with the saved one; None if none was saved, or on failure.
    """

    reply: Reply
    comparison: Reply | None = None


@dataclass(frozen=True)
class DeviceRunner:
    """Starts processes that each load the artifact, predict and end."""

    settings: Settings
    artifact: Path
    factory: WorkerFactory
    progress: Progress

    def run(
        self, payload: Payload, device: str, name: str, kept: KeptPrediction | None = None
    ) -> DeviceRun:
        """Predict on a payload with only this device visible.

        `name` is the name of the directories for logs and scratch files.
        """
        settings = replace(self.settings, device=device, report_dir=self.settings.report_dir / name)
        scratch = self.factory.scratch / name
        scratch.mkdir()
        factory = replace(self.factory, settings=settings, scratch=scratch)
        loader = Loader(settings, self.artifact, factory, self.progress)
        try:
            loader.warm_up()
            loader.begin(payload)
            loader.find_requirements(None)
            reply = loader.load()
            if reply.failure is None:
                reply = loader.predict()
            if kept is None or reply.failure is not None:
                return DeviceRun(reply)
            return DeviceRun(reply, self._compare(loader, kept, scratch))
        finally:
            loader.close()

    def _compare(self, loader: Loader, kept: KeptPrediction, scratch: Path) -> Reply:
        path = shutil.move(kept.path, scratch / "first.npz")
        params = {"path": str(path), "tolerance": kept.tolerance}
        comparison = Request("forward.compare_saved", params, "comparing the devices")
        return RequestCache(self.progress).ask(loader.worker, comparison)


def wants_a_gpu(failure: WorkerFailure) -> bool:
    """Return whether a failure is a message of a library or an author about a missing GPU."""
    if failure.kind != "raised" or failure.exception in _NOT_HERE:
        return False
    # A path may contain such a name.
    return bool(_WANTS_A_GPU.search(_PATH.sub("", failure.message)))
