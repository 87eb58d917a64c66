"""A plugin for pytest processes that are started cold: the workers of their runs are warm.

pytest-xdist starts interpreters of its own, and hands them the plugins that were given with ``-p``.
The folder of this file goes on PYTHONPATH: the rest of the tests must not be importable in a run.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path

import pytest

# As in a forked process: by a name that no test of a user has.
_package = types.ModuleType("_vcp_warm")
_package.__path__ = [str(Path(__file__).parents[1])]
sys.modules["_vcp_warm"] = _package


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have the run start its workers from the servers of the tests."""
    from _vcp_warm.pool import Pool
    from _vcp_warm.workers import RUN_CACHE, RUN_POOL, WarmWorkers

    pool, cache = Pool(Path(os.environ[RUN_POOL])), Path(os.environ[RUN_CACHE])
    WarmWorkers(pool, cache).pytest_configure(config)
