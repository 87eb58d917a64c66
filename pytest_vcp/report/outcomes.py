"""The outcome of each rule, in the form that reports and other processes understand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pytest_vcp.rules.outcomes import Blocked, ToolError, Unverified, Violation
from pytest_vcp.rules.registry import BY_ID, RULES, STAGES, Level
from pytest_vcp.rules.suite import page
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.settings.waivers import Waiver
from pytest_vcp.worker.failure import WorkerFailure

# Why a rule has no outcome in a run that was interrupted, or stopped at its first failure.
CUT_SHORT = "the run ended before it"

# The end of a traceback says most.
_MOST_LINES = 120

Kind = Literal["passed", "failed", "advice", "waived", "unverified", "skipped", "error"]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one rule for one variant.

    `variant` is empty for a rule of the package as a whole. `expected`, `found`, `where` and
    `remedy` are filled for a broken rule; `message` is the one line that says why, for every
    outcome but `passed`. `traceback` is that of the model's exception, cut to its last lines.
    """

    rule: str
    variant: str
    kind: Kind
    message: str = ""
    expected: str = ""
    found: str = ""
    where: str = ""
    remedy: str = ""
    traceback: str = ""

    def as_json(self) -> dict[str, str]:
        """Return plain values, to be sent between processes."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Format the outcome for the author, on at most five lines."""
        title = f"{self.rule}: {BY_ID[self.rule].title}"
        if self.kind in ("failed", "advice"):
            where = f" ({self.where})" if self.where else ""
            return [
                title,
                f"  expected  {self.expected}",
                f"  found     {self.found}{where}",
                *([f"  fix       {self.remedy}"] if self.remedy else []),
                f"  page      {page(self.rule)}",
            ]
        if self.kind == "error":
            return [title, f"  error     {self.message}", f"  do        {self.remedy}"]
        return [title, f"  {self.kind}  {self.message}"]


def read_outcome(values: Mapping[str, Any]) -> Outcome:
    """Rebuild an outcome from the values of `Outcome.as_json`."""
    return Outcome(**values)


def outcome_of(rule: str, variant: str, problem: BaseException | None, level: Level) -> Outcome:
    """Turn the exception of a conformance test into the outcome of its rule of level `level`."""
    if problem is None:
        return Outcome(rule, variant, "passed")
    if isinstance(problem, Violation):
        return Outcome(
            rule,
            variant,
            "failed" if level == "required" and problem.binds else "advice",
            message=_one_line(str(problem)),
            expected=_one_line(problem.expected),
            found=_one_line(problem.found),
            where=_one_line(str(problem.where)) if problem.where else "",
            remedy=_one_line(problem.remedy),
            traceback=_traceback(problem.__cause__),
        )
    if isinstance(problem, Unverified):
        return Outcome(rule, variant, "unverified", message=_one_line(problem.reason))
    if isinstance(problem, Blocked):
        return Outcome(rule, variant, "skipped", message=f"fix {problem.rule} first")
    if isinstance(problem, ToolError):
        message, remedy = _one_line(problem.problem), _one_line(problem.remedy)
        return Outcome(rule, variant, "error", message, remedy=remedy)
    return Outcome(
        rule,
        variant,
        "error",
        message=f"pytest-vcp itself failed: {type(problem).__name__}: {_one_line(str(problem))}",
        remedy="report this as a bug of pytest-vcp, with the traceback of --tb=long",
    )


def waive(outcome: Outcome, waiver: Waiver) -> Outcome:
    """Turn the outcome of a rule that failed into a waived one."""
    until = f" until {waiver.until}" if waiver.until else ""
    return replace(
        outcome,
        kind="waived",
        message=f"{outcome.message}; waived{until}: {_one_line(waiver.reason)}",
    )


def build_not_judged(rule: str, variant: str, why: str) -> Outcome:
    """Build the outcome of a rule whose test did not run."""
    return Outcome(rule, variant, "unverified", message=why)


def build_unpublished(variant: str, destination: Path, problem: str) -> Outcome:
    """Build the outcome of packaging for an artifact that can't be moved to its destination."""
    return Outcome(
        "VCP601",
        variant,
        "error",
        message=_one_line(f"the artifact can't be put at {destination}: {problem}"),
        remedy="see to that, or name another place with --vcp-artifact-dir-path",
    )


def build_unrecorded(variant: str, problem: str) -> Outcome:
    """Build the outcome of the rule on the recorded output when that can't be saved."""
    return Outcome(
        "VCP714",
        variant,
        "error",
        message=_one_line(f"the expected output can't be kept in the package: {problem}"),
        remedy="make the package directory writable, or leave --vcp-record-expected out",
    )


