"""Entry point of the plugin: hooks that decide whether to switch on, and nothing more.

Imports stdlib and pytest only. Everything else is imported when `--vcp-model-class`, or its ini
twin, asks for a run.
"""

from __future__ import annotations

import pytest

from pytest_vcp.options import OPTIONS, add_options


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "vcp_rule(id): the test judges this rule of the standard")
    if is_active(config):
        from pytest_vcp import activation

        activation.switch_on(config)


def is_active(config: pytest.Config) -> bool:
    """Whether this run judges a package; options without a model class are refused."""
    # An empty class on the command line is a wrong one, not none.
    if config.getoption("vcp_model_class") is not None or config.getini("vcp_model_class"):
        return True
    given = [option.flag for option in OPTIONS if config.getoption(option.key) is not None]
    if given:
        raise pytest.UsageError(
            f"{given[0]} was given without --vcp-model-class: "
            "add --vcp-model-class MODULE:CLASS (or vcp_model_class to the ini file)"
        )
    return False
