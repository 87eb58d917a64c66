"""Entry point of the plugin: only the hooks that decide whether to activate it.

Imports only the standard library and pytest. Everything else is imported when `--vcp-model-class`,
`--vcp-variant` or `--vcp-verify-artifact`, or the ini setting of one of them, requests a run, or
when an action that replaces a run is requested.
"""

from __future__ import annotations

import pytest

from pytest_vcp.options import (
    ACTIVATING,
    ATTESTATION,
    CACHE,
    COMPARE_KEY,
    DOCTOR_KEY,
    LOCK_KEY,
    OPTIONS,
    RECORD,
    RULES_KEY,
    add_options,
)


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "vcp_rule(id): the test judges this rule of the standard")
    if is_active(config):
        from pytest_vcp import activation

        activation.switch_on(config)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Perform an action that replaces a run: rules, lock, cache, doctor, compare, attestation."""
    rule: str | None = config.getoption(RULES_KEY)
    if rule is not None:
        from pytest_vcp.cli import rules

        return rules.show(rule)
    how: str | None = config.getoption(LOCK_KEY)
    if how is not None:
        from pytest_vcp.cli import lock

        return lock.lock(config, how)
    action: str | None = config.getoption(CACHE.key)
    if action is not None:
        from pytest_vcp.cli import cache

        return cache.act(config, action)
    if config.getoption(DOCTOR_KEY) is not None:
        from pytest_vcp.cli import doctor

        return doctor.examine(config)
    reports: list[str] | None = config.getoption(COMPARE_KEY)
    if reports is not None:
        from pytest_vcp.cli import compare

        return compare.show(reports)
    attestation: str | None = config.getoption(ATTESTATION.key)
    if attestation is not None:
        from pytest_vcp.cli import verify

        return verify.verify(config, attestation)
    return None


def is_active(config: pytest.Config) -> bool:
    """Return whether this run judges a package; refuse options if there is nothing to judge."""
    alone = (RULES_KEY, LOCK_KEY, CACHE.key, DOCTOR_KEY, COMPARE_KEY, ATTESTATION.key)
    if any(config.getoption(key) is not None for key in alone):
        return False
    for option in OPTIONS:
        # An empty class on the command line is an invalid one, not a missing one.
        if option.name in ACTIVATING and (
            config.getoption(option.key) is not None or config.getini(option.key)
        ):
            return True
    both = (*OPTIONS, RECORD)
    given = [option.flag for option in both if config.getoption(option.key) is not None]
    if given:
        raise pytest.UsageError(
            f"{given[0]} was given without --vcp-model-class: "
            "add --vcp-model-class MODULE:CLASS (or vcp_model_class to the ini file), "
            "--vcp-variant NAME for a variant of the metadata file, "
            "or --vcp-verify-artifact PATH for a finished artifact"
        )
    return False
