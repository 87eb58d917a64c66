"""What virtualenv begins an environment with, compiled once for all environments of the tests.

A test's environment is small: most of its time, pip would compile itself to install one module.
virtualenv copies pip from a folder of its own, which the tests have for themselves; there it lies
with byte-code that is valid wherever it is copied to.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from fixtures.environments import cache_dir
from pytest_vcp.util import locks

_VARIABLE = "VIRTUALENV_OVERRIDE_APP_DATA"


def prepare() -> None:
    """Have virtualenv keep its data beside the environments of the tests, with its pip compiled."""
    folder = cache_dir() / "virtualenv"
    os.environ[_VARIABLE] = str(folder)
    folder.mkdir(parents=True, exist_ok=True)
    version = ".".join(map(str, sys.version_info[:3]))
    done = folder / f"compiled-{version}-{metadata.version('virtualenv')}"
    with locks.hold(folder / "compiling.lock"):
        if not done.exists():
            _compile(folder)
            done.touch()


def _compile(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        create = [sys.executable, "-m", "virtualenv", "--quiet", "--no-download", "--pip", "embed"]
        subprocess.run([*create, place], check=True)
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    images = folder.glob(f"wheel/{python}/image/*/*/pip-*")
    # Not checked against the time of the source, which is another in each copy.
    how = ["-q", "--invalidation-mode", "unchecked-hash"]
    subprocess.run([sys.executable, "-m", "compileall", *how, *images], check=True)
