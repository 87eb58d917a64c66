"""`mlflow models predict --env-manager virtualenv` on the artifact, as the platform runs it.

The command is that of the platform's MLflow. It builds an environment from the files of the
artifact, and deletes it afterwards. The command is unchanged, but three things around it are set
up:

- It asks pyenv for the interpreter under a new root, so pyenv would download and compile one.
  Instead, pyenv provides the interpreter of the run as this version (`pyenv`).
- It starts with an empty pip cache. The first time, it finds pip's previous downloads in a
  directory (find-links) and installs everything from scratch. Once that has worked for a lock, the
  packages of the cached environment, installed from the same lock, are on the path of the Python
  in the new environment, and of no other: pip then finds each line satisfied.
- It copies the artifact to read one file. Links take the place of these copies (`at_start`).
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import yaml

from pytest_vcp.environment import pip_messages
from pytest_vcp.environment.installer import pip_environ
from pytest_vcp.mlflow_cli import at_start, process, pyenv
from pytest_vcp.mlflow_cli.context import CommandContext
from pytest_vcp.mlflow_cli.process import Running
from pytest_vcp.rules.outcomes import Location, ToolError, Unverified
from pytest_vcp.util import yaml_text
from pytest_vcp.util.files import write_atomic

# The time to build an environment is due to the index and the disk, not to the model.
_BUILD_SECONDS = 1800.0
_DOWNLOAD_SECONDS = 900.0
_RECORD = "built-by-mlflow.json"
_FILES = ("requirements.txt", "python_env.yaml", "conda.yaml")


@dataclass(frozen=True)
class Predicted:
    """The result of the command.

    `answer` is the file with its predictions; `problem` says why there is none, `where` is the
    line of the artifact's code at fault. `anew` is whether its environment was built from scratch.
    """

    command: str
    seconds: float
    anew: bool
    answer: Path
    problem: str | None = None
    where: Location | None = None


class PredictCommand:
    """The command; it can be started early and awaited later."""

    def __init__(self, context: CommandContext) -> None:
        self._context = context
        self._answer = context.scratch / "predicted.json"
        self._running: Running | None = None
        self._closed = False
        self._downloading: subprocess.Popen[bytes] | None = None
        manager = context.settings.env_manager
        self._shown = f"mlflow models predict --env-manager {manager}"
        self._needs(manager)
        self.anew = not self._was_built()

    def _needs(self, manager: str) -> None:
        """Raise Unverified if the command could not even begin."""
        if manager == "local":
            raise Unverified("no environment is built with --vcp-env-manager local")
        if manager == "conda" and not pyenv.is_on_path("conda", self._context.environ()):
            raise Unverified(f"{self._shown} asks conda for the Python, and finds no conda")

    def start(self) -> None:
        """Start the command, once. Raises ToolError after `close`."""
        if self._running is None:
            self._running = self._start_command()
        if self._closed:
            self._running.close()
            raise ToolError(f"{self._shown} was stopped", "run it to its end")

    def _start_command(self) -> Running:
        context = self._context
        request, directory = self._request()
        arguments = [
            *("--model-uri", str(context.artifact), "--content-type", "json"),
            *("--input-path", str(request), "--output-path", str(self._answer)),
            *("--env-manager", context.settings.env_manager),
        ]
        return Running(
            [str(context.platform().python.with_name("mlflow")), "models", "predict", *arguments],
            directory,
            self._surroundings(),
            context.log("predict"),
            self._shown,
            context.public,
        )

    def _request(self) -> tuple[Path, Path]:
        """Return the request to predict on, and the directory to run in.

        As documented, that is the shipped example if possible, whose inputs are relative to the
        package.
        """
        context = self._context
        shipped = context.artifact / "serving_input_example.json"
        if context.settings.payload is None and shipped.is_file():
            return shipped, context.settings.pkg_dir
        return context.request_file(), context.directory

    def finish(self) -> Predicted:
        """Wait for the command. Raises ToolError if something other than the artifact failed."""
        running, status = self._wait()
        is_unclear = not self.anew and not _has_predicted(running.output)
        if status and is_unclear and not self._closed:
            # A problem with the reused packages is no fault of the artifact: build from scratch.
            self._record.unlink(missing_ok=True)
            self.anew, self._running = True, None
            running, status = self._wait()
        seconds = time.monotonic() - running.started
        problem = None
        if status is None:
            problem = f"no answer within {self._limit:g} s"
        elif status != 0 or not self._answer.is_file():
            problem = self._find_cause(running.output, status)
        elif self.anew:
            self._note_built(seconds)
        where = None
        if problem is not None:
            where = process.find_frame(running.output, self._context.artifact / "code")
        return Predicted(self._shown, seconds, self.anew, self._answer, problem, where)

    @property
    def _limit(self) -> float:
        return self._context.settings.timeout + (_BUILD_SECONDS if self.anew else 0.0)

    def _wait(self) -> tuple[Running, int | None]:
        """Wait for the command; return it and its exit status, None after a time-out."""
        self.start()
        assert self._running is not None
        status = self._running.wait(self._limit)
        self._running.close()
        return self._running, status

    def close(self) -> None:
        """End the command, whatever it is doing, and start none again."""
        self._closed = True
        if self._downloading is not None:
            self._downloading.kill()
        if self._running is not None:
            self._running.close()

    def _find_cause(self, output: str, status: int) -> str:
        """Return what went wrong in the model. Raises ToolError if the surroundings failed."""
        if _has_predicted(output):
            return (
                process.find_exception(output)
                or f"exit status {status}: {process.last_line(output)}"
            )
        log = self._context.log("predict")
        pip = pip_messages.explain(output, log) if "ERROR: " in output else None
        if pip is None or pip.kind in ("network", "machine"):
            cause = pip.headline if pip is not None else process.find_exception(output)
            raise ToolError(
                f"{cause or 'something failed'} while {self._shown} made its environment",
                "check the connection, the proxy and pip's index settings"
                if pip is not None and pip.kind == "network"
                else f"see the end of {log}",
            )
        return f"its environment can't be made: {pip.headline}"

    # The surroundings of the command.

    def _surroundings(self) -> dict[str, str]:
        """Return all environment variables of the command."""
        context = self._context
        sources = _pip_variables(context.environment.python)
        packages = self._find_downloads(sources) if self.anew else _only_from(self._beginnings)
        own = {
            **sources,
            **packages,
            **self._at_start(),
            # One prediction imports little of what is installed, and then the environment is
            # deleted. pip inverts this variable: 0 switches compiling off.
            "PIP_NO_COMPILE": "0",
            # Where virtualenv stores the packages that it seeds every environment with.
            "VIRTUALENV_OVERRIDE_APP_DATA": str(context.settings.cache_dir / "virtualenv"),
        }
        environ = context.environ(own, context.platform().python)
        folder, version = context.scratch / "pyenv", context.environment.version
        return {**environ, **pyenv.variables(folder, version, context.interpreter, environ)}

    @property
    def _beginnings(self) -> Path:
        """The directory of the distributions of pip, setuptools and wheel to install from."""
        return self._context.environment.directory / "build-dependencies"

    def _at_start(self) -> dict[str, str]:
        """Return variables that make the packages installed from the same lock importable."""
        context = self._context
        folders = [str(Path(entry.location).parent) for entry in context.environment.installed]
        within = os.path.join(os.path.realpath(context.temporary), "")
        return at_start.write(
            context.scratch / "at-start", context.artifact, () if self.anew else folders, within
        )

    def _find_downloads(self, sources: Mapping[str, str]) -> dict[str, str]:
        """Return variables for directories with everything to be installed, from pip's cache."""
        distributions = self._context.scratch / "distributions"
        all_there = self._download(
            distributions, ["-r", "requirements.txt"], sources
        ) and self._download(self._beginnings, self._build_dependencies(), sources)
        # If something is missing, the command itself will report it.
        return _only_from(distributions, self._beginnings) if all_there else {}

    def _download(self, folder: Path, wanted: list[str], sources: Mapping[str, str]) -> bool:
        context = self._context
        folder.mkdir(parents=True, exist_ok=True)
        command = [str(context.environment.python), "-I", "-m", "pip", "--no-input", "download"]
        with subprocess.Popen(
            [*command, "--quiet", "--no-deps", "--dest", str(folder), *wanted],
            cwd=context.artifact,
            env={**context.environ(), **sources},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as self._downloading:
            try:
                return not self._closed and self._downloading.wait(_DOWNLOAD_SECONDS) == 0
            except subprocess.TimeoutExpired:
                return False
            finally:
                self._downloading.kill()

    def _build_dependencies(self) -> list[str]:
        """List the build dependencies that the artifact names: pip, setuptools, wheel."""
        try:
            document = yaml_text.load((self._context.artifact / "python_env.yaml").read_bytes())
            return [str(line) for line in document["build_dependencies"]]
        except (OSError, yaml.YAMLError, KeyError, TypeError):
            return []

    # The record of earlier runs.

    @property
    def _record(self) -> Path:
        return self._context.environment.directory / _RECORD

    def _files(self) -> str:
        """Return the digest of the files from which MLflow builds the environment."""
        artifact = self._context.artifact
        digest = sha256(self._context.settings.env_manager.encode())
        for name in _FILES:
            path = artifact / name
            digest.update(path.read_bytes() if path.is_file() else b"")
        return digest.hexdigest()

    def _was_built(self) -> bool:
        try:
            known = json.loads(self._record.read_bytes())
            return known["files"] == self._files() and any(self._beginnings.iterdir())
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _note_built(self, seconds: float) -> None:
        record = {
            "files": self._files(),
            "command": self._shown,
            "seconds": round(seconds, 2),
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        write_atomic(self._record, json.dumps(record, indent=1))


def _has_predicted(output: str) -> bool:
    """Return whether the command got as far as predicting."""
    return "_mlflow_pyfunc_backend_predict" in output


def _only_from(*folders: Path) -> dict[str, str]:
    """Return variables that make pip install from these directories, if possible with no index."""
    found = {"PIP_FIND_LINKS": " ".join(map(str, folders))}
    # Without an index, a source distribution finds nothing to build it with.
    wheels = all(path.suffix == ".whl" for folder in folders for path in folder.glob("*"))
    return {**found, "PIP_NO_INDEX": "1"} if wheels else found


def _pip_variables(python: Path) -> dict[str, str]:
    """Return the user's sources of distributions as variables that every pip reads."""
    found = {key: value for key, value in pip_environ(python).items() if key.startswith("PIP_")}
    # MLflow gives its pip a separate cache.
    return {key: value for key, value in found.items() if key != "PIP_CONFIG_FILE"}
