"""The pool of a session of tests: made by its first process, shared by those of pytest-xdist."""

from __future__ import annotations

import compileall
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

import pytest_vcp

from .pool import Pool, can_be_used

# Names the directory of the pool for the processes of a session.
POOL_VARIABLE = "VCP_TEST_WARM"


def current() -> Pool | None:
    """The pool of this session; None where all runs are cold."""
    directory = os.environ.get(POOL_VARIABLE)
    return Pool(Path(directory)) if directory else None


def begin(config: pytest.Config, environ: Mapping[str, str]) -> None:
    """Make the pool for a session whose runs have the variables `environ`, and register its end."""
    # Where the plugin was installed this is compiled; a worker writes no byte-code.
    compileall.compile_dir(Path(pytest_vcp.__file__).parent / "worker" / "server", quiet=1)
    if POOL_VARIABLE in os.environ or not can_be_used():
        return
    pool = Pool.create(environ)
    os.environ[POOL_VARIABLE] = str(pool.directory)
    config.add_cleanup(lambda: _end(pool))


def _end(pool: Pool) -> None:
    # The servers end with this process.
    del os.environ[POOL_VARIABLE]
    shutil.rmtree(pool.directory, ignore_errors=True)
