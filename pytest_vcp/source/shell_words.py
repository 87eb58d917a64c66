"""A text cut into words as a shell does it, except that JSON may stand in it without quotes.

Authors of metadata files write ``--model-config-json {"organism": "human"}``, quoted for a shell
or not. A shell, and `shlex`, would cut the unquoted form at its spaces and drop its quotes.
"""

from __future__ import annotations

import json
from typing import NamedTuple

_DECODER = json.JSONDecoder()
_WIDEST = 40
_NEAR = 20
# What a backslash keeps as it is within double quotes; before anything else it stands for itself.
_KEPT = ('"', "\\", "$", "`")


class Word(NamedTuple):
    """One word. `json_fault` says what is wrong with the unquoted JSON that it seems to begin."""

    text: str
    json_fault: str | None = None


class OpenQuote(ValueError):
    """A quote that is never closed; `rest` is the text from there."""

    def __init__(self, rest: str) -> None:
        super().__init__(rest)
        self.rest = rest


def split(text: str) -> list[Word]:
    """The words of a text. Raises OpenQuote."""
    return _Splitter(text).words()


def short(text: str) -> str:
    """The text in one line, as much of it as a message has room for."""
    line = " ".join(text.split())
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 3]}..."


class _Splitter:
    """Goes through the text once, from word to word."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def words(self) -> list[Word]:
        found = []
        while self._skip_blanks():
            found.append(self._word())
        return found

    def _skip_blanks(self) -> bool:
        """Go to the next word; false at the end. A backslash at a line's end is a blank."""
        while self._at < len(self._text):
            if self._text.startswith(("\\\n", "\\\r\n"), self._at):
                self._at = self._text.index("\n", self._at)
            elif not self._text[self._at].isspace():
                return True
            self._at += 1
        return False

    def _word(self) -> Word:
        parts: list[str] = []
        fault: str | None = None
        while self._at < len(self._text) and not self._text[self._at].isspace():
            character = self._text[self._at]
            value_begins = not parts or parts[-1] == "="
            if character in "{[" and value_begins:
                value, fault = self._json()
                parts.append(value)
            elif character == "'":
                parts.append(self._single_quoted())
            elif character == '"':
                parts.append(self._double_quoted())
            else:
                parts.append(self._plain())
        return Word("".join(parts), fault)

    def _json(self) -> tuple[str, str | None]:
        """The JSON that begins here; its first character alone, and the fault, where it is none."""
        start = self._at
        self._at += 1
        try:
            _, end = _DECODER.raw_decode(self._text, start)
        except json.JSONDecodeError as problem:
            near = short(self._text[problem.pos :][:_NEAR])
            return self._text[start], f"{problem.msg} at {near or 'its end'}"
        except RecursionError:
            return self._text[start], "it is nested too deeply"
        except ValueError as problem:  # a number of thousands of digits
            return self._text[start], str(problem)
        behind = self._text[end : end + _WIDEST]
        if behind and not behind[0].isspace():
            return self._text[start], f"{short(behind.split()[0])} right behind it"
        self._at = end
        return self._text[start:end], None

    def _plain(self) -> str:
        if self._text[self._at] == "\\":
            self._at += 1
        self._at += 1
        return self._text[self._at - 1 : self._at]

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise OpenQuote(short(self._text[self._at :]))
        value = self._text[self._at + 1 : end]
        self._at = end + 1
        return value

    def _double_quoted(self) -> str:
        at, parts = self._at + 1, []
        while self._text[at : at + 1] != '"':
            if self._text[at : at + 1] == "\\" and self._text[at + 1 : at + 2] in _KEPT:
                at += 1
            if at >= len(self._text):
                raise OpenQuote(short(self._text[self._at :]))
            parts.append(self._text[at])
            at += 1
        self._at = at + 1
        return "".join(parts)
