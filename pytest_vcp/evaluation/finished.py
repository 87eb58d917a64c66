"""A finished artifact that is judged by itself, as gatekeepers and consumers see it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from pytest_vcp.artifact.artifact import (
    EXPECTED,
    ArtifactFile,
    ModelArtifact,
    read_artifact,
    read_files,
)
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.environment import interpreters
from pytest_vcp.evaluation.artifact_session import ArtifactSession
from pytest_vcp.evaluation.figures import Figures
from pytest_vcp.evaluation.packaging_session import request_for
from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.evaluation.requests import Request, RequestCache
from pytest_vcp.evaluation.worker_factory import WorkerFactory
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.author_paths import names_a_temporary_path
from pytest_vcp.source.package import ModelPackage
from pytest_vcp.source.payload import Payload, inputs
from pytest_vcp.util import yaml_text
from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.launching import Launcher

_EXAMPLES = ("input_example.json", "serving_input_example.json")


class Finished:
    """The artifact, and the workers that test it once its environment exists."""

    def __init__(
        self,
        settings: Settings,
        code: Callable[[], ModelPackage],
        digests: FileDigests,
        progress: Progress,
        launcher: Launcher,
    ) -> None:
        assert settings.artifact_only is not None
        self.settings = settings
        self.path = settings.artifact_only
        self.session: ArtifactSession | None = None
        self._code = code
        self._digests = digests
        self._progress = progress
        self._launcher = launcher
        self._factory: WorkerFactory | None = None
        self._requests = RequestCache(progress)

    @property
    def name(self) -> str:
        return self.settings.variant

    @cached_property
    def artifact(self) -> ModelArtifact:
        """The artifact. Raises OSError or ValueError if it can't be read."""
        with self._progress.step("digesting the artifact"):
            return read_artifact(self.path, self._digests)

    def files(self) -> tuple[ArtifactFile, ...]:
        """Return the files as they were judged, even if they are no artifact. Raises OSError."""
        try:
            return self.artifact.files
        except (OSError, ValueError):
            return read_files(self.path, self._digests)

    def missing_files(self) -> tuple[str, ...]:
        """List missing files, except weights, which are unknown without the source package."""
        return tuple(name for name in EXPECTED if not (self.path / name).exists())

    @cached_property
    def payload(self) -> Payload | None:
        """The request for the forward pass; None if one of its inputs is missing here."""
        request = request_for(self.settings, self.path, self.settings.pkg_dir)
        uris = inputs(request, self.settings.policy.input_column)
        return request if all(":" in uri or os.path.exists(uri) for uri in uris) else None

    def open_session(self, python: Path) -> ArtifactSession:
        """Start the workers."""
        if self.session is None:
            self._factory = WorkerFactory(
                self.settings,
                self.path,
                self.path,
                python,
                self._launcher,
                loads_alone=names_a_temporary_path(self._code()),
            )
            self._tester = self._factory.packager()
            self._tester.start()
            self.session = ArtifactSession(
                self.settings, self.path, self._factory, self._tester, self._progress
            )
            if not self.settings.skip_inference:
                self.session.warm_up()
        return self.session

    def figures(self) -> Figures | None:
        """Return the cost of the session; None if no worker was started."""
        return None if self.session is None else self.session.figures()

    def describe_spec(self) -> Reply:
        """Describe the signature and the example that the artifact contains.

        Only MLflow reads them: if it can't, the artifact is at fault.
        """
        doing = "reading the signature and the example"
        params = {"artifact": str(self.path)}
        return self._requests.ask(self._tester, Request("spec.describe_artifact", params, doing))

    def examine(self, doing: str, method: str, params: dict[str, Any]) -> Reply:
        """Send a request that depends on the description of the signature and the example."""
        described = self.describe_spec()
        if described.failure is not None:
            return described
        return self._requests.ask(self._tester, Request(method, params, doing))

    def end_processes(self) -> None:
        """End the workers, and remove the scratch directory."""
        if self.session is None or self._factory is None:
            return
        with contextlib.ExitStack() as ends:
            ends.callback(shutil.rmtree, self._factory.scratch, ignore_errors=True)
            ends.callback(self.session.close)
            ends.callback(self._tester.close)

    close = end_processes


def on_its_python(settings: Settings) -> Settings:
    """Return the settings with the Python that the artifact names, unless one was requested."""
    assert settings.artifact_only is not None
    named = _named_python(settings.artifact_only)
    if settings.python is not None or named is None:
        return settings
    version = tuple(map(int, named.split(".")[:2]))
    target = (version[0], version[1])
    python = named if settings.env_manager == "conda" else _at_hand(named, target)
    return replace(settings, python=python, target_python=target)


def _named_python(path: Path) -> str | None:
    """Return the version in python_env.yaml; None without one that can be read."""
    try:
        named = yaml_text.load((path / "python_env.yaml").read_text(encoding="utf-8"))["python"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return None
    return str(named) if re.fullmatch(r"3\.\d+(\.\d+)?", str(named)) else None


def _at_hand(named: str, target: tuple[int, int]) -> str | None:
    """Return the exact version if installed, else the minor version; None for the running one."""
    if target == sys.version_info[:2]:
        return None
    try:
        interpreters.find(named)
    except interpreters.InterpreterNotFound:
        return ".".join(map(str, target))
    return named
