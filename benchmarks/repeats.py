"""Judge each reference package again and again: python -m benchmarks.repeats [--runs N].

Every run, warm and on a fresh copy, has to come to the same verdict, the same outcome of each rule,
and outputs of the same digests: the models are seeded, and run on the CPU. Exits with 1 where one
run differs from another, or where the package is not found conformant.

MLflow's own commands are left out: they tell nothing of the outputs that is not known, and take
longer than all the rest. --commands brings them in.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ways import WITHOUT_COMMANDS, WITHOUT_TRACKING, environ
from fixtures.environments import CACHE_VARIABLE
from fixtures.references import REFERENCES, Reference

_COLUMNS = ("package", "runs", "verdicts", "outcomes", "digests", "verdict")


@dataclass(frozen=True)
class Found:
    """What one run came to: the verdict, the outcome of each rule, the digest of each output."""

    verdict: str
    outcomes: tuple[tuple[str, str], ...] = ()
    digests: tuple[tuple[str, str], ...] = ()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.repeats",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=int, default=20, help="runs of each package (20)")
    parser.add_argument(
        "--package",
        choices=[reference.name for reference in REFERENCES],
        action="append",
        help="this package alone (repeatable)",
    )
    parser.add_argument("--commands", action="store_true", help="run MLflow's commands, too")
    options = parser.parse_args()
    if options.runs < 2:
        parser.error("--runs: there is nothing to compare with less than 2")
    chosen = _chosen(options.package)
    if not chosen:
        parser.error("--package: its lock is for another Python than the running one")
    with tempfile.TemporaryDirectory(prefix="vcp-repeats-") as scratch:
        print(_row(_COLUMNS))
        same = [
            repeated(reference, Path(scratch), options.runs, options.commands)
            for reference in chosen
        ]
    return 0 if all(same) else 1


def repeated(reference: Reference, scratch: Path, runs: int, commands: bool) -> bool:
    """Judge a package again and again, and print its row; whether all runs were as they should."""
    found = [judged(reference, scratch / "run", commands) for _ in range(runs)]
    print(_row(_counted(reference, found)), flush=True)
    for line in differences(found):
        print(f"  {line}", flush=True)
    return set(found) == {found[0]} and found[0].verdict == "conformant"


def _chosen(names: Sequence[str] | None) -> list[Reference]:
    """The packages that were asked for, as far as their locks are for the running Python."""
    return [
        reference
        for reference in REFERENCES
        if (not names or reference.name in names)
        and reference.python in (None, sys.version_info[:2])
    ]


def judged(reference: Reference, place: Path, commands: bool) -> Found:
    """One run of the plugin on a copy in `place`, which does not outlive it."""
    package = reference.copy(place, recorded=True)
    arguments = ["--vcp-env-manager=virtualenv", "--vcp-device=cpu"]
    if cache := os.environ.get(CACHE_VARIABLE):
        arguments.append(f"--vcp-cache-dir={cache}")
    if not commands:
        arguments.append(WITHOUT_COMMANDS)
    # What is drawn of a prediction is neither in the verdict nor in a digest.
    arguments.append("--vcp-no-pictures")
    command = [sys.executable, "-m", "pytest", *reference.options, WITHOUT_TRACKING, *arguments]
    done = subprocess.run(
        command, cwd=package, env=environ(package), capture_output=True, text=True, check=False
    )
    report = package / ".vcp" / "report.json"
    there = report.is_file()
    found = _read(report) if there else Found(f"no report (exit code {done.returncode})")
    shutil.rmtree(place)
    return found


def _read(report: Path) -> Found:
    (variant,) = json.loads(report.read_text(encoding="utf-8"))["variants"].values()
    rules, outputs = variant["rules"], variant["outputs"] or {}
    return Found(
        variant["verdict"],
        tuple((rule, entry["outcome"]) for rule, entry in rules.items()),
        tuple((name, entry["sha256"]) for name, entry in outputs.items()),
    )


def _counted(reference: Reference, found: Sequence[Found]) -> tuple[object, ...]:
    """A row of the table: how many of each there are."""
    return (
        reference.name,
        len(found),
        len({each.verdict for each in found}),
        len({each.outcomes for each in found}),
        len({each.digests for each in found}),
        ", ".join(sorted({each.verdict for each in found})),
    )


def differences(found: Sequence[Found]) -> list[str]:
    """What was not the same in all runs: each rule and each output with what it came to."""
    lines = []
    pairs = [dict((*each.outcomes, *each.digests)) for each in found]
    for name in sorted({name for each in pairs for name in each}):
        values = Counter(each.get(name, "none") for each in pairs)
        if len(values) > 1:
            told = ", ".join(f"{count} times {value}" for value, count in values.most_common())
            lines.append(f"{name or 'the output'}: {told}")
    return lines


def _row(cells: Sequence[object]) -> str:
    name, *counts, verdict = cells
    return f"{name:<18}" + "".join(f"{count:>10}" for count in counts) + f"  {verdict}"


if __name__ == "__main__":
    sys.exit(main())
