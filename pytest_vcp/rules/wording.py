"""Small phrases that the messages of several rules share."""

from __future__ import annotations

from collections.abc import Sequence


def and_others(count: int) -> str:
    """Return the words after the first of `count` items at fault: empty if it is the only one."""
    return "" if count < 2 else f" (and {count - 1} more)"


def list_names(names: Sequence[str], most: int = 3) -> str:
    """List the first names, and count the rest."""
    more = len(names) - most
    return f"{', '.join(names[:most])}" + (f" and {more} more" if more > 0 else "")


def did_you_mean(candidates: tuple[str, ...]) -> str:
    """Ask for the likeliest candidates; empty without any."""
    return f"did you mean {' or '.join(candidates[:2])}? " if candidates else ""
