"""Starts the workers of a run from servers that have imported what they will need."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.run import LAUNCHER
from pytest_vcp.worker.byte_code import FOR_MODELS, FOR_STORES
from pytest_vcp.worker.conditions import Conditions
from pytest_vcp.worker.launching import FLAGS, Launch, Launched, start
from pytest_vcp.worker.template import Program, differing

from .pool import Pool

# What an environment of a reference package has besides, and the loader is told to import ahead.
_MODULES = (*FOR_MODELS, "torch")
# Name the directory of the pool, and that of the environments, for a pytest process that is cold.
RUN_POOL = "VCP_TEST_RUN_POOL"
RUN_CACHE = "VCP_TEST_RUN_CACHE"
# Variables that no library reads while it is imported, or that name a place where none looks then.
_MAY_DIFFER = frozenset(
    {
        "HOME",
        "TMPDIR",
        "TMP",
        "TEMP",
        "PATH",
        "COLUMNS",
        "LINES",
        "MLFLOW_TRACKING_URI",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES",
        "MLFLOW_HTTP_REQUEST_TIMEOUT",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT",
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "CUDA_VISIBLE_DEVICES",
        "VCP_TEST_PLACE",
        "VCP_WORKER",
        RUN_POOL,
        RUN_CACHE,
    }
)


class WarmWorkers:
    """A launcher, and the plugin that gives it to a run. `cache` is where environments lie.

    What can't be told from a cold start is forked: an unaltered environment, and variables that
    are those of the server but for what nothing reads at start.
    """

    def __init__(self, pool: Pool, cache: Path) -> None:
        self._pool = pool
        self._cache = cache

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[LAUNCHER] = self

    def __call__(self, launch: Launch) -> Launched:
        process = self._forked(launch)
        if process is None:
            self._pool.count("workers started cold")
            return start(launch)
        return process

    def _forked(self, launch: Launch) -> Launched | None:
        if not launch.python.is_relative_to(self._cache):
            return None
        environ = self._environ(launch.python)
        if differing(environ, launch.environ) - _MAY_DIFFER:
            return None
        # Of one server each: the packager has another seed for hashes than who loads.
        role = launch.name if launch.name in ("packager", "tracking") else "loader"
        modules = (*_MODULES, *FOR_STORES) if role == "tracking" else _MODULES
        with Path("/dev/null").open("rb") as empty:
            program = Program.of(launch, empty.fileno())
            command = [str(launch.python), *FLAGS]
            return self._pool.fork(role, command, modules, environ, program)

    def _environ(self, python: Path) -> dict[str, str]:
        """The variables of a server: those of a worker that nobody has asked for anything."""
        places = self._pool.directory
        conditions = Conditions(cwd=places, home=places / "home", tmp=places / "tmp")
        conditions.create_directories()
        return conditions.environment(python, caller=self._pool.environ)
