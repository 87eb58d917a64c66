"""docs/oracle.md tells of every package, and of none that the platform refuses in silence."""

from __future__ import annotations

import re
from pathlib import Path

from fixtures.mutations import MUTATIONS
from fixtures.references import REFERENCES
from tests.strangers.test_strangers import STRANGERS

PAGE = (Path(__file__).parents[2] / "docs" / "oracle.md").read_text(encoding="utf-8")
_SECTION = re.compile(r"^### \[(VCP\d+)\]\(rules/\1\.md\): .*\n((?:.*\n)*?)(?=^#|\Z)", re.MULTILINE)
_UNTRIED = re.compile(r"^- (VCP\d+): (.+)$", re.MULTILINE)
_ROW = re.compile(r"^\| (?!mutant |-)([^|]+) \|", re.MULTILINE)


def test_every_mutant_has_a_row_or_is_told_not_to_have_been_tried() -> None:
    rows = {(rule, name) for rule, part in _SECTION.findall(PAGE) for name in _ROW.findall(part)}
    untried = set(_UNTRIED.findall(PAGE.partition("## Not tried")[2]))
    assert rows | untried == {(entry.rule, entry.name.replace("_", " ")) for entry in MUTATIONS}


def test_every_sound_package_has_a_row() -> None:
    names = [f"reference {package.name}" for package in REFERENCES]
    names += [f"stranger {package.name}" for package in STRANGERS]
    for name in names:
        row = f"| {name.replace('_', ' ')} | "
        assert row in PAGE, f"{row} is missing: python -m tests.oracle.table"


def test_nothing_is_refused_by_the_platform_alone() -> None:
    assert "| missed here |" not in PAGE
