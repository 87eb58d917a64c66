"""docs/rules.md is what the table of rules makes, and its links lead to the pages of the rules."""

from __future__ import annotations

import re

import pytest

from pytest_vcp.cli.rules import table
from pytest_vcp.rules.registry import RULES, Rule
from tests.docs.pages import DOCS

PAGE = DOCS / "rules.md"


def test_the_table_is_current() -> None:
    told = "docs/rules.md is old: python -m pytest_vcp.cli.rules > docs/rules.md"
    assert PAGE.read_text(encoding="utf-8") == table(), told


def test_every_link_leads_to_a_page() -> None:
    links = re.findall(r"\]\((.+?)\)", PAGE.read_text(encoding="utf-8"))
    assert len(links) == len(RULES)
    assert [link for link in links if not (DOCS / link).is_file()] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_page_has_the_headline_that_the_message_has(rule: Rule) -> None:
    page = DOCS / "rules" / f"{rule.id}.md"
    assert page.read_text(encoding="utf-8").splitlines()[0] == f"# {rule.id}: {rule.title}"
