"""The command `pytest --vcp-doctor`: what this machine has of what a run can use.

Each line is about one thing: *ok*, or *missing* with what that costs and how to get it. A machine
without one of the essential things can't judge a package; without others, some rules stay
unverified, or a run takes longer.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_vcp.environment import interpreters, pruning
from pytest_vcp.environment.installer import pip_command, pip_environ
from pytest_vcp.evaluation import nvml
from pytest_vcp.options import DOCTOR_FLAG
from pytest_vcp.report.outcomes import ERROR_EXIT
from pytest_vcp.report.terminal import format_size
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.settings.policy import Policy
from pytest_vcp.settings.reading import Reader
from pytest_vcp.settings.resolved import cache_dir, policy
from pytest_vcp.worker.client import Conditions, Worker, WorkerFailure

# The newest Python that a package can be judged for.
_NEWEST = (3, 13)
# An environment with torch takes some five gigabytes, and pip unpacks it in a temporary directory.
_ENOUGH_BYTES = 10_000_000_000
_NEEDED_BYTES = 2_000_000_000
_INDEX_SECONDS = 60.0
_WORKER_SECONDS = 60.0


@dataclass(frozen=True)
class Finding:
    """One line: what is there, or what its lack costs and how to get it.

    `is_essential` is whether no package can be judged without it.
    """

    what: str
    is_there: bool
    found: str
    costs: str = ""
    remedy: str = ""
    is_essential: bool = False

    def format(self, width: int) -> str:
        """The line; names are padded to `width`."""
        word = "ok" if self.is_there else "missing"
        told = self.found if self.is_there else f"{self.found}: {self.costs}; {self.remedy}"
        return f"{word:<8} {self.what:<{width}}  {told}"


def examine(config: pytest.Config) -> int:
    """Print the findings and return the exit code: 10 if something essential is missing, else 0.

    Raises pytest.UsageError for a wrong --vcp-cache-dir or --vcp-policy.
    """
    read = Reader(config)
    hub, cache = policy(read), cache_dir(read)
    lacking = 0
    for finding in _findings(hub, cache):
        # As each is found: the index may take a while to answer.
        print(finding.format(12), flush=True)
        lacking += finding.is_essential and not finding.is_there
    if lacking:
        print(f"\n{DOCTOR_FLAG}: no package can be judged here before that is mended")
    return ERROR_EXIT if lacking else 0


def _findings(hub: Policy, cache: Path) -> Iterator[Finding]:
    yield from _pythons(hub)
    yield _room("cache", cache, "name another place with --vcp-cache-dir")
    yield _room("TMPDIR", Path(tempfile.gettempdir()), "name another place in the variable TMPDIR")
    yield _index()
    yield _program("git", "lines of a lock such as git+https://… can't be installed")
    yield _program(
        "uv", "the first run on a lock takes longer", "install it, for example with pip install uv"
    )
    yield _program("conda", "--vcp-env-manager conda can't be used, and virtualenv is the default")
    yield _pyenv()
    yield _isolation()
    yield _gpu()
    yield _platform(cache)


def _pythons(hub: Policy) -> Iterator[Finding]:
    running = sys.version_info[:2]
    for minor in range(hub.least_python[1], _NEWEST[1] + 1):
        version = f"3.{minor}"
        try:
            found = interpreters.find(version)
        except interpreters.InterpreterNotFound as problem:
            costs = f"packages can't be judged for Python {version}"
            yield Finding(f"Python {version}", False, "none", costs, problem.remedy)
        else:
            chosen = ", the one that runs pytest" if (3, minor) == running else ""
            yield Finding(f"Python {version}", True, f"{found}, {found.executable}{chosen}")
    if not hub.least_python <= running <= _NEWEST:
        costs = "a run is for the Python that runs pytest, unless --vcp-python names another"
        remedy = "run pytest with one of the above"
        yield Finding("this Python", False, ".".join(map(str, running)), costs, remedy)


def _room(what: str, folder: Path, remedy: str) -> Finding:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    is_too_little = free < _NEEDED_BYTES
    costs = "no environment fits" if is_too_little else "an environment with torch may not fit"
    found, remedy = f"{format_size(free)} free at {folder}", f"make room, or {remedy}"
    return Finding(what, free >= _ENOUGH_BYTES, found, costs, remedy, is_too_little)


def _index() -> Finding:
    """Have a pip of the kind that builds environments download something small."""
    remedy = "check the connection, the proxy and pip's index settings"
    with tempfile.TemporaryDirectory(prefix="vcp-doctor-") as folder:
        try:
            said = _download_by_pip(Path(folder))
        except (subprocess.SubprocessError, OSError, ToolError) as problem:
            said = str(problem)
    found = said or "pip can download"
    costs = "only environments that are in the cache can be used"
    return Finding("index", not said, found, costs, remedy)


def _download_by_pip(folder: Path) -> str:
    """Return why pip can't download; empty if it can."""
    python = folder / "environment" / "bin" / "python"
    virtualenv = [sys.executable, "-m", "virtualenv", "--no-periodic-update", "--quiet"]
    subprocess.run(
        [*virtualenv, python.parents[1]],
        env=interpreters.clean_environ(),
        capture_output=True,
        timeout=_INDEX_SECONDS,
        check=True,
    )
    command = [*pip_command(python), "download", "--no-deps", "--no-cache-dir", "-d", folder]
    done = subprocess.run(
        [*command, "wheel"],
        env=pip_environ(python),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_INDEX_SECONDS,
        check=False,
    )
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
    return (lines or ["pip failed"])[-1].removeprefix("ERROR: ").strip()


