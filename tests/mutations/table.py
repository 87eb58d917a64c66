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
from dataclasses import dataclass
from pathlib import Path

from fixtures.mutations import ALL
from pytest_vcp.rules.registry import RULES

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


@dataclass(frozen=True)
class Result:
    """What became of a mutant, and what its author was told was found."""

    word: str
    found: str = ""


def main() -> int:
    """Run the corpus, write the page; the exit code of the tests."""
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-n", "2", _TESTS, f"--junitxml={results}"]
        done = subprocess.run(command, cwd=ROOT, check=False)
        PAGE.write_text(page(read_results(results)), encoding="utf-8")
    return done.returncode


def read_results(path: Path) -> dict[str, Result]:
    """What became of each test, by the id of its parameter."""
    found = {}
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name = case.get("name", "").partition("[")[2].removesuffix("]")
        found[name] = _result(case)
    return found


def _result(case: ElementTree.Element) -> Result:
    skipped = case.find("skipped")
    if skipped is not None:
        return Result(f"not run: {skipped.get('message')}")
    if case.find("failure") is not None or case.find("error") is not None:
        return Result("NOT REJECTED AS IT SHOULD BE")
    said = {entry.get("name"): entry.get("value", "") for entry in case.iter("property")}
    where = f" ({said['where']})" if said.get("where") else ""
    return Result("rejected by it alone", f"{said.get('found', '')}{where}")


def page(results: Mapping[str, Result]) -> str:
    """The page as Markdown."""
    return "\n".join([_INTRODUCTION, *_rows(results)]) + "\n"


def _rows(results: Mapping[str, Result]) -> Iterator[str]:
    yield "| rule | mutant | package | result | found |"
    yield "|---|---|---|---|---|"
    for rule in RULES:
        for mutation in (entry for entry in ALL if entry.rule == rule.id):
            result = results.get(f"{rule.id}-{mutation.name}", Result("not run"))
            link = f"[{rule.id}](rules/{rule.id}.md)"
            name = mutation.name.replace("_", " ")
            found = result.found.replace("|", "\\|")
            yield f"| {link} | {name} | {mutation.package} | {result.word} | {found} |"


if __name__ == "__main__":
    sys.exit(main())
