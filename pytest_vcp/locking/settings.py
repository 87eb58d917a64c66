"""The settings of `--vcp-lock`: those of a run that say what to lock, for which Python, and how."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import platformdirs
import pytest

from pytest_vcp.options import LOCK_FLAG
from pytest_vcp.settings.policy import Policy, load_policy
from pytest_vcp.settings.reading import Reader
from pytest_vcp.settings.values import (
    absolute,
    minor_of,
    nearest,
    package_dir,
    python_version,
    refusal,
    writable,
)

UPGRADE = "upgrade"


@dataclass(frozen=True)
class LockSettings:
    """The settings of one lock. Paths are absolute.

    `python` is the version as given, None for that of the running interpreter; `upgrade` means that
    no existing pin is preserved for its own sake.
    """

    pkg_dir: Path
    python: str | None
    target_python: tuple[int, int]
    policy: Policy
    cache_dir: Path
    upgrade: bool


def resolve_lock(config: pytest.Config, asked: str) -> LockSettings:
    """Read the settings; `asked` is the value of --vcp-lock, empty without one.

    Raises pytest.UsageError naming option or ini name, value and remedy.
    """
    if asked not in ("", UPGRADE):
        hint = nearest(asked, (UPGRADE,)) or "write it without a value, to keep existing pins, or"
        remedy = hint if hint.endswith("?") else f"{hint} {LOCK_FLAG}={UPGRADE}"
        raise pytest.UsageError(f"{LOCK_FLAG}: {asked!r} is not usable; {remedy}")
    read = Reader(config)
    python = read.one("python", python_version, None)
    settings = LockSettings(
        pkg_dir=read.path("pkg-dir", config.invocation_params.dir, package_dir),
        python=python,
        target_python=minor_of(python) if python else sys.version_info[:2],
        policy=load_policy(read.file("policy", absolute), read.origin("policy")),
        cache_dir=read.path("cache-dir", platformdirs.user_cache_path("pytest-vcp"), writable),
        upgrade=asked == UPGRADE,
    )
    least = settings.policy.least_python
    if settings.target_python < least:
        given = read.given("python", ".".join(map(str, settings.target_python)))
        needed = ".".join(map(str, least))
        raise refusal(given, f"the platform runs Python {needed} or newer: --vcp-python {needed}")
    return settings
