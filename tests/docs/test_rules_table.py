"""The page of a rule has the title of the rule."""

from __future__ import annotations

import pytest

from pytest_vcp.rules.registry import RULES, Rule
from tests.docs.pages import DOCS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_page_has_the_headline_that_the_message_has(rule: Rule) -> None:
    page = DOCS / "rules" / f"{rule.id}.md"
    assert page.read_text(encoding="utf-8").splitlines()[0] == f"# {rule.id}: {rule.title}"
