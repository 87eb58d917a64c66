"""The folder of one hash in the cache: its lock, its marker, and the builds in it."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_vcp.environment.watched import Progress
from pytest_vcp.util import locks
from pytest_vcp.util.files import modification_time, remove, write_atomic

# Files in a build besides the environment: pip's report and its output.
REPORT = "pip-report.json"
LOG = "pip.log"
_IN_USE = "in-use"
_POLL_SECONDS = 0.01
# The beginning of the names of folders that are being removed.
REMOVED = ".removed-"


@dataclass(frozen=True)
class Build:
    """A complete environment: its folder, its interpreter, its pip, and its build time in seconds.

    `bytes` is its size on disk when it is new; `absent` are the files that its distributions list
    and that were missing even then.
    """

    directory: Path
    python: Path
    pip_version: str | None
    seconds: float
    bytes: int = 0
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Slot:
    """The folder of one hash.

    Methods that change it, or check whether it is in use in order to change it, have to be called
    while it is locked; reading needs no lock.
    """

    folder: Path
    facts: Mapping[str, object]

    @contextmanager
    def hold_lock(self, progress: Progress) -> Iterator[None]:
        """Lock this slot against every other run, and leave no empty folder behind."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        waiting = "waiting for another run that builds this environment"
        with locks.hold(self.lock, lambda: progress(waiting)):
            # Not before: a run that holds the lock may remove the folder.
            self.folder.mkdir(exist_ok=True)
            try:
                yield
            finally:
                with suppress(OSError):
                    self.folder.rmdir()

    def try_lock(self) -> locks.Lock | None:
        """Lock it at once; None while another run has it locked."""
        self.lock.parent.mkdir(exist_ok=True)
        return locks.attempt(self.lock)

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.folder.parent.with_name("locks") / f"{self.folder.name}.lock"

    @contextmanager
    def mark_in_use(self) -> Iterator[None]:
        """Keep others from removing the environment; has to be entered while it is locked."""
        # A run that only checks whether it is in use holds the lock for a moment.
        while (lock := locks.attempt(self.folder / _IN_USE, shared=True)) is None:
            time.sleep(_POLL_SECONDS)
        try:
            yield
        finally:
            lock.release()

    @property
    def in_use(self) -> bool:
        """Whether a run works in the environment."""
        if not (self.folder / _IN_USE).exists():
            return False
        free = locks.attempt(self.folder / _IN_USE)
        if free is not None:
            free.release()
        return free is None

    def find_build(self) -> Build | None:
        """Return the complete build; None if there is none, or its interpreter is missing."""
        marker = self._read()
        try:
            directory = self.folder / marker["directory"]
            build = Build(
                directory=directory,
                python=directory / marker["python"],
                pip_version=marker["pip"],
                seconds=float(marker["seconds"]),
                bytes=int(marker.get("bytes", 0)),
                absent=frozenset(marker.get("absent", ())),
            )
        except (ValueError, KeyError, TypeError):
            return None
        return build if build.python.exists() else None

    def read_part(self, key: str) -> dict[str, Any]:
        """Return a part of the marker that was written when it was ready; empty without one."""
        part = self._read().get(key)
        return part if isinstance(part, dict) else {}

    def _read(self) -> dict[str, Any]:
        """Read the marker; empty if it is missing or can't be read."""
        try:
            marker = json.loads(self._marker.read_bytes())
        except (OSError, ValueError):
            return {}
        return marker if isinstance(marker, dict) else {}

    def make_folder(self) -> Path:
        """Return a path for a new build, after invalidating and removing whatever is here.

        A build in which another run still works stays, for a later run to remove.
        """
        self._marker.unlink(missing_ok=True)
        if not self.in_use:
            for entry in self.folder.iterdir():
                remove(entry)
        return self.folder / secrets.token_hex(3)

    def finish(self, build: Build, purpose: Mapping[str, object]) -> None:
        """Mark a build as complete. Names in the marker are relative, so a copy stays valid.

        `purpose` is stored for users who inspect the cache.
        """
        marker = {
            "directory": build.directory.name,
            "python": build.python.relative_to(build.directory).as_posix(),
            "pip": build.pip_version,
            "seconds": build.seconds,
            "bytes": build.bytes,
            "absent": sorted(build.absent),
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "from": self.facts,
            "for": purpose,
        }
        self.note_use()
        write_atomic(self._marker, json.dumps(marker, indent=1), sync=True)

    def note_use(self) -> None:
        """Record that the environment is used now; a failure to do so is ignored."""
        with suppress(OSError):
            self.last_used.touch()

    def take_away(self) -> Path | None:
        """Make all of it unusable in one step; return what is left to remove, without a lock.

        Must not be called while it is in use. None if another run was quicker.
        """
        aside = self.folder.with_name(f"{REMOVED}{secrets.token_hex(4)}")
        try:
            return self.folder.rename(aside)
        except FileNotFoundError:
            return None

    def list_replaced(self) -> list[Path]:
        """List builds other than the ready one: they were in use when a later one was built."""
        build = self.find_build()
        if build is None:
            return []
        entries = (self.folder / name for name in os.listdir(self.folder))
        return [entry for entry in entries if entry.is_dir() and entry != build.directory]

    @property
    def built(self) -> float:
        """The time at which the environment became ready, in seconds since the epoch."""
        return modification_time(self._marker)

    @property
    def used(self) -> float:
        """The time at which a run last requested the environment, in seconds since the epoch."""
        return modification_time(self.last_used) or self.built

    @property
    def last_used(self) -> Path:
        """The file whose modification time is when a run last requested the environment."""
        return self.folder / "last-used"

    @property
    def _marker(self) -> Path:
        return self.folder / "ready.json"
