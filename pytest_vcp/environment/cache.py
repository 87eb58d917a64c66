"""Where built environments are kept: `<cache>/environments/<hash>/`.

    environments/<hash>.lock          held while the environment is looked up or built
    environments/<hash>/ready.json    written last; names the folder that is whole
    environments/<hash>/<build>/      one virtual environment, built in its final place
    logs/                             pip's output of the latest failed builds

Each build gets a folder of its own name. A build that was killed can leave a pip behind that goes
on writing; it writes into a folder that nobody reads and that the next build removes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_vcp.environment.interpreters import Interpreter
from pytest_vcp.environment.watched import Progress
from pytest_vcp.rulebook.violations import ToolError

# Raised whenever environments built by an older release must not be used any more.
FORMAT = 1
_LOGS_KEPT = 20
_WAIT_SECONDS = 2.0
_REMEDIES = {
    errno.ENOSPC: "free some space, or choose another directory with --vcp-cache-dir",
    errno.EDQUOT: "free some space, or choose another directory with --vcp-cache-dir",
}
_REMEDY = "choose a directory that you can write to with --vcp-cache-dir"


@dataclass(frozen=True)
class Build:
    """A whole environment: its folder, its interpreter, its pip, and what building it took."""

    directory: Path
    python: Path
    pip_version: str | None
    seconds: float


def normalised(lock: bytes) -> bytes:
    """The lock without what pip ignores: comments, blank lines, the kind of line ends."""
    lines: list[bytes] = []
    for line in lock.splitlines():
        line = re.sub(rb"(^|\s+)#.*$", b"", line).rstrip()
        if line or (lines and lines[-1].endswith(b"\\")):
            lines.append(line)
    return b"\n".join(lines)


def slot(cache_dir: Path, interpreter: Interpreter, lock: bytes, policy: str) -> Slot:
    """The place for the environment of this interpreter and this lock."""
    facts = {
        "format": FORMAT,
        "interpreter": os.path.realpath(interpreter.executable),
        "version": interpreter.version,
        "implementation": interpreter.implementation,
        "platform": interpreter.platform,
        "installer": f"virtualenv {metadata.version('virtualenv')}",  # brings its pip with it
        "policy": policy,
        "lock": hashlib.sha256(normalised(lock)).hexdigest(),
    }
    # Twenty digits: scripts name their interpreter by a path that must not grow too long.
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]
    return Slot(cache_dir / "environments" / digest, facts)


@dataclass(frozen=True)
class Slot:
    """The folder of one hash. All but `locked` is to be called while it is locked."""

    folder: Path
    facts: dict[str, object]

    @contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Keep every other run away from this slot; the system lets go of a dead run's lock."""
        self.folder.mkdir(parents=True, exist_ok=True)
        guard = FileLock(self.folder.with_name(f"{self.folder.name}.lock"))
        while True:
            try:
                guard.acquire(timeout=_WAIT_SECONDS)
                break
            except Timeout:
                progress("waiting for another run that builds this environment")
        try:
            yield
        finally:
            guard.release()

    def ready(self) -> Build | None:
        """The build that is whole; None where there is none, or its interpreter has gone."""
        try:
            marker = json.loads(self._marker.read_bytes())
            directory = self.folder / marker["directory"]
            build = Build(
                directory=directory,
                python=directory / marker["python"],
                pip_version=marker["pip"],
                seconds=float(marker["seconds"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return build if build.python.exists() else None

    def fresh(self) -> Path:
        """A new folder to build in, after whatever is here has been made unusable and removed."""
        self._marker.unlink(missing_ok=True)
        for entry in self.folder.iterdir():
            remove(entry)
        return self.folder / secrets.token_hex(3)

    def finish(
        self, directory: Path, python: Path, pip_version: str | None, *, seconds: float
    ) -> Build:
        """Declare a build whole. Names in the marker are relative, so that a copy stays true."""
        marker = {
            "directory": directory.name,
            "python": python.relative_to(directory).as_posix(),
            "pip": pip_version,
            "seconds": round(seconds, 2),
            "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "from": self.facts,
        }
        self.touch()
        scratch = self._marker.with_suffix(".new")
        with scratch.open("w", encoding="utf-8") as stream:
            json.dump(marker, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(self._marker)
        return Build(directory, python, pip_version, round(seconds, 2))

    def touch(self) -> None:
        """Note that the environment was used now; where that can't be noted, never mind."""
        with suppress(OSError):
            (self.folder / "last-used").touch()

    @property
    def _marker(self) -> Path:
        return self.folder / "ready.json"


@contextmanager
def guarded(cache_dir: Path) -> Iterator[None]:
    """Turn a cache that can't be written, or a full disk, into an error with a remedy."""
    try:
        yield
    except OSError as problem:
        if problem.errno is None:  # not from the system: somebody's TimeoutError, for example
            raise
        reason = problem.strerror or str(problem)
        remedy = _REMEDIES.get(problem.errno, _REMEDY)
        raise ToolError(f"the cache {cache_dir} can't be used: {reason}", remedy) from problem


def remove(path: Path) -> None:
    """Remove a folder or file; what resists stays, unused, for the next run to try again."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def keep_log(cache_dir: Path, log: Path) -> Path:
    """Move the log of a failed build to where the latest few are kept, and return its place."""
    folder = cache_dir / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}.log"
    shutil.move(log, kept)
    for old in sorted(folder.glob("*.log"))[:-_LOGS_KEPT]:
        remove(old)
    return kept


def local_record(cache_dir: Path, prefix: str) -> Path:
    """Where the answer of `pip check` for an environment that is not ours is kept."""
    folder = cache_dir / "local"
    with suppress(OSError):  # the answer is then asked for in every run
        folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(prefix.encode()).hexdigest()[:20]}.json"
