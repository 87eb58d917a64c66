"""The table of rules as Markdown: ``python -m pytest_vcp.rules_table > docs/rules.md``."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_vcp.rules import RULES, STAGES

_INTRODUCTION = f"""\
# The rules

In a conforming package every rule below holds. A *required* rule that does not hold fails the run;
*advice* is listed, and fails the run only with `--vcp-strict`.

Rules are judged in stages: {", ".join(STAGES)}.
A required rule that fails in one stage leaves the rules of later stages unjudged until it is fixed.

Each id leads to the page of its rule: what must hold, why, how it shows itself on the hub, how to
fix it.

This table is made from `pytest_vcp/rulebook/`:
`python -m pytest_vcp.rules_table > docs/rules.md`.
"""


def table() -> str:
    """The whole of docs/rules.md."""
    return "\n".join([_INTRODUCTION, *_rows()]) + "\n"


def _rows() -> Iterator[str]:
    yield "| rule | what must hold | level | stage |"
    yield "|---|---|---|---|"
    for rule in RULES:
        title = rule.title.replace("|", r"\|")
        yield f"| [{rule.id}](rules/{rule.id}.md) | {title} | {rule.level} | {rule.stage} |"


if __name__ == "__main__":
    print(table(), end="")
