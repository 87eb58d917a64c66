"""The cache of built environments: `<cache>/environments/<hash>/`.

    locks/<hash>.lock                 held while the environment is looked up or built
    environments/<hash>/in-use        held, together with others, by each run that works in it
    environments/<hash>/last-used     its modification time is when a run last requested it
    environments/<hash>/ready.json    written last; names the folder of the complete build
    environments/<hash>/<build>/      one virtual environment, built in its final path
    environments/.removed-*           being removed, read by no run
    logs/                             pip's output of the latest failed builds
    local/                            results about environments that the plugin did not build
    publishing/                       locks of runs that publish to the same destination

Each build gets a folder with a new name. A build that was killed can leave a pip behind that goes
on writing; it writes into a folder that no run reads and that the next build removes.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

from pytest_vcp.environment import conda
from pytest_vcp.environment.cache_entry import Slot
from pytest_vcp.environment.interpreters import Interpreter
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.util import files
from pytest_vcp.util.files import remove

# Incremented whenever environments built by an older release must no longer be used.
FORMAT = 1
_LOGS_KEPT = 20
# The name of a saved log: its time, and a few random digits.
KEPT_LOG = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}\.log")
_PINS_TOLD = 3
_PIN = re.compile(r"[A-Za-z0-9][\w.-]*(\[[^]]*\])?==[\w.+!]+")
_REMEDIES = {
    errno.ENOSPC: "free some space, or choose another directory with --vcp-cache-dir",
    errno.EDQUOT: "free some space, or choose another directory with --vcp-cache-dir",
}
_REMEDY = "choose a directory that you can write to with --vcp-cache-dir"


def normalize_lock(lock: bytes) -> bytes:
    """Return the lock without what pip ignores: comments, blank lines, the kind of line ends."""
    lines: list[bytes] = []
    for line in lock.splitlines():
        line = re.sub(rb"(^|\s+)#.*$", b"", line).rstrip()
        if line or (lines and lines[-1].endswith(b"\\")):
            lines.append(line)
    return b"\n".join(lines)


def slot(cache_dir: Path, interpreter: Interpreter, lock: bytes, policy: str) -> Slot:
    """Return the slot of the environment that virtualenv makes for this interpreter and lock."""
    return _slot(
        cache_dir,
        lock,
        {
            "format": FORMAT,
            "interpreter": os.path.realpath(interpreter.executable),
            "version": interpreter.version,
            "implementation": interpreter.implementation,
            "platform": interpreter.platform,
            "installer": f"virtualenv {metadata.version('virtualenv')}",  # bundles its pip
            "policy": policy,
        },
    )


def conda_slot(cache_dir: Path, python: str, platform: str, lock: bytes, policy: str) -> Slot:
    """Return the slot of the environment that conda makes for this Python and lock."""
    return _slot(
        cache_dir,
        lock,
        {
            "format": FORMAT,
            "manager": "conda",
            "version": [int(part) for part in python.split(".")],
            "implementation": "CPython",
            "platform": platform,
            "installer": f"{conda.CHANNEL} {conda.PIP}",
            "policy": policy,
        },
    )


def _slot(cache_dir: Path, lock: bytes, facts: dict[str, object]) -> Slot:
    facts = {**facts, "lock": hashlib.sha256(normalize_lock(lock)).hexdigest()}
    # Twenty digits: scripts contain the path of their interpreter, which must not get too long.
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]
    return Slot(folder_of_all(cache_dir) / digest, facts)


def purpose(lock: Path, lock_bytes: bytes) -> dict[str, object]:
    """Describe an environment in a few words for users: the path of its lock, its first pins."""
    lines = normalize_lock(lock_bytes).decode("utf-8", "replace").splitlines()
    # Anything else, such as an index or a URL, may hold a password.
    pins = [found[0] for line in lines if (found := _PIN.match(line))]
    return {"lock": os.path.abspath(lock), "requirements": pins[:_PINS_TOLD]}


def folder_of_all(cache_dir: Path) -> Path:
    """Return the folder of all slots."""
    return cache_dir / "environments"


@contextmanager
def explain_cache_errors(cache_dir: Path) -> Iterator[None]:
    """Turn a cache that can't be written, or a full disk, into an error with a remedy."""
    try:
        yield
    except OSError as problem:
        if problem.errno is None:  # not from the system: a TimeoutError of ours, for example
            raise
        reason = problem.strerror or str(problem)
        remedy = _REMEDIES.get(problem.errno, _REMEDY)
        raise ToolError(f"the cache {cache_dir} can't be used: {reason}", remedy) from problem


def keep_log(cache_dir: Path, log: Path) -> Path:
    """Move the log of a failed build to the folder of the latest few, and return its new path."""
    folder = cache_dir / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}.log"
    shutil.move(log, kept)
    logs = sorted(path for path in folder.iterdir() if KEPT_LOG.fullmatch(path.name))
    for old in logs[:-_LOGS_KEPT]:
        remove(old)
    return kept


def local_record(cache_dir: Path, prefix: str) -> Path:
    """Return the file for the `pip check` result of an environment not built by the plugin."""
    folder = cache_dir / "local"
    with suppress(OSError):  # without it, every run computes the result again
        files.make_ignored(cache_dir)
        folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(prefix.encode()).hexdigest()[:20]}.json"


# ----------------------------------------------------------------------------------------- space
#
# The check for free disk space: pip reports a full disk as an interrupted download.

# An environment with MLflow takes some 700 MB; with less than this, even pip can't start its work.
_LEAST_BYTES = 100_000_000
_MEGABYTE = 1_000_000


def require_space(cache_dir: Path) -> None:
    """Raise ToolError if the cache or the temporary directory has no room for an environment."""
    for folder, remedy in (
        (cache_dir, "name another place with --vcp-cache-dir"),
        (Path(tempfile.gettempdir()), "name another place in the variable TMPDIR"),
    ):
        try:
            free = shutil.disk_usage(folder).free
        except OSError:
            continue  # Writing there will report the error.
        if free < _LEAST_BYTES:
            raise ToolError(
                f"the disk of {folder} is full: {free // _MEGABYTE} MB are left",
                f"make room there, or {remedy}",
            )
