"""One variant of a package: its settings, its staging directory, its workers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from pytest_vcp.artifact.artifact import ModelArtifact, read_artifact
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.artifact.staging import Staging
from pytest_vcp.artifact.weights import Code, Weights, code_snapshot, snapshot
from pytest_vcp.environment.build import Environment
from pytest_vcp.evaluation.artifact_session import ArtifactSession
from pytest_vcp.evaluation.device_runs import WITHOUT_GPU
from pytest_vcp.evaluation.expected import Recording
from pytest_vcp.evaluation.figures import Figures
from pytest_vcp.evaluation.packaging_session import PackagingSession
from pytest_vcp.evaluation.worker_factory import WorkerFactory
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.artifact_sources import ArtifactSource, read_artifacts
from pytest_vcp.source.author_paths import names_a_temporary_path
from pytest_vcp.source.package import ModelPackage
from pytest_vcp.source.preimports import preimports
from pytest_vcp.source.wrapper import NotFound, WrapperFacts, find_class
from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.launching import Launcher


class Variant:
    """The state of one variant; the package and its environment are shared."""

    def __init__(
        self,
        settings: Settings,
        package: Callable[[], ModelPackage],
        digests: FileDigests,
        progress: Progress,
        launcher: Launcher,
    ) -> None:
        self.settings = settings
        self.packaging_session: PackagingSession | None = None
        self.spare: PackagingSession | None = None
        self.recording: Recording | None = None
        self._staging = Staging(settings.artifact_dir)
        self._spare_staging = Staging(settings.artifact_dir)
        self._package = package
        self._digests = digests
        self._progress = progress
        self._launcher = launcher

    @property
    def name(self) -> str:
        return self.settings.variant

    @property
    def session(self) -> ArtifactSession | None:
        """The session of the packaged artifact; None until the workers have been started."""
        return self.packaging_session.session if self.packaging_session else None

    def figures(self) -> Figures | None:
        """Return the cost of packaging and of the session; None if no worker was started."""
        if self.packaging_session is None:
            return None
        return replace(
            self.packaging_session.session.figures(),
            import_seconds=self.packaging_session.import_seconds(),
        )

    @cached_property
    def sources(self) -> tuple[ArtifactSource, ...]:
        return read_artifacts(self.settings.pkg_dir, self.settings.artifacts)

    @cached_property
    def wrapper(self) -> WrapperFacts | NotFound:
        return find_class(self._package().modules, self.settings.model_class)

    @cached_property
    def weights(self) -> Weights:
        return snapshot(self.sources)

    @cached_property
    def code(self) -> Code:
        return code_snapshot(self.settings.pkg_dir)

    def prepare_staging(self) -> None:
        """Create the staging directory of the artifact. Raises ToolError if that fails."""
        self._staging.create()

    def open_packaging_session(self, environment: Environment) -> PackagingSession:
        """Start the workers, and digest the weights while they import libraries."""
        if self.packaging_session is None:
            if not self._staging.root.exists():
                self._staging.create()
            _ = self.weights, self.code  # Their state before any of the author's code has run.
            self.packaging_session = self._new_packaging_session(
                self.settings, self._staging, environment.python
            )
            self.packaging_session.start()
            self._digests.read_ahead(self.weights.paths)
        return self.packaging_session

    def package_without_gpu(self, environment: Environment) -> PackagingSession | None:
        """Package and load the model once more, with no GPU visible; None if that fails.

        This shows whether a forward pass fails only on the GPU. None of it is published.
        """
        assert self.spare is None
        logs = self.settings.report_dir / WITHOUT_GPU
        settings = replace(self.settings, device="cpu", report_dir=logs)
        self._spare_staging.create()
        self.spare = self._new_packaging_session(settings, self._spare_staging, environment.python)
        self.spare.start()
        steps = (self.spare.import_sources, self.spare.describe_spec, self.spare.package)
        return self.spare if all(step().failure is None for step in steps) else None

    def _new_packaging_session(
        self, settings: Settings, staging: Staging, python: Path
    ) -> PackagingSession:
        factory = WorkerFactory(
            settings=settings,
            artifact=staging.artifact,
            protected=staging.root,
            python=python,
            launcher=self._launcher,
            preimports=preimports(self._package()),
            loads_alone=names_a_temporary_path(self._package()),
            tmp=staging.tmp,
        )
        return PackagingSession(settings, factory, self._progress)

    @cached_property
    def artifact(self) -> ModelArtifact:
        """The staged artifact. Raises OSError or ValueError if it can't be read."""
        with self._progress.step("digesting the artifact"):
            return read_artifact(self._staging.artifact, self._digests)

    def publish(self) -> None:
        """Move the verified artifact to its destination. Raises DestinationTaken and OSError."""
        self._staging.publish()

    def end_processes(self) -> None:
        """End the workers; the artifact stays staged."""
        with contextlib.ExitStack() as ends:
            # Each one even if the other fails.
            for packaging_session in (self.packaging_session, self.spare):
                if packaging_session is not None:
                    ends.callback(packaging_session.close)

    def close(self) -> None:
        """End the workers, and remove everything temporary."""
        with contextlib.ExitStack() as ends:
            for staging in (self._staging, self._spare_staging):
                ends.callback(staging.discard)
            ends.callback(self.end_processes)
