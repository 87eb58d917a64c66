"""The command `pytest --vcp-rules`: print the table of rules, or the page of one."""

from __future__ import annotations

import pytest

from pytest_vcp.options import RULES_FLAG
from pytest_vcp.rules.registry import BY_ID, RULES
from pytest_vcp.rules.suite import page
from pytest_vcp.settings.policy import load_policy
from pytest_vcp.settings.values import nearest


def show(asked: str) -> int:
    """Print the table, or the page of the requested rule, and return the exit code.

    Raises pytest.UsageError for an unknown rule.
    """
    if not asked:
        levels = load_policy().level_of
        for rule in RULES:
            print(f"{rule.id}  {levels(rule.id):<8}  {rule.stage:<11}  {rule.title}")
        print("\nthe page of one: pytest --vcp-rules VCP705")
        return 0
    known = asked.upper()
    if known not in BY_ID:
        hint = nearest(known, tuple(BY_ID)) or "pytest --vcp-rules prints them all"
        raise pytest.UsageError(f"{RULES_FLAG}: there is no rule {asked!r}; {hint}")
    print(page(known).read_text(encoding="utf-8"), end="")
    return 0
