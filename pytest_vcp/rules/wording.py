"""Small phrases that the messages of several rules share."""

from __future__ import annotations

from collections.abc import Sequence


def and_others(count: int) -> str:
    """What follows the first of `count` things at fault: nothing if it is the only one."""
    return "" if count < 2 else f" (and {count - 1} more)"


def list_names(names: Sequence[str], most: int = 3) -> str:
    """The first names, and how many there are besides."""
    more = len(names) - most
    return f"{', '.join(names[:most])}" + (f" and {more} more" if more > 0 else "")


def did_you_mean(candidates: tuple[str, ...]) -> str:
    """A question that names the likeliest candidates; empty without any."""
    return f"did you mean {' or '.join(candidates[:2])}? " if candidates else ""
