"""From the outcomes of the rules to one word and one exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_vcp.report.outcomes import CUT_SHORT, Outcome
from pytest_vcp.rules import RULES, STAGES
from pytest_vcp.settings.resolved import Settings

Word = Literal["error", "nonconformant", "unverified", "conformant"]

# The word of a run is the first of these that one of its variants has.
WORDS: tuple[Word, ...] = ("error", "nonconformant", "unverified", "conformant")

NONCONFORMANT_EXIT = 1
ERROR_EXIT = 10
UNVERIFIED_EXIT = 11


@dataclass(frozen=True)
class Verdict:
    """The verdict on one variant.

    `unverified` lists the outcomes that stayed open, `gaps` the rules that had to be verified by
    policy or by --vcp-must-verify, or that a run which was cut short had still to judge; `broken`
    is what stands in the way, in the order in which the author has to see to it.
    """

    word: Word
    unverified: tuple[Outcome, ...]
    gaps: tuple[str, ...]
    broken: tuple[Outcome, ...]

    @property
    def first(self) -> Outcome | None:
        """What to fix first."""
        return self.broken[0] if self.broken else None

    @property
    def open_by_reason(self) -> dict[str, list[str]]:
        """The rules that stayed open, together where the reason is the same."""
        found: dict[str, list[str]] = {}
        for outcome in self.unverified:
            found.setdefault(outcome.message, []).append(outcome.rule)
        return found


def judge(outcomes: Sequence[Outcome], settings: Settings) -> Verdict:
    """The verdict; a rule that has no outcome, because it was deselected, counts as unverified."""
    order = [entry.id for entry in sorted(RULES, key=lambda entry: STAGES.index(entry.stage))]
    in_order = sorted(outcomes, key=lambda outcome: order.index(outcome.rule))
    open_ones = tuple(outcome for outcome in in_order if outcome.kind == "unverified")
    judged = {entry.rule for entry in in_order if entry.kind not in ("unverified", "skipped")}
    # A run that was cut short says nothing good of a package, whatever it got to.
    cut = (entry.rule for entry in open_ones if entry.message == CUT_SHORT)
    wanted = dict.fromkeys((*settings.policy.must_verify, *settings.must_verify, *cut))
    gaps = tuple(rule for rule in wanted if rule not in judged)
    failing = ("failed", "advice") if settings.strict else ("failed",)
    errors = _of_kinds(in_order, ("error",))
    # What is skipped has a broken rule before it, which the gate judged if it was deselected. Where
    # that one is advice, nothing has to be fixed.
    advised = {f"fix {entry.rule} first" for entry in _of_kinds(in_order, ("advice",))}
    skipped = [entry for entry in in_order if entry.message not in advised]
    broken = _of_kinds(in_order, failing) or _of_kinds(skipped, ("skipped",))[:1]
    word: Word = "conformant"
    if errors:
        word = "error"
    elif broken:
        word = "nonconformant"
    elif gaps:
        word = "unverified"
    return Verdict(word, open_ones, gaps, errors + broken)


def overall(verdicts: Mapping[str, Verdict]) -> Word:
    """The word of a run: the worst of its variants."""
    words = {verdict.word for verdict in verdicts.values()}
    return next(word for word in WORDS if word in words)


def exit_code(verdicts: Mapping[str, Verdict], settings: Settings) -> int:
    """0, 1, 10 or 11; unverified ends with 0 unless --vcp-must-verify names one of the gaps."""
    word = overall(verdicts)
    if word == "error":
        return ERROR_EXIT
    if word == "nonconformant":
        return NONCONFORMANT_EXIT
    gaps = {rule for verdict in verdicts.values() for rule in verdict.gaps}
    return UNVERIFIED_EXIT if gaps & set(settings.must_verify) else 0


def _of_kinds(outcomes: Iterable[Outcome], kinds: tuple[str, ...]) -> tuple[Outcome, ...]:
    return tuple(outcome for outcome in outcomes if outcome.kind in kinds)
