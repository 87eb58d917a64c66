"""Compare the reports of all mutants and references at two commits.

Save them at each, then compare::

    VCP_TEST_REPORTS=/tmp/before python -m pytest -n 2 tests/mutations
    VCP_TEST_REPORTS=/tmp/after python -m pytest -n 2 tests/mutations
    python -m tests.mutations.reports /tmp/before /tmp/after

What differs from run to run (durations, sizes of processes, temporary names) is left out.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PARTS = ("outcome", "level", "message", "expected", "found", "where", "remedy")
# Earlier names of the same part.
_EARLIER = {"found": "received"}
# Temporary names, process ids, durations and sizes.
_VARYING = re.compile(
    r"(?<=\.vcp-)[0-9a-f]{8}|\b(?:TMP|CACHE)/\S+|\b\d+(?:\.\d+)?(?: (?:s|MB|kB|GB|ms))?\b"
)


def main(before: Path, after: Path) -> int:
    """Print what differs; the exit code says whether anything does."""
    names = [{file.name for file in folder.glob("*.json")} for folder in (before, after)]
    for name in sorted(names[0] ^ names[1]):
        print(f"{name}: only {'before' if name in names[0] else 'after'}")
    kinds: Counter[str] = Counter()
    for name in sorted(names[0] & names[1]):
        for part, was, now in _differences(_read(before / name), _read(after / name)):
            kinds[part.rpartition(" ")[2]] += 1
            print(f"{name} {part}:\n  - {was}\n  + {now}")
    shared = len(names[0] & names[1])
    print(f"{shared} reports compared; differences: {dict(kinds) or 'none'}")
    return int(bool(kinds) or names[0] != names[1])


def _read(path: Path) -> Mapping[str, Any]:
    report: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return report


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, object, object]]:
    """Each part that differs: its name, what it was and what it is."""
    for key in ("verdict", "waivers"):
        if before[key] != after[key]:
            yield key, before[key], after[key]
    for name, variant in before["variants"].items():
        now = after["variants"].get(name, {"rules": {}})
        if variant["fix_first"] != now.get("fix_first"):
            yield f"{name} fix_first", variant["fix_first"], now.get("fix_first")
        for rule, entry in variant["rules"].items():
            other = now["rules"].get(rule, {})
            for part in _PARTS:
                was, is_now = _part(entry, part), _part(other, part)
                if _VARYING.sub("#", was) != _VARYING.sub("#", is_now):
                    yield f"{name} {rule} {part}", was, is_now


def _part(entry: Mapping[str, str], part: str) -> str:
    return entry.get(part, entry.get(_EARLIER.get(part, part), ""))


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:3])))
