"""Text for users."""

from __future__ import annotations


def truncate(text: str, width: int) -> str:
    """Cut a text to `width` characters, the last three of them dots if it was longer."""
    return text if len(text) <= width else f"{text[: width - 3]}..."
