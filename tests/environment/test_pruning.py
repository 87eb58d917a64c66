"""What leaves the cache, what stays, and what a run that is killed at any line leaves behind."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pytest_vcp.environment import cache_entry, pruning
from pytest_vcp.environment.cache import folder_of_all
from pytest_vcp.environment.pruning import Removed, clear, entries, leftovers, prune
from pytest_vcp.settings.policy import CacheLimits
from pytest_vcp.util import files, locks

from .stocked import digits, names, place, put

ROOMY = CacheLimits(environments=10, bytes=10_000, days=60)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("limits", "stay"),
    [
        (ROOMY, {"new", "old", "older"}),
        (CacheLimits(environments=2, bytes=10_000, days=60), {"new", "old"}),
        (CacheLimits(environments=10, bytes=250, days=60), {"new", "old"}),
        (CacheLimits(environments=10, bytes=150, days=60), {"new"}),
        (CacheLimits(environments=10, bytes=10_000, days=5), {"new"}),
        (CacheLimits(environments=0, bytes=0, days=0), set()),
    ],
)
def test_the_least_lately_used_goes_first(cache: Path, limits: CacheLimits, stay: set[str]) -> None:
    for name, days in {"old": 7, "older": 9, "new": 1}.items():
        put(cache, name, days=days)
    removed = prune(cache, limits)
    assert names(cache) == stay
    assert removed == Removed(3 - len(stay), 100 * (3 - len(stay)))


def test_the_one_that_was_just_built_stays(cache: Path) -> None:
    put(cache, "small")
    big = put(cache, "big", size=1_000_000, days=100)
    prune(cache, CacheLimits(environments=1, bytes=10, days=60), keep=big.folder)
    assert names(cache) == {"big"}


def test_what_is_in_use_or_locked_stays(cache: Path) -> None:
    used, looked_up = put(cache, "used", days=90), put(cache, "looked-up", days=90)
    with used.mark_in_use(), looked_up.hold_lock(lambda text: None):
        assert clear(cache) == Removed()
        assert {"used", "looked-up"} <= names(cache)
    assert clear(cache).environments == 2
    assert names(cache) == set()


def test_one_that_is_used_again_meanwhile_stays(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = put(cache, "old", days=90)
    attempt = locks.attempt

    def used_first(path: Path, *, shared: bool = False) -> locks.Lock | None:
        slot.note_use()
        return attempt(path, shared=shared)

    monkeypatch.setattr(locks, "attempt", used_first)
    assert prune(cache, ROOMY) == Removed()
    assert names(cache) == {"old"}


def test_leftovers_go(cache: Path) -> None:
    sound = put(cache, "sound")
    (sound.folder / "replaced").mkdir()
    torn = put(cache, "torn")
    (torn.folder / "ready.json").write_text('{"directory": "')
    (folder_of_all(cache) / ".removed-12345678" / "lib").mkdir(parents=True)
    assert leftovers(cache) == 2
    assert prune(cache, ROOMY) == Removed()
    assert names(cache) == {"sound"}
    assert not (sound.folder / "replaced").exists()
    assert leftovers(cache) == 0


def test_what_is_being_built_is_no_leftover(cache: Path) -> None:
    slot = place(cache, "new")
    with slot.hold_lock(lambda text: None):
        slot.make_folder().mkdir()
        assert leftovers(cache) == 0
        prune(cache, ROOMY)
        assert slot.folder.exists()


def test_what_is_replaced_while_it_is_used_stays_until_it_is_not(cache: Path) -> None:
    slot = put(cache, "damaged")
    with slot.mark_in_use():
        fresh = slot.make_folder()
        assert (slot.folder / "build" / "bin" / "python").exists()
        assert slot.find_build() is None
        fresh.mkdir()
    slot.make_folder()
    assert list(slot.folder.iterdir()) == []


def test_clearing_leaves_nothing(cache: Path) -> None:
    put(cache, "one")
    for file in (f"local/{digits('one')}.modules.json", "logs/20260101-120000-abcdef.log"):
        (cache / file).parent.mkdir()
        (cache / file).touch()
    clear(cache)
    left = [path for path in cache.rglob("*") if not path.is_dir()]
    assert {path.suffix for path in left} <= {".lock"}


def test_what_is_not_ours_stays(cache: Path) -> None:
    put(cache, "one")
    theirs = [
        cache / "environments" / "development" / "environment.yml",
        cache / "environments" / "another.lock",
        cache / "logs" / "training.log",
        cache / "local" / "notes.json",
        cache / "publishing" / "paper.lock",
        cache / "thesis.tex",
    ]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert clear(cache).environments == 1
    assert [path for path in theirs if not path.exists()] == []


def test_a_marker_that_somebody_has_edited(cache: Path) -> None:
    slot = put(cache, "one")
    marker = json.loads((slot.folder / "ready.json").read_text())
    marker.update({"from": {"version": None}, "for": ["a"]})
    (slot.folder / "ready.json").write_text(json.dumps(marker))
    (entry,) = entries(cache)
    assert (entry.python, entry.lock, entry.requirements) == ("Python ?", "", ())


@pytest.mark.parametrize("action", [clear, entries, leftovers])
def test_no_cache_is_an_empty_one(cache: Path, action: Any) -> None:
    assert action(cache) in (Removed(), [], 0)
    assert not cache.exists()


def test_two_that_prune_at_once(cache: Path) -> None:
    for number in range(40):
        put(cache, f"env-{number}", days=90)
    children = [_child(cache, None) for _ in range(3)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 3
    assert names(cache) == set()


# ----------------------------------------------------------------------------- killed at every line

WATCHED = {pruning.__file__, cache_entry.__file__, files.__file__, locks.__file__}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_killed_anywhere(cache: Path) -> None:
    cut_short = 0
    for line in itertools.count(1):
        for name in ("one", "two"):
            if not place(cache, name).folder.exists():
                put(cache, name, days=90)
        status = os.waitstatus_to_exitcode(os.waitpid(_child(cache, line), 0)[1])
        # What can be found is whole, and what is not whole can't be found.
        there = names(cache) & {"one", "two"}
        assert {entry.name for entry in entries(cache)} == {digits(name) for name in there}
        cut_short += bool(names(cache) - {"one", "two"})
        clear(cache)
        assert names(cache) == set()
        if status == 0:
            break
        assert status == -signal.SIGKILL
    assert line > 50
    assert cut_short > 5


def _child(cache: Path, line: int | None) -> int:
    """A process that clears the cache, and is killed at the n-th line of what does it."""
    process = os.fork()
    if process == 0:
        lines = itertools.count(1)

        def trace(frame: FrameType, event: str, argument: object) -> Any:
            if frame.f_code.co_filename not in WATCHED:
                return None
            if event == "line" and next(lines) == line:
                os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace if line else None)
        clear(cache)
        os._exit(0)
    return process
