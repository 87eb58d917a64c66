"""Conversion of single values; each refusal names the option or ini name, the value, the remedy."""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple, NoReturn

import pytest

from pytest_vcp.options import Option
from pytest_vcp.rules.wording import list_names
from pytest_vcp.util.text import truncate

Source = Literal["option", "ini", "metadata", "default"]
# Maximum characters of a wrong value that are shown: enough for a path, not for a long JSON.
_WIDEST = 250
# Letters that are mistaken for digits.
_LOOK_ALIKE = str.maketrans("oil", "011")


class ModelClass(NamedTuple):
    """The wrapper class as the option names it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}:{self.name}"


class Given(NamedTuple):
    """One value as the user gave it, with its option and its source."""

    text: str
    option: Option
    source: Source

    @property
    def origin(self) -> str:
        """The name to look for: the option, its counterpart in the ini file, or an argument."""
        if self.source == "metadata":
            return f"--{self.option.name}"
        return f"{self.option.key} (ini file)" if self.source == "ini" else self.option.flag


def model_class(given: Given) -> ModelClass:
    """Read ``MODULE:Class`` with the module inside model_code."""
    text = given.text
    module, separator, name = text.partition(":")
    dotted = all(part.isidentifier() for part in module.split("."))
    if not separator or not name.isidentifier() or not dotted:
        raise refusal(given, "write MODULE:CLASS, such as model_code.my_mlflow_model:MyMLflowModel")
    if module.split(".")[0] != "model_code":
        raise refusal(given, f"the module must lie in model_code: try model_code.{module}:{name}")
    return ModelClass(module, name)


def pair(given: Given) -> tuple[str, str]:
    """Read ``KEY=VALUE``."""
    key, separator, value = given.text.partition("=")
    if not separator or not key or not value:
        raise refusal(given, f"write {given.option.metavar}")
    return key, value


def artifact(given: Given, data: Path) -> tuple[str, str]:
    """Read ``NAME=PATH`` with the path inside `data`, the package's model_data/."""
    name, path = pair(given)
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", path):
        raise refusal(given, "download it into model_data/ and name it relative to that")
    pure = PurePosixPath(path)
    if pure.is_absolute() or re.match(r"[A-Za-z]:[\\/]", path):
        raise refusal(given, "give the path relative to model_data/, not an absolute one")
    if ".." in pure.parts:
        raise refusal(given, "the path may not leave model_data/ with '..'")
    if pure.parts[:1] == ("model_data",) and not (data / pure).exists():
        rest = PurePosixPath(*pure.parts[1:])
        raise refusal(given, f"leave the prefix out: {name}={rest}")
    # A dangling link exists, and is for VCP105 to judge.
    if data.is_dir() and not (data / pure).exists() and not (data / pure).is_symlink():
        there = _siblings(data, pure)
        near = difflib.get_close_matches(str(pure), there, n=1)
        hint = f"there is: {list_names(there) or 'nothing'}"
        if near:
            hint = f"did you mean {name}={near[0]}?"
        raise refusal(given, f"model_data/{pure} does not exist; {hint}")
    return name, pure.as_posix()


def _siblings(data: Path, missing: PurePosixPath) -> list[str]:
    """List the entries of the last existing folder on the way to `missing`, relative to `data`."""
    folder = next(data / parent for parent in missing.parents if (data / parent).is_dir())
    return sorted(entry.relative_to(data).as_posix() for entry in folder.iterdir())


def json_value(given: Given) -> object:
    """Read JSON; whether it is an object is for VCP108 to judge."""
    text = given.text

    def no_json(constant: str) -> NoReturn:
        raise refusal(given, f"it is not JSON, which has no {constant}; use null or a number")

    try:
        return json.loads(text, parse_constant=no_json)
    except RecursionError:
        raise refusal(given, "it is nested too deeply; keep it flat") from None
    except json.JSONDecodeError as problem:
        before, after = text[: problem.pos][-20:], text[problem.pos :][:20]
        remedy = (
            'write it without quotes around it: {"key": 1}'
            if given.source in ("ini", "metadata")
            else "quote the whole value for the shell: '{\"key\": 1}'"
        )
        raise refusal(
            given,
            f"it is not JSON: {problem.msg} at line {problem.lineno}, column {problem.colno}, "
            f"between {before!r} and {after!r}; {remedy}",
        ) from None


def python_version(given: Given) -> str | None:
    """Read a version of Python, with or without its last part."""
    if not re.fullmatch(r"3\.\d+(\.\d+)?", given.text):
        raise refusal(given, "it is not a Python version; write it as 3.11 or 3.11.7")
    return given.text


def minor_of(text: str) -> tuple[int, int]:
    """Return the first two parts of a version of Python."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def choice(given: Given, known: Sequence[str]) -> str:
    """Read one of `known`; the error for any other value names the nearest."""
    if given.text in known:
        return given.text
    raise refusal(given, f"{nearest(given.text, known) or f'choose from {list_names(known, 5)}'}")


def nearest(text: str, known: Sequence[str]) -> str:
    """Ask for the likeliest of `known`, regardless of case; empty without any."""
    by_look = {name.casefold().translate(_LOOK_ALIKE): name for name in known}
    look = text.casefold().translate(_LOOK_ALIKE)
    near = difflib.get_close_matches(look, by_look, n=1, cutoff=0.75)
    return f"did you mean {by_look[near[0]]}?" if near else ""


def refusal(given: Given, remedy: str) -> pytest.UsageError:
    """Build the error for a wrong value, in the form that all such errors share."""
    shown = truncate(given.text, _WIDEST)
    return pytest.UsageError(f"{given.origin}: {shown!r} is not usable; {remedy}")


# ----------------------------------------------------------------------------------------- paths
#
# Checks of directories and files that settings name.


def package_dir(path: Path, given: Given) -> Path:
    """Check the directory of a package, and resolve its links."""
    if not path.is_dir():
        raise refusal(
            given, "it is not a directory; name the one that holds model_code/ and model_data/"
        )
    return path.resolve()


def absolute(path: Path, given: Given) -> Path:
    """Return the absolute path without `.` and `..`, and with its links."""
    # Not resolved: publishing checks whether the artifact's destination is a link.
    return Path(os.path.abspath(path))


def writable(path: Path, given: Given) -> Path:
    """Refuse a directory that can't be created or written to, before anything is built for it."""
    path = path.resolve()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    if not there.is_dir():
        raise refusal(given, f"{there} is a file; name a directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise refusal(
            given, f"{there} is not writable; name another directory with {given.option.flag}"
        )
    return path
