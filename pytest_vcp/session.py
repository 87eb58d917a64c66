"""The fixtures: facts about the package, for the suite and for users' tests.

Public are `vcp_variant`, `vcp_package`, `vcp_environment`, `vcp_spec`, `vcp_artifact` and
`vcp_model`; the others serve the suite. With several variants, a test that uses one of them runs
once for each, unless it judges a rule of the package as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pytest_vcp.artifact import ModelArtifact
from pytest_vcp.artifact_sources import ArtifactSource
from pytest_vcp.digests import FileDigests
from pytest_vcp.environment import Environment
from pytest_vcp.example_inputs import ExampleInput, Opening
from pytest_vcp.facts import Facts
from pytest_vcp.imported import Imported
from pytest_vcp.lifting import Need, Writing
from pytest_vcp.model import LoadedModel
from pytest_vcp.package import ModelPackage
from pytest_vcp.pickles import PickleFacts
from pytest_vcp.pip_report import Chosen
from pytest_vcp.prediction import Attempt, Figures, Loading, Observations, Packaging, Prediction
from pytest_vcp.repackaging import Repackaging
from pytest_vcp.requirements import Lock, RequirementLine
from pytest_vcp.rules import BY_ID
from pytest_vcp.run import RUN, Run
from pytest_vcp.settings import Settings
from pytest_vcp.spec import Description, Enforcement, ModelSpec
from pytest_vcp.suite import rule_of
from pytest_vcp.weight_pickles import WeightPickle
from pytest_vcp.weights import Code, Weights
from pytest_vcp.wrapper import NotFound, WrapperFacts


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
    name: str = getattr(request, "param", None) or vcp_run.lead
    return name


@pytest.fixture(scope="session")
def vcp_facts(vcp_run: Run, vcp_variant: str) -> Facts:
    """All facts about one variant; not for users' tests."""
    return vcp_run.facts[vcp_variant]


@pytest.fixture(scope="session")
def vcp_settings(vcp_facts: Facts) -> Settings:
    """Every setting of this run."""
    return vcp_facts.settings


@pytest.fixture(scope="session")
def vcp_package(vcp_facts: Facts) -> ModelPackage:
    """The package directory and the modules of model_code, read and parsed, nothing imported.

    Needs no environment, and takes no time. Never blocked by a rule.
    """
    return vcp_facts.package


@pytest.fixture(scope="session")
def vcp_sources(vcp_facts: Facts) -> tuple[ArtifactSource, ...]:
    """What each --vcp-artifact points to."""
    return vcp_facts.sources


@pytest.fixture(scope="session")
def vcp_wrapper(vcp_facts: Facts) -> WrapperFacts | NotFound:
    """The wrapper class, found in the source."""
    return vcp_facts.wrapper


@pytest.fixture(scope="session")
def vcp_model_config(vcp_facts: Facts) -> object:
    """The model config as it was given; an object in JSON where the package is right."""
    return vcp_facts.model_config


@pytest.fixture(scope="session")
def vcp_lock(vcp_facts: Facts) -> Lock:
    """requirements.in and requirements.txt, line by line."""
    return vcp_facts.lock


@pytest.fixture(scope="session")
def vcp_environment_build(vcp_facts: Facts) -> Environment:
    """The environment, or the facts about why it could not be built."""
    return vcp_facts.environment_build


@pytest.fixture(scope="session")
def vcp_environment(vcp_facts: Facts) -> Environment:
    """The environment of the model: its Python, the versions installed, built or reused.

    A test that uses it is an error while a rule of the files, or VCP208 or VCP302, does not hold.
    """
    return vcp_facts.environment


@pytest.fixture(scope="session")
def vcp_python_version(vcp_facts: Facts) -> str:
    """The Python that the artifact has to name, in full."""
    return vcp_facts.python_version


@pytest.fixture(scope="session")
def vcp_markers(vcp_facts: Facts) -> Mapping[str, str]:
    """Values of the environment markers of requirements, where the model runs."""
    return vcp_facts.markers