def _traceback(cause: BaseException | None) -> str:
    """Return the traceback of a worker's failure, cut to its last lines; empty for other causes."""
    if not isinstance(cause, WorkerFailure):
        return ""
    lines = cause.traceback.encode("utf-8", "backslashreplace").decode().splitlines()
    return "\n".join(lines[-_MOST_LINES:])


def _one_line(text: str) -> str:
    """Join the lines of a text, and escape the bytes of a name that is not UTF-8."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())


# --------------------------------------------------------------------------------------- verdict
#
# From the outcomes of the rules to one word and one exit code.

Word = Literal["error", "nonconformant", "unverified", "conformant"]

# The word of a run is the first of these that one of its variants has.
WORDS: tuple[Word, ...] = ("error", "nonconformant", "unverified", "conformant")

NONCONFORMANT_EXIT = 1
ERROR_EXIT = 10
UNVERIFIED_EXIT = 11


@dataclass(frozen=True)
class Verdict:
    """The verdict on one variant.

    `unverified` lists the outcomes that stayed open, `gaps` the unjudged rules that the policy or
    --vcp-must-verify requires, or that a run did not reach because it was cut short; `broken`
    lists the outcomes that prevent conformance, in the order in which the author should fix them.
    """

    word: Word
    unverified: tuple[Outcome, ...]
    gaps: tuple[str, ...]
    broken: tuple[Outcome, ...]

    @property
    def first(self) -> Outcome | None:
        """The outcome to fix first; None where nothing is broken."""
        return self.broken[0] if self.broken else None

    @property
    def open_by_reason(self) -> dict[str, list[str]]:
        """The unverified rules, grouped by reason."""
        found: dict[str, list[str]] = {}
        for outcome in self.unverified:
            found.setdefault(outcome.message, []).append(outcome.rule)
        return found


def judge(outcomes: Sequence[Outcome], settings: Settings) -> Verdict:
    """Determine the verdict; a rule without an outcome, since deselected, counts as unverified."""
    order = [entry.id for entry in sorted(RULES, key=lambda entry: STAGES.index(entry.stage))]
    in_order = sorted(outcomes, key=lambda outcome: order.index(outcome.rule))
    open_ones = tuple(outcome for outcome in in_order if outcome.kind == "unverified")
    judged = {entry.rule for entry in in_order if entry.kind not in ("unverified", "skipped")}
    # A run that was cut short must not call a package conformant, however far it got.
    cut = (entry.rule for entry in open_ones if entry.message == CUT_SHORT)
    wanted = dict.fromkeys((*settings.policy.must_verify, *settings.must_verify, *cut))
    gaps = tuple(rule for rule in wanted if rule not in judged)
    failing = ("failed", "advice") if settings.strict else ("failed",)
    errors = _select_kinds(in_order, ("error",))
    # A skipped rule has a broken rule before it, which the gate judged if it was deselected. Where
    # that rule is advice, nothing has to be fixed.
    advised = {f"fix {entry.rule} first" for entry in _select_kinds(in_order, ("advice",))}
    skipped = [entry for entry in in_order if entry.message not in advised]
    broken = _select_kinds(in_order, failing) or _select_kinds(skipped, ("skipped",))[:1]
    word: Word = "conformant"
    if errors:
        word = "error"
    elif broken:
        word = "nonconformant"
    elif gaps:
        word = "unverified"
    return Verdict(word, open_ones, gaps, errors + broken)


def overall(verdicts: Mapping[str, Verdict]) -> Word:
    """Return the word of a run: the worst of its variants."""
    words = {verdict.word for verdict in verdicts.values()}
    return next(word for word in WORDS if word in words)


def exit_code(verdicts: Mapping[str, Verdict], settings: Settings) -> int:
    """Return 0, 1, 10 or 11; unverified gives 0 unless --vcp-must-verify names one of the gaps."""
    word = overall(verdicts)
    if word == "error":
        return ERROR_EXIT
    if word == "nonconformant":
        return NONCONFORMANT_EXIT
    gaps = {rule for verdict in verdicts.values() for rule in verdict.gaps}
    return UNVERIFIED_EXIT if gaps & set(settings.must_verify) else 0


def _select_kinds(outcomes: Iterable[Outcome], kinds: tuple[str, ...]) -> tuple[Outcome, ...]:
    return tuple(outcome for outcome in outcomes if outcome.kind in kinds)
