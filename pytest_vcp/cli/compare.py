"""The command `pytest --vcp-compare`: a table of several reports, a row per Python and variant.

The runs can be from different days and machines; nothing is judged again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.options import COMPARE_FLAG
from pytest_vcp.report.json import REPORT, SCHEMA_VERSION, STEPS
from pytest_vcp.report.outcomes import ERROR_EXIT, NONCONFORMANT_EXIT, WORDS

_TITLES = ("Python", "variant", "verdict", *STEPS, "fix first")
_WORDS = {True: "yes", False: "no", None: "-"}
_CODES = {"error": ERROR_EXIT, "nonconformant": NONCONFORMANT_EXIT}


@dataclass(frozen=True)
class _Judged:
    """The result of one variant on one Python; `written` is the report's mtime, in seconds."""

    python: str
    variant: str
    verdict: str
    steps: tuple[bool | None, ...]
    fix_first: str
    lock: str | None
    written: float

    @property
    def order(self) -> tuple[list[int], str]:
        """The sort key of the row: by Python, then by variant."""
        return [int(part) for part in self.python.split(".")], self.variant

    @property
    def cells(self) -> tuple[str, ...]:
        words = (_WORDS[step] for step in self.steps)
        return self.python, self.variant, self.verdict, *words, self.fix_first


def show(asked: Sequence[str]) -> int:
    """Print the reports as a table and return the exit code of the worst verdict: 0, 1 or 10.

    `asked` lists reports, directories that contain one, and directories of such directories. Raises
    pytest.UsageError for anything else.
    """
    files = dict.fromkeys(file for entry in asked for file in _reports(Path(entry)))
    judged = sorted((entry for file in files for entry in _read(file)), key=lambda one: one.order)
    print("\n".join([*_table(judged), *_remarks(judged)]))
    worst = min((entry.verdict for entry in judged), key=WORDS.index)
    return _CODES.get(worst, 0)


def _reports(path: Path) -> list[Path]:
    """List the reports at a path, without duplicates."""
    candidates = [path]
    if path.is_dir():
        inner = sorted(path.glob(f"*/{REPORT}"))
        candidates = [path / REPORT] if (path / REPORT).is_file() else inner
    found = [candidate.resolve() for candidate in candidates if candidate.is_file()]
    if not found:
        raise _refusal(
            path,
            f"there is no {REPORT}; name a report, its directory (--vcp-report-dir of a run), "
            "or a directory of such directories",
        )
    return found


def _read(file: Path) -> Iterator[_Judged]:
    try:
        report = json.loads(file.read_bytes())
        if report["schema"] != SCHEMA_VERSION:
            raise ValueError(f"its schema is {report['schema']}, not {SCHEMA_VERSION}")
        judged = [
            _read_judged(name, variant, file.stat().st_mtime)
            for name, variant in report["variants"].items()
        ]
    except (OSError, ValueError) as problem:
        raise _refusal(file, f"it can't be read: {problem}; run again to write it") from None
    except (KeyError, TypeError, AttributeError):
        raise _refusal(file, "it is no report of this release; run again to write it") from None
    yield from judged


def _read_judged(name: str, variant: Mapping[str, Any], written: float) -> _Judged:
    python = variant["python"]
    rule = variant["fix_first"]
    if variant["verdict"] not in WORDS:
        raise ValueError(f"its verdict is {variant['verdict']!r}")
    return _Judged(
        python=python["version"],
        variant=name,
        verdict=variant["verdict"],
        steps=tuple(python[step] for step in STEPS),
        fix_first=_format_rule(rule, variant["rules"][rule]) if rule else "",
        lock=python["lock"],
        written=written,
    )


def _format_rule(rule: str, values: Mapping[str, str]) -> str:
    """Format a broken rule as one line: location, finding and remedy."""
    if not values["found"]:
        return f"{rule}: {values['message']}"
    where = f"{values['where']}: " if values["where"] else ""
    return "; ".join(filter(None, (f"{rule}: {where}{values['found']}", values["remedy"])))


def _table(judged: Iterable[_Judged]) -> Iterator[str]:
    rows = [_TITLES, *(entry.cells for entry in judged)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _remarks(judged: Sequence[_Judged]) -> Iterator[str]:
    """Yield a note on the Pythons whose lock differs from that of the latest report."""
    latest = max(judged, key=lambda entry: entry.written)
    others = dict.fromkeys(entry.python for entry in judged if entry.lock != latest.lock)
    if others:
        yield ""
        yield (
            f"note  {', '.join(others)} judged another requirements.txt than {latest.python}, "
            "whose report is the latest; run again"
        )


def _refusal(path: Path, problem: str) -> pytest.UsageError:
    return pytest.UsageError(f"{COMPARE_FLAG}: {path}: {problem}")
