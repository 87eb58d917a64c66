"""The directories and variables of commands, as on a consumer's machine, not the author's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vcp.environment.build import Environment
from pytest_vcp.settings.devices import variables
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.payload import Payload
from pytest_vcp.worker.client import Conditions
from pytest_vcp.worker.conditions import gpu_pipes


@dataclass(frozen=True)
class CommandContext:
    """The artifact, its environment, the request, and a directory for the files of commands.

    `platform` returns the environment of the platform's own MLflow. `interpreter` is the Python
    that the environment of the model is based on; `request` is the serving example with absolute
    inputs, and `small_request` waits for it with fewer observations, None if there is no such one.
    """

    settings: Settings
    environment: Environment
    platform: Callable[[], Environment]
    interpreter: Path
    artifact: Path
    request: Mapping[str, Any]
    scratch: Path
    small_request: Callable[[], Payload | None]

    @property
    def mlflow(self) -> str:
        """The mlflow command of the model's environment."""
        return str(self.environment.python.with_name("mlflow"))

    @property
    def directory(self) -> Path:
        """The working directory of the commands; it contains nothing of the package."""
        return self.scratch / "elsewhere"

    @property
    def public(self) -> tuple[Path, ...]:
        """Paths that commands may write to, or write to for others, even below /tmp."""
        settings = self.settings
        own = (settings.pkg_dir, settings.cache_dir, settings.report_dir, self.scratch)
        return (*own, *gpu_pipes())

    def log(self, name: str) -> Path:
        """Return the path of the log of a command's output."""
        settings = self.settings
        return settings.report_dir / "logs" / f"{settings.variant}-mlflow-{name}.log"

    def request_file(self) -> Path:
        """Write the request to a file, and return its path."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        path = self.scratch / "request.json"
        path.write_text(json.dumps(self.request), encoding="utf-8")
        return path

    @property
    def temporary(self) -> Path:
        """TMPDIR of the commands."""
        return self.scratch / "tmp"

    def environ(
        self, more: Mapping[str, str] | None = None, python: Path | None = None
    ) -> dict[str, str]:
        """Return the caller's variables, cleaned as for a worker; `more` overrides them.

        The directory of `python`, by default the model's, comes first on PATH.
        """
        conditions = Conditions(
            cwd=self.directory,
            home=self.scratch / "home",
            tmp=self.temporary,
            environ={**variables(self.settings.device), **(more or {})},
        )
        conditions.create_directories()
        return conditions.environment(python or self.environment.python)
