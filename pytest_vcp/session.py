"""The fixtures: facts about the package, each gathered once, for the suite and for users' tests.

Public are `vcp_package`, `vcp_environment`, `vcp_spec`, `vcp_artifact` and `vcp_model`; the others
serve the suite. A fixture of a later stage raises `Blocked` while an earlier rule is broken.
"""

from __future__ import annotations

import pytest

from pytest_vcp.artifact import ModelArtifact
from pytest_vcp.artifact_sources import ArtifactSource
from pytest_vcp.digests import FileDigests
from pytest_vcp.environment import Environment
from pytest_vcp.model import LoadedModel
from pytest_vcp.package import ModelPackage
from pytest_vcp.prediction import (
    Attempt,
    Loading,
    Observations,
    Packaging,
    Prediction,
    read_prediction,
)
from pytest_vcp.requirements import Lock
from pytest_vcp.run import RUN, Run
from pytest_vcp.settings import Settings
from pytest_vcp.spec import ModelSpec, read_spec
from pytest_vcp.suite import unlike_declared
from pytest_vcp.violations import Blocked, ToolError, Unverified
from pytest_vcp.weights import Weights
from pytest_vcp.workshop import Workshop
from pytest_vcp.wrapper import NotFound, WrapperFacts

BUILT = ("VCP208", "VCP302")
SOUND = ("VCP208", "VCP302", "VCP303", "VCP304", "VCP305")


@pytest.fixture(scope="session")
def vcp_run(pytestconfig: pytest.Config) -> Run:
    """The run itself; not for users' tests."""
    return pytestconfig.stash[RUN]


@pytest.fixture(scope="session")
def vcp_settings(vcp_run: Run) -> Settings:
    """Every setting of this run."""
    return vcp_run.settings


@pytest.fixture(scope="session")
def vcp_package(vcp_run: Run) -> ModelPackage:
    """The package directory and the modules of model_code, read and parsed, nothing imported.

    Needs no environment, and takes no time. Never blocked by a rule.
    """
    return vcp_run.package


@pytest.fixture(scope="session")
def vcp_sources(vcp_run: Run) -> tuple[ArtifactSource, ...]:
    """What each --vcp-artifact points to."""
    return vcp_run.sources


@pytest.fixture(scope="session")
def vcp_wrapper(vcp_run: Run) -> WrapperFacts | NotFound:
    """The wrapper class, found in the source."""
    return vcp_run.wrapper


@pytest.fixture(scope="session")
def vcp_lock(vcp_run: Run) -> Lock:
    """requirements.in and requirements.txt, line by line."""
    return vcp_run.lock


@pytest.fixture(scope="session")
def vcp_environment_build(request: pytest.FixtureRequest, vcp_run: Run) -> Environment:
    """The environment, or the facts about why it could not be built."""
    vcp_run.gates.enter(request, "environment")
    return vcp_run.prepare_environment()


@pytest.fixture(scope="session")
def vcp_environment(
    request: pytest.FixtureRequest, vcp_run: Run, vcp_environment_build: Environment
) -> Environment:
    """The environment of the model: its Python, the versions installed, built or reused.

    A test that uses it is an error while a rule of the files, or VCP208 or VCP302, does not hold.
    """
    vcp_run.gates.require(request, BUILT)
    vcp_run.open_workshop()
    return vcp_environment_build


@pytest.fixture(scope="session")
def vcp_imports(
    request: pytest.FixtureRequest, vcp_run: Run, vcp_environment: Environment
) -> Attempt:
    """The import of model_code and model_spec in the environment."""
    vcp_run.gates.require(request, SOUND)
    return vcp_run.open_workshop().import_sources()


@pytest.fixture(scope="session")
def vcp_workshop(request: pytest.FixtureRequest, vcp_run: Run) -> Workshop:
    """The worker processes; not for users' tests."""
    vcp_run.gates.enter(request, "spec")
    return vcp_run.open_workshop()


@pytest.fixture(scope="session")
def vcp_description(vcp_workshop: Workshop) -> Attempt:
    """The description of model_spec.py, or why there is none."""
    return vcp_workshop.describe_spec()


@pytest.fixture(scope="session")
def vcp_spec(vcp_description: Attempt, vcp_settings: Settings) -> ModelSpec:
    """What model_spec.py declares: inputs, outputs and params, and the example.

    Shapes and types as declared, -1 for a free dimension. A test that uses it is an error while
    model_spec.py can't be imported, or a rule of the files or of the environment does not hold.
    """
    if vcp_description.reply is None:
        raise Blocked("VCP401")
    return read_spec(vcp_description.reply, vcp_settings.pkg_dir)


@pytest.fixture(scope="session")
def vcp_weights(vcp_run: Run) -> Weights:
    """The weights as they were when the run began."""
    return vcp_run.weights


@pytest.fixture(scope="session")
def vcp_digests(vcp_run: Run) -> FileDigests:
    """Digests of files, each read once."""
    return vcp_run.digests


@pytest.fixture(scope="session")
def vcp_packaging(
    request: pytest.FixtureRequest, vcp_run: Run, vcp_workshop: Workshop
) -> Packaging:
    """The packaging of the model: what failed, what is missing in what it left."""
    vcp_run.gates.enter(request, "artifact")
    attempt = vcp_workshop.package()
    missing = vcp_workshop.missing_files() if attempt.failure is None else ()
    problem = None
    if attempt.failure is None and not missing:
        try:
            _ = vcp_run.artifact
        except (OSError, ValueError) as unreadable:
            problem = str(unreadable)
    return Packaging(attempt.failure, missing, problem)


