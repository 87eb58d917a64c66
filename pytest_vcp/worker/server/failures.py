"""Exceptions as plain data: type, message, frames, traceback, and the same for their causes."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

_MAX_FRAMES = 200
_MAX_MESSAGE = 20_000
_MAX_TEXT = 200_000
_MAX_CHAIN = 10


def describe(error: BaseException) -> dict[str, Any]:
    """Describe `error` and its causes for the reply; never raises, even for a broken exception."""
    described = _describe_one(error)
    described["traceback"] = _text(error)
    described["causes"] = [_describe_one(cause) for cause in _causes(error)]
    return described


def _describe_one(error: BaseException) -> dict[str, Any]:
    described: dict[str, Any] = {
        "type": _type_name(error),
        "message": _message(error),
        "frames": _frames(error),
    }
    if isinstance(error, SystemExit):
        described["code"] = error.code if isinstance(error.code, int) else _message(error)
    return described


def _type_name(error: BaseException) -> str:
    kind = type(error)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _message(error: BaseException) -> str:
    try:
        return str(error)[:_MAX_MESSAGE]
    except BaseException:  # noqa: BLE001
        return "(an exception whose message can't be shown)"


def _frames(error: BaseException) -> list[list[Any]]:
    """List [file, line, function] of each frame, the innermost last."""
    found: list[list[Any]] = []
    entry: TracebackType | None = error.__traceback__
    while entry is not None:
        code = entry.tb_frame.f_code
        found.append([code.co_filename, entry.tb_lineno, code.co_name])
        entry = entry.tb_next
    if isinstance(error, SyntaxError) and error.filename:
        # The frames end in the import system; the fault is in the file that didn't parse.
        found.append([str(error.filename), error.lineno or 1, "<module>"])
    return found[-_MAX_FRAMES:]


def _text(error: BaseException) -> str:
    try:
        # The first frame is the worker's own call of the method.
        shown = error.__traceback__.tb_next if error.__traceback__ else None
        lines = traceback.format_exception(type(error), error, shown)
        return "".join(lines)[-_MAX_TEXT:]
    except BaseException:  # noqa: BLE001
        return ""


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    current = error
    while len(chain) < _MAX_CHAIN:
        context = None if current.__suppress_context__ else current.__context__
        following = current.__cause__ or context
        if following is None or following is error or following in chain:
            break
        chain.append(following)
        current = following
    return chain
