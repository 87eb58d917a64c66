"""Locking that is interrupted, or killed: the old lock stays, and nothing else."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from pytest_vcp.locking.make import write_lock
from tests.environment.conftest import Shelf
from tests.environment.test_environment_interruptions import gone, wait_for
from tests.runs import command, environment

from .conftest import Package

OLD = "lower==1.5\n"


@pytest.fixture
def temporary(package: Package, tmp_path: Path) -> Path:
    """The temporary directory of the run, empty at first."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    package.environ["TMPDIR"] = str(folder)
    return folder


def start(package: Package, shelf: Shelf) -> subprocess.Popen[str]:
    """Lock, as far as to a build that does not end."""
    shelf.sdist("slow", "1.0")
    shelf.hold.touch()
    package.declare("slow", pinned=OLD)
    started = subprocess.Popen(
        command(["--vcp-lock"]),
        cwd=package.folder,
        env=environment(package.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(shelf.builders)
    return started


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(
    package: Package, shelf: Shelf, temporary: Path, number: signal.Signals
) -> None:
    run = start(package, shelf)
    run.send_signal(number)
    output = run.communicate(timeout=20)[0]
    assert run.returncode == 2, output
    assert "interrupted; requirements.txt is as it was" in output
    assert "Traceback" not in output
    wait_for(lambda: all(gone(pid) for pid in shelf.builders()), seconds=5)
    assert package.pinned.read_text() == OLD
    assert sorted(path.name for path in package.folder.iterdir()) == [
        "requirements.in",
        "requirements.txt",
    ]
    assert list(temporary.iterdir()) == []


def test_killed(package: Package, shelf: Shelf, temporary: Path) -> None:
    run = start(package, shelf)
    run.kill()
    run.communicate(timeout=20)
    wait_for(lambda: all(gone(pid) for pid in shelf.builders()), seconds=5)
    assert package.pinned.read_text() == OLD
    assert len(list(package.folder.iterdir())) == 2


def test_interrupted_at_the_last_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "requirements.txt"
    path.write_text(OLD)
    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_lock(path, "lower==2.6\n")
    assert path.read_text() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_two_at_once(package: Package, shelf: Shelf) -> None:
    first = start(package, shelf)
    second = subprocess.Popen(
        command(["--vcp-lock"]),
        cwd=package.folder,
        env=environment(package.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for(lambda: len(shelf.builders()) > 1)
    shelf.hold.unlink()
    outputs = [run.communicate(timeout=60)[0] for run in (first, second)]
    assert [run.returncode for run in (first, second)] == [0, 0], outputs
    assert package.pins == ["slow==1.0"]
    assert len(list(package.folder.iterdir())) == 2
