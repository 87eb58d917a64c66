"""Text files as their authors meant them: with the encodings that editors and shells write."""

from __future__ import annotations

import codecs

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_BEGINNING = 1024


def decode(content: bytes) -> str:
    """The text of a file; bytes that are none of it become replacement characters."""
    if content.startswith(_UTF_16):  # what a Windows shell's redirect writes
        return content.decode("utf-16", errors="replace")
    return content.decode("utf-8-sig", errors="replace")


def is_binary(beginning: bytes) -> bool:
    """Whether a file that begins so is no text: it has a null byte where no UTF-16 explains it."""
    return b"\0" in beginning[:_BEGINNING] and not beginning.startswith(_UTF_16)
