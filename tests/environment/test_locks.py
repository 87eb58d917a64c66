"""Locks between processes: never two holders, and none that outlives its process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vcp.util import locks

ROOT = Path(__file__).parents[2]
# Counts in a way that loses counts where two do it at once.
COUNT = """
import sys
from pathlib import Path
from pytest_vcp.util import locks

lock, number = map(Path, sys.argv[1:])
for _ in range(150):
    with locks.hold(lock):
        count = int(number.read_text())
        number.write_text(str(count + 1))
"""
HOLD = """
import sys, time
from pathlib import Path
from pytest_vcp.util import locks

with locks.hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_it_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path / "a.lock"), str(number)]
    counters = [subprocess.Popen(command, cwd=ROOT) for _ in range(4)]
    assert [counter.wait(60) for counter in counters] == [0] * 4
    assert number.read_text() == "600"


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    lock = tmp_path / "a.lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert locks.attempt(lock) is None
        told: list[str] = []
        with pytest.raises(TimeoutError), locks.hold(lock, patience=0.1):
            told.append("held")
        assert told == []
        holder.send_signal(signal.SIGKILL)
    with locks.hold(lock):
        told.append("held")
    assert told == ["held"]


def test_it_can_be_shared(tmp_path: Path) -> None:
    shared = [locks.attempt(tmp_path / "use", shared=True) for _ in range(2)]
    assert all(shared)
    assert locks.attempt(tmp_path / "use") is None
    for lock in shared:
        assert lock is not None
        lock.release()
    alone = locks.attempt(tmp_path / "use")
    assert alone is not None
    assert locks.attempt(tmp_path / "use", shared=True) is None
    alone.release()


def test_destinations_have_few_locks(tmp_path: Path) -> None:
    found = {locks.lock_of(tmp_path, Path(f"/models/{number}")) for number in range(2000)}
    assert len(found) == 256
    assert locks.lock_of(tmp_path, Path("/models/7")) in found
