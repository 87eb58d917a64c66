"""A worker on this interpreter, and models that misbehave as small modules of source text."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.util import processes
from pytest_vcp.worker.client import Conditions, Worker

MakeWorker = Callable[..., Worker]
WriteModel = Callable[..., Path]

# Starts Python with unshare(2) forbidden, as the default profile of container engines does it.
WITHOUT_NAMESPACES = """#!{python}
import ctypes, os, platform, struct, sys
number = {{"x86_64": 272, "aarch64": 97}}[platform.machine()]
code = struct.pack(
    "HBBIHBBIHBBIHBBI",
    0x20, 0, 0, 0,  # load the number of the system call
    0x15, 0, 1, number,  # unshare:
    0x06, 0, 0, 0x00050000 | 1,  # EPERM
    0x06, 0, 0, 0x7FFF0000,  # anything else: allowed
)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_char_p)]
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(Program(4, code)), 0, 0) == 0
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The directory that is on the worker's path."""
    directory = tmp_path / "source"
    directory.mkdir()
    return directory


@pytest.fixture
def write_model(source: Path) -> WriteModel:
    """Write a module that the worker can import."""

    def write(text: str, name: str = "model.py") -> Path:
        path = source / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def conditions(tmp_path: Path, source: Path) -> Conditions:
    """A scratch, the source on the path, and nothing refused."""
    return Conditions(
        cwd=tmp_path / "cwd", home=tmp_path / "home", tmp=tmp_path / "tmp", path=(source,)
    )


@pytest.fixture
def make_worker(tmp_path: Path, source: Path, conditions: Conditions) -> Iterator[MakeWorker]:
    """Start a worker; at the end, nothing of any may be left."""
    made: list[Worker] = []

    def make(*, timeout: float = 20, python: Path = Path(sys.executable), **changed: Any) -> Worker:
        worker = Worker(
            python=python,
            name="loader",
            conditions=replace(conditions, **changed),
            timeout=timeout,
            log_file=tmp_path / "logs" / "loader.log",
            source_roots=(source,),
        )
        made.append(worker)
        worker.start()
        return worker

    yield make
    for worker in made:
        worker.close()
        assert worker.pid is not None
        left = processes.leftovers(worker.marker, worker.pid)
        assert not left, f"processes were left running: {[str(process) for process in left]}"


@pytest.fixture
def worker(make_worker: MakeWorker) -> Worker:
    """A worker under the plain conditions."""
    return make_worker()


@pytest.fixture(params=["namespace", "audit hook"])
def strict_worker(
    request: pytest.FixtureRequest, make_worker: MakeWorker, tmp_path: Path
) -> MakeWorker:
    """Make workers that are held by namespaces, or by the audit hook alone."""
    wrapper = tmp_path / "python"
    if sys.platform == "linux":
        wrapper.write_text(WITHOUT_NAMESPACES.format(python=sys.executable))
        wrapper.chmod(0o755)

    if request.param == "namespace":
        probe = make_worker(network="off").hello()
        if "namespace" not in probe["conditions"]["network"]:
            pytest.skip("the kernel gives this process no namespaces")

    def make(**changed: Any) -> Worker:
        wrapped = request.param == "audit hook" and sys.platform == "linux"
        worker = make_worker(python=wrapper if wrapped else Path(sys.executable), **changed)
        in_force = worker.hello()["conditions"].values()
        by_namespace = any("namespace" in str(value) for value in in_force)
        assert by_namespace == (request.param == "namespace"), in_force
        return worker

    return make
