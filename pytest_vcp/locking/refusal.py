"""What keeps requirements.in from being locked, and is the package's own fault."""

from __future__ import annotations

from pytest_vcp.rulebook.violations import Location


class Unlockable(Exception):
    """requirements.in can't be locked.

    `problem` says why in one line, `detail` has the lines that matter of what the resolver said,
    and `remedy` what to do.
    """

    def __init__(
        self,
        problem: str,
        remedy: str,
        *,
        detail: tuple[str, ...] = (),
        where: Location | None = None,
    ) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy
        self.detail = detail
        self.where = where

    def lines(self) -> list[str]:
        """What the author reads, without a title."""
        place = f" ({self.where})" if self.where else ""
        return [
            f"  found  {self.problem}{place}",
            *(f"         {line}" for line in self.detail),
            f"  fix    {self.remedy}",
        ]
