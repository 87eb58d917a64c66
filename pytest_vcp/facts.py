"""All facts about one variant, each gathered once, in the order in which they rest on each other.

The fixtures of `session` hand them out under the same names, with `vcp_` before; the gates take
them from here. A fact of a later stage raises `Blocked` while an earlier rule is broken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_vcp.artifact import ModelArtifact
from pytest_vcp.artifact_sources import ArtifactSource
from pytest_vcp.digests import FileDigests
from pytest_vcp.environment import Environment
from pytest_vcp.example_inputs import ExampleInput, Opening, read_inputs, read_openings
from pytest_vcp.fact import fact
from pytest_vcp.imported import Imported, imported_by
from pytest_vcp.lifting import Condition, Need, Writing
from pytest_vcp.model import LoadedModel
from pytest_vcp.package import ModelPackage
from pytest_vcp.payload import read_payload
from pytest_vcp.pickles import PickleFacts, read_pickle
from pytest_vcp.pip_report import Chosen
from pytest_vcp.policy import Tolerance
from pytest_vcp.prediction import (
    Attempt,
    Figures,
    Loading,
    Observations,
    Packaging,
    Prediction,
    read_prediction,
)
from pytest_vcp.repackaging import Repackaging, read_repackaging
from pytest_vcp.requirements import Lock, RequirementLine
from pytest_vcp.resolution import choices, pins_here
from pytest_vcp.settings import Settings
from pytest_vcp.spec import FILE, Description, Enforcement, ModelSpec, read_enforcement, typed
from pytest_vcp.suite import unlike_declared
from pytest_vcp.trial import Trial
from pytest_vcp.variant import Variant
from pytest_vcp.violations import Blocked, ToolError, Unverified
from pytest_vcp.weight_pickles import WeightPickle, read_weight_pickles
from pytest_vcp.weights import Code, Weights
from pytest_vcp.workshop import Workshop
from pytest_vcp.wrapper import NotFound, WrapperFacts

if TYPE_CHECKING:
    from pytest_vcp.finished import Finished
    from pytest_vcp.gates import Gates
    from pytest_vcp.run import Run


class Facts:
    """What is known of one variant and of the package that it belongs to."""

    def __init__(self, run: Run, subject: Variant | Finished, gates: Gates) -> None:
        self._run = run
        self._subject = subject
        self._gates = gates

    @property
    def _variant(self) -> Variant:
        """The variant; only the facts of the subclass are about anything else."""
        assert isinstance(self._subject, Variant)
        return self._subject

    @property
    def variant(self) -> str:
        """The name of the variant."""
        return self._subject.name

    @property
    def settings(self) -> Settings:
        return self._subject.settings

    # What the files say.

    @property
    def model_config(self) -> object:
        return self.settings.model_config

    @property
    def package(self) -> ModelPackage:
        return self._run.package

    @property
    def sources(self) -> tuple[ArtifactSource, ...]:
        return self._variant.sources

    @property
    def wrapper(self) -> WrapperFacts | NotFound:
        return self._variant.wrapper

    @property
    def lock(self) -> Lock:
        return self._run.lock

    @property
    def weights(self) -> Weights:
        return self._variant.weights

    @property
    def code(self) -> Code | None:
        """The files of model_code; None where there is only an artifact."""
        return self._variant.code

    @property
    def digests(self) -> FileDigests:
        return self._run.digests

    @property
    def are_files_sound(self) -> bool:
        """Whether every required rule that needs no environment holds."""
        try:
            self._gates.enter(self, "environment")
        except (Blocked, ToolError):
            return False
        return True

    # What the environment holds.

    @fact
    def python_version(self) -> str:
        """The Python that the artifact has to name, in full: major, minor and micro."""
        return self.environment.version

    @fact
    def markers(self) -> Mapping[str, str]:
        """Values of the environment markers of requirements, where the model runs."""
        return self.environment.markers

    @fact
    def environment_build(self) -> Environment:
        self._gates.enter(self, "environment")
        self._variant.prepare_staging()
        return self._run.prepare_environment()

    @fact
    def environment(self) -> Environment:
        build = self.environment_build
        self._gates.require(self, "VCP208", "VCP302")
        self._variant.open_workshop(build)
        return build

    @fact
    def whole_environment(self) -> Environment:
        """The environment, where all that is pinned and all that is needed is installed."""
        environment = self.environment
        self._gates.hold(self, "VCP303", "VCP304")
        return environment

    @fact
    def pins(self) -> Mapping[str, RequirementLine]:
        return pins_here(self.lock, self.environment)

    @fact
    def choices(self) -> tuple[Chosen, ...]:
        return choices(self.environment)

    @fact
    def imported(self) -> tuple[Imported, ...]:
        return imported_by(self.package)

    @fact
    def imports(self) -> Attempt:
        workshop = self._open_workshop()
        self._gates.hold(self, "VCP303", "VCP304", "VCP305", "VCP213")
        return workshop.import_sources()

    @fact
    def workshop(self) -> Workshop:
        self._gates.enter(self, "spec")
        return self._open_workshop()

    def _open_workshop(self) -> Workshop:
        return self._variant.open_workshop(self.environment)

    # What model_spec.py declares.

    @fact
    def description(self) -> Description:
        return typed(self.workshop.describe_spec(), self.settings.pkg_dir / FILE)

    @fact
    def spec(self) -> ModelSpec:
        if self.description.spec is None:
            raise Blocked("VCP401")
        return self.description.spec

    @property
    def source_spec(self) -> ModelSpec:
        """The spec, for those who hold the artifact against model_spec.py itself."""
        return self.spec

    def _examine(self, doing: str, method: str, params: dict[str, Any]) -> Attempt:
        """Ask the process that has described the signature and the example."""
        return self.workshop.examine(doing, method, params)

    @fact
    def inputs(self) -> tuple[ExampleInput, ...]:
        self._gates.hold(self, "VCP402", "VCP501", "VCP502")
        column, root = self.settings.policy.input_column, self.settings.pkg_dir
        found = read_inputs(self.spec.example, column, root)
        if found is None:
            raise Blocked("VCP504")
        return found

    @fact
    def openings(self) -> tuple[Opening, ...]:
        paths = [str(entry.path) for entry in self.inputs]
        attempt = self._examine(
            "opening the inputs of the example", "inputs.open_all", {"paths": paths}
        )
        return read_openings(self.inputs, attempt.reply, attempt.failure)

    @fact
    def payload(self) -> Enforcement | None:
        """What MLflow says of the payload file; None without one."""
        if self.settings.payload is None:
            return None
        self._gates.hold(self, "VCP401", "VCP402")
        params = {"payload": read_payload(self.settings.payload)}
        attempt = self._examine("checking the payload", "spec.enforce_payload", params)
        if attempt.reply is None:
            raise Unverified(f"checking the payload failed: {attempt.failure}")
        return read_enforcement(attempt.reply)

    # What was packaged.

    @fact
    def packaging(self) -> Packaging:
        workshop = self.workshop
        self._gates.enter(self, "artifact")
        attempt = workshop.package()
        missing = workshop.missing_files() if attempt.failure is None else ()
        problem = None
        if attempt.failure is None and not missing:
            try:
                _ = self._variant.artifact
            except (OSError, ValueError) as unreadable:
                problem = str(unreadable)
        return Packaging(attempt.failure, missing, problem)

    @fact
    def artifact(self) -> ModelArtifact:
        _ = self.packaging
        self._gates.require(self, "VCP601")
        return self._variant.artifact

    @fact
    def pickle(self) -> PickleFacts:
        return read_pickle(self.artifact.path / "python_model.pkl")

    @fact
    def weight_pickles(self) -> tuple[WeightPickle, ...]:
        artifact = self.artifact
        paths = (file.path for file in artifact.files if file.path.startswith("artifacts/"))
        return read_weight_pickles(artifact.path, paths)

    @fact
    def repackaging(self) -> Repackaging:
        _ = self.artifact
        # What should not be in the pickle at all need not be the same twice.
        self._gates.hold(self, "VCP608")
        return read_repackaging(self.workshop.package_again())

    # What it predicts.

    @fact
    def trial(self) -> Trial:
        self._want_inference()
        self._gates.enter(self, "forward")
        return self._tried()

    def _tried(self) -> Trial:
        return self.workshop.trial

    def _run_on_example(self) -> Trial:
        """The trial, where there is an input for the forward pass."""
        return self._tried()

    @fact
    def network_need(self) -> Need | None:
        return self._need("network")

    @fact
    def writing(self) -> Writing:
        need = self._need("elsewhere")
        return Writing(need, () if need else self.trial.changed_files())

    @fact
    def home_need(self) -> Need | None:
        return self._need("home")

    def _need(self, condition: Condition) -> Need | None:
        """Why the model can't do without it; None where it can."""
        known = self.trial.needs().by_condition
        if condition in known:
            return known[condition]
        _ = self.loaded
        if self.first_pass.failure is not None:
            raise Blocked("VCP704")
        return self.judged.needs().by_condition.get(condition)

    @fact
    def loading(self) -> Loading:
        trial = self.trial
        attempt = trial.load()
        self._want_surroundings(attempt)
        return Loading(attempt.failure, () if attempt.failure else trial.leftovers())

    @fact
    def loaded(self) -> Trial:
        _ = self.loading
        self._gates.require(self, "VCP701")
        return self.trial

    @fact
    def judged(self) -> Trial:
        """The trial whose forward pass is judged.

        A pass that is as declared without a GPU, and only there, is judged there: what is wrong on
        the GPU is then told by the rules on devices.
        """
        trial = self.loaded
        if unlike_declared(trial.predict(), self.spec) is None or not trial.sees_gpu():
            return trial
        without = self._variant.package_without_gpu(self.environment)
        if without is None or unlike_declared(without.trial.predict(), self.spec) is not None:
            return trial
        return without.trial

    @fact
    def first_pass(self) -> Attempt:
        attempt = self.judged.predict()
        self._want_surroundings(attempt)
        return attempt

    @fact
    def prediction(self) -> Prediction:
        first = self.first_pass
        self._gates.require(self, "VCP704")
        assert first.reply is not None
        return read_prediction(first.reply)

    @fact
    def observations(self) -> tuple[Observations, ...]:
        _ = self.prediction
        # In an output of another rank the first dimension need not be the rows.
        self._gates.hold(self, "VCP705")
        return self.judged.observations()

    @fact
    def repeats(self) -> tuple[Attempt, Attempt]:
        _ = self.prediction
        again = self.judged.repeat()
        elsewhere = self.judged.validate()
        kept = elsewhere.reply is not None and elsewhere.reply["kept"]
        return again, self.judged.compare_processes() if kept else Attempt(None)

    @fact
    def params_effect(self) -> Attempt:
        tolerance = self.settings.policy.repeat_tolerance
        return self._varied("params.examine", "trying the params", tolerance)

    @fact
    def other_batches(self) -> Attempt:
        tolerance = self.settings.policy.batch_tolerance
        return self._varied("params.other_batches", "predicting in other batches", tolerance)

    @fact
    def refusals(self) -> Attempt:
        return self._varied("variations.refusals", "asking for inputs that are not there")

    @fact
    def halved(self) -> Attempt | None:
        if not self._is_anndata():
            return None
        tolerance = self.settings.policy.batch_tolerance
        return self._varied("variations.halved", "predicting on half of the cells", tolerance)

    @fact
    def unknown_features(self) -> Attempt | None:
        if not self._is_anndata():
            return None
        return self._varied("variations.unknown_features", "renaming all features")

    @fact
    def figures(self) -> Figures:
        """Seconds and bytes that the example took."""
        _ = self.prediction
        found = self.judged.figures()
        return Figures(found["load_seconds"], found["forward_seconds"], found["peak_rss_bytes"])

    def _varied(self, method: str, doing: str, tolerance: Tolerance | None = None) -> Attempt:
        _ = self.prediction
        return self.judged.vary(method, doing, tolerance)

    def _is_anndata(self) -> bool:
        """Whether the first input of the example is AnnData, which can be varied."""
        return any(entry.is_anndata for entry in self.observations[:1])

    # What MLflow's own commands make of it.

    @fact
    def serving(self) -> Attempt:
        self._want_inference()
        self._gates.enter(self, "serving")
        return self.judged.validate()

    @fact
    def json(self) -> Attempt:
        self._want_inference()
        self._gates.enter(self, "serving")
        return self.judged.as_json()

    # What it does on a GPU.

    @fact
    def gpu_pass(self) -> Attempt:
        self._want_inference()
        if self.settings.device == "cpu":
            raise Unverified("the CPU was asked for (--vcp-device cpu)")
        self._gates.enter(self, "device")
        trial = self._run_on_example()
        if not trial.sees_gpu() and self.settings.device == "cuda":
            raise ToolError(
                "--vcp-device cuda was given, and the model's process sees no GPU",
                "run where there is one, or use --vcp-device auto",
            )
        if not trial.sees_gpu():
            raise Unverified("no GPU is visible to a GPU library of the model")
        return trial.predict()

    @fact
    def model(self) -> LoadedModel:
        trial = self.judged
        self._gates.require(self, "VCP704")
        return LoadedModel(trial, self.settings)

    def _want_surroundings(self, attempt: Attempt) -> None:
        """Raise Blocked where a step failed for want of what can't be had here at all."""
        rules = {"network": "VCP702", "elsewhere": "VCP703", "home": "VCP720"}
        if attempt.failure is not None:
            for condition in self.trial.needs().unmet:
                raise Blocked(rules[condition])

    def _want_inference(self) -> None:
        if self.settings.skip_inference:
            raise Unverified("inference was skipped (--vcp-skip-inference)")
