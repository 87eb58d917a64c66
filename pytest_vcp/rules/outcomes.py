"""What a rule can say besides "it holds": a violation, "can't be judged", "the tool failed".

A conformance test asserts by raising one of these. None of them knows its rule: the test that
raises is marked with the id, and the report joins the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Location:
    """A place that the author can open: a path as the author would write it, and a line."""

    path: str
    line: int | None = None

    @classmethod
    def within(cls, root: Path, path: Path, line: int | None = None) -> Location:
        """Name `path` relative to `root` where it lies inside, as is where it does not."""
        try:
            return cls(path.relative_to(root).as_posix(), line)
        except ValueError:
            return cls(str(path), line)

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


# Where the author's own code raised what nobody knows a cure for: what it said, and where, is all.
NO_REMEDY = ""


class Violation(AssertionError):
    """A rule does not hold: the package is at fault, and here is what to do about it.

    Raised from the failure of a process, it brings the traceback of that along.
    `binds` is whether it fails the run where the rule is required; what does not is advice, however
    binding its rule.
    """

    def __init__(
        self,
        *,
        expected: str,
        found: str,
        remedy: str,
        where: Location | None = None,
        binds: bool = True,
    ) -> None:
        super().__init__(f"expected {expected}; found {found}")
        self.expected = expected
        self.found = found
        self.remedy = remedy
        self.where = where
        self.binds = binds


class Unverified(Exception):
    """A rule can't be judged here; `reason` completes "not verified, because ..."."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Blocked(Exception):
    """A rule was not judged because `rule`, of an earlier stage, has to be fixed first."""

    def __init__(self, rule: str) -> None:
        super().__init__(f"fix {rule} first")
        self.rule = rule


class ToolError(Exception):
    """The tool or its surroundings failed (no network, disk full); the package is not blamed."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
