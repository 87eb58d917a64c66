"""The session of an artifact: loaded where nothing but the artifact is to be had, and run.

A second worker, the tester, sends the same request through MLflow's validate_serving_input at the
same time, as the hub's packager does. A passing run loads the model twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_vcp.evaluation import figures
from pytest_vcp.evaluation.device_runs import DeviceRunner
from pytest_vcp.evaluation.devices import SessionDevices
from pytest_vcp.evaluation.figures import Figures, ScalingStep, device_peak_of, rate_of, seconds_of
from pytest_vcp.evaluation.loader import Loader
from pytest_vcp.evaluation.prediction import Observations, Reply
from pytest_vcp.evaluation.relaxation import Requirements
from pytest_vcp.evaluation.requests import Request, RequestCache
from pytest_vcp.evaluation.worker_factory import WorkerFactory
from pytest_vcp.mlflow_cli.commands import MlflowCommands
from pytest_vcp.rules.outcomes import Unverified
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.payload import Payload, inputs
from pytest_vcp.util.files import file_states
from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.client import Worker

# A process that loaded a model may take its time to end: libraries tear down devices and pools.
_EXIT_SECONDS = 15.0


class ArtifactSession:
    """Owns the worker that loads the artifact; borrows the one that tests it."""

    def __init__(
        self,
        settings: Settings,
        artifact: Path,
        factory: WorkerFactory,
        tester: Worker,
        progress: Progress,
    ) -> None:
        self.settings = settings
        self.artifact = artifact
        self.payload: Payload = {}
        self._loads = 0
        self._passes = 0
        self._progress = progress
        self._factory = factory
        self._tester = tester
        self._requests = RequestCache(progress)
        self._loader = Loader(settings, artifact, factory, progress)
        self._files: dict[str, tuple[int, int]] = {}
        self._leftovers: tuple[str, ...] | None = None
        self._sent_to_tester: list[Request] = []
        self._commands: MlflowCommands | None = None
        self._scaled: Figures | None = None
        runner = DeviceRunner(settings, artifact, factory, progress)
        self.devices = SessionDevices(self, runner)

    @property
    def scratch(self) -> Path:
        """A temporary directory of the run, which the loading worker can read."""
        return self._factory.scratch

    def warm_up(self) -> None:
        """Start the worker that will load; it begins with the imports that it will need."""
        self._loader.warm_up()

    def begin(self, payload: Payload | None) -> None:
        """Load in the one worker and validate in the other, without waiting for either.

        `payload` is the request for the forward pass, its inputs absolute; without one, the
        artifact is loaded and nothing more.
        """
        self._files = file_states(self.artifact)
        self._loader.begin(payload)
        if payload is None:
            return
        self.payload = payload
        if self.loads_alone:
            self._loader.wait()
        self._requests.send(self._tester, self._validation)

    @property
    def loads_alone(self) -> bool:
        """Whether no two processes may load the model at once, which would meet in /tmp."""
        return self._factory.loads_alone and not self._loader.keeps_to_itself()

    @property
    def _kept(self) -> Path:
        return self.scratch / "other-process.npz"

    # Steps, each asked for once; the reply is kept.

    def load(self) -> Reply:
        """Load the artifact where nothing but the artifact is to be had."""
        if self._loader.load_failed():
            self.requirements()
        return self._loader.load()

    def predict(self) -> Reply:
        """The first forward pass."""
        self.requirements()
        return self._loader.predict()

    def requirements(self) -> Requirements:
        """What the model can't do without; the session goes on with what it needs."""
        # A finished artifact is tested under conditions, too.
        is_free = self.payload and self.settings.artifact_only is None
        return self._loader.find_requirements(self.validate if is_free else None)

    def changed_files(self) -> tuple[str, ...]:
        """Files of the artifact that have come, gone or changed since its session began."""
        if self.payload:
            self.validate()
        now = file_states(self.artifact)
        both = sorted({*self._files, *now})
        return tuple(name for name in both if self._files.get(name) != now.get(name))

    def shared_paths(self) -> tuple[str, ...]:
        """What loading and predicting wrote to a place that every process of the machine has."""
        reply = self.ask("probe.observed", {}, "looking at what was written")
        return tuple((reply.content or {}).get("shared", ()))

    def validate(self) -> Reply:
        """The serving payload through MLflow's validate_serving_input, in the testing worker."""
        if self._requests.known(self._validation) is None:
            self._loads += 1
            self._passes += 1
        return self._requests.finish(self._validation)

    @property
    def _validation(self) -> Request:
        paths = {"artifact": str(self.artifact), "keep": str(self._kept)}
        params = {**paths, "payload": self.payload}
        return Request("packaging.validate", params, "validating the serving example")

    def send_to_tester(self, request: Request) -> None:
        """Have the testing worker do something else after that, while the other one predicts."""
        self._requests.send(self._tester, request)
        self._sent_to_tester.append(request)

    def wait_for(self, request: Request) -> Reply:
        """Wait for a request sent by `send_to_tester` and return its reply."""
        return self._requests.finish(request)

    @property
    def pid(self) -> int:
        """The number of the process that holds the loaded model."""
        pid = self._loader.worker.pid
        assert pid is not None
        return pid

    def leftovers(self) -> tuple[str, ...]:
        """Processes that the model left running in a worker that loaded it and has ended."""
        if self._leftovers is None:
            if self.payload:
                self.validate()
            for request in self._sent_to_tester:
                self.wait_for(request)
            self._leftovers = tuple(self._tester.close(grace=_EXIT_SECONDS))
        return self._leftovers

    def repeat(self) -> Reply:
        """The forward pass again, after one with other params."""
        return self._ask(self._repetition)

    @property
    def _repetition(self) -> Request:
        policy = self.settings.policy
        tolerance = policy.in_force(policy.repeat_tolerance)
        params = {"payload": self.payload, "tolerance": tolerance}
        return Request("forward.repeat", params, "repeating the forward pass")

    def compare_processes(self) -> Reply:
        """The result here against the one of the testing worker."""
        policy = self.settings.policy
        tolerance = policy.in_force(policy.repeat_tolerance)
        return self.ask(
            "forward.compare_saved",
            {"path": str(self._kept), "tolerance": tolerance},
            "comparing two processes",
        )

    def as_json(self) -> Reply:
        """The result through MLflow's JSON and back."""
        policy = self.settings.policy
        tolerance = policy.in_force(policy.json_tolerance)
        return self.ask(
            "forward.as_json", {"tolerance": tolerance}, "sending the prediction as JSON"
        )

    def observations(self) -> tuple[Observations, ...]:
        """The observations of each input."""
        uris = inputs(self.payload, self.settings.policy.input_column)
        reply = self.ask("forward.observations", {"inputs": uris}, "counting observations")
        if reply.content is None:
            problem = str(reply.failure)
            return tuple(Observations(uri, True, None, problem) for uri in uris)
        counts = reply.content["counts"]
        return tuple(Observations(uri, **entry) for uri, entry in zip(uris, counts, strict=True))

    def compare_answers(self, asked: str, answers: Sequence[tuple[str, Path]]) -> Reply:
        """Compare answers in JSON, each by when it was, with the result here."""
        policy = self.settings.policy
        tolerance = policy.in_force(policy.repeat_tolerance)
        pairs = [[when, str(path)] for when, path in answers]
        params = {"answers": pairs, "tolerance": tolerance}
        return self.ask("forward.compare_answers", params, f"comparing the answers of {asked}")

    def ask(
        self, method: str, params: Mapping[str, Any], doing: str, timeout: float | None = None
    ) -> Reply:
        """Ask the worker that loaded the artifact, once for the same params, and keep the reply.

        A reply that tells its number of `passes` has them counted.
        """
        return self._ask(Request(method, params, doing, timeout))

    def _ask(self, request: Request) -> Reply:
        known = self._requests.known(request)
        if known is not None:
            return known
        reply = self._requests.ask(self._loader.worker, request)
        self._passes += (reply.content or {}).get("passes", 0)
        return reply

    def vary(
        self,
        method: str,
        doing: str,
        tolerance: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Ask how the model takes another request than the example; `more` are further params.

        Raises Unverified where the process ended under an earlier request.
        """
        params = {**self._request(), **(more or {})}
        if tolerance is not None:
            params["tolerance"] = tolerance
        reply = self.ask(method, params, doing)
        if reply.failure is not None and not reply.failure.reached:
            raise Unverified("the model's process ended before this could be tried")
        return reply

    def ask_model(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """One more question to the loaded model. Raises WorkerFailure."""
        with self._progress.step("asking the model"):
            return self._loader.worker.call(
                f"forward.{method}", dict(params), doing="asking the model"
            )

    def figures(self) -> Figures:
        """What the session cost so far; what the scaling costs does not count."""
        return self._measure() if self._scaled is None else self._scaled

    def _measure(self) -> Figures:
        load, first = self._loader.known_replies()
        second = self._requests.known(self._repetition)
        peaks = (self._tester.peak_rss_bytes, self._loader.peak_rss_bytes())
        return Figures(
            import_seconds=None,
            load_seconds=seconds_of(load),
            forward_seconds=seconds_of(first),
            second_forward_seconds=seconds_of(second),
            rows_per_second=rate_of(first, second),
            peak_rss_bytes=max(filter(None, peaks), default=None),
            peak_device_bytes=device_peak_of(first),
            artifact_bytes=sum(size for size, _ in self._files.values()) or None,
            model_loads=self._loads + self._loader.loads + self.devices.loads,
            forward_passes=self._passes + self._loader.passes + self.devices.passes,
        )

    def scale(self) -> None:
        """Have the example's observations predicted several times over, and note what it took.

        Comes last: what the process needs for it is no figure of the example, and whatever it
        comes to, no rule fails by it.
        """
        if self._scaled is None:
            measured, first = self._measure(), self.first_pass()
            steps: tuple[ScalingStep, ...] = ()
            problem: str | None = "there is no prediction on the example"
            if first is not None and first.content is not None:
                steps, problem = figures.measure(self.ask, self._request(), self.observations())
            self._scaled = replace(measured, scaling=steps, scaling_problem=problem)

    def _request(self) -> dict[str, Any]:
        """The example as the worker takes it to make other requests of it."""
        column = self.settings.policy.input_column
        return {"payload": self.payload, "column": column, "inputs": inputs(self.payload, column)}

    def commands_run(self) -> list[dict[str, object]]:
        """The commands of MLflow that were run on the artifact."""
        return self._commands.describe_runs() if self._commands else []

    def first_pass(self) -> Reply | None:
        """The first forward pass, where somebody has waited for it."""
        return self._loader.known_replies()[1]

    def own_commands(self, commands: MlflowCommands) -> MlflowCommands:
        """Take over commands that were given this artifact: they end with the session."""
        self._commands = commands
        return commands

    def close(self) -> None:
        """End the worker that loaded, and the commands."""
        with contextlib.ExitStack() as ends:
            ends.callback(self._loader.close)
            if self._commands is not None:
                ends.callback(self._commands.close)
