"""Where built environments are kept: `<cache>/environments/<hash>/`.

    environments/<hash>.lock          there and held while the environment is looked up or built
    environments/<hash>/in-use        held, together with others, by each run that works in it
    environments/<hash>/last-used     its time of change is when a run last asked for it
    environments/<hash>/ready.json    written last; names the folder that is whole
    environments/<hash>/<build>/      one virtual environment, built in its final place
    environments/.removed-*           on its way out, read by nobody
    logs/                             pip's output of the latest failed builds
    local/                            answers about environments that are not ours
    publishing/                       locks of runs that publish to the same place

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

# Raised whenever environments built by an older release must not be used any more.
FORMAT = 1
_LOGS_KEPT = 20
# The name of a log that is kept: when, and a few digits more.
KEPT_LOG = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}\.log")
_PINS_TOLD = 3
_PIN = re.compile(r"[A-Za-z0-9][\w.-]*(\[[^]]*\])?==[\w.+!]+")
_REMEDIES = {
    errno.ENOSPC: "free some space, or choose another directory with --vcp-cache-dir",
    errno.EDQUOT: "free some space, or choose another directory with --vcp-cache-dir",
}
_REMEDY = "choose a directory that you can write to with --vcp-cache-dir"


def normalize_lock(lock: bytes) -> bytes:
    """The lock without what pip ignores: comments, blank lines, the kind of line ends."""
    lines: list[bytes] = []
    for line in lock.splitlines():
        line = re.sub(rb"(^|\s+)#.*$", b"", line).rstrip()
        if line or (lines and lines[-1].endswith(b"\\")):
            lines.append(line)
    return b"\n".join(lines)


def slot(cache_dir: Path, interpreter: Interpreter, lock: bytes, policy: str) -> Slot:
    """The place for the environment that virtualenv makes of this interpreter and this lock."""
    return _slot(
        cache_dir,
        lock,
        {
            "format": FORMAT,
            "interpreter": os.path.realpath(interpreter.executable),
            "version": interpreter.version,
            "implementation": interpreter.implementation,
            "platform": interpreter.platform,
            "installer": f"virtualenv {metadata.version('virtualenv')}",  # brings its pip with it
            "policy": policy,
        },
    )


def conda_slot(cache_dir: Path, python: str, platform: str, lock: bytes, policy: str) -> Slot:
    """The place for the environment that conda makes for this Python and this lock."""
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
    # Twenty digits: scripts name their interpreter by a path that must not grow too long.
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]
    return Slot(folder_of_all(cache_dir) / digest, facts)


def purpose(lock: Path, lock_bytes: bytes) -> dict[str, object]:
    """What an environment is for, in a few words for people: where its lock lay, its first pins."""
    lines = normalize_lock(lock_bytes).decode("utf-8", "replace").splitlines()
    # Anything else, such as an index or a URL, may hold a password.
    pins = [found[0] for line in lines if (found := _PIN.match(line))]
    return {"lock": os.path.abspath(lock), "requirements": pins[:_PINS_TOLD]}


def folder_of_all(cache_dir: Path) -> Path:
    """Where the slots lie."""
    return cache_dir / "environments"


@contextmanager
def explain_cache_errors(cache_dir: Path) -> Iterator[None]:
    """Turn a cache that can't be written, or a full disk, into an error with a remedy."""
    try:
        yield
    except OSError as problem:
        if problem.errno is None:  # not from the system: somebody's TimeoutError, for example
            raise
        reason = problem.strerror or str(problem)
        remedy = _REMEDIES.get(problem.errno, _REMEDY)
        raise ToolError(f"the cache {cache_dir} can't be used: {reason}", remedy) from problem


def keep_log(cache_dir: Path, log: Path) -> Path:
    """Move the log of a failed build to where the latest few are kept, and return its place."""
    folder = cache_dir / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}.log"
    shutil.move(log, kept)
    logs = sorted(path for path in folder.iterdir() if KEPT_LOG.fullmatch(path.name))
    for old in logs[:-_LOGS_KEPT]:
        remove(old)
    return kept


def local_record(cache_dir: Path, prefix: str) -> Path:
    """Where the answer of `pip check` for an environment that is not ours is kept."""
    folder = cache_dir / "local"
    with suppress(OSError):  # the answer is then asked for in every run
        files.make_ignored(cache_dir)
        folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{hashlib.sha256(prefix.encode()).hexdigest()[:20]}.json"


# ----------------------------------------------------------------------------------------- space
#
# Whether there is room for an environment: pip tells a full disk as a download that broke off.

# An environment with MLflow takes some 700 MB; with less than this, not even pip gets to work.
_LEAST_BYTES = 100_000_000
_MEGABYTE = 1_000_000


def require_space(cache_dir: Path) -> None:
    """Raise ToolError where cache or temporary directory have no room for an environment."""
    for folder, remedy in (
        (cache_dir, "name another place with --vcp-cache-dir"),
        (Path(tempfile.gettempdir()), "name another place in the variable TMPDIR"),
    ):
        try:
            free = shutil.disk_usage(folder).free
        except OSError:
            continue  # Whoever writes there will tell.
        if free < _LEAST_BYTES:
            raise ToolError(
                f"the disk of {folder} is full: {free // _MEGABYTE} MB are left",
                f"make room there, or {remedy}",
            )
