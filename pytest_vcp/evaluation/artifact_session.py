"""The session of an artifact, which loads and runs it where nothing else is available.

A second worker, the tester, sends the same request through MLflow's validate_serving_input at the
same time, as the hub's packager does. A passing run loads the model twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_vcp.evaluation import figures
from pytest_vcp.evaluation.device_runs import DeviceRunner
from pytest_vcp.evaluation.devices import SessionDevices
from pytest_vcp.evaluation.figures import (
    Figures,
    ScalingStep,
    device_peak_of,
    peak_of,
    rate_of,
    seconds_of,
)
from pytest_vcp.evaluation.loader import Loader
from pytest_vcp.evaluation.passes import PassBudget
from pytest_vcp.evaluation.prediction import Observations, Reply
from pytest_vcp.evaluation.relaxation import Requirements
from pytest_vcp.evaluation.requests import Request, RequestCache
from pytest_vcp.evaluation.worker_factory import WorkerFactory
from pytest_vcp.mlflow_cli.commands import MlflowCommands
from pytest_vcp.mlflow_cli.requests import SavedAnswer
from pytest_vcp.rules.outcomes import Unverified
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.payload import Payload, inputs, rename_inputs
from pytest_vcp.util.files import file_states
from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.client import Worker

# A process that loaded a model may take a while to exit: libraries tear down devices and pools.
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
        self.pass_budget = PassBudget(settings.policy.repeat_seconds)
        self._tries_others = True
        self.small_request: Future[Payload | None] = Future()
        runner = DeviceRunner(settings, artifact, factory, progress)
        self.devices = SessionDevices(self, runner)

    @property
    def scratch(self) -> Path:
        """A temporary directory of the run, which the loading worker can read."""
        return self._factory.scratch

    def warm_up(self) -> None:
        """Start the worker that will load the artifact; it begins with its imports."""
        self._loader.warm_up()

    def begin(self, payload: Payload | None) -> None:
        """Start loading in one worker and validating in the other, without waiting for either.

        `payload` is the request for the forward pass, with absolute inputs; without one, the
        artifact is only loaded.
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
        """Whether only one process at a time may load the model, as two would collide in /tmp."""
        return self._factory.loads_alone and not self._loader.keeps_to_itself()

    @property
    def _kept(self) -> Path:
        return self.scratch / "other-process.npz"

    # Steps: each is requested once, and its reply is remembered.

    def load(self) -> Reply:
        """Load the artifact where nothing else is available."""
        if self._loader.load_failed():
            self.requirements()
        return self._loader.load()

    def predict(self) -> Reply:
        """Return the reply of the first forward pass."""
        self.requirements()
        return self._loader.predict()

    def requirements(self) -> Requirements:
        """Find out what the model needs; the session continues with those needs met."""
        # The tester of a finished artifact runs under conditions, too.
        is_free = self.payload and self.settings.artifact_only is None
        return self._loader.find_requirements(self.validate if is_free else None)

    def changed_files(self) -> tuple[str, ...]:
        """List files of the artifact that were added, removed or changed during the session."""
        if self.payload:
            self.validate()
        now = file_states(self.artifact)
        both = sorted({*self._files, *now})
        return tuple(name for name in both if self._files.get(name) != now.get(name))

    def shared_paths(self) -> tuple[str, ...]:
        """List what loading and predicting wrote to directories shared by all processes."""
        reply = self.ask("probe.observed", {}, "looking at what was written")
        return tuple((reply.content or {}).get("shared", ()))

    def validate(self) -> Reply:
        """Pass the serving payload to MLflow's validate_serving_input in the testing worker."""
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
        """Send the testing worker a further request, to run while the other one predicts."""
        self._requests.send(self._tester, request)
        self._sent_to_tester.append(request)

    def wait_for(self, request: Request) -> Reply:
        """Wait for a request sent by `send_to_tester` and return its reply."""
        return self._requests.finish(request)

    @property
    def pid(self) -> int:
        """The id of the process that holds the loaded model."""
        pid = self._loader.worker.pid
        assert pid is not None
        return pid

    def leftovers(self) -> tuple[str, ...]:
        """End the testing worker, and list processes that the model left running in it."""
        if self._leftovers is None:
            if self.payload:
                self.validate()
            for request in self._sent_to_tester:
                self.wait_for(request)
            self._leftovers = tuple(self._tester.close(grace=_EXIT_SECONDS))
        return self._leftovers

    def repeat(self) -> Reply:
        """Repeat the forward pass, after one with other params if the policy's limit allows it."""
        if self._requests.known(self._repetition) is None:
            self._tries_others = self.pass_budget.affords(2)
        with self.pass_budget.spending():
            return self._ask(self._repetition)

    @property
    def _repetition(self) -> Request:
        policy = self.settings.policy
        tolerance = policy.in_force(policy.repeat_tolerance)
        params = {"payload": self.payload, "tolerance": tolerance, "others": self._tries_others}
        return Request("forward.repeat", params, "repeating the forward pass")

    def compare_processes(self) -> Reply:
        """Compare the result here with that of the testing worker."""
        policy = self.settings.policy
        tolerance = policy.in_force(policy.repeat_tolerance)
        return self.ask(
            "forward.compare_saved",
            {"path": str(self._kept), "tolerance": tolerance},
            "comparing two processes",
        )

    def as_json(self) -> Reply:
        """Convert the result to MLflow's JSON and back."""
        policy = self.settings.policy
        tolerance = policy.in_force(policy.json_tolerance)
        return self.ask(
            "forward.as_json", {"tolerance": tolerance}, "sending the prediction as JSON"
        )

    def observations(self) -> tuple[Observations, ...]:
        """Count the observations of each input."""
        uris = inputs(self.payload, self.settings.policy.input_column)
        reply = self.ask("forward.observations", {"inputs": uris}, "counting observations")
        if reply.content is None:
            problem = str(reply.failure)
            return tuple(Observations(uri, True, None, problem) for uri in uris)
        counts = reply.content["counts"]
        return tuple(Observations(uri, **entry) for uri, entry in zip(uris, counts, strict=True))

    def cut_example(self, tolerance: Mapping[str, Any]) -> Reply:
        """Predict on few observations, if there are more, and keep that as the small request."""
        params = {**self._request(), "tolerance": tolerance}
        request = None
        try:
            with self.pass_budget.spending():
                reply = self.ask("variations.cut", params, "predicting on a few observations")
            if reply.content is not None and reply.content["paths"] is not None:
                self.pass_budget.small = reply.content["seconds"]
                column = self.settings.policy.input_column
                paths = dict(zip(params["inputs"], reply.content["paths"], strict=True))
                request = rename_inputs(self.payload, column, paths)
        finally:
            self._hand_out(request)
        return reply

    def _hand_out(self, small_request: Payload | None) -> None:
        """Answer those who wait for the small request, whatever happens."""
        if not self.small_request.done():
            self.small_request.set_result(small_request)

    def announce(self, *, commands: bool) -> None:
        """Tell the user how many forward passes are to come after the first, if they take long."""
        self.pass_budget.first = seconds_of(self.first_pass())
        line = self.pass_budget.announce(commands=commands)
        if line is not None:
            self._progress.say(line)

    def compare_answers(self, asked: str, answers: Sequence[SavedAnswer]) -> Reply:
        """Compare replies in JSON, each labelled with its time, with the result here."""
        policy = self.settings.policy
        tolerance = policy.in_force(policy.repeat_tolerance)
        given = [[answer.when, str(answer.file), answer.to_cut] for answer in answers]
        params = {"answers": given, "tolerance": tolerance}
        return self.ask("forward.compare_answers", params, f"comparing the answers of {asked}")

    def ask(
        self, method: str, params: Mapping[str, Any], doing: str, timeout: float | None = None
    ) -> Reply:
        """Ask the worker that loaded the artifact, once for the same params; remember the reply.

        If the reply has a number of `passes`, they are counted.
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
        passes: int = 1,
    ) -> Reply:
        """Send a request other than the example to the model; `more` are further params.

        Raises Unverified if the process ended during an earlier request, or so many `passes` exceed
        the policy's limit.
        """
        params = {**self._request(), **(more or {})}
        if tolerance is not None:
            params["tolerance"] = tolerance
        self.pass_budget.require(passes)
        with self.pass_budget.spending():
            reply = self.ask(method, params, doing)
        if reply.failure is not None and not reply.failure.reached:
            raise Unverified("the model's process ended before this could be tried")
        return reply

    def ask_model(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send one more request to the loaded model. Raises WorkerFailure."""
        with self._progress.step("asking the model"):
            return self._loader.worker.call(
                f"forward.{method}", dict(params), doing="asking the model"
            )

    def figures(self) -> Figures:
        """Return the cost of the session so far, without the cost of the scaling."""
        return self._measure() if self._scaled is None else self._scaled

    def _measure(self) -> Figures:
        load, first = self._loader.known_replies()
        second = self._requests.known(self._repetition)
        validated = self._requests.known(self._validation)
        peaks = (
            peak_of(validated, self._tester.peak_rss_bytes),
            peak_of(first, self._loader.peak_rss_bytes()),
        )
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
            forward_passes=self._passes
            + self._loader.passes
            + self.devices.passes
            + (self._commands.passes if self._commands else 0),
        )

    def scale(self) -> None:
        """Predict on the example's observations several times over, and measure the cost.

        Runs last: the memory that the process needs for it is no figure of the example, and
        whatever the result, no rule fails because of it.
        """
        if self._scaled is None:
            measured, first = self._measure(), self.first_pass()
            steps: tuple[ScalingStep, ...] = ()
            problem: str | None = "there is no prediction on the example"
            if first is not None and first.content is not None:
                steps, problem = figures.measure(self.ask, self._request(), self.observations())
            self._scaled = replace(measured, scaling=steps, scaling_problem=problem)

    def _request(self) -> dict[str, Any]:
        """Return the example in the form from which the worker makes other requests."""
        column = self.settings.policy.input_column
        return {"payload": self.payload, "column": column, "inputs": inputs(self.payload, column)}

    def commands_run(self) -> list[dict[str, object]]:
        """List the MLflow commands that were run on the artifact."""
        return self._commands.describe_runs() if self._commands else []

    def first_pass(self) -> Reply | None:
        """Return the reply of the first forward pass; None if it was not waited for."""
        return self._loader.known_replies()[1]

    def own_commands(self, commands: MlflowCommands) -> MlflowCommands:
        """Take ownership of commands on this artifact, so that they end with the session."""
        self._commands = commands
        return commands

    def close(self) -> None:
        """End the loading worker and the commands."""
        self._hand_out(None)
        with contextlib.ExitStack() as ends:
            ends.callback(self._loader.close)
            if self._commands is not None:
                ends.callback(self._commands.close)
