"""Facts about the loaded artifact and its predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_vcp.evaluation.artifact_session import ArtifactSession
from pytest_vcp.evaluation.figures import Figures
from pytest_vcp.evaluation.prediction import (
    Loading,
    Observations,
    Prediction,
    ProcessChange,
    Reply,
    read_device,
    read_prediction,
)
from pytest_vcp.evaluation.relaxation import Condition, Need, Writing
from pytest_vcp.evaluation.spec import defaults_of, precision_of
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.packaging import PackagingFacts
from pytest_vcp.rulebook.violations import Blocked, Unverified
from pytest_vcp.settings.tolerance import FULL
from pytest_vcp.suite import unlike_declared


class ForwardFacts(PackagingFacts):
    """The same, and what the artifact predicts."""

    @fact
    def trial(self) -> ArtifactSession:
        self._want_inference()
        self._gates.enter(self, "forward")
        return self._tried()

    def _tried(self) -> ArtifactSession:
        return self.workshop.trial

    def _run_on_example(self) -> ArtifactSession:
        """The trial, where there is an input for the forward pass."""
        return self._tried()

    @fact
    def network_need(self) -> Need | None:
        """Why the model can't do without a network; None where it can."""
        return self._need("network")

    @fact
    def writing(self) -> Writing:
        """What the model writes to other than temporary places."""
        need = self._need("elsewhere")
        if need:
            return Writing(need, (), ())
        return Writing(need, self.trial.changed_files(), self.judged.shared_paths())

    @fact
    def home_need(self) -> Need | None:
        """Why the model can't do without a writable home directory; None where it can."""
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
        """The artifact loaded where nothing but the artifact is to be had."""
        trial = self.trial
        attempt = trial.load()
        self._want_surroundings(attempt)
        return Loading(attempt.failure, () if attempt.failure else trial.leftovers())

    @fact
    def loaded(self) -> ArtifactSession:
        _ = self.loading
        self._gates.require(self, "VCP701")
        return self.trial

    @fact
    def judged(self) -> ArtifactSession:
        """The trial whose forward pass is judged.

        A pass that is as declared without a GPU, and only there, is judged there: what is wrong on
        the GPU is then told by the rules on devices.
        """
        trial = self.loaded
        if unlike_declared(trial.predict(), self.spec) is None or not trial.devices.has_gpu():
            return trial
        without = self._variant.package_without_gpu(self.environment)
        if without is None or unlike_declared(without.trial.predict(), self.spec) is not None:
            return trial
        return without.trial

    @fact
    def first_pass(self) -> Reply:
        """The first forward pass, or why it failed."""
        attempt = self.judged.predict()
        self._want_surroundings(attempt)
        return attempt

    @fact
    def process_changes(self) -> tuple[ProcessChange, ...]:
        """What of the process is another after loading and predicting, each thing once."""
        first = self.first_pass
        self._gates.require(self, "VCP704")
        loaded = self.judged.load()
        found = {
            entry["what"]: ProcessChange(step=step, **entry)
            for step, attempt in (("predict", first), ("load_context", loaded))
            for entry in (attempt.reply or {}).get("changes", ())
        }
        # What binds comes first.
        return tuple(sorted(found.values(), key=lambda change: not change.binds))

    @fact
    def prediction(self) -> Prediction:
        """The prediction on the input example: numpy arrays, described."""
        first = self.first_pass
        self._gates.require(self, "VCP704")
        assert first.reply is not None
        return read_prediction(first.reply)

    @fact
    def precision(self) -> str:
        """The precision in which the example is predicted: as its param says, or the GPU rounds."""
        _ = self.prediction
        params = self.judged.payload.get("params")
        said = precision_of(params, defaults_of(self.spec.signature))
        reply = self.judged.predict().reply
        rounds = reply is not None and read_device(reply).tf32
        return "tf32" if said == FULL and rounds else said

    @fact
    def observations(self) -> tuple[Observations, ...]:
        """How many observations the inputs hold, where they are AnnData."""
        _ = self.prediction
        # In an output of another rank the first dimension need not be the rows.
        self._gates.hold(self, "VCP705")
        return self.judged.observations()

    @fact
    def repeats(self) -> tuple[Reply, Reply]:
        """The forward pass again: in the same process, and compared with another one."""
        _ = self.prediction
        again = self.judged.repeat()
        elsewhere = self.judged.validate()
        kept = elsewhere.reply is not None and elsewhere.reply["kept"]
        return again, self.judged.compare_processes() if kept else Reply(None)

    @fact
    def params_effect(self) -> Reply:
        """What the declared params do: at their defaults, left out, of another type."""
        policy = self.settings.policy
        tolerance = policy.in_force(policy.repeat_tolerance)
        return self._varied("params.examine", "trying the params", tolerance)

    @fact
    def other_batches(self) -> Reply:
        """The forward pass in batches of another size, where there is such a param."""
        policy = self.settings.policy
        tolerance = policy.in_force(policy.batch_tolerance, self.precision)
        return self._varied("params.other_batches", "predicting in other batches", tolerance)

    @fact
    def refusals(self) -> Reply:
        """What the model says to inputs that are missing or can't be read."""
        return self._varied("variations.refusals", "asking for inputs that are not there")

    @fact
    def halved(self) -> Reply | None:
        """The forward pass on half of the observations; None where the input is not AnnData."""
        if not self._is_anndata():
            return None
        policy = self.settings.policy
        tolerance = policy.in_force(policy.batch_tolerance, self.precision)
        return self._varied("variations.halved", "predicting on half of the cells", tolerance)

    @fact
    def unknown_features(self) -> Reply | None:
        """The forward pass on features that no model knows; None where the input is not AnnData."""
        if not self._is_anndata():
            return None
        return self._varied("variations.unknown_features", "renaming all features")

    @fact
    def figures(self) -> Figures:
        """Seconds and bytes that the example took."""
        _ = self.prediction
        return self.judged.figures()

    def _varied(self, method: str, doing: str, tolerance: Mapping[str, Any] | None = None) -> Reply:
        _ = self.prediction
        if tolerance is not None:
            # What is another each time can't be told from what the variation did.
            self._gates.hold(self, "VCP710")
        return self.judged.vary(method, doing, tolerance)

    def _is_anndata(self) -> bool:
        """Whether the first input of the example is AnnData, which can be varied."""
        return any(entry.is_anndata for entry in self.observations[:1])

    def _want_surroundings(self, attempt: Reply) -> None:
        """Raise Blocked or Unverified where a step failed for want of what can't be had here."""
        rules = {"network": "VCP702", "elsewhere": "VCP703", "home": "VCP720"}
        if attempt.failure is None:
            return
        for condition in self.trial.needs().unmet:
            raise Blocked(rules[condition])
        if self.trial.devices.missing_gpu() is None:
            return
        if self.needs_gpu is False:
            raise Blocked("VCP901")
        self._want_gpu()
        raise Unverified("the model does not run without a GPU, and none is visible to it")

    def _want_inference(self) -> None:
        if self.settings.skip_inference:
            raise Unverified("inference was skipped (--vcp-skip-inference)")
