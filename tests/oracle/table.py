"""Ask the oracle of every package and write what it said: ``python -m tests.oracle.table``.

Writes docs/oracle.md: what the platform's own way says of each reference, stranger and mutant, what
this tool says, and why where they differ. Fails where the platform's own way refuses a package that
this tool takes without a word.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fixtures.mutations import MUTATIONS
from pytest_vcp.rules.registry import BY_ID, RULES
from tests.oracle.platform_way import TOLD_AS_ADVICE

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "oracle.md"
_CORPUS = "tests/oracle/corpus.py"
_ON_THE_HUB = "## How it shows itself on the hub"
_MOST = 110
_INTRODUCTION = """\
# The oracle

What the platform's own way says of every package of the tests, beside what this tool says. The
platform's own way is pip on the lock, a re-implementation of the platform's packager
(`benchmarks/manual.py`), and `mlflow models predict --env-manager virtualenv` by the platform's
MLflow, in the package directory, on the shipped serving example. MLflow makes the environment of
the prediction itself, and finds the packages of the lock in it already. For mutants that leave the
lock as it is, but for those of the sections 3 and 8, the command predicts in the environment of the
packager (`--env-manager local`).

A package that the platform's own way refuses is refused here, or its author is told so as advice:
the command that writes this page fails otherwise. A package that the platform's own way takes can
still be refused here, since one prediction on one machine does not show whether the package honours
its contract. Why that is, is told beside each rule, in the words of its page.

This page is made by going both ways: `python -m tests.oracle.table`.
"""


@dataclass(frozen=True)
class Told:
    """One package: the step of the platform's way that refused it, and this tool's words."""

    kind: str
    name: str
    refused_by: str
    line: str
    verdict: str
    failed: tuple[str, ...]
    advice: tuple[str, ...]

    @property
    def agreement(self) -> str:
        """Who of the two takes the package."""
        if self.refused_by:
            if self.verdict != "conformant":
                return "both refuse"
            return "told as advice" if TOLD_AS_ADVICE & {*self.advice} else "missed here"
        return "both accept" if self.verdict == "conformant" else "refused here alone"


def main() -> int:
    """Go both ways with the corpus, write the page; not 0 where something was missed."""
    with tempfile.TemporaryDirectory() as scratch:
        results = Path(scratch) / "results.xml"
        command = [sys.executable, "-m", "pytest", "-n", "2", _CORPUS, "-o", "junit_family=xunit1"]
        done = subprocess.run([*command, f"--junitxml={results}"], cwd=ROOT, check=False)
        told = list(read_results(results))
    PAGE.write_text(page(told), encoding="utf-8")
    missed = [entry.name for entry in told if entry.agreement == "missed here"]
    if missed:
        print(f"refused by the platform's own way alone: {', '.join(missed)}", file=sys.stderr)
    return done.returncode or bool(missed)


def read_results(path: Path) -> Iterator[Told]:
    """What was recorded of each package that could be tried here."""
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        said = {entry.get("name"): entry.get("value", "") for entry in case.iter("property")}
        name, _, parameter = case.get("name", "").partition("[")
        if "verdict" not in said:
            continue
        yield Told(
            kind=name.removeprefix("test_"),
            name=parameter.removesuffix("]"),
            refused_by=said["refused_by"],
            line=said["line"],
            verdict=said["verdict"],
            failed=tuple(said["failed"].split()),
            advice=tuple(said["advice"].split()),
        )


def page(told: Sequence[Told]) -> str:
    """The page as Markdown."""
    parts = [*_counts(told), *_sound(told), *_broken(told), *_untried(told)]
    return "\n".join([_INTRODUCTION, *parts]) + "\n"


def _counts(told: Sequence[Told]) -> Iterator[str]:
    counts = Counter(entry.agreement for entry in told)
    yield "| what became of it | packages |"
    yield "|---|---|"
    for agreement, number in counts.most_common():
        yield f"| {agreement} | {number} |"
    yield ""


def _sound(told: Sequence[Told]) -> Iterator[str]:
    yield "## Sound packages\n"
    yield "| package | the platform's own way | this tool | advice |"
    yield "|---|---|---|---|"
    for entry in told:
        if entry.kind != "mutant":
            name = entry.name.replace("_", " ")
            advice = " ".join(_link(rule) for rule in entry.advice)
            yield f"| {entry.kind} {name} | {_way(entry)} | {entry.verdict} | {advice} |"
    yield ""


def _broken(told: Sequence[Told]) -> Iterator[str]:
    yield "## Broken packages\n"
    by_rule: dict[str, list[Told]] = {}
    for entry in told:
        if entry.kind == "mutant":
            by_rule.setdefault(entry.name.partition("-")[0], []).append(entry)
    for rule in (entry.id for entry in RULES if entry.id in by_rule):
        yield from _of_rule(rule, by_rule[rule])


def _of_rule(rule: str, told: Sequence[Told]) -> Iterator[str]:
    yield f"### {_link(rule)}: {BY_ID[rule].title}\n"
    if any(not entry.refused_by for entry in told):
        yield f"Where the two differ: {_on_the_hub(rule)}\n"
    yield "| mutant | the platform's own way | this tool |"
    yield "|---|---|---|"
    for entry in told:
        name = entry.name.partition("-")[2].replace("_", " ")
        found = " ".join((*entry.failed, *(f"{advised} (advice)" for advised in entry.advice)))
        yield f"| {name} | {_way(entry)} | {found or entry.verdict} |"
    yield ""


def _untried(told: Sequence[Told]) -> Iterator[str]:
    """The mutants of which nothing was recorded: they need another Python, or the run was ended."""
    tried = {entry.name for entry in told if entry.kind == "mutant"}
    left = [entry for entry in MUTATIONS if f"{entry.rule}-{entry.name}" not in tried]
    if left:
        yield "## Not tried\n"
        yield from (f"- {entry.rule}: {entry.name.replace('_', ' ')}" for entry in left)
        yield ""


def _way(entry: Told) -> str:
    if not entry.refused_by:
        return "accepted"
    line = re.sub(r"(?<![\w.])/[^\s'\":]*/", "…/", entry.line).replace("|", "\\|")
    line = line if len(line) <= _MOST else f"{line[: _MOST - 1]}…"
    return f"refused by its {entry.refused_by}: `{line.replace('`', chr(39))}`"


def _on_the_hub(rule: str) -> str:
    """The first paragraph of what the rule's page says of the hub."""
    text = (ROOT / "docs" / "rules" / f"{rule}.md").read_text(encoding="utf-8")
    paragraph = text.partition(_ON_THE_HUB)[2].strip().partition("\n\n")[0]
    return " ".join(paragraph.split())


def _link(rule: str) -> str:
    return f"[{rule}](rules/{rule}.md)"


if __name__ == "__main__":
    sys.exit(main())
