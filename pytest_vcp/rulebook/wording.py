"""Small phrases that the messages of several rules share."""

from __future__ import annotations


def and_others(count: int) -> str:
    """What follows the first of `count` things at fault: nothing if it is the only one."""
    return "" if count < 2 else f" (and {count - 1} more)"


def did_you_mean(candidates: tuple[str, ...]) -> str:
    """A question that names the likeliest candidates; empty without any."""
    return f"did you mean {' or '.join(candidates[:2])}? " if candidates else ""
