"""Runs pytest in processes that are forked from one that has imported it, and the plugin."""

from __future__ import annotations

import functools
import os
import pkgutil
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import _pytest

import pytest_vcp
from pytest_vcp.worker.template import Forked, Program, differing

from .pool import Pool
from .workers import RUN_CACHE, RUN_POOL

_MAIN = Path(__file__).with_name("pytest_main.py")
_ON_PATH = Path(__file__).with_name("on_path")
# Read when an interpreter or the C library starts.
_READ_AT_START = ("PYTHON", "LD_", "LANG", "LC_", "TZ", "MALLOC_")
# Not part of the process that is pytest: code of the worker, and tests that pytest rewrites.
_ELSEWHERE = (
    "pytest_vcp.worker.server_main",
    "pytest_vcp.worker.server.",
    "pytest_vcp.conformance",
)
# What plugins import; they themselves are left to pytest, which looks at them before.
_OF_PLUGINS = ("execnet", "pdb", "pynvml", "unittest", "xml.etree.ElementTree")
_CHUNK = 1 << 16


def with_warm_workers(
    pool: Pool, cache: Path, command: Sequence[str], environ: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """A command line of pytest, and its variables, with which it starts no worker by itself."""
    python, *rest = command
    places = [str(_ON_PATH), *filter(None, [environ.get("PYTHONPATH")])]
    own = {
        "PYTHONPATH": os.pathsep.join(places),
        RUN_POOL: str(pool.directory),
        RUN_CACHE: str(cache),
    }
    return [python, *rest, "-p", "vcp_test_warm"], {**environ, **own}


def can_be_warm(pool: Pool, arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether nothing that it is given is read at the start of an interpreter.

    pytest-xdist starts interpreters of its own.
    """
    others = differing(pool.environ, environ)
    return "-n" not in arguments and not any(name.startswith(_READ_AT_START) for name in others)


def run_pytest(
    pool: Pool,
    cache: Path,
    arguments: Sequence[str],
    cwd: Path,
    environ: Mapping[str, str],
    timeout: float,
) -> tuple[int, bytes]:
    """Run it to its end: the exit status, and all that was printed.

    `cache` is where the environments lie whose workers may be warm. Raises TimeoutExpired after
    `timeout` seconds, as subprocess does.
    """
    server = Served("pytest", Path(sys.executable), _modules())
    given = (str(pool.directory), str(cache), *arguments)
    return run_script(pool, server, _MAIN, given, cwd, environ, timeout)


@dataclass(frozen=True)
class Served:
    """What a server is told: its role, its interpreter, and what it imports."""

    role: str
    python: Path
    modules: Sequence[str]


def run_script(
    pool: Pool,
    server: Served,
    script: Path,
    arguments: Sequence[str],
    cwd: Path,
    environ: Mapping[str, str],
    timeout: float,
) -> tuple[int, bytes]:
    """Run a script in a process that is forked from a server; see `run_pytest`."""
    output, theirs = os.pipe()
    with Path("/dev/null").open("rb") as empty, open(output, "rb", buffering=0) as stream:
        try:
            program = Program(
                script=script,
                arguments=arguments,
                environ=environ,
                cwd=cwd,
                new_session=False,
                descriptors=(empty.fileno(), theirs, theirs),
            )
            command = [str(server.python)]
            process = pool.fork(server.role, command, server.modules, pool.environ, program)
        finally:
            os.close(theirs)
        return _finish(process, stream.fileno(), timeout)


def _finish(process: Forked, output: int, timeout: float) -> tuple[int, bytes]:
    deadline = time.monotonic() + timeout
    printed = bytearray()
    poll = select.poll()
    poll.register(output, select.POLLIN)
    try:
        while poll.poll(max(0, deadline - time.monotonic()) * 1000):
            data = os.read(output, _CHUNK)
            if not data:
                return process.wait(max(0, deadline - time.monotonic())), bytes(printed)
            printed += data
        raise subprocess.TimeoutExpired("pytest", timeout, bytes(printed))
    except BaseException:
        if not process.has_ended():
            os.kill(process.pid, signal.SIGKILL)
            process.wait(timeout)
        raise


@functools.cache
def _modules() -> list[str]:
    """What a run imports: pytest with its plugins, and of ours what runs in this process."""
    found = [
        *pkgutil.walk_packages(_pytest.__path__, "_pytest."),
        *pkgutil.walk_packages(pytest_vcp.__path__, "pytest_vcp."),
    ]
    own = [module.name for module in found if not module.name.startswith(_ELSEWHERE)]
    ours = ("_vcp_warm.pool", "_vcp_warm.workers", "_vcp_warm.prepared")
    return ["pytest", *_OF_PLUGINS, *own, *ours]
