"""The content of the cache, and the removal of environments that were not used for long.

An environment is renamed in one step, and removed afterwards; a run that is killed in between
leaves a folder that no run reads and that is removed after the next build. Environments that
another run looks up, builds or works in are never touched.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pytest_vcp.environment.cache import KEPT_LOG, folder_of_all
from pytest_vcp.environment.cache_entry import REMOVED, Slot
from pytest_vcp.environment.watched import Progress
from pytest_vcp.settings.policy import CacheLimits
from pytest_vcp.util.files import modification_time, remove

_SECONDS_A_DAY = 86400.0
# Names that the plugin gives. Any other file in the cache directory belongs to the user.
_SLOT = re.compile(r"[0-9a-f]{20}")
_LEAVING = re.compile(rf"{re.escape(REMOVED)}[0-9a-f]{{8}}")
_LOCAL = re.compile(r"[0-9a-f]{20}\.(?:modules\.)?json(?:\.\d+)?")


@dataclass(frozen=True)
class Entry:
    """One environment that is ready.

    `python` is a name such as "CPython 3.11.7". `built` and `used` are seconds since the epoch,
    `bytes` is its size on disk when it was built. `lock` is the file it was first built from, and
    `requirements` are the first pins in it.
    """

    slot: Slot
    python: str
    manager: str
    built: float
    used: float
    bytes: int
    lock: str
    requirements: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.slot.folder.name

    @property
    def in_use(self) -> bool:
        """Whether a run works in the environment."""
        return self.slot.in_use


@dataclass(frozen=True)
class Removed:
    """The number of removed environments, and their size when they were built."""

    environments: int = 0
    bytes: int = 0


def entries(cache_dir: Path) -> list[Entry]:
    """List the ready environments, the one used last first. Costs a few reads for each."""
    found = (_entry(slot) for slot in _slots(cache_dir))
    return sorted((entry for entry in found if entry), key=lambda entry: -entry.used)


def prune(
    cache_dir: Path,
    limits: CacheLimits,
    progress: Progress = lambda text: None,
    keep: Path | None = None,
) -> Removed:
    """Remove leftovers, and the least recently used environments until the limits are met.

    `progress` is called as in `prepare`. `keep` is the folder of a slot that stays. Raises OSError
    if the cache can't be changed.
    """
    _sweep(cache_dir, keep)
    there = entries(cache_dir)
    horizon = time.time() - limits.days * _SECONDS_A_DAY
    for path in _list_ours(cache_dir / "local", _LOCAL):
        if modification_time(path) < horizon:
            remove(path)
    number, size = len(there), sum(entry.bytes for entry in there)
    removed = Removed()
    for entry in reversed(there):
        left, taken = number - removed.environments, size - removed.bytes
        fits = left <= limits.environments and taken <= limits.bytes and entry.used >= horizon
        if fits or entry.slot.folder == keep:
            continue
        progress("removing an environment that was not used for long")
        if _remove(entry.slot, partial(_unused_since, entry.used)):
            removed = Removed(removed.environments + 1, removed.bytes + entry.bytes)
    return removed


def clear(cache_dir: Path) -> Removed:
    """Remove everything that no run is using. Raises OSError as `prune` does."""
    removed = prune(cache_dir, CacheLimits(environments=0, bytes=0, days=0))
    for path in (
        *_list_ours(cache_dir / "logs", KEPT_LOG),
        *_list_ours(cache_dir / "local", _LOCAL),
    ):
        remove(path)
    return removed


def leftovers(cache_dir: Path) -> int:
    """Count the folders that hold no environment and that no run is building in."""
    leaving = _list_ours(folder_of_all(cache_dir), _LEAVING)
    torn = [
        slot for slot in _slots(cache_dir) if slot.find_build() is None and not _is_locked(slot)
    ]
    return len(leaving) + len(torn)


# ------------------------------------------------------------------------------ removing entries


def _sweep(cache_dir: Path, keep: Path | None) -> None:
    """Remove the leftovers of killed runs."""
    folder = folder_of_all(cache_dir)
    for path in _list_ours(folder, _LEAVING):
        remove(path)
    for slot in _slots(cache_dir):
        if slot.folder != keep:
            _sweep_slot(slot)


def _sweep_slot(slot: Slot) -> None:
    if slot.find_build() is None:
        _remove(slot, lambda slot: slot.find_build() is None)
        return
    with suppress(FileNotFoundError):  # another pruning run was quicker
        if slot.list_replaced() and (lock := slot.try_lock()) is not None:
            try:
                for folder in () if slot.in_use else slot.list_replaced():
                    remove(folder)
            finally:
                lock.release()


def _remove(slot: Slot, still_unwanted: Callable[[Slot], bool]) -> bool:
    """Remove a slot that no run looks up or works in, if it is still unwanted once locked."""
    lock = slot.try_lock()
    if lock is None:
        return False
    try:
        if slot.in_use or not still_unwanted(slot):
            return False
        aside = slot.take_away()
    finally:
        lock.release()
    if aside is not None:
        remove(aside)  # It takes seconds, without making other runs wait for the lock.
    return aside is not None


def _unused_since(time_of_use: float, slot: Slot) -> bool:
    return slot.used == time_of_use


def _is_locked(slot: Slot) -> bool:
    if not slot.lock.exists():
        return False
    lock = slot.try_lock()
    if lock is not None:
        lock.release()
    return lock is None


# ------------------------------------------------------------------------------- listing entries


def _list_ours(folder: Path, ours: re.Pattern[str]) -> list[Path]:
    """List the entries of a folder that have a name given by the plugin."""
    try:
        return sorted(path for path in folder.iterdir() if ours.fullmatch(path.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _slots(cache_dir: Path) -> Iterator[Slot]:
    for path in _list_ours(folder_of_all(cache_dir), _SLOT):
        if path.is_dir():
            yield Slot(path, {})


def _entry(slot: Slot) -> Entry | None:
    """Describe a slot by its marker; None if nothing is ready."""
    build = slot.find_build()
    if build is None:
        return None
    facts, purpose = slot.read_part("from"), slot.read_part("for")
    version, requirements = facts.get("version"), purpose.get("requirements")
    numbers = ".".join(map(str, version)) if isinstance(version, list) else "?"
    return Entry(
        slot=slot,
        python=f"{facts.get('implementation', 'Python')} {numbers}",
        manager=str(facts.get("manager", "virtualenv")),
        built=slot.built,
        used=slot.used,
        bytes=build.bytes,
        lock=str(purpose.get("lock", "")),
        requirements=tuple(map(str, requirements)) if isinstance(requirements, list) else (),
    )
