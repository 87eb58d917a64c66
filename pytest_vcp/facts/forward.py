"""Facts about the loaded artifact and its predictions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pytest_vcp.evaluation import expected
from pytest_vcp.evaluation.artifact_session import ArtifactSession
from pytest_vcp.evaluation.figures import Figures
from pytest_vcp.evaluation.packaging_session import request_as_given
from pytest_vcp.evaluation.prediction import (
    Loading,
    Observations,
    Prediction,
    ProcessChange,
    Reply,
    read_device,
    read_prediction,
)
from pytest_vcp.evaluation.relaxation import Condition, Requirement, Writing
from pytest_vcp.evaluation.spec import ModelSpec, defaults_of, precision_of
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.packaging import PackagingFacts
from pytest_vcp.mlflow_cli.commands import COMMAND_RULES
from pytest_vcp.rules.outcomes import Blocked, Unverified, Violation
from pytest_vcp.rules.suite import judging_tests
from pytest_vcp.settings.policy import FULL

# An output of another form, or one that differs each time, is reported by these rules first.
_FIRST = ("VCP705", "VCP706", "VCP707", "VCP709", "VCP710")


class ForwardFacts(PackagingFacts):
    """Facts about loading the artifact and predicting with it."""

    @fact(when="_want_inference", stage="forward")
    def session(self) -> ArtifactSession:
        return self._open_session()

    def _open_session(self) -> ArtifactSession:
        return self.packaging_session.session

    def _run_on_example(self) -> ArtifactSession:
        """Return the session, if there is an input for the forward pass."""
        return self._open_session()

    @fact
    def network_requirement(self) -> Requirement | None:
        """The reason why the model needs a network; None if it does not."""
        return self._requirement("network")

    @fact
    def writing(self) -> Writing:
        """Paths that the model writes to outside temporary directories."""
        requirement = self._requirement("outside")
        if requirement:
            return Writing(requirement, (), ())
        return Writing(
            requirement, self.session.changed_files(), self.evaluated_session.shared_paths()
        )

    @fact
    def home_requirement(self) -> Requirement | None:
        """The reason why the model needs a writable home directory; None if it does not."""
        return self._requirement("home")

    def _requirement(self, condition: Condition) -> Requirement | None:
        """Return why the model can't run under this condition; None if it can."""
        known = self.session.requirements().by_condition
        return known[condition] if condition in known else self._requirements.get(condition)

    @fact(after="loaded")
    def _requirements(self) -> Mapping[Condition, Requirement | None]:
        """The requirements of the judged model, once it has predicted."""
        if self.first_pass.failure is not None:
            raise Blocked("VCP704")
        return self.evaluated_session.requirements().by_condition

    @fact
    def loading(self) -> Loading:
        """The result of loading the artifact where nothing else is available."""
        session = self.session
        reply = session.load()
        self._want_surroundings(reply)
        return Loading(reply.failure, () if reply.failure else session.leftovers())

    @fact(after="loading", requires="VCP701")
    def loaded(self) -> ArtifactSession:
        return self.session

    @fact
    def evaluated_session(self) -> ArtifactSession:
        """The session whose forward pass is judged.

        If the output is as declared only without a GPU, the pass without one is judged: the fault
        on the GPU is then reported by the rules on devices.
        """
        session = self.loaded
        if unlike_declared(session.predict(), self.spec) is None or not session.devices.has_gpu():
            return session
        without = self._variant.package_without_gpu(self.environment)
        if without is None or unlike_declared(without.session.predict(), self.spec) is not None:
            return session
        return without.session

    @fact
    def first_pass(self) -> Reply:
        """The first forward pass, or why it failed."""
        reply = self.evaluated_session.predict()
        self._want_surroundings(reply)
        return reply

    @fact(after="first_pass", requires="VCP704")
    def process_changes(self) -> tuple[ProcessChange, ...]:
        """Changes to the state of the process by loading and predicting, each listed once."""
        first = self.first_pass
        loaded = self.evaluated_session.load()
        found = {
            entry["what"]: ProcessChange(step=step, **entry)
            for step, reply in (("predict", first), ("load_context", loaded))
            for entry in (reply.content or {}).get("changes", ())
        }
        # Binding changes come first.
        return tuple(sorted(found.values(), key=lambda change: not change.binds))

    @fact(after="first_pass", requires="VCP704")
    def prediction(self) -> Prediction:
        """The prediction on the input example: a description of its numpy arrays."""
        first = self.first_pass
        assert first.content is not None
        return read_prediction(first.content)

    @fact(after="prediction")
    def precision(self) -> str:
        """The precision of the prediction on the example, by its param or the GPU's rounding."""
        params = self.evaluated_session.payload.get("params")
        declared = precision_of(params, defaults_of(self.spec.signature))
        reply = self.evaluated_session.predict().content
        rounds = reply is not None and read_device(reply).tf32
        return "tf32" if declared == FULL and rounds else declared

    @fact(after="prediction", holds="VCP705")
    def observations(self) -> tuple[Observations, ...]:
        """The number of observations in each input, if it is AnnData."""
        # In an output of another rank, the first dimension need not be the rows.
        return self.evaluated_session.observations()

    @fact(after="prediction")
    def _cut(self) -> Reply:
        """The forward pass on few observations, which then serves where an answer is enough."""
        session, policy = self.evaluated_session, self.settings.policy
        tolerance = policy.in_force(policy.batch_tolerance, self.precision)
        session.announce(commands=bool(self._run.selected & COMMAND_RULES))
        self._begin_commands()
        return session.cut_example(tolerance)

    def _begin_commands(self) -> None:
        """Run MLflow's commands in the background."""

    @fact(after="_cut")
    def repeats(self) -> tuple[Reply, Reply]:
        """The repeated forward pass: in the same process, and compared with another process."""
        again = self.evaluated_session.repeat()
        validated = self.evaluated_session.validate()
        kept = validated.content is not None and validated.content["kept"]
        return again, self.evaluated_session.compare_processes() if kept else Reply(None)

    @fact(after="_cut", holds="VCP710")
    def params_effect(self) -> Reply:
        """The effect of the declared params: at their defaults, left out, of another type."""
        policy = self.settings.policy
        tolerance = policy.in_force(policy.repeat_tolerance)
        return self._varied("params.examine", "trying the params", tolerance, passes=2)

    @fact(after="_cut", holds="VCP710")
    def other_batches(self) -> Reply:
        """The forward pass with another batch size, if there is such a param."""
        policy = self.settings.policy
        tolerance = policy.in_force(policy.batch_tolerance, self.precision)
        return self._varied("params.other_batches", "predicting in other batches", tolerance)

    @fact(after="prediction")
    def refusals(self) -> Reply:
        """The model's replies to inputs that are missing or can't be read."""
        return self._varied("variations.refusals", "asking for inputs that are not there", passes=0)

    @fact
    def halved(self) -> Reply | None:
        """The forward pass on half of the observations; None if the input is not AnnData."""
        return self._half if self._is_anndata() else None

    @fact(after="_cut", holds="VCP710")
    def _half(self) -> Reply:
        found = self._cut.content
        if found and found["judged"] and found["difference"] is None:
            return self._cut
        # What few observations can't show, half of them have to.
        policy = self.settings.policy
        tolerance = policy.in_force(policy.batch_tolerance, self.precision)
        return self._varied("variations.halved", "predicting on half of the cells", tolerance)

    @fact
    def unknown_features(self) -> Reply | None:
        """The forward pass on features unknown to any model; None if the input is not AnnData."""
        return self._unknown if self._is_anndata() else None

    @fact(after="_cut")
    def _unknown(self) -> Reply:
        return self._varied("variations.unknown_features", "renaming all features")

    @fact(after="prediction")
    def figures(self) -> Figures:
        """The cost of the example in seconds and bytes."""
        return self.evaluated_session.figures()

    def _varied(
        self,
        method: str,
        doing: str,
        tolerance: Mapping[str, Any] | None = None,
        passes: int = 1,
    ) -> Reply:
        """Vary the request; a difference means nothing if the output is nondeterministic anyway."""
        return self.evaluated_session.vary(method, doing, tolerance, passes=passes)

    def _is_anndata(self) -> bool:
        """Return whether the first input of the example is AnnData, which can be varied."""
        return any(entry.is_anndata for entry in self.observations[:1])

    def _want_surroundings(self, reply: Reply) -> None:
        """Raise Blocked or Unverified if a step failed for lack of something unavailable here."""
        rules = {"network": "VCP702", "outside": "VCP703", "home": "VCP720"}
        if reply.failure is None:
            return
        for condition in self.session.requirements().unmet:
            raise Blocked(rules[condition])
        if self.session.devices.missing_gpu() is None:
            return
        if self.needs_gpu is False:
            raise Blocked("VCP901")
        self._want_gpu()
        raise Unverified("the model does not run without a GPU, and none is visible to it")

    def _want_inference(self) -> None:
        if self.settings.skip_inference:
            raise Unverified("inference was skipped (--vcp-skip-inference)")

    def _want_expected(self) -> None:
        recorded = expected.expected_path(self.settings)
        if not self.settings.record_expected and not os.path.lexists(recorded):
            raise Unverified("no expected output was recorded; --vcp-record-expected records it")

    @fact(after="prediction", when="_want_expected", holds=_FIRST)
    def expected(self) -> expected.Expected:
        """The comparison with the recorded output; a run that records makes it for the next run."""
        session, policy = self.evaluated_session, self.settings.policy
        tolerance = policy.in_force(policy.expected_tolerance, self.precision)
        belongs_to = expected.describe_owner(
            self.settings,
            self.spec.signature,
            request_as_given(self.settings, session.artifact),
            self.digests,
        )
        if self.settings.record_expected:
            device = self.prediction.device
            self._variant.recording = expected.record(session, belongs_to, device, tolerance)
            raise Unverified("the output is recorded by this run; the next one has to reproduce it")
        return expected.replay(session, belongs_to, tolerance)


def unlike_declared(reply: Reply, spec: ModelSpec) -> Violation | None:
    """Return the first violation of the rules on the output's kind, shape and dtype, or None."""
    tests = judging_tests()
    try:
        tests["VCP704"](vcp_first_pass=reply, vcp_spec=spec)
        assert reply.content is not None
        prediction = read_prediction(reply.content)
        for rule in ("VCP705", "VCP706"):
            tests[rule](vcp_prediction=prediction, vcp_spec=spec)
    except Violation as problem:
        return problem
    return None
