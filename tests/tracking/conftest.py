"""A copy of a reference package."""

from __future__ import annotations

from tests.plugin.conftest import configure, package

__all__ = ["configure", "package"]  # Fixtures.
