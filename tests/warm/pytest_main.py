"""What ``python -m pytest`` is, in a process that has pytest and the plugin imported.

Run by path in a forked process: ``pytest_main.py POOL CACHE ARGUMENT...``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from _vcp_warm.pool import Pool
from _vcp_warm.workers import WarmWorkers


def main() -> int | pytest.ExitCode:
    """Run pytest in the current directory, its workers warm, too; returns its exit code."""
    pool, cache = sys.argv[1:3]
    # As -m has them.
    sys.path[0] = os.getcwd()
    sys.argv[:3] = [str(Path(pytest.__file__).with_name("__main__.py"))]
    return pytest.main(sys.argv[1:], plugins=[WarmWorkers(Pool(Path(pool)), Path(cache))])


if __name__ == "__main__":
    sys.exit(main())
