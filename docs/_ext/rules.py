"""The rules by section, and what stands under the title of each rule's page."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from pytest_vcp.rules.registry import BY_ID, RULES, SECTIONS, Rule
from pytest_vcp.settings.policy import load_policy

_level_of = load_policy().level_of


def part() -> Iterator[str]:
    """A table for each section, and the pages of its rules below this one."""
    for section, found in groupby(RULES, lambda rule: rule.id[:4]):
        within = list(found)
        number = section.removeprefix("VCP")
        yield f"\n## {number}xx {SECTIONS[number].capitalize()}\n"
        yield "| rule | what must hold | level | stage |"
        yield "|---|---|---|---|"
        for rule in within:
            title, level = rule.title.replace("|", r"\|"), _level_of(rule.id)
            yield f"| [{rule.id}](../rules/{rule.id}.md) | {title} | {level} | {rule.stage} |"
        yield "\n```{toctree}\n:hidden:\n"
        yield from (f"{rule.id} <../rules/{rule.id}>" for rule in within)
        yield "```"


def described(rule_id: str, text: str) -> str:
    """The page of a rule with its level and stage under the title."""
    title, rest = text.split("\n", 1)
    return f"{title}\n\n{_line(BY_ID[rule_id])}\n{rest}"


def _line(rule: Rule) -> str:
    level: str = _level_of(rule.id)
    if level == "advice":
        level = "advice: fails a run with `--vcp-strict` only"
    scope = "for each variant" if rule.scope == "variant" else "once for the package"
    stage = f"[{rule.stage}](../stages.md#{rule.stage})"
    return f"*{level.capitalize()}. Judged {scope}, in the stage* {stage}.\n"
