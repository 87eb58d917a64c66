"""The trial of a finished artifact: loaded where nothing but the artifact is to be had, and run.

A second worker, the tester, sends the same request through MLflow's validate_serving_input at the
same time, as the hub's packager does. A passing run loads the model twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_vcp.attempts import Attempts
from pytest_vcp.payload import Payload, inputs
from pytest_vcp.policy import Tolerance
from pytest_vcp.prediction import Attempt, Observations
from pytest_vcp.progress import Progress
from pytest_vcp.settings import Settings
from pytest_vcp.sources import guessed_inputs, source_tree
from pytest_vcp.violations import Unverified
from pytest_vcp.worker import Worker
from pytest_vcp.workplaces import Workplaces

# A process that loaded a model may take its time to end: libraries tear down devices and pools.
_EXIT_SECONDS = 15.0


class Trial:
    """Owns the worker that loads the artifact; borrows the one that tests it."""

    def __init__(
        self,
        settings: Settings,
        artifact: Path,
        workplaces: Workplaces,
        tester: Worker,
        progress: Progress,
    ) -> None:
        self.settings = settings
        self.artifact = artifact
        self.payload: Payload = {}
        self.model_loads = 0
        self.forward_passes = 0
        self._progress = progress
        self._workplaces = workplaces
        self._tester = tester
        self._attempts = Attempts(progress)
        self._visible = guessed_inputs(settings)
        self._loader: Worker | None = None
        self._leftovers: tuple[str, ...] | None = None

    @property
    def scratch(self) -> Path:
        """A temporary directory of the run, which the loading worker can read."""
        return self._workplaces.scratch

    def warm_up(self) -> None:
        """Start the worker that will load; it begins with the imports that it will need."""
        self._loader = self._workplaces.started_loader(self._visible)

    def begin(self, payload: Payload | None) -> None:
        """Load in the one worker and validate in the other, without waiting for either.

        `payload` is the request for the forward pass, its inputs absolute; without one, the
        artifact is loaded and nothing more.
        """
        loader = self._loader_that_sees(payload or {})
        artifact = str(self.artifact)
        self._attempts.send(
            "load", loader, "forward.load", {"artifact": artifact}, "loading the artifact"
        )
        if payload is None:
            return
        self.payload = payload
        self._attempts.send(
            "validate",
            self._tester,
            "packaging.validate",
            {"artifact": artifact, "payload": payload, "keep": str(self._kept)},
            "validating the serving example",
        )
        self._attempts.send(
            "predict", loader, "forward.predict", {"payload": payload}, "predicting"
        )

    @property
    def _kept(self) -> Path:
        return self.scratch / "other-process.npz"

    def _loader_that_sees(self, payload: Payload) -> Worker:
        """The loader; a new one where the guess was wrong about what it may see.

        Inputs inside the package stay readable while the source tree around them does not, and
        which they are had to be guessed before model_spec.py was imported: it may compute their
        names, or name files that are no inputs.
        """
        assert self._loader is not None
        wanted = tuple(Path(uri) for uri in inputs(payload, self.settings.policy.input_column))
        hidden = source_tree(self.settings)
        anyway = tuple(path for path in wanted if not _lies_in(path, hidden))
        seen = (*self._visible, *anyway)
        unseen = any(not _lies_in(path, seen) and path.exists() for path in wanted)
        others = (path for path in self._visible if _lies_in(path, hidden))
        if unseen or not all(_lies_in(path, wanted) for path in others):
            self._loader.close(grace=0)
            self._visible = wanted
            self._loader = self._workplaces.started_loader(wanted)
        return self._loader

    # Steps, each asked for once; the reply is kept.

    def load(self) -> Attempt:
        """Load the artifact where nothing but the artifact is to be had."""
        return self._first("load", loads=1)

    def predict(self) -> Attempt:
        """The first forward pass."""
        return self._first("predict", passes=1)

    def validate(self) -> Attempt:
        """The serving payload through MLflow's validate_serving_input, in the testing worker."""
        return self._first("validate", loads=1, passes=1)

    def sees_gpu(self) -> bool:
        """Whether the process of the first forward pass had a GPU before or after it."""
        load, predict = self.load().reply, self.predict().reply
        return bool((load and load["gpu"]) or (predict and predict["device"]["gpus"]))

    def leftovers(self) -> tuple[str, ...]:
        """Processes that the model left running in a worker that loaded it and has ended."""
        if self._leftovers is None:
            if self.payload:
                self.validate()
            self._leftovers = tuple(self._tester.close(grace=_EXIT_SECONDS))
        return self._leftovers

    def repeat(self) -> Attempt:
        """The forward pass again, after one with other params."""
        tolerance = asdict(self.settings.policy.repeat_tolerance)
        return self.ask(
            "forward.repeat",
            {"payload": self.payload, "tolerance": tolerance},
            "repeating the forward pass",
        )

    def compare_processes(self) -> Attempt:
        """The result here against the one of the testing worker."""
        tolerance = asdict(self.settings.policy.repeat_tolerance)
        return self.ask(
            "forward.compare_kept",
            {"path": str(self._kept), "tolerance": tolerance},
            "comparing two processes",
        )

    def as_json(self) -> Attempt:
        """The result through MLflow's JSON and back."""
        tolerance = asdict(self.settings.policy.json_tolerance)
        return self.ask(
            "forward.as_json", {"tolerance": tolerance}, "sending the prediction as JSON"
        )

    def observations(self) -> tuple[Observations, ...]:
        """The observations of each input."""
        uris = inputs(self.payload, self.settings.policy.input_column)
        attempt = self.ask("forward.observations", {"inputs": uris}, "counting observations")
        if attempt.reply is None:
            problem = str(attempt.failure)
            return tuple(Observations(uri, True, None, problem) for uri in uris)
        counts = attempt.reply["counts"]
        return tuple(Observations(uri, **entry) for uri, entry in zip(uris, counts, strict=True))

    def ask(self, method: str, params: Mapping[str, Any], doing: str) -> Attempt:
        """Ask the worker that loaded the artifact, once for each method, and keep the answer.

        A reply that tells its number of `passes` has them counted.
        """
        assert self._loader is not None
        known = self._attempts.answered(method)
        if known is not None:
            return known
        attempt = self._attempts.ask(method, self._loader, method, params, doing)
        self.forward_passes += (attempt.reply or {}).get("passes", 0)
        return attempt

    def vary(self, method: str, doing: str, tolerance: Tolerance | None = None) -> Attempt:
        """Ask how the model takes another request than the example.

        Raises Unverified where the process ended under an earlier request.
        """
        column = self.settings.policy.input_column
        params: dict[str, Any] = {
            "payload": self.payload,
            "column": column,
            "inputs": inputs(self.payload, column),
        }
        if tolerance is not None:
            params["tolerance"] = asdict(tolerance)
        attempt = self.ask(method, params, doing)
        if attempt.failure is not None and not attempt.failure.reached:
            raise Unverified("the model's process ended before this could be tried")
        return attempt

    def ask_model(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """One more question to the loaded model. Raises WorkerFailure."""
        assert self._loader is not None
        with self._progress.step("asking the model"):
            return self._loader.call(f"forward.{method}", dict(params), doing="asking the model")

    def _first(self, key: str, loads: int = 0, passes: int = 0) -> Attempt:
        """Wait for what was sent ahead, and count what it cost."""
        if self._attempts.answered(key) is None:
            self.model_loads += loads
            self.forward_passes += passes
        return self._attempts.finish(key)

    def figures(self) -> dict[str, float | int | None]:
        """What the trial cost: seconds, bytes, loads of the model and forward passes."""
        peaks = [
            worker.peak_rss_bytes
            for worker in (self._tester, self._loader)
            if worker is not None and worker.peak_rss_bytes
        ]
        return {
            "load_seconds": _seconds(self._attempts.answered("load")),
            "forward_seconds": _seconds(self._attempts.answered("predict")),
            "peak_rss_bytes": max(peaks, default=None),
            "model_loads": self.model_loads,
            "forward_passes": self.forward_passes,
        }

    def outputs(self) -> dict[str, dict[str, object]] | None:
        """What the first forward pass returned: each array's shape, dtype, digest and range."""
        attempt = self._attempts.answered("predict")
        if attempt is None or attempt.reply is None:
            return None
        return {
            name: {
                "shape": entry["shape"],
                "dtype": entry["dtype"],
                "sha256": entry["digest"],
                "range": entry["range"],
            }
            for name, entry in attempt.reply["summary"]["entries"].items()
            if entry["is_array"]
        }

    def close(self) -> None:
        """End the worker that loaded."""
        if self._loader is not None:
            self._loader.close()


def _seconds(attempt: Attempt | None) -> float | None:
    return None if attempt is None or attempt.reply is None else float(attempt.reply["seconds"])


def _lies_in(path: Path, roots: tuple[Path, ...]) -> bool:
    real = path.resolve()
    return any(real.is_relative_to(root.resolve()) for root in roots)
