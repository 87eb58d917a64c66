"""One run over one package: facts gathered lazily, each once, and what has to be cleaned up."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import cached_property

import pytest

from pytest_vcp.artifact import ModelArtifact, read_artifact
from pytest_vcp.artifact_sources import ArtifactSource, read_artifacts
from pytest_vcp.digests import FileDigests
from pytest_vcp.environment import Environment, EnvironmentRequest, prepare
from pytest_vcp.gates import Gates
from pytest_vcp.interpreters import Interpreter
from pytest_vcp.package import ModelPackage, read_package
from pytest_vcp.progress import Progress
from pytest_vcp.requirements import Lock, read_lock
from pytest_vcp.settings import Settings
from pytest_vcp.sources import preimports
from pytest_vcp.staging import Staging
from pytest_vcp.weights import Weights, snapshot
from pytest_vcp.workshop import Workshop
from pytest_vcp.wrapper import NotFound, WrapperFacts, find_class

RUN: pytest.StashKey[Run] = pytest.StashKey()


class Run:
    """Facts about one package, gathered when first asked for.

    `interpreter` is None where the settings name none that the platform accepts.
    """

    def __init__(
        self, settings: Settings, interpreter: Interpreter | None, progress: Progress
    ) -> None:
        self.settings = settings
        self.interpreter = interpreter
        self.progress = progress
        self.gates = Gates()
        self.digests = FileDigests()
        self.staging = Staging(settings.artifact_dir)
        self._spare_staging = Staging(settings.artifact_dir)
        self.environment: Environment | None = None
        self.workshop: Workshop | None = None
        self.spare: Workshop | None = None

    @cached_property
    def package(self) -> ModelPackage:
        return read_package(self.settings.pkg_dir, self.settings.target_python)

    @cached_property
    def sources(self) -> tuple[ArtifactSource, ...]:
        return read_artifacts(self.settings.pkg_dir, self.settings.artifacts)

    @cached_property
    def wrapper(self) -> WrapperFacts | NotFound:
        return find_class(self.package.modules, self.settings.model_class)

    @cached_property
    def lock(self) -> Lock:
        return read_lock(self.settings.pkg_dir)

    @cached_property
    def weights(self) -> Weights:
        return snapshot(self.sources)

    def prepare_environment(self) -> Environment:
        """Build or reuse the environment.

        Raises ToolError where that fails, or where no artifact could be put afterwards.
        """
        assert self.interpreter is not None
        settings = self.settings
        self.staging.create()
        lock = settings.pkg_dir / "requirements.txt"
        request = EnvironmentRequest(
            manager=settings.env_manager,
            interpreter=self.interpreter,
            lock=lock,
            lock_bytes=lock.read_bytes(),
            cache_dir=settings.cache_dir,
        )
        self.environment = prepare(request, self.progress.later())
        return self.environment

    def open_workshop(self) -> Workshop:
        """Start the workers, and digest the weights while they do their imports."""
        if self.workshop is None:
            self.workshop = self._new_workshop(self.settings, self.staging)
            self.workshop.start()
            self.digests.read_ahead(self.weights.paths)
        return self.workshop

    def package_without_gpu(self) -> Workshop | None:
        """The model packaged and loaded once more, with no GPU visible; None where that fails.

        It tells whether a forward pass fails on the GPU alone. Nothing of it is published.
        """
        assert self.spare is None
        logs = self.settings.report_dir / "without-gpu"
        settings = replace(self.settings, device="cpu", report_dir=logs)
        self._spare_staging.create()
        self.spare = self._new_workshop(settings, self._spare_staging)
        self.spare.start()
        steps = (self.spare.import_sources, self.spare.describe_spec, self.spare.package)
        return self.spare if all(step().failure is None for step in steps) else None

    def _new_workshop(self, settings: Settings, staging: Staging) -> Workshop:
        assert self.environment is not None
        python = self.environment.python
        return Workshop(settings, staging, python, preimports(self.package), self.progress)

    @cached_property
    def artifact(self) -> ModelArtifact:
        """The staged artifact. Raises OSError or ValueError where it can't be read."""
        assert self.workshop is not None
        with self.progress.step("digesting the artifact"):
            return read_artifact(self.staging.artifact, self.digests)

    def publish(self) -> None:
        """Put the verified artifact in its place. Raises DestinationTaken and OSError."""
        self.staging.publish()

    def close(self) -> None:
        """End every process, and remove everything that is not to stay."""
        self.digests.stop()
        with contextlib.ExitStack() as ends:
            # The last first, and each whatever becomes of the others.
            ends.callback(self.progress.close)
            for staging in (self.staging, self._spare_staging):
                ends.callback(staging.discard)
            for workshop in (self.workshop, self.spare):
                if workshop is not None:
                    ends.callback(workshop.close)
