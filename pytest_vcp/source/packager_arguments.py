"""The arguments of the platform's packager, as stored in a metadata file: one text per variant.

Their values are interpreted by the settings.
"""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pytest_vcp.settings.values import nearest
from pytest_vcp.util.text import truncate

_SCRIPT = "mlflow_packager.py"
_JSON_FLAG = "--model-config-json"
_REPEATABLE = {"--artifact": "NAME=PATH", "--model-tag": "KEY=VALUE"}
_SINGLE = ("--model-class", _JSON_FLAG, "--json-payload-filepath", "--artifact-dir-path")
_SWITCH = "--skip-inference"
FLAGS = (*_SINGLE, *_REPEATABLE, _SWITCH)


@dataclass(frozen=True)
class VariantArguments:
    """The values of the packager's options, as written; None for one that is not given."""

    model_class: str | None = None
    artifacts: tuple[str, ...] = ()
    model_config_json: str | None = None
    model_tags: tuple[str, ...] = ()
    json_payload_filepath: str | None = None
    artifact_dir_path: str | None = None
    skip_inference: bool = False


class NotArguments(ValueError):
    """A text that the packager would refuse: `what` completes "found ..."."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}; {remedy}")
        self.what = what
        self.remedy = remedy


def read_arguments(text: str) -> VariantArguments:
    """Parse ``--flag value`` and ``--flag=value``. Raises NotArguments."""
    given = _Given()
    left = iter(split(text))
    for word in left:
        flag, separator, value = word.text.partition("=")
        if not flag.startswith("--"):
            raise _build_unexpected(word.text, given.last)
        if flag not in FLAGS:
            hint = nearest(flag, FLAGS) or f"the packager knows {', '.join(FLAGS[:3])} and others"
            raise NotArguments(f"the unknown argument {shorten(flag)}", hint)
        if flag == _SWITCH:
            if separator:
                raise NotArguments(f"{_SWITCH} with a value", f"write {_SWITCH} alone")
            given.skip_inference = True
        else:
            following = Word(value, word.json_fault) if separator else _take_value(flag, left)
            given.take(flag, following)
    return given.freeze()


@dataclass
class _Given:
    """The values parsed so far; `last` is the option that was parsed last."""

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

    def freeze(self) -> VariantArguments:
        return VariantArguments(
            model_class=self.single.get("--model-class"),
            artifacts=tuple(self.repeated["--artifact"]),
            model_config_json=self.single.get(_JSON_FLAG),
            model_tags=tuple(self.repeated["--model-tag"]),
            json_payload_filepath=self.single.get("--json-payload-filepath"),
            artifact_dir_path=self.single.get("--artifact-dir-path"),
            skip_inference=self.skip_inference,
        )


def _take_value(flag: str, left: Iterator[Word]) -> Word:
    value = next(left, None)
    if value is None or value.text.startswith("--"):
        raise NotArguments(f"{flag} without a value", f"write its value after {flag}, or delete it")
    return value


def _require_whole(value: Word) -> None:
    """Refuse unquoted JSON with a fault, because its end is unknown."""
    if value.json_fault is None:
        return
    try:
        json.loads(value.text)  # it was quoted for a shell, as {\"key\":1}
    except (ValueError, RecursionError):
        raise NotArguments(
            f"{_JSON_FLAG} with a fault: {value.json_fault}",
            'write it as {"key": 1}, with double quotes around names and texts',
        ) from None


def _build_unexpected(word: str, last: str) -> NotArguments:
    if not word.strip() or word.lstrip() != word:
        return _build_backslash()
    found = f"{shorten(word)!r} where an option was expected"
    if word.rpartition("/")[2] == _SCRIPT or word.startswith("python"):
        remedy = f"keep only what follows {_SCRIPT} on the command line"
    elif last in _REPEATABLE:
        remedy = f"write {last} before each {_REPEATABLE[last]}"
    elif last == _JSON_FLAG:
        remedy = "leave nothing between the JSON and the next option"
    else:
        remedy = "write each value after its option, such as --model-class MODULE:CLASS"
    return NotArguments(found, remedy)


def _build_backslash() -> NotArguments:
    return NotArguments(
        "a backslash before a space", "delete the backslashes at the ends of the lines"
    )


# ----------------------------------------------------------------------------------- shell words
#
# Splitting of a text as in a shell, except that it may contain JSON without quotes.
#
# Authors of metadata files write ``--model-config-json {"organism": "human"}``, quoted for a shell
# or not. A shell, and `shlex`, would split the unquoted form at its spaces and drop its quotes.

_WIDEST = 40
_NEAR = 20
_LINE_END = re.compile(r"\\\r?\n")
# A word that begins unquoted JSON, by itself or after an option.
_JSON_BEGINS = re.compile(r"\s*(--[\w-]+=)?(?=[{\[])")


class Word(NamedTuple):
    """One word. `json_fault` is the fault of the unquoted JSON that it seems to begin, if any."""

    text: str
    json_fault: str | None = None


def split(text: str) -> list[Word]:
    """Split a text into words. Raises NotArguments for an unclosed quote."""
    text = _LINE_END.sub(" ", text)
    stream = io.StringIO(text)
    lexer = shlex.shlex(stream, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    words = []
    while (word := _word(lexer, stream)) is not None:
        words.append(word)
    return words


def shorten(text: str) -> str:
    """Return the text on one line, cut to the length that a message has room for."""
    return truncate(" ".join(text.split()), _WIDEST)


def _word(lexer: shlex.shlex, stream: io.StringIO) -> Word | None:
    """Read the next word; None at the end."""
    text, begin, fault = stream.getvalue(), stream.tell(), None
    if (json_begins := _JSON_BEGINS.match(text, begin)) is not None:
        end, fault = _json_end(text, json_begins.end())
        if fault is None:
            stream.seek(end)
            return Word(text[begin:end].lstrip())
    try:
        word = lexer.get_token()
    except ValueError:
        if text.rstrip(" ").endswith("\\"):
            raise _build_backslash() from None
        quoted = shorten(text[begin:])
        raise NotArguments(f"a quote that is not closed: {quoted}", "close it") from None
    return None if word is None else Word(word, fault)


def _json_end(text: str, begin: int) -> tuple[int, str | None]:
    """Return the end of the JSON at `begin`, and the fault if it is not JSON."""
    try:
        _, end = json.JSONDecoder().raw_decode(text, begin)
    except json.JSONDecodeError as problem:
        near = shorten(text[problem.pos :][:_NEAR])
        return begin, f"{problem.msg} at {near or 'its end'}"
    except RecursionError:
        return begin, "it is nested too deeply"
    except ValueError as problem:  # a number of thousands of digits
        return begin, str(problem)
    behind = text[end : end + _WIDEST]
    if behind and not behind[0].isspace():
        return begin, f"{shorten(behind.split()[0])} right behind it"
    return end, None
