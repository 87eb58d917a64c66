"""Every setting, resolved once: option before ini before default, with its source kept."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import platformdirs
import pytest

from pytest_vcp.options import OPTIONS, Option
from pytest_vcp.policy import Policy, load_policy
from pytest_vcp.rules import BY_ID
from pytest_vcp.values import ModelClass, artifact, choice, json_value, model_class, pair

EnvManager = Literal["virtualenv", "local"]
Device = Literal["auto", "cpu", "cuda"]
Source = Literal["option", "ini", "default"]
T = TypeVar("T")

_BY_NAME = {option.name: option for option in OPTIONS}


@dataclass(frozen=True)
class Settings:
    """All that the user chose. Paths are absolute; `sources` says where each value came from.

    `artifacts` are pairs of name and path relative to model_data/; `timeout` is in seconds.
    """

    pkg_dir: Path
    model_class: ModelClass
    artifacts: tuple[tuple[str, str], ...]
    model_config: object
    model_tags: tuple[tuple[str, str], ...]
    payload: Path | None
    artifact_dir: Path
    skip_inference: bool
    env_manager: EnvManager
    python: str | None
    target_python: tuple[int, int]
    device: Device
    strict: bool
    must_verify: tuple[str, ...]
    policy: Policy
    report_dir: Path
    cache_dir: Path
    timeout: float
    variant: str
    sources: Mapping[str, Source]


class _Reader:
    """Looks one value up, converts it, and remembers its source."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.sources: dict[str, Source] = {}

    def raw(self, name: str) -> tuple[object, Source]:
        option = _BY_NAME[name]
        value = self._config.getoption(option.key)
        if value is not None:
            return value, "option"
        value = self._config.getini(option.key)
        return (None, "default") if value in (None, "", []) else (value, "ini")

    def one(self, name: str, convert: Callable[[str, Option], T], default: T) -> T:
        value, self.sources[name] = self.raw(name)
        return default if value is None else convert(str(value), _BY_NAME[name])

    def many(self, name: str, convert: Callable[[str, Option], T]) -> tuple[T, ...]:
        values, self.sources[name] = self.raw(name)
        if values is None:
            return ()
        assert isinstance(values, list)
        return tuple(convert(str(value), _BY_NAME[name]) for value in values)

    def switch(self, name: str) -> bool:
        value, self.sources[name] = self.raw(name)
        return bool(value)

    def path(self, name: str, default: Path, start: Path) -> Path:
        """A path: from the command line relative to `start`, from the ini file to that file."""
        value, source = self.raw(name)
        self.sources[name] = source
        if value is None:
            return default
        base = (self._config.inipath or start).parent if source == "ini" else start
        return base / Path(str(value)).expanduser()


def resolve(config: pytest.Config) -> Settings:
    """Read all settings. Raises pytest.UsageError naming option, value and remedy."""
    read = _Reader(config)
    invoked = config.invocation_params.dir
    pkg_dir = _package_dir(read.path("pkg-dir", invoked, invoked))
    # Without a model class the plugin is not active, so the default is never used.
    wrapper = read.one("model-class", model_class, ModelClass("", ""))
    data = pkg_dir / "model_data"
    python = read.one("python", _python, None)
    policy_file = read.path("policy", Path(), invoked)
    return Settings(
        pkg_dir=pkg_dir,
        model_class=wrapper,
        artifacts=_named_once(
            read.many("artifact", lambda text, option: artifact(text, option, data))
        ),
        model_config=read.one("model-config-json", json_value, {}),
        model_tags=read.many("model-tag", pair),
        payload=_payload(read.path("json-payload-filepath", Path(), invoked)),
        artifact_dir=read.path("artifact-dir-path", pkg_dir / "mlflow_model_artifact", invoked),
        skip_inference=read.switch("skip-inference"),
        env_manager=read.one("env-manager", _env_manager, "virtualenv"),
        python=python,
        target_python=_version(python) if python else sys.version_info[:2],
        device=read.one("device", _device, "auto"),
        strict=read.switch("strict"),
        must_verify=read.one("must-verify", _rules, ()),
        policy=load_policy(policy_file if policy_file != Path() else None),
        report_dir=read.path("report-dir", pkg_dir / ".vcp", invoked),
        cache_dir=read.path("cache-dir", platformdirs.user_cache_path("pytest-vcp"), invoked),
        timeout=read.one("timeout", _seconds, 600.0),
        variant="default",
        sources=read.sources,
    )


def _package_dir(path: Path) -> Path:
    if not path.is_dir():
        raise pytest.UsageError(
            f"--vcp-pkg-dir: {str(path)!r} is not a directory; name the directory that holds "
            "model_code/ and model_data/"
        )
    return path.resolve()


def _payload(path: Path) -> Path | None:
    if path == Path():
        return None
    if not path.is_file():
        raise pytest.UsageError(
            f"--vcp-json-payload-filepath: there is no file {str(path)!r}; name a JSON file in the "
            "form of serving_input_example.json"
        )
    return path.resolve()


def _named_once(artifacts: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    names = [name for name, _ in artifacts]
    for name in names:
        if names.count(name) > 1:
            raise pytest.UsageError(
                f"--vcp-artifact: the name {name!r} is given twice; give each artifact its own"
            )
    return artifacts


def _env_manager(text: str, option: Option) -> EnvManager:
    return "local" if choice(text, option, ("virtualenv", "local")) == "local" else "virtualenv"


def _device(text: str, option: Option) -> Device:
    known: tuple[Device, ...] = ("auto", "cpu", "cuda")
    return known[known.index(choice(text, option, known))]  # type: ignore[arg-type]


def _python(text: str, option: Option) -> str | None:
    if not re.fullmatch(r"3\.\d+(\.\d+)?", text):
        raise pytest.UsageError(
            f"{option.flag}: {text!r} is not a Python version; write it as 3.11 or 3.11.7"
        )
    return text


def _version(text: str) -> tuple[int, int]:
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def _seconds(text: str, option: Option) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise pytest.UsageError(
            f"{option.flag}: {text!r} is not a number of seconds above 0; write it as 600"
        )
    return seconds


def _rules(text: str, option: Option) -> tuple[str, ...]:
    if text == "all":
        return tuple(BY_ID)
    return tuple(choice(part.strip(), option, tuple(BY_ID)) for part in text.split(","))
