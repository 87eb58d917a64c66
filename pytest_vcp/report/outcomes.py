"""The outcome of each rule, in the form that reports and other processes understand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pytest_vcp.rulebook.violations import Blocked, ToolError, Unverified, Violation
from pytest_vcp.rules import BY_ID, Level
from pytest_vcp.settings.waivers import Waiver
from pytest_vcp.suite import page
from pytest_vcp.worker.failure import WorkerFailure

# Why a rule has no outcome in a run that was interrupted, or stopped at its first failure.
CUT_SHORT = "the run ended before it"

# Of a traceback, the end tells most.
_MOST_LINES = 120

Kind = Literal["passed", "failed", "advice", "waived", "unverified", "skipped", "error"]


@dataclass(frozen=True)
class Outcome:
    """What was found about one rule for one variant.

    `variant` is empty for a rule of the package as a whole. `expected`, `received`, `where` and
    `remedy` are filled for a broken rule; `message` is the one line that says why, for every
    outcome but `passed`. `traceback` is the whole story of what the model raised.
    """

    rule: str
    variant: str
    kind: Kind
    message: str = ""
    expected: str = ""
    received: str = ""
    where: str = ""
    remedy: str = ""
    traceback: str = ""

    def as_json(self) -> dict[str, str]:
        """Plain values, as they travel between processes."""
        return asdict(self)

    def lines(self) -> list[str]:
        """What the author reads: at most six lines."""
        title = f"{self.rule}: {BY_ID[self.rule].title}"
        if self.kind in ("failed", "advice"):
            place = f" ({self.where})" if self.where else ""
            return [
                title,
                f"  expected  {self.expected}",
                f"  found     {self.received}{place}",
                *([f"  fix       {self.remedy}"] if self.remedy else []),
                f"  page      {page(self.rule)}",
            ]
        if self.kind == "error":
            return [title, f"  error     {self.message}", f"  do        {self.remedy}"]
        return [title, f"  {self.kind}  {self.message}"]


def read_outcome(values: Mapping[str, Any]) -> Outcome:
    """The inverse of `Outcome.as_json`."""
    return Outcome(**values)


def outcome_of(rule: str, variant: str, problem: BaseException | None, level: Level) -> Outcome:
    """Turn what a conformance test raised into the outcome of its rule, which binds as `level`."""
    if problem is None:
        return Outcome(rule, variant, "passed")
    if isinstance(problem, Violation):
        return Outcome(
            rule,
            variant,
            "failed" if level == "required" and problem.binds else "advice",
            message=_one_line(str(problem)),
            expected=_one_line(problem.expected),
            received=_one_line(problem.received),
            where=_one_line(str(problem.where)) if problem.where else "",
            remedy=_one_line(problem.remedy),
            traceback=_traceback(problem.__cause__),
        )
    if isinstance(problem, Unverified):
        return Outcome(rule, variant, "unverified", message=_one_line(problem.reason))
    if isinstance(problem, Blocked):
        return Outcome(rule, variant, "skipped", message=f"fix {problem.rule} first")
    if isinstance(problem, ToolError):
        told, remedy = _one_line(problem.problem), _one_line(problem.remedy)
        return Outcome(rule, variant, "error", told, remedy=remedy)
    return Outcome(
        rule,
        variant,
        "error",
        message=f"pytest-vcp itself failed: {type(problem).__name__}: {_one_line(str(problem))}",
        remedy="report this as a bug of pytest-vcp, with the traceback of --tb=long",
    )


def waived(outcome: Outcome, waiver: Waiver) -> Outcome:
    """The outcome of a rule that failed, and may."""
    until = f" until {waiver.until}" if waiver.until else ""
    return replace(
        outcome,
        kind="waived",
        message=f"{outcome.message}; waived{until}: {_one_line(waiver.reason)}",
    )


def not_judged(rule: str, variant: str, why: str) -> Outcome:
    """The outcome of a rule whose test did not run."""
    return Outcome(rule, variant, "unverified", message=why)


def unpublished(variant: str, destination: Path, problem: str) -> Outcome:
    """The outcome of packaging when the artifact was made and can't be put in its place."""
    return Outcome(
        "VCP601",
        variant,
        "error",
        message=_one_line(f"the artifact can't be put at {destination}: {problem}"),
        remedy="see to that, or name another place with --vcp-artifact-dir-path",
    )


def unrecorded(variant: str, problem: str) -> Outcome:
    """The outcome of the rule on the recorded output when that can't be put in its place."""
    return Outcome(
        "VCP714",
        variant,
        "error",
        message=_one_line(f"the expected output can't be kept in the package: {problem}"),
        remedy="make the package directory writable, or leave --vcp-record-expected out",
    )


def _traceback(cause: BaseException | None) -> str:
    """What a process told of the exception that ended its work: the last lines of a long story."""
    if not isinstance(cause, WorkerFailure):
        return ""
    lines = cause.traceback.encode("utf-8", "backslashreplace").decode().splitlines()
    return "\n".join(lines[-_MOST_LINES:])


def _one_line(text: str) -> str:
    """Without line breaks, and with the bytes of a name that is not UTF-8 written out."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode().split())
