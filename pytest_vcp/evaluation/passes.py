"""The forward passes of a session besides the first: their expected cost, and its limit."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from pytest_vcp.rules.outcomes import Unverified

# A run says in advance how long it will take if that is worth a line.
_WORTH_SAYING_SECONDS = 5.0
# The most further passes of a model with params, besides those on the whole example: by the process
# that loaded it, and one after the other by the server.
_FURTHER_BY_LOADER = 6
_FURTHER_BY_SERVER = 2


class PassBudget:
    """The seconds spent on further passes in one process, of at most `limit`.

    `first` and `small` are the seconds of a pass on the example and on the cut-down example, None
    until they are known.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._spent = 0.0
        self.first: float | None = None
        self.small: float | None = None

    @property
    def per_pass(self) -> float:
        """The expected seconds of a pass on the smallest example that there is; 0 if unknown."""
        known = self.first if self.small is None else self.small
        return known or 0.0

    def affords(self, passes: float = 1) -> bool:
        """Return whether so many passes on the smallest example fit in."""
        return self._spent + passes * self.per_pass <= self._limit

    def require(self, passes: float = 1) -> None:
        """Raise Unverified if so many passes on the smallest example don't fit in."""
        if not self.affords(passes):
            raise Unverified(
                f"a forward pass takes {self.per_pass:.1f} s, and {self._spent:.0f} s of the "
                f"{self._limit:g} s for further ones are spent (repeat_seconds in the policy)"
            )

    @contextlib.contextmanager
    def spending(self) -> Iterator[None]:
        """Count the seconds of the context."""
        started = time.monotonic()
        try:
            yield
        finally:
            self._spent += time.monotonic() - started

    def announce(self, *, commands: bool) -> str | None:
        """Describe the passes to come and their seconds; None if that is not worth a line.

        `commands` is whether MLflow's commands are going to predict as well.
        """
        if self.first is None:
            return None
        by_loader = self.first + min(self._limit, _FURTHER_BY_LOADER * self.first)
        by_server = (1 + _FURTHER_BY_SERVER) * self.first * commands
        seconds = max(by_loader, by_server)
        if seconds < _WORTH_SAYING_SECONDS:
            return None
        whole = 1 + 2 * commands
        further = _FURTHER_BY_LOADER + _FURTHER_BY_SERVER * commands
        return (
            f"the first forward pass took {self.first:.1f} s; {whole} more of the example are to "
            f"come, and up to {further} others, of few observations where the input is AnnData: "
            f"{seconds:.0f} s or less, where cores are free"
        )
