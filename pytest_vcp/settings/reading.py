"""Look-up of values: the command line before the ini file, with the source of each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from pytest_vcp.options import OPTIONS, RECORD, Option
from pytest_vcp.settings.values import Given, Source

T = TypeVar("T")

BY_NAME = {option.name: option for option in (*OPTIONS, RECORD)}


class Reader:
    """Looks one value up, converts it, and remembers its source."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.sources: dict[str, Source] = {}
        self.texts: dict[str, str] = {}

    def raw(self, name: str) -> object:
        """Return the value as pytest has it; None without one."""
        key = BY_NAME[name].key
        self.sources[name] = "option"
        value: object = self._config.getoption(key)
        if value is None:
            self.sources[name] = "ini"
            value = self._from_ini(key)
            if value in (None, "", []):
                self.sources[name] = "default"
                return None
        self.texts[name] = _text(value)
        return value

    def _from_ini(self, key: str) -> object:
        try:
            return self._config.getini(key)
        except (ValueError, pytest.UsageError) as problem:
            raise pytest.UsageError(f"{key} (ini file): {problem}; write true or false") from None

    def one(self, name: str, convert: Callable[[Given], T], default: T) -> T:
        value = self.raw(name)
        return default if value is None else convert(self.given(name, value))

    def many(self, name: str, convert: Callable[[Given], T]) -> tuple[T, ...]:
        values = self.raw(name)
        if values is None:
            return ()
        assert isinstance(values, list)
        return tuple(convert(self.given(name, value)) for value in values)

    def switch(self, name: str) -> bool:
        return bool(self.raw(name))

    def is_set(self, option: Option) -> bool:
        """Return whether a switch is set that the ini file does not have."""
        found = bool(self._config.getoption(option.key))
        self.sources[option.name] = "option" if found else "default"
        if found:
            self.texts[option.name] = _text(found)
        return found

    def path(self, name: str, default: Path, check: Callable[[Path, Given], Path]) -> Path:
        """Read a path: relative to the starting directory, or to the ini file that gives it."""
        value = self.raw(name)
        path = default if value is None else self.start(name) / Path(str(value)).expanduser()
        return check(path, self.given(name, path if value is None else value))

    def start(self, name: str) -> Path:
        """Return the base of a relative path; the value must have been looked up before."""
        if self.sources[name] == "ini" and self._config.inipath is not None:
            return self._config.inipath.parent
        return self._config.invocation_params.dir

    def file(self, name: str, check: Callable[[Path, Given], Path]) -> Path | None:
        """Read the path of a file; None where it is not given."""
        return self.path(name, Path(), check) if self.raw(name) is not None else None

    def origin(self, name: str) -> str:
        """Return the source of a value that was read, as the user would look for it."""
        return self.given(name, "").origin

    def given(self, name: str, value: object) -> Given:
        """Wrap a value with its option and source, to refuse it; it was looked up before."""
        return Given(str(value), BY_NAME[name], self.sources[name])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
