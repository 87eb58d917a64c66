"""Whether there is room for an environment: pip tells a full disk as a download that broke off."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pytest_vcp.rules.outcomes import ToolError

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
