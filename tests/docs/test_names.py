"""No page for users names an option, an ini value, a rule or a page that does not exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_vcp.options import (
    ATTESTATION,
    CACHE,
    COMPARE_FLAG,
    DOCTOR_FLAG,
    LOCK_FLAG,
    OPTIONS,
    RECORD,
    RULES_FLAG,
)
from pytest_vcp.rules.registry import BY_ID
from tests.docs.pages import DOCS

ROOT = DOCS.parent
PAGES = sorted(
    [
        *(DOCS / "how-to").glob("*.md"),
        *(DOCS / "rules").glob("*.md"),
        *(DOCS / "reference").glob("*.md"),
        DOCS / "index.md",
        DOCS / "report.md",
        DOCS / "stages.md",
        ROOT / "README.md",
    ]
)
# Ini values share their form with the fixtures.
FIXTURES = {
    "vcp_artifact",
    "vcp_environment",
    "vcp_model",
    "vcp_package",
    "vcp_spec",
    "vcp_variant",
}
PROPERTIES = {"vcp_rule", "vcp_outcome", "vcp_level", "vcp_page"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_on_a_page(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    options = set(re.findall(r"--vcp-[a-z]+(?:-[a-z]+)*", text))
    instead = {LOCK_FLAG, RULES_FLAG, CACHE.flag, DOCTOR_FLAG, COMPARE_FLAG, RECORD.flag}
    assert options <= {option.flag for option in (*OPTIONS, ATTESTATION)} | instead
    names = set(re.findall(r"(?<![\w-])vcp_[a-z_]+\b", text))
    assert names <= {option.key for option in OPTIONS} | FIXTURES | PROPERTIES
    rules = set(re.findall(r"VCP\d{3}", text))
    assert rules <= set(BY_ID)
    for link in re.findall(r"\]\(([^)#]+)", text):
        assert "://" in link or (page.parent / link).exists(), link
