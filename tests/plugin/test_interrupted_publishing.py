"""Interrupted or killed at every line of staging and publishing: the destination stays whole."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pytest_vcp.artifact import publishing, staging
from pytest_vcp.artifact.staging import Staging
from tests.plugin.staged import content_of, write_artifact

WATCHED = {publishing.__file__, staging.__file__}
KILLED = 9


class Interrupter:
    """Does something at the n-th line of the watched modules that runs under it."""

    def __init__(self, line: int, act: Callable[[], None]) -> None:
        self._countdown = line
        self._act = act

    def __enter__(self) -> Interrupter:
        self._before = sys.gettrace()
        sys.settrace(self._enter_frame)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    @property
    def has_acted(self) -> bool:
        return self._countdown < 0

    def _enter_frame(self, frame: FrameType, event: str, argument: Any) -> Any:
        return self._line if frame.f_code.co_filename in WATCHED else None

    def _line(self, frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            self._countdown -= 1
            if self._countdown == -1:
                self._act()
        return self._line


def interrupt() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    os._exit(KILLED)


@pytest.fixture(params=["exchange", "two steps"], autouse=True)
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "two steps":
        monkeypatch.setattr(publishing, "_rename", lambda *_: False)


@pytest.fixture(params=["old one there", "nothing there"])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "mlflow_model_artifact"
    return write_artifact(path, "old") if request.param == "old one there" else path


def whole_run(place: Staging) -> None:
    """What a run does, its packaging aside."""
    try:
        place.create()
        write_artifact(place.artifact, "new")
        place.publish()
    finally:
        place.discard()


def lines(limit: int = 500) -> Iterator[int]:
    """Line numbers to interrupt at; the caller stops when nothing is left to interrupt."""
    yield from range(limit)
    pytest.fail(f"more than {limit} lines ran, or the interruption never stopped")


def reset(destination: Path, before: str | None) -> None:
    shutil.rmtree(destination, ignore_errors=True)
    if before is not None:
        write_artifact(destination, before)


def check(destination: Path, before: str | None) -> None:
    """Old or new, whole; nothing where nothing was is as good."""
    if before is not None or destination.exists():
        assert content_of(destination) in (before, "new")


def test_interrupted_anywhere(destination: Path) -> None:
    before = "old" if destination.exists() else None
    seen = set()
    for line in lines():
        place = Staging(destination)
        interrupter = Interrupter(line, interrupt)
        with contextlib.suppress(KeyboardInterrupt), interrupter:
            whole_run(place)
        # What the plugin's clean-up does, also when the first one was cut short.
        place.discard()
        check(destination, before)
        assert os.listdir(destination.parent) in ([destination.name], [])
        seen.add(content_of(destination) if destination.exists() else None)
        if not interrupter.has_acted:
            break
        reset(destination, before)
    assert line > 20
    assert seen == {before, "new"}


def run_and_be_killed(destination: Path, line: int) -> int:
    """A process that runs until the n-th line and no further; returns its exit status."""
    process = os.fork()
    if process == 0:
        with Interrupter(line, kill):
            whole_run(Staging(destination))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_killed_anywhere(destination: Path) -> None:
    before = "old" if destination.exists() else None
    left_behind = 0
    for line in lines():
        status = run_and_be_killed(destination, line)
        left = {path.name for path in destination.parent.iterdir()} - {destination.name}
        left_behind += bool(left)
        following = Staging(destination)
        following.create()
        check(destination, before)
        following.discard()
        # Until it is locked, a staging is empty, and nobody can tell whether it is in use.
        for path in destination.parent.glob(".*.new-*"):
            assert {entry.name for entry in path.iterdir()} <= {"owner.lock"}
            shutil.rmtree(path)
        assert os.listdir(destination.parent) in ([destination.name], [])
        if status == 0:
            break
        assert status == KILLED
        reset(destination, before)
    assert left_behind > 5


def test_the_staging_of_a_living_run_is_left_alone(destination: Path) -> None:
    living = Staging(destination)
    living.create()
    write_artifact(living.artifact, "of the other run")
    following = Staging(destination)
    following.create()
    assert content_of(living.artifact) == "of the other run"
    following.discard()
    assert content_of(living.artifact) == "of the other run"
    living.publish()
    living.discard()
    assert content_of(destination) == "of the other run"


def test_what_looks_like_a_staging_and_has_no_lock_is_left_alone(destination: Path) -> None:
    alike = destination.with_name(f".{destination.name}.vcp-notes")
    alike.mkdir()
    (alike / "thesis.tex").write_text("years of work")
    place = Staging(destination)
    place.create()
    place.discard()
    assert (alike / "thesis.tex").read_text() == "years of work"
