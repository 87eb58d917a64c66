"""The suite can't be run by itself: it needs a package to judge."""

from __future__ import annotations

import pytest

from pytest_vcp.plugin import is_active


def pytest_collection_modifyitems(config: pytest.Config) -> None:
    if not is_active(config):
        raise pytest.UsageError(
            "the conformance suite needs a package: add --vcp-model-class MODULE:CLASS"
        )
