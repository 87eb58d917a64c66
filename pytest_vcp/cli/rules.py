"""The table of rules, for reading: ``python -m pytest_vcp.cli.rules > docs/rules.md``.

The same table, and the page of a rule, is what ``pytest --vcp-rules`` prints.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_vcp.options import RULES_FLAG
from pytest_vcp.rules.registry import BY_ID, RULES, STAGES
from pytest_vcp.rules.suite import page
from pytest_vcp.settings.policy import load_policy
from pytest_vcp.settings.values import nearest

_INTRODUCTION = f"""\
# The rules

In a conforming package every rule below holds. A *required* rule that does not hold fails the run;
*advice* is listed, and fails the run only with `--vcp-strict`. The levels are those of the shipped
policy; a hub's own may raise or lower them (`levels`).

Rules are judged in stages: {", ".join(STAGES)}.
A required rule that fails in one stage leaves the rules of later stages unjudged until it is fixed.

Each id leads to the page of its rule: what must hold, why, how it shows itself on the hub, how to
fix it.

This table is made from `pytest_vcp/rules/registry.py`:
`python -m pytest_vcp.cli.rules > docs/rules.md`.
"""


def table() -> str:
    """The whole of docs/rules.md."""
    return "\n".join([_INTRODUCTION, *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    levels = load_policy().level_of
    yield "| rule | what must hold | level | stage |"
    yield "|---|---|---|---|"
    for rule in RULES:
        title = rule.title.replace("|", r"\|")
        yield f"| [{rule.id}](rules/{rule.id}.md) | {title} | {levels(rule.id)} | {rule.stage} |"


def show(asked: str) -> int:
    """Print the table, or the page of the rule that is asked for; returns the exit code.

    Raises pytest.UsageError for a rule that is none.
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


if __name__ == "__main__":
    print(table(), end="")
