"""Waivers: rules that may fail, each for a reason, for one variant or all, perhaps until a date."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from pytest_vcp.rules.registry import BY_ID
from pytest_vcp.settings.values import Given, nearest, refusal
from pytest_vcp.util import yaml_text

FORM = "RULE [variant NAME] [until YYYY-MM-DD]: REASON"
_LINE = re.compile(
    r"\s*(?P<rule>\w+)(?:\s+variant\s+(?P<variant>\S+?))?"
    r"(?:\s+until\s+(?P<until>\S+?))?\s*:\s*(?P<reason>.*)",
    re.DOTALL,
)
_KEYS = ("rule", "variant", "reason", "expires")
_ENTRY = "write a list of entries with rule and reason, and if need be variant and expires"


@dataclass(frozen=True)
class Waiver:
    """One waiver. It holds for every variant where `variant` is None, and through `until`."""

    rule: str
    reason: str
    variant: str | None = None
    until: datetime.date | None = None

    @property
    def label(self) -> str:
        """The name of the waiver in messages."""
        return self.rule if self.variant is None else f"{self.rule} for {self.variant}"

    def has_expired(self) -> bool:
        return self.until is not None and self.until < datetime.date.today()

    def covers(self, rule: str, variant: str) -> bool:
        """Return whether the waiver is for this rule and variant, expired or not."""
        return self.rule == rule and self.variant in (None, variant)


@dataclass(frozen=True)
class Waivers:
    """All waivers of a run."""

    entries: tuple[Waiver, ...] = ()

    def waives(self, rule: str, variant: str) -> bool:
        """Return whether the rule may fail for the variant."""
        return self.find(rule, variant) is not None

    def find(self, rule: str, variant: str) -> Waiver | None:
        """Return the waiver in force for the rule and the variant; None without one."""
        valid = (entry for entry in self.entries if not entry.has_expired())
        return next((entry for entry in valid if entry.covers(rule, variant)), None)

    def remarks(self, kinds: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
        """Yield problems of the waivers, given the outcome of each rule for each variant."""
        for entry in self.entries:
            if entry.rule not in BY_ID:
                hint = nearest(entry.rule, tuple(BY_ID)) or "ids are written like VCP709"
                yield f"{entry.label}: there is no such rule; {hint}"
            elif entry.variant is not None and entry.variant not in kinds:
                yield f"{entry.label}: no variant of this name was judged"
            elif entry.has_expired():
                yield f"{entry.label}: it expired on {entry.until}, and waives nothing any more"
            elif _is_stale(entry, kinds):
                yield f"{entry.label}: the rule holds; delete the waiver"


def _is_stale(entry: Waiver, kinds: Mapping[str, Mapping[str, str]]) -> bool:
    found = {
        outcomes.get(entry.rule)
        for variant, outcomes in kinds.items()
        if entry.covers(entry.rule, variant)
    }
    return found == {"passed"}


def read_line(given: Given) -> Waiver:
    """Read one waiver from the option or the ini file. Raises pytest.UsageError."""
    match = _LINE.fullmatch(given.text)
    if match is None:
        raise refusal(given, f"write {FORM}")
    if not match["reason"].strip():
        raise refusal(given, f"a waiver needs a reason: {FORM}")
    until = None
    if match["until"]:
        try:
            until = datetime.date.fromisoformat(match["until"])
        except ValueError:
            raise refusal(given, f"{match['until']} is no date; write YYYY-MM-DD") from None
    return Waiver(match["rule"].upper(), match["reason"].strip(), match["variant"], until)


def read_file(path: Path, origin: str) -> tuple[Waiver, ...]:
    """Read the waivers of a YAML file; `origin` is its option in messages.

    Raises pytest.UsageError.
    """

    def wrong(problem: str) -> pytest.UsageError:
        return pytest.UsageError(f"{origin}: {path} {problem}")

    try:
        entries = yaml_text.load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise wrong(f"can't be read: {problem.strerror}; name a YAML file of waivers") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise wrong(f"is not YAML: {' '.join(str(problem).split())}; {_ENTRY}") from None
    if not isinstance(entries, list):
        raise wrong(f"is not a list; {_ENTRY}")
    try:
        return tuple(_entry(number, entry) for number, entry in enumerate(entries, start=1))
    except ValueError as problem:
        raise wrong(str(problem)) from None


def _entry(number: int, entry: object) -> Waiver:
    """Read one entry of a file. Raises ValueError."""
    if not isinstance(entry, dict):
        raise ValueError(f"has no mapping as entry {number}; {_ENTRY}")
    for key in entry:
        if key not in _KEYS:
            hint = nearest(str(key), _KEYS) or f"known are {', '.join(_KEYS)}"
            raise ValueError(f"has the unknown key {key!r} in entry {number}; {hint}")
    rule, reason, variant = (entry.get(key) for key in ("rule", "reason", "variant"))
    if not isinstance(rule, str) or not rule:
        raise ValueError(f"names no rule in entry {number}; write rule: VCP709")
    if not isinstance(reason, str) or not reason.strip():
        raise ValueError(f"gives no reason for {rule}; a waiver needs one")
    name = None if variant is None else str(variant)
    return Waiver(rule.upper(), reason.strip(), name, _date(rule, entry.get("expires")))


def _date(rule: str, value: object) -> datetime.date | None:
    # YAML already parses dates, and with a time of day, datetimes.
    if isinstance(value, datetime.datetime):
        return value.date()
    if value is None or isinstance(value, datetime.date):
        return value
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"has {value!r} as expiry of {rule}; write YYYY-MM-DD") from None


def join_waivers(lines: Iterable[Waiver], file: Iterable[Waiver]) -> Waivers:
    """Join the waivers of the options and of a file; where both are in force, the first counts."""
    return Waivers((*lines, *file))
