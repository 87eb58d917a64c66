"""What pip chose when it built an environment: its installation report, and what it warned of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from pytest_vcp.environment.pip_messages import yank_reasons


@dataclass(frozen=True)
class Chosen:
    """One distribution that pip installed: by its canonical name, and in which version.

    `requested`: a line of the lock asked for it. `yanked`: the index said, at that time, that its
    maintainers had withdrawn the release; `reason` is what they said, if anything.
    """

    name: str
    version: str
    requested: bool
    yanked: bool
    reason: str | None = None


def read_pip_report(report: Path, log: Path) -> tuple[Chosen, ...]:
    """Read pip's report and the reasons in its log, which the report leaves out.

    Raises OSError or ValueError where the report can't be read.
    """
    told = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    reasons: dict[tuple[str, str], str] = {
        (canonicalize_name(name), version): reason
        for (name, version), reason in yank_reasons(told).items()
    }
    try:
        return tuple(
            _chosen(entry, reasons) for entry in json.loads(report.read_bytes())["install"]
        )
    except (KeyError, TypeError, AttributeError) as unknown:
        raise ValueError(f"{report} is no installation report of pip") from unknown


def _chosen(entry: dict[str, object], reasons: Mapping[tuple[str, str], str]) -> Chosen:
    metadata = entry["metadata"]
    assert isinstance(metadata, dict)
    name, version = canonicalize_name(metadata["name"]), str(metadata["version"])
    return Chosen(
        name=name,
        version=version,
        requested=entry["requested"] is True,
        yanked=entry.get("is_yanked") is True,
        reason=reasons.get((name, version)),
    )