@pytest.fixture(scope="session")
def vcp_artifact(
    request: pytest.FixtureRequest, vcp_run: Run, vcp_packaging: Packaging
) -> ModelArtifact:
    """The packaged model: its files with size and SHA-256, its parsed metadata.

    `path` is a staging place until the run has ended well: read there, and don't write. A test
    that uses it is an error while a rule up to packaging does not hold.
    """
    vcp_run.gates.require(request, ("VCP601",))
    return vcp_run.artifact


@pytest.fixture(scope="session")
def vcp_loading(
    request: pytest.FixtureRequest, vcp_run: Run, vcp_workshop: Workshop, vcp_settings: Settings
) -> Loading:
    """The artifact loaded where nothing but the artifact is to be had."""
    _want_inference(vcp_settings)
    vcp_run.gates.enter(request, "forward")
    attempt = vcp_workshop.load()
    return Loading(attempt.failure, () if attempt.failure else vcp_workshop.leftovers())


@pytest.fixture(scope="session")
def vcp_loaded(
    request: pytest.FixtureRequest, vcp_run: Run, vcp_workshop: Workshop, vcp_loading: Loading
) -> Workshop:
    """The worker processes, with the model loaded."""
    vcp_run.gates.require(request, ("VCP701",))
    return vcp_workshop


@pytest.fixture(scope="session")
def vcp_judged(vcp_run: Run, vcp_loaded: Workshop, vcp_spec: ModelSpec) -> Workshop:
    """The worker processes whose forward pass is judged.

    A pass that is as declared without a GPU, and only there, is judged there: what is wrong on
    the GPU is then told by the rules on devices.
    """
    if unlike_declared(vcp_loaded.predict(), vcp_spec) is None or not vcp_loaded.sees_gpu():
        return vcp_loaded
    without = vcp_run.package_without_gpu()
    if without is None or unlike_declared(without.predict(), vcp_spec) is not None:
        return vcp_loaded
    return without


@pytest.fixture(scope="session")
def vcp_first_pass(vcp_judged: Workshop) -> Attempt:
    """The first forward pass, or why it failed."""
    return vcp_judged.predict()


@pytest.fixture(scope="session")
def vcp_prediction(
    request: pytest.FixtureRequest, vcp_run: Run, vcp_first_pass: Attempt
) -> Prediction:
    """The prediction on the input example: numpy arrays, described."""
    vcp_run.gates.require(request, ("VCP704",))
    assert vcp_first_pass.reply is not None
    return read_prediction(vcp_first_pass.reply)


@pytest.fixture(scope="session")
def vcp_observations(
    request: pytest.FixtureRequest,
    vcp_run: Run,
    vcp_prediction: Prediction,
    vcp_judged: Workshop,
) -> tuple[Observations, ...]:
    """How many observations the inputs hold, where they are AnnData."""
    # In an output of another rank the first dimension need not be the rows.
    vcp_run.gates.require(request, ("VCP705",))
    return vcp_judged.observations()


@pytest.fixture(scope="session")
def vcp_repeats(vcp_prediction: Prediction, vcp_judged: Workshop) -> tuple[Attempt, Attempt]:
    """The forward pass again: in the same process, and compared with another one."""
    again = vcp_judged.repeat()
    elsewhere = vcp_judged.validate()
    kept = elsewhere.reply is not None and elsewhere.reply["kept"]
    return again, vcp_judged.compare_processes() if kept else Attempt(None)


@pytest.fixture(scope="session")
def vcp_serving(
    request: pytest.FixtureRequest,
    vcp_run: Run,
    vcp_settings: Settings,
    vcp_judged: Workshop,
) -> Attempt:
    """The serving example through MLflow's validate_serving_input."""
    _want_inference(vcp_settings)
    vcp_run.gates.enter(request, "serving")
    return vcp_judged.validate()


@pytest.fixture(scope="session")
def vcp_json(
    request: pytest.FixtureRequest, vcp_run: Run, vcp_settings: Settings, vcp_judged: Workshop
) -> Attempt:
    """The prediction through MLflow's JSON and back."""
    _want_inference(vcp_settings)
    vcp_run.gates.enter(request, "serving")
    return vcp_judged.as_json()


@pytest.fixture(scope="session")
def vcp_gpu_pass(
    request: pytest.FixtureRequest,
    vcp_run: Run,
    vcp_settings: Settings,
) -> Attempt:
    """The first forward pass, where a GPU was visible to it."""
    _want_inference(vcp_settings)
    if vcp_settings.device == "cpu":
        raise Unverified("the CPU was asked for (--vcp-device cpu)")
    vcp_run.gates.enter(request, "device")
    workshop = vcp_run.open_workshop()
    if not workshop.sees_gpu() and vcp_settings.device == "cuda":
        raise ToolError(
            "--vcp-device cuda was given, and the model's process sees no GPU",
            "run where there is one, or use --vcp-device auto",
        )
    if not workshop.sees_gpu():
        raise Unverified("no GPU is visible to a GPU library of the model")
    return workshop.predict()


@pytest.fixture(scope="session")
def vcp_model(request: pytest.FixtureRequest, vcp_run: Run, vcp_judged: Workshop) -> LoadedModel:
    """The model loaded from its artifact, to predict on other inputs in a test of one's own.

    A test that uses it is an error while a rule up to the first forward pass (VCP704) does not
    hold, and is skipped with --vcp-skip-inference.
    """
    vcp_run.gates.require(request, ("VCP704",))
    return LoadedModel(vcp_judged, vcp_run.settings)


def _want_inference(settings: Settings) -> None:
    if settings.skip_inference:
        raise Unverified("inference was skipped (--vcp-skip-inference)")
