"""Conversion of single option values; each refusal names the option, the value and the remedy."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest

from pytest_vcp.options import Option


class ModelClass(NamedTuple):
    """The wrapper class as the option names it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


def model_class(text: str, option: Option) -> ModelClass:
    """Read ``MODULE:Class`` with the module inside model_code."""
    module, separator, name = text.partition(":")
    dotted = all(part.isidentifier() for part in module.split("."))
    if not separator or not name.isidentifier() or not dotted:
        raise refusal(
            option, text, "write MODULE:CLASS, such as model_code.my_mlflow_model:MyMLflowModel"
        )
    if module.split(".")[0] != "model_code":
        raise refusal(
            option, text, f"the module must lie in model_code: try model_code.{module}:{name}"
        )
    return ModelClass(module, name)


def pair(text: str, option: Option) -> tuple[str, str]:
    """Read ``KEY=VALUE``."""
    key, separator, value = text.partition("=")
    if not separator or not key or not value:
        raise refusal(option, text, f"write {option.metavar}")
    return key, value


def artifact(text: str, option: Option, data: Path) -> tuple[str, str]:
    """Read ``NAME=PATH`` with the path inside `data`, the package's model_data/."""
    name, path = pair(text, option)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path):
        raise refusal(option, text, "download it into model_data/ and name it relative to that")
    pure = PurePosixPath(path)
    if pure.is_absolute() or re.match(r"[A-Za-z]:[\\/]", path):
        raise refusal(option, text, "give the path relative to model_data/, not an absolute one")
    if ".." in pure.parts:
        raise refusal(option, text, "the path may not leave model_data/ with '..'")
    if pure.parts[:1] == ("model_data",) and not (data / pure).exists():
        rest = PurePosixPath(*pure.parts[1:])
        raise refusal(option, text, f"leave the prefix out: {name}={rest}")
    # A dangling link is there, and is the business of VCP105.
    if data.is_dir() and not (data / pure).exists() and not (data / pure).is_symlink():
        there = sorted(entry.name for entry in data.iterdir())
        near = difflib.get_close_matches(path, there, n=1)
        hint = f"did you mean {name}={near[0]}?" if near else f"there is: {_listing(there)}"
        raise refusal(option, text, f"model_data/{pure} does not exist; {hint}")
    return name, pure.as_posix()


def json_value(text: str, option: Option) -> object:
    """Read JSON; whether it is an object is for VCP108 to judge."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as problem:
        before, after = text[: problem.pos][-20:], text[problem.pos :][:20]
        raise refusal(
            option,
            text,
            f"it is not JSON: {problem.msg} at line {problem.lineno}, column {problem.colno}, "
            f"between {before!r} and {after!r}; quote the whole value for the shell: "
            "'{\"key\": 1}'",
        ) from None


def choice(text: str, option: Option, known: Sequence[str]) -> str:
    """Read one of `known`, naming the nearest when it is none of them."""
    if text in known:
        return text
    near = difflib.get_close_matches(text, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"choose from {_listing(known)}"
    raise refusal(option, text, hint)


def refusal(option: Option, value: str, remedy: str) -> pytest.UsageError:
    """The error for a wrong value, in the one form that all of them share."""
    shown = value if len(value) <= 80 else f"{value[:77]}..."
    return pytest.UsageError(f"{option.flag}: {shown!r} is not usable; {remedy}")


def _listing(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "nothing"
