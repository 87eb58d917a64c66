"""The outcomes of a rule that does not pass: a violation, "can't be judged", "the tool failed".

A conformance test asserts by raising one of these. None of them knows its rule: the test that
raises is marked with the id, and the report joins the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Location:
    """A location that the author can open: a path as the author would write it, and a line."""

    path: str
    line: int | None = None

    @classmethod
    def within(cls, root: Path, path: Path, line: int | None = None) -> Location:
        """Create a location with `path` relative to `root` if it is inside, else as is."""
        try:
            return cls(path.relative_to(root).as_posix(), line)
        except ValueError:
            return cls(str(path), line)

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"


# For an unknown exception from the author's own code: only its message and location can be shown.
NO_REMEDY = ""


class Violation(AssertionError):
    """A rule does not hold: the package is at fault, and `remedy` says what to do about it.

    If it is raised from a worker's failure, the report includes that traceback. `binds` is whether
    the violation fails the run where the rule is required; otherwise it is advice, whatever the
    level of the rule.
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