def _program(name: str, costs: str, remedy: str = "install it if you need it") -> Finding:
    path = shutil.which(name)
    return Finding(name, path is not None, path or "none on PATH", costs, remedy)


def _pyenv() -> Finding:
    path = shutil.which("pyenv")
    return Finding("pyenv", True, path or "none, and none is needed: a stand-in answers MLflow")


def _isolation() -> Finding:
    """Start a worker with this Python, and see how its conditions are enforced."""
    what, costs = "namespaces", "C code of a model can use the network and files that it must not"
    remedy = "allow unprivileged user namespaces (sysctl user.max_user_namespaces), or run as root"
    with tempfile.TemporaryDirectory(prefix="vcp-doctor-") as folder:
        own = Path(folder)
        conditions = Conditions(
            cwd=own / "cwd", home=own / "home", tmp=own / "tmp", network="off", writable=(own,)
        )
        log = own / "worker.log"
        try:
            with Worker(Path(sys.executable), "doctor", conditions, _WORKER_SECONDS, log) as worker:
                in_force = worker.hello()["conditions"]
        except (ToolError, WorkerFailure) as problem:
            remedy = "report this as a bug of pytest-vcp"
            return Finding(what, False, str(problem), "no model can be run", remedy, True)
    ways = (in_force["network"], in_force["writable"])
    if all("namespace" in way for way in ways):
        return Finding(what, True, "models run without network, and write to their own directories")
    return Finding(what, False, "the kernel refuses them, and an audit hook is used", costs, remedy)


def _gpu() -> Finding:
    found = nvml.gpus()
    if found:
        return Finding("GPU", True, ", ".join(gpu.name for gpu in found))
    costs = "what is about a GPU stays unverified (VCP902 to VCP907)"
    return Finding("GPU", False, "none", costs, "judge the package where there is an NVIDIA driver")


def _platform(cache: Path) -> Finding:
    """Look for environments in the cache that are not those of packages."""
    shipped = str(Path(interpreters.__file__).parent)
    locks = [entry.lock or "" for entry in pruning.entries(cache)]
    if any(lock.startswith((shipped, str(cache / "platforms"))) for lock in locks):
        return Finding("MLflow", True, "the platform's MLflow is installed in the cache")
    costs = "the first full run for each Python takes longer"
    return Finding("MLflow", False, "not in the cache yet", costs, "a run installs it by itself")
