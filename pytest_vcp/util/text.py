"""Texts for people."""

from __future__ import annotations


def truncate(text: str, width: int) -> str:
    """Cut a text to `width` characters, of which the last three are dots where it was longer."""
    return text if len(text) <= width else f"{text[: width - 3]}..."