@pytest.fixture(scope="session")
def vcp_whole_environment(vcp_facts: Facts) -> Environment:
    """The environment, where all that is pinned and all that is needed is installed."""
    return vcp_facts.whole_environment


@pytest.fixture(scope="session")
def vcp_pins(vcp_facts: Facts) -> Mapping[str, RequirementLine]:
    """The lines of requirements.txt that apply in the environment, by distribution."""
    return vcp_facts.pins


@pytest.fixture(scope="session")
def vcp_choices(vcp_facts: Facts) -> tuple[Chosen, ...]:
    """What pip installed when it built the environment."""
    return vcp_facts.choices


@pytest.fixture(scope="session")
def vcp_imported(vcp_facts: Facts) -> tuple[Imported, ...]:
    """The imports in model_code and model_spec.py of anything that is not theirs."""
    return vcp_facts.imported


@pytest.fixture(scope="session")
def vcp_imports(vcp_facts: Facts) -> Attempt:
    """The import of model_code and model_spec in the environment."""
    return vcp_facts.imports


@pytest.fixture(scope="session")
def vcp_description(vcp_facts: Facts) -> Description:
    """The description of model_spec.py, or why there is none."""
    return vcp_facts.description


@pytest.fixture(scope="session")
def vcp_spec(vcp_facts: Facts) -> ModelSpec:
    """What model_spec.py declares: inputs, outputs and params, and the example.

    Shapes and types as declared, -1 for a free dimension. A test that uses it is an error while
    model_spec.py can't be imported, or a rule of the files or of the environment does not hold.
    """
    return vcp_facts.spec


@pytest.fixture(scope="session")
def vcp_source_spec(vcp_facts: Facts) -> ModelSpec:
    """The same, for rules that hold the artifact against model_spec.py itself."""
    return vcp_facts.source_spec


@pytest.fixture(scope="session")
def vcp_inputs(vcp_facts: Facts) -> tuple[ExampleInput, ...]:
    """The inputs that the example names, with their sizes."""
    return vcp_facts.inputs


@pytest.fixture(scope="session")
def vcp_openings(vcp_facts: Facts) -> tuple[Opening, ...]:
    """What became of opening them in the model's environment."""
    return vcp_facts.openings


@pytest.fixture(scope="session")
def vcp_payload(vcp_facts: Facts) -> Enforcement | None:
    """What MLflow's own checks say of the payload file; None without one."""
    return vcp_facts.payload


@pytest.fixture(scope="session")
def vcp_weights(vcp_facts: Facts) -> Weights:
    """The weights as they were when the run began."""
    return vcp_facts.weights


@pytest.fixture(scope="session")
def vcp_code(vcp_facts: Facts) -> Code | None:
    """The files of model_code as they were when the run began."""
    return vcp_facts.code


@pytest.fixture(scope="session")
def vcp_digests(vcp_facts: Facts) -> FileDigests:
    """Digests of files, each read once."""
    return vcp_facts.digests


@pytest.fixture(scope="session")
def vcp_packaging(vcp_facts: Facts) -> Packaging:
    """The packaging of the model: what failed, what is missing in what it left."""
    return vcp_facts.packaging


@pytest.fixture(scope="session")
def vcp_artifact(vcp_facts: Facts) -> ModelArtifact:
    """The packaged model: its files with size and SHA-256, its parsed metadata.

    `path` is a staging place until the run has ended well: read there, and don't write. A test
    that uses it is an error while a rule up to packaging does not hold.
    """
    return vcp_facts.artifact


@pytest.fixture(scope="session")
def vcp_pickle(vcp_facts: Facts) -> PickleFacts:
    """The pickled wrapper, read without loading it."""
    return vcp_facts.pickle


@pytest.fixture(scope="session")
def vcp_weight_pickles(vcp_facts: Facts) -> tuple[WeightPickle, ...]:
    """The pickles among the weights, read without loading them."""
    return vcp_facts.weight_pickles


