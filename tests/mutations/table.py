"""Run the mutation corpus and write what came of it: ``python -m tests.mutations.table``.

Writes docs/mutations.md: each rule with its mutants, and whether the rule, and it alone, rejected
each of them. A mutant that can't be run here is named with the reason.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path

from fixtures.mutations import ALL
from pytest_vcp.rules import RULES

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mutations.md"
_TESTS = "tests/mutations/test_mutations.py"
_INTRODUCTION = """\
# The mutants

Each rule has broken packages that it, and no other required rule of its stage or an earlier one,
rejects. A mutant is a copy of a reference package in which one thing was broken; the whole plugin
is run on it, and so it is on the unbroken packages, which it accepts.

This table is made by running them: `python -m tests.mutations.table`.
"""


def main() -> int:
    """Run the corpus, write the page; the exit code of the tests."""
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-n", "2", _TESTS, f"--junitxml={results}"]
        done = subprocess.run(command, cwd=ROOT, check=False)
        PAGE.write_text(page(read_results(results)), encoding="utf-8")
    return done.returncode


def read_results(path: Path) -> dict[str, str]:
    """What became of each test, by the id of its parameter."""
    found = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("name", "").partition("[")[2].removesuffix("]")
        skipped = case.find("skipped")
        if skipped is not None:
            found[name] = f"not run: {skipped.get('message')}"
        else:
            broken = case.find("failure") is not None or case.find("error") is not None
            found[name] = "NOT REJECTED AS IT SHOULD BE" if broken else "rejected by it alone"
    return found


def page(results: Mapping[str, str]) -> str:
    """The page as Markdown."""
    return "\n".join([_INTRODUCTION, *_rows(results)]) + "\n"


def _rows(results: Mapping[str, str]) -> Iterator[str]:
    yield "| rule | mutant | package | result |"
    yield "|---|---|---|---|"
    for rule in RULES:
        for mutation in (entry for entry in ALL if entry.rule == rule.id):
            result = results.get(f"{rule.id}-{mutation.name}", "not run")
            link = f"[{rule.id}](rules/{rule.id}.md)"
            yield f"| {link} | {mutation.name.replace('_', ' ')} | {mutation.package} | {result} |"


if __name__ == "__main__":
    sys.exit(main())
