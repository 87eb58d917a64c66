"""docs/mutations.md tells of every mutant, and of none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from fixtures.mutations import ALL

PAGE = Path(__file__).parents[2] / "docs" / "mutations.md"
_ROW = re.compile(r"^\| \[(VCP\d+)\]\(rules/\1\.md\) \| ([^|]+) \| \w+ \| ([^|]+) \|", re.MULTILINE)


def test_every_mutant_has_a_row_and_was_rejected() -> None:
    rows = {(rule, name): result for rule, name, result in _ROW.findall(PAGE.read_text("utf-8"))}
    assert rows.keys() == {(entry.rule, entry.name.replace("_", " ")) for entry in ALL}
    accepted = {
        row for row, result in rows.items() if not result.startswith(("rejected", "not run: "))
    }
    assert accepted == set()