@pytest.fixture(scope="session")
def vcp_repackaging(vcp_facts: Facts) -> Repackaging:
    """What came of packaging a second time."""
    return vcp_facts.repackaging


@pytest.fixture(scope="session")
def vcp_loading(vcp_facts: Facts) -> Loading:
    """The artifact loaded where nothing but the artifact is to be had."""
    return vcp_facts.loading


@pytest.fixture(scope="session")
def vcp_network_need(vcp_facts: Facts) -> Need | None:
    """Why the model can't do without a network; None where it can."""
    return vcp_facts.network_need


@pytest.fixture(scope="session")
def vcp_writing(vcp_facts: Facts) -> Writing:
    """What the model writes to other than temporary places."""
    return vcp_facts.writing


@pytest.fixture(scope="session")
def vcp_home_need(vcp_facts: Facts) -> Need | None:
    """Why the model can't do without a writable home directory; None where it can."""
    return vcp_facts.home_need


@pytest.fixture(scope="session")
def vcp_first_pass(vcp_facts: Facts) -> Attempt:
    """The first forward pass, or why it failed."""
    return vcp_facts.first_pass


@pytest.fixture(scope="session")
def vcp_prediction(vcp_facts: Facts) -> Prediction:
    """The prediction on the input example: numpy arrays, described."""
    return vcp_facts.prediction


@pytest.fixture(scope="session")
def vcp_observations(vcp_facts: Facts) -> tuple[Observations, ...]:
    """How many observations the inputs hold, where they are AnnData."""
    return vcp_facts.observations


@pytest.fixture(scope="session")
def vcp_repeats(vcp_facts: Facts) -> tuple[Attempt, Attempt]:
    """The forward pass again: in the same process, and compared with another one."""
    return vcp_facts.repeats


@pytest.fixture(scope="session")
def vcp_params_effect(vcp_facts: Facts) -> Attempt:
    """What the declared params do: at their defaults, left out, of another type."""
    return vcp_facts.params_effect


@pytest.fixture(scope="session")
def vcp_other_batches(vcp_facts: Facts) -> Attempt:
    """The forward pass in batches of another size, where there is such a param."""
    return vcp_facts.other_batches


@pytest.fixture(scope="session")
def vcp_refusals(vcp_facts: Facts) -> Attempt:
    """What the model says to inputs that are missing or can't be read."""
    return vcp_facts.refusals


@pytest.fixture(scope="session")
def vcp_halved(vcp_facts: Facts) -> Attempt | None:
    """The forward pass on half of the observations; None where the input is not AnnData."""
    return vcp_facts.halved


@pytest.fixture(scope="session")
def vcp_unknown_features(vcp_facts: Facts) -> Attempt | None:
    """The forward pass on features that no model knows; None where the input is not AnnData."""
    return vcp_facts.unknown_features


@pytest.fixture(scope="session")
def vcp_figures(vcp_facts: Facts) -> Figures:
    """Seconds and bytes that the example took."""
    return vcp_facts.figures


@pytest.fixture(scope="session")
def vcp_serving(vcp_facts: Facts) -> Attempt:
    """The serving example through MLflow's validate_serving_input."""
    return vcp_facts.serving


@pytest.fixture(scope="session")
def vcp_json(vcp_facts: Facts) -> Attempt:
    """The prediction through MLflow's JSON and back."""
    return vcp_facts.json


@pytest.fixture(scope="session")
def vcp_gpu_pass(vcp_facts: Facts) -> Attempt:
    """The first forward pass, where a GPU was visible to it."""
    return vcp_facts.gpu_pass


@pytest.fixture(scope="session")
def vcp_model(vcp_facts: Facts) -> LoadedModel:
    """The model loaded from its artifact, to predict on other inputs in a test of one's own.

    A test that uses it is an error while a rule up to the first forward pass (VCP704) does not
    hold, and is skipped with --vcp-skip-inference.
    """
    return vcp_facts.model
