"""The fixtures: facts about the package, for the suite and for users' tests.

`vcp_variant`, `vcp_package`, `vcp_environment`, `vcp_spec`, `vcp_artifact` and `vcp_model` are
public; every other fact is a fixture for the suite only. With several variants, a test that uses
one of them runs once per variant, unless it judges a rule of the package as a whole.
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
    """Run tests that depend on the variant once for each variant, if there are several."""
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
    """The name of the variant that the other fixtures describe."""
    name: str = getattr(request, "param", None) or vcp_run.primary_variant
    return name


@pytest.fixture(scope="session")
def vcp_facts(vcp_run: Run, vcp_variant: str) -> Facts:
    """All facts about one variant; not for users' tests."""
    return vcp_run.facts[vcp_variant]


@pytest.fixture(scope="session")
def vcp_package(vcp_facts: Facts) -> ModelPackage:
    """The package directory and the modules of model_code, parsed but not imported.

    Needs no environment and takes no time. Never blocked by a rule.
    """
    return vcp_facts.package


@pytest.fixture(scope="session")
def vcp_environment(vcp_facts: Facts) -> Environment:
    """The environment of the model, built or reused: its Python and the installed versions.

    A test that uses it is an error if a rule of the files, VCP208 or VCP302 does not hold.
    """
    return vcp_facts.environment


@pytest.fixture(scope="session")
def vcp_spec(vcp_facts: Facts) -> ModelSpec:
    """The declarations in model_spec.py: inputs, outputs and params, and the example.

    Shapes and types are as declared, -1 for a free dimension. A test that uses it is an error if
    model_spec.py can't be imported, or if a rule of the files or the environment does not hold.
    """
    return vcp_facts.spec


@pytest.fixture(scope="session")
def vcp_artifact(vcp_facts: Facts) -> ModelArtifact:
    """The packaged model: its files with size and SHA-256, and its parsed metadata.

    `path` is a staging directory until the run has succeeded: read from it, but don't write to it.
    A test that uses it is an error if a rule up to packaging does not hold.
    """
    return vcp_facts.artifact


@pytest.fixture(scope="session")
def vcp_model(vcp_facts: Facts) -> LoadedModel:
    """The model loaded from its artifact, to predict on other inputs in your own tests.

    A test that uses it is an error if a rule up to the first forward pass (VCP704) does not hold,
    and is skipped with --vcp-skip-inference.
    """
    return vcp_facts.model


def suite_fixtures() -> ModuleType:
    """Return a plugin with a fixture for each fact that has no fixture above."""
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
