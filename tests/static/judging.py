"""Runs the static rules on a package directory, without a session."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_vcp.requirements.lock import read_lock
from pytest_vcp.rules.outcomes import Blocked, Unverified, Violation
from pytest_vcp.rules.registry import RULES
from pytest_vcp.rules.suite import judging_tests
from pytest_vcp.settings.policy import Policy, load_policy
from pytest_vcp.settings.reading import BY_NAME
from pytest_vcp.settings.values import Given, ModelClass
from pytest_vcp.source.artifact_sources import read_artifacts
from pytest_vcp.source.author_paths import author_paths
from pytest_vcp.source.code_files import files_that_are_no_code
from pytest_vcp.source.config_use import read_config_use
from pytest_vcp.source.credentials import read_credentials
from pytest_vcp.source.fixed_devices import fixed_devices
from pytest_vcp.source.licence import read_licence
from pytest_vcp.source.metadata import read_metadata
from pytest_vcp.source.package import read_package
from pytest_vcp.source.shadows import shadows
from pytest_vcp.source.wrapper import find_class

WriteModules = Callable[..., Path]

_PCA = ModelClass("model_code.pbmc_pca_mlflow_model", "PbmcPcaMLflowModel")


@dataclass(frozen=True)
class StaticSettings:
    """The settings that static rules look at; the defaults suit the package pbmc_pca."""

    pkg_dir: Path
    model_class: ModelClass = _PCA
    artifacts: tuple[tuple[str, str], ...] = (("checkpoint", "pcs50"),)
    model_config: Any = field(default_factory=lambda: {"n_components": 50})
    target_python: tuple[int, int] = sys.version_info[:2]
    policy: Policy = field(default_factory=load_policy)
    metadata_problems: tuple[tuple[str, str], ...] = ()

    def given(self, name: str, default: object) -> Given:
        """The value as on a command line."""
        return Given(str(default), BY_NAME[name], "option")


def facts(settings: StaticSettings) -> dict[str, Any]:
    """What the session's fixtures of these names would hold."""
    package = read_package(settings.pkg_dir, settings.target_python)
    lock = read_lock(settings.pkg_dir)
    pinned = {line.name for line in lock.pinned if line.name is not None}
    policy = settings.policy
    spec = [package.spec_module] if package.spec_module else []
    return {
        "vcp_settings": settings,
        "vcp_package": package,
        "vcp_sources": read_artifacts(settings.pkg_dir, settings.artifacts),
        "vcp_wrapper": find_class(package.modules, settings.model_class),
        "vcp_model_config": settings.model_config,
        "vcp_lock": lock,
        "vcp_licence": read_licence(settings.pkg_dir, policy.licence_files),
        "vcp_metadata": read_metadata(settings.pkg_dir, policy),
        "vcp_author_paths": author_paths([*package.modules, *spec]),
        "vcp_fixed_devices": fixed_devices(package.modules),
        "vcp_shadows": shadows(settings.pkg_dir, pinned, settings.target_python),
        "vcp_no_code": files_that_are_no_code(settings.pkg_dir, policy.code_file_bytes),
        "vcp_credentials": read_credentials(package, policy.metadata_files),
        "vcp_config_use": read_config_use(package.modules),
    }


def rules() -> dict[str, Callable[..., None]]:
    """The static rules of sections 1 and 2, by id."""
    static = {rule.id for rule in RULES if rule.stage == "static" and rule.id[3] in "12"}
    return {rule: function for rule, function in judging_tests().items() if rule in static}


def judge(settings: StaticSettings) -> dict[str, Violation | Unverified | Blocked | None]:
    """The outcome of every static rule: None where it holds."""
    known = facts(settings)
    outcomes: dict[str, Violation | Unverified | Blocked | None] = {}
    for rule_id, function in rules().items():
        wanted = {name: known[name] for name in inspect.signature(function).parameters}
        try:
            function(**wanted)
            outcomes[rule_id] = None
        except (Violation, Unverified, Blocked) as outcome:
            outcomes[rule_id] = outcome
    return outcomes


def violated(settings: StaticSettings) -> list[str]:
    """The rules that do not hold."""
    return [rule for rule, outcome in judge(settings).items() if isinstance(outcome, Violation)]
