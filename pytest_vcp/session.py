"""The fixtures: facts about the package, for the suite and for users' tests.

Public are `vcp_variant`, `vcp_package`, `vcp_environment`, `vcp_spec`, `vcp_artifact` and
`vcp_model`; every other fact is a fixture for the suite alone. With several variants, a test that
uses one of them runs once for each, unless it judges a rule of the package as a whole.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from pytest_vcp.artifact.artifact import ModelArtifact
from pytest_vcp.environment.build import Environment
from pytest_vcp.evaluation.model import LoadedModel
from pytest_vcp.evaluation.spec import ModelSpec
from pytest_vcp.facts.fact import names_of_facts
from pytest_vcp.facts.variant import Facts
from pytest_vcp.rules.registry import BY_ID
from pytest_vcp.rules.suite import rule_of
from pytest_vcp.run import RUN, Run
from pytest_vcp.source.package import ModelPackage


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """With several variants, run what depends on the variant once for each."""
    names = metafunc.config.stash[RUN].names
    if "vcp_variant" not in metafunc.fixturenames or len(names) == 1:
        return
    rule = rule_of(metafunc.definition)
    if rule is None or BY_ID[rule].scope == "variant":
        metafunc.parametrize("vcp_variant", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def vcp_run(pytestconfig: pytest.Config) -> Run:
    """The run itself; not for users' tests."""
    return pytestconfig.stash[RUN]


@pytest.fixture(scope="session")
def vcp_variant(request: pytest.FixtureRequest, vcp_run: Run) -> str:
    """The name of the variant that the other fixtures are about."""
    name: str = getattr(request, "param", None) or vcp_run.primary_variant
    return name


@pytest.fixture(scope="session")
def vcp_facts(vcp_run: Run, vcp_variant: str) -> Facts:
    """All facts about one variant; not for users' tests."""
    return vcp_run.facts[vcp_variant]


@pytest.fixture(scope="session")
def vcp_package(vcp_facts: Facts) -> ModelPackage:
    """The package directory and the modules of model_code, read and parsed, nothing imported.

    Needs no environment, and takes no time. Never blocked by a rule.
    """
    return vcp_facts.package


@pytest.fixture(scope="session")
def vcp_environment(vcp_facts: Facts) -> Environment:
    """The environment of the model: its Python, the versions installed, built or reused.

    A test that uses it is an error while a rule of the files, or VCP208 or VCP302, does not hold.
    """
    return vcp_facts.environment


@pytest.fixture(scope="session")
def vcp_spec(vcp_facts: Facts) -> ModelSpec:
    """What model_spec.py declares: inputs, outputs and params, and the example.

    Shapes and types as declared, -1 for a free dimension. A test that uses it is an error while
    model_spec.py can't be imported, or a rule of the files or of the environment does not hold.
    """
    return vcp_facts.spec


@pytest.fixture(scope="session")
def vcp_artifact(vcp_facts: Facts) -> ModelArtifact:
    """The packaged model: its files with size and SHA-256, its parsed metadata.

    `path` is a staging place until the run has ended well: read there, and don't write. A test
    that uses it is an error while a rule up to packaging does not hold.
    """
    return vcp_facts.artifact


@pytest.fixture(scope="session")
def vcp_model(vcp_facts: Facts) -> LoadedModel:
    """The model loaded from its artifact, to predict on other inputs in a test of one's own.

    A test that uses it is an error while a rule up to the first forward pass (VCP704) does not
    hold, and is skipped with --vcp-skip-inference.
    """
    return vcp_facts.model


def suite_fixtures() -> ModuleType:
    """A plugin with a fixture for each fact that has none of its own above."""
    plugin = ModuleType("vcp_facts")
    for name in names_of_facts(Facts):
        if f"vcp_{name}" not in globals():
            setattr(plugin, f"vcp_{name}", _fixture(name))
    return plugin


def _fixture(name: str) -> object:
    def hand_out(vcp_facts: Facts) -> Any:
        return getattr(vcp_facts, name)

    hand_out.__doc__ = f"{getattr(Facts, name).__doc__ or 'A fact.'} For the suite."
    return pytest.fixture(scope="session", name=f"vcp_{name}")(hand_out)
