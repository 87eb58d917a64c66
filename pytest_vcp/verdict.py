"""From the outcomes of the rules to one word and one exit code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_vcp.outcomes import Outcome
from pytest_vcp.rules import BY_ID, STAGES
from pytest_vcp.settings import Settings

Word = Literal["error", "nonconformant", "unverified", "conformant"]

NONCONFORMANT_EXIT = 1
ERROR_EXIT = 10
UNVERIFIED_EXIT = 11


@dataclass(frozen=True)
class Verdict:
    """The verdict on one variant.

    `unverified` lists the outcomes that stayed open, `gaps` the rules that had to be verified by
    policy or by --vcp-must-verify and were not; `first` is what the author should fix first.
    """

    word: Word
    unverified: tuple[Outcome, ...]
    gaps: tuple[str, ...]
    first: Outcome | None


def judge(outcomes: Sequence[Outcome], settings: Settings) -> Verdict:
    """The verdict; a rule that has no outcome, because it was deselected, counts as unverified."""
    in_order = sorted(outcomes, key=lambda outcome: list(BY_ID).index(outcome.rule))
    open_ones = tuple(outcome for outcome in in_order if outcome.kind == "unverified")
    judged = {entry.rule for entry in in_order if entry.kind not in ("unverified", "skipped")}
    wanted = dict.fromkeys((*settings.policy.must_verify, *settings.must_verify))
    gaps = tuple(rule for rule in wanted if rule not in judged)
    failing = ("failed", "advice") if settings.strict else ("failed",)
    error = _first(in_order, ("error",))
    # What is skipped has a broken rule before it, which the gate judged if it was deselected.
    broken = _first(in_order, failing) or _first(in_order, ("skipped",))
    word: Word = "conformant"
    if error is not None:
        word = "error"
    elif broken is not None:
        word = "nonconformant"
    elif gaps:
        word = "unverified"
    return Verdict(word, open_ones, gaps, error or broken)


def exit_code(verdict: Verdict, settings: Settings) -> int:
    """0, 1, 10 or 11; unverified ends with 0 unless --vcp-must-verify names one of the gaps."""
    if verdict.word == "error":
        return ERROR_EXIT
    if verdict.word == "nonconformant":
        return NONCONFORMANT_EXIT
    if set(verdict.gaps) & set(settings.must_verify):
        return UNVERIFIED_EXIT
    return 0


def _first(outcomes: Iterable[Outcome], kinds: tuple[str, ...]) -> Outcome | None:
    """The first outcome of these kinds, in the order in which the author has to work."""
    found = [outcome for outcome in outcomes if outcome.kind in kinds]
    return min(found, key=lambda outcome: STAGES.index(BY_ID[outcome.rule].stage), default=None)
