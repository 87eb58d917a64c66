"""Two runs at once, runs that are interrupted, runs that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vcp.environment.build import prepare
from pytest_vcp.settings.policy import CacheLimits
from tests.locking.conftest import path_without_uv

from .conftest import Builder, Shelf

ROOT = Path(__file__).parents[2]
PREPARE = """
import sys
from pathlib import Path
from pytest_vcp.environment import interpreters
from pytest_vcp.environment.build import EnvironmentRequest, prepare

lock, cache = map(Path, sys.argv[1:])
here = interpreters.find(None)
request = EnvironmentRequest("virtualenv", here, lock, lock.read_bytes(), cache)
built = prepare(request, lambda text: print(text, flush=True))
print("reused" if built.reused else "built", built.directory, flush=True)
"""


def start(build: Builder) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE, build.package / "requirements.txt", build.cache],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def gone(pid: int) -> bool:
    """Has the process ended? A zombie that nobody has waited for yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path("/proc/self").exists()


def test_two_runs_at_once_build_once(
    build: Builder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where uv is to install, pip resolves before; it may begin to build until it is stopped.
    monkeypatch.setenv("PATH", path_without_uv())
    shelf.sdist("slow", "1.0")
    shelf.hold.touch()
    build.request("slow==1.0\n")
    first = start(build)
    wait_for(shelf.builders)
    second = start(build)
    assert second.stdout is not None
    assert "waiting for another run" in second.stdout.readline()
    shelf.hold.unlink()
    outputs = [first.communicate(timeout=30)[0], second.communicate(timeout=30)[0]]
    ends = [output.splitlines()[-1].split() for output in outputs]
    assert [end[0] for end in ends] == ["built", "reused"]
    assert ends[0][1] == ends[1][1]
    assert len(shelf.builders()) == 1


def test_killed_in_the_middle_is_rebuilt(build: Builder, shelf: Shelf) -> None:
    shelf.sdist("slow", "1.0")
    shelf.hold.touch()
    build.request("slow==1.0\n")
    killed = start(build)
    wait_for(shelf.builders)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=10)
    (left,) = build.folders()
    assert list(left.glob("tmp-*")), "what pip unpacks lies where the next build removes it"
    shelf.hold.unlink()
    built = build("slow==1.0\n")
    assert (built.reused, built.failure) == (False, None)
    assert "slow" in {entry.name for entry in built.installed}
    # The orphaned pip may still write into what it was building, and nobody reads that.
    assert built.directory != left
    wait_for(lambda: all(gone(pid) for pid in shelf.builders()))
    assert build("slow==1.0\n").reused
    assert build.folders() == [built.directory]
    assert list(build.cache.rglob("tmp-*")) == []


def test_killed_before_it_is_pruned_is_swept_up(build: Builder, shelf: Shelf) -> None:
    shelf.sdist("slow", "1.0")
    shelf.wheel("lower", "1.5")
    shelf.hold.touch()
    build.request("slow==1.0\n")
    killed = start(build)
    wait_for(shelf.builders)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=10)
    wait_for(lambda: all(gone(pid) for pid in shelf.builders()))
    limits = CacheLimits(environments=9, bytes=10**12, days=60)
    built = prepare(replace(build.request("lower==1.5\n"), limits=limits), build.told.append)
    assert list((build.cache / "environments").iterdir()) == [built.directory.parent]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, TimeoutError])
def test_interrupted_leaves_nothing(
    build: Builder, shelf: Shelf, kind: type[BaseException]
) -> None:
    shelf.sdist("slow", "1.0")
    shelf.hold.touch()

    def progress(text: str) -> None:
        if shelf.builders():
            raise kind

    with pytest.raises(kind):
        build("slow==1.0\n", progress=progress)
    assert build.folders() == []
    wait_for(lambda: all(gone(pid) for pid in shelf.builders()), seconds=5)
    shelf.hold.unlink()
    assert build("slow==1.0\n").failure is None


def test_control_c_leaves_nothing(build: Builder, shelf: Shelf) -> None:
    shelf.sdist("slow", "1.0")
    shelf.hold.touch()
    build.request("slow==1.0\n")
    interrupted = start(build)
    wait_for(shelf.builders)
    interrupted.send_signal(signal.SIGINT)
    output = interrupted.communicate(timeout=10)[0]
    assert "KeyboardInterrupt" in output
    assert build.folders() == []
    wait_for(lambda: all(gone(pid) for pid in shelf.builders()), seconds=5)
