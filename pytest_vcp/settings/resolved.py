"""Every setting, resolved once: option before ini before default, with its source."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs
import pytest

from pytest_vcp.options import RECORD
from pytest_vcp.rules.registry import BY_ID
from pytest_vcp.settings.devices import read_device
from pytest_vcp.settings.policy import Policy, load_policy
from pytest_vcp.settings.reading import BY_NAME, Reader
from pytest_vcp.settings.tracking import Tracking, read_tracking
from pytest_vcp.settings.values import (
    Given,
    ModelClass,
    Source,
    absolute,
    artifact,
    choice,
    json_value,
    minor_of,
    model_class,
    nearest,
    package_dir,
    pair,
    python_version,
    refusal,
    writable,
)
from pytest_vcp.settings.waivers import Waiver, Waivers, read_file, read_line

EnvManager = Literal["virtualenv", "conda", "local"]
Level = Literal["static", "quick", "full"]

# The default of --vcp-report-dir, in the package directory.
REPORT_DIR = ".vcp"
# The default of --vcp-model-config-json.
_NO_CONFIG: object = {}


@dataclass(frozen=True)
class Settings:
    """All settings for one variant. Paths are absolute.

    `model_class` is empty where the metadata file does not name it, which VCP109 reports;
    `metadata_problems` are the unusable values of that file. `artifacts` are pairs of name and path
    relative to model_data/; `timeout` is in seconds. `artifact_only` is a finished artifact that
    is judged without a source package. `sources` has the source of each value, `texts` the values
    as they were given, without defaults.
    """

    pkg_dir: Path
    model_class: ModelClass
    artifacts: tuple[tuple[str, str], ...]
    model_config: object
    model_tags: tuple[tuple[str, str], ...]
    payload: Path | None
    artifact_dir: Path
    skip_inference: bool
    record_expected: bool
    env_manager: EnvManager
    python: str | None
    target_python: tuple[int, int]
    device: str
    require_gpu: bool
    level: Level
    strict: bool
    must_verify: tuple[str, ...]
    waivers: Waivers
    policy: Policy
    report_dir: Path
    cache_dir: Path
    tracking: Tracking | None
    scaling: bool
    pictures: bool
    timeout: float
    variant: str
    artifact_only: Path | None
    sources: Mapping[str, Source]
    texts: Mapping[str, str]
    metadata_problems: tuple[tuple[str, str], ...] = ()

    def given(self, name: str, default: object) -> Given:
        """Return the value as it was given for the option `name`, to refuse it."""
        return Given(self.texts.get(name, str(default)), BY_NAME[name], self.sources[name])


def resolve(config: pytest.Config) -> Settings:
    """Read all settings. Raises pytest.UsageError naming option or ini name, value and remedy.

    They are those of the only variant where no variant was requested (see `variants`).
    """
    read = Reader(config)
    read.raw("variant")  # To be interpreted with the metadata file.
    artifact_only = finished_artifact(read)
    pkg_dir = read.path("pkg-dir", config.invocation_params.dir, package_dir)
    # Without a model class the plugin is not active, so the default is never used.
    wrapper = read.one("model-class", model_class, ModelClass("", ""))
    python = read.one("python", python_version, None)
    settings = Settings(
        pkg_dir=pkg_dir,
        model_class=wrapper,
        artifacts=read.many(
            "artifact", refuse_duplicates(lambda given: artifact(given, pkg_dir / "model_data"))
        ),
        model_config=read.one("model-config-json", json_value, _NO_CONFIG),
        model_tags=read.many("model-tag", refuse_duplicates(pair)),
        payload=read.file("json-payload-filepath", _payload),
        artifact_dir=read.path("artifact-dir-path", pkg_dir / "mlflow_model_artifact", absolute),
        skip_inference=read.switch("skip-inference"),
        record_expected=read.is_set(RECORD),
        env_manager=read.one("env-manager", _env_manager, "virtualenv"),
        python=python,
        target_python=minor_of(python) if python else sys.version_info[:2],
        device=read.one("device", read_device, "auto"),
        require_gpu=read.switch("require-gpu"),
        level=read.one("level", _level, "full"),
        strict=read.switch("strict"),
        must_verify=read.one("must-verify", _rules, ()),
        waivers=Waivers(
            (*read.many("waive", read_line), *_waivers_file(read)),
        ),
        policy=policy(read),
        report_dir=read.path("report-dir", pkg_dir / REPORT_DIR, writable),
        cache_dir=cache_dir(read),
        tracking=read_tracking(read),
        scaling=read.switch("scaling"),
        pictures=not read.switch("no-pictures"),
        timeout=read.one("timeout", _seconds, 600.0),
        variant="default",
        artifact_only=artifact_only,
        sources=read.sources,
        texts=read.texts,
    )
    refuse_overlaps(settings)
    if settings.require_gpu and settings.device == "cpu":
        raise refusal(
            settings.given("require-gpu", "on"),
            f"the CPU was asked for; leave {settings.given('device', 'cpu').origin} out",
        )
    for name, is_without in (
        ("skip-inference", settings.skip_inference),
        ("level", settings.level == "static"),
    ):
        if is_without:
            _refuse_without_forward(settings, name)
    return settings


def _refuse_without_forward(settings: Settings, name: str) -> None:
    """Refuse options that need a conformant run, which the option `name` makes impossible.

    Without a forward pass, no run is conformant.
    """
    inference = settings.given(name, "on").origin
    tracking = settings.tracking
    if settings.record_expected:
        raise refusal(
            settings.given("record-expected", "on"),
            f"without a forward pass there is nothing to record; leave {inference} out",
        )
    # A single run may leave out what the ini file requests for all.
    same = settings.sources["register-model"] == settings.sources[name]
    if tracking is not None and tracking.registered is not None and same:
        raise refusal(
            settings.given("register-model", tracking.registered),
            f"without a forward pass no run is conformant; leave {inference} out",
        )


def finished_artifact(read: Reader) -> Path | None:
    """Return the artifact to judge without a source package; None where none is named."""
    return read.file("verify-artifact", _read_finished)


def policy(read: Reader) -> Policy:
    """Load the requested policy, or the shipped one."""
    return load_policy(read.file("policy", absolute), read.origin("policy"))


def cache_dir(read: Reader) -> Path:
    """Return the folder of the cache, which need not exist yet."""
    return read.path("cache-dir", platformdirs.user_cache_path("pytest-vcp"), writable)


def _waivers_file(read: Reader) -> tuple[Waiver, ...]:
    path = read.file("waivers", absolute)
    return () if path is None else read_file(path, read.origin("waivers"))


def _read_finished(path: Path, given: Given) -> Path:
    if not path.is_dir():
        raise refusal(given, "it is no directory; name an artifact, such as mlflow_model_artifact")
    return path.resolve()


def _payload(path: Path, given: Given) -> Path:
    if not path.is_file():
        raise refusal(
            given, "there is no such file; name one in the form of serving_input_example.json"
        )
    return path.resolve()


def refuse_overlaps(settings: Settings) -> None:
    """Refuse output paths that would end up in the artifact, or be in its way."""
    paths = {
        "artifact-dir-path": settings.artifact_dir,
        "report-dir": settings.report_dir,
        "cache-dir": settings.cache_dir,
    }
    for name, path in paths.items():
        taken = [settings.pkg_dir / "model_code", settings.pkg_dir / "model_data"]
        if name != "artifact-dir-path":
            taken.append(settings.artifact_dir)
        for folder in taken:
            if _real(path).is_relative_to(_real(folder)):
                given = settings.given(name, path)
                raise refusal(given, f"{folder} is part of the artifact; name a place outside it")


def _real(path: Path) -> Path:
    """Resolve the links in a path, but for its last name, which is checked separately."""
    return path.parent.resolve() / path.name


def refuse_duplicates(
    convert: Callable[[Given], tuple[str, str]],
) -> Callable[[Given], tuple[str, str]]:
    """Wrap a conversion of pairs to refuse a name given twice, since one would be lost."""
    names: set[str] = set()

    def checked(given: Given) -> tuple[str, str]:
        name, value = convert(given)
        if name in names:
            raise refusal(given, f"the name {name!r} is given twice; give each its own")
        names.add(name)
        return name, value

    return checked


def _env_manager(given: Given) -> EnvManager:
    known: tuple[EnvManager, ...] = ("virtualenv", "conda", "local")
    return known[known.index(choice(given, known))]


def _level(given: Given) -> Level:
    known: tuple[Level, ...] = ("static", "quick", "full")
    return known[known.index(choice(given, known))]


def _seconds(given: Given) -> float:
    try:
        seconds = float(given.text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise refusal(given, "it is not a number of seconds above 0; write it as 600")
    return seconds


def _rules(given: Given) -> tuple[str, ...]:
    if given.text == "all":
        return tuple(BY_ID)
    parts = tuple(part.strip() for part in given.text.split(","))
    for part in parts:
        if part not in BY_ID:
            hint = nearest(part, tuple(BY_ID)) or "separate rule ids by commas, as VCP701,VCP705"
            raise refusal(given, f"{part!r} is no rule; {hint}")
    return parts
