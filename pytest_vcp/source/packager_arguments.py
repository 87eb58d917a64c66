"""The arguments of the platform's packager, as a metadata file holds them: one text per variant.

What the values mean is for the settings to read.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_vcp.settings.values import nearest

_SCRIPT = "mlflow_packager.py"
_JSON_FLAG = "--model-config-json"
_REPEATABLE = {"--artifact": "NAME=PATH", "--model-tag": "KEY=VALUE"}
_SINGLE = ("--model-class", _JSON_FLAG, "--json-payload-filepath", "--artifact-dir-path")
_SWITCH = "--skip-inference"
FLAGS = (*_SINGLE, *_REPEATABLE, _SWITCH)


@dataclass(frozen=True)
class VariantArguments:
    """The values of the packager's options, as they were written; None where one is not given."""

    model_class: str | None = None
    artifacts: tuple[str, ...] = ()
    model_config_json: str | None = None
    model_tags: tuple[str, ...] = ()
    json_payload_filepath: str | None = None
    artifact_dir_path: str | None = None
    skip_inference: bool = False


class NotArguments(ValueError):
    """A text that the packager would not take: `what` completes "found ..."."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


def read_arguments(text: str) -> VariantArguments:
    """Read ``--flag value`` and ``--flag=value``. Raises NotArguments."""
    given = _Given()
    try:
        words = split(text)
    except OpenQuote as problem:
        raise NotArguments(f"a quote that is not closed: {problem.rest}", "close it") from None
    left = iter(words)
    for word in left:
        flag, separator, value = word.text.partition("=")
        if not flag.startswith("--"):
            raise _unexpected(word.text, given.last)
        if flag not in FLAGS:
            hint = nearest(flag, FLAGS) or f"the packager knows {', '.join(FLAGS[:3])} and others"
            raise NotArguments(f"the unknown argument {short(flag)}", hint)
        if flag == _SWITCH:
            if separator:
                raise NotArguments(f"{_SWITCH} with a value", f"write {_SWITCH} alone")
            given.skip_inference = True
        else:
            following = Word(value, word.json_fault) if separator else _following(flag, left)
            given.take(flag, following)
    return given.frozen()


@dataclass
class _Given:
    """What was read so far; `last` is the option that was read last."""

    single: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, list[str]] = field(default_factory=lambda: {f: [] for f in _REPEATABLE})
    skip_inference: bool = False
    last: str = ""

    def take(self, flag: str, value: Word) -> None:
        self.last = flag
        if flag == _JSON_FLAG:
            _require_whole(value)
        if flag in self.repeated:
            self.repeated[flag].append(value.text)
        elif flag in self.single:
            raise NotArguments(f"{flag} given twice", "delete one of the two")
        else:
            self.single[flag] = value.text

    def frozen(self) -> VariantArguments:
        return VariantArguments(
            model_class=self.single.get("--model-class"),
            artifacts=tuple(self.repeated["--artifact"]),
            model_config_json=self.single.get(_JSON_FLAG),
            model_tags=tuple(self.repeated["--model-tag"]),
            json_payload_filepath=self.single.get("--json-payload-filepath"),
            artifact_dir_path=self.single.get("--artifact-dir-path"),
            skip_inference=self.skip_inference,
        )


def _following(flag: str, left: Iterator[Word]) -> Word:
    value = next(left, None)
    if value is None or value.text.startswith("--"):
        raise NotArguments(f"{flag} without a value", f"write its value after {flag}, or delete it")
    return value


def _require_whole(value: Word) -> None:
    """Refuse unquoted JSON with a fault: nobody can tell where it ends."""
    if value.json_fault is None:
        return
    try:
        json.loads(value.text)  # it was quoted for a shell, as {\"key\":1}
    except (ValueError, RecursionError):
        raise NotArguments(
            f"{_JSON_FLAG} with a fault: {value.json_fault}",
            'write it as {"key": 1}, with double quotes around names and texts',
        ) from None


def _unexpected(word: str, last: str) -> NotArguments:
    if not word.strip() or word.lstrip() != word:
        return NotArguments(
            "a backslash before a space", "delete the backslashes at the ends of the lines"
        )
    found = f"{short(word)!r} where an option was expected"
    if word.rpartition("/")[2] == _SCRIPT or word.startswith("python"):
        remedy = f"keep only what follows {_SCRIPT} on the command line"
    elif last in _REPEATABLE:
        remedy = f"write {last} before each {_REPEATABLE[last]}"
    elif last == _JSON_FLAG:
        remedy = "leave nothing between the JSON and the next option"
    else:
        remedy = "write each value after its option, such as --model-class MODULE:CLASS"
    return NotArguments(found, remedy)


# ----------------------------------------------------------------------------------- shell words
#
# A text cut into words as a shell does it, except that JSON may stand in it without quotes.
#
# Authors of metadata files write ``--model-config-json {"organism": "human"}``, quoted for a shell
# or not. A shell, and `shlex`, would cut the unquoted form at its spaces and drop its quotes.

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
