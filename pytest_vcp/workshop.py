"""The two workers of a run: one packages, one loads what was packaged. Started early, asked late.

The second does its imports while the first packages, and loads the artifact while the first tries
it as the hub's packager would: a passing run loads the model twice, at the same time.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_vcp.artifact import missing_files
from pytest_vcp.payload import Payload, inputs, read_payload, resolved
from pytest_vcp.prediction import Attempt, Observations
from pytest_vcp.progress import Progress
from pytest_vcp.publishing import MADE_BY, SIGNATURE_OF_OURS
from pytest_vcp.settings import Settings
from pytest_vcp.sources import guessed_inputs, source_tree
from pytest_vcp.staging import Staging
from pytest_vcp.violations import ToolError
from pytest_vcp.worker import Call, Worker, WorkerFailure
from pytest_vcp.workplaces import Workplaces

# A process that loaded a model may take its time to end: libraries tear down devices and pools.
_EXIT_SECONDS = 15.0


class Workshop:
    """Owns the workers and the scratch directory of one variant."""

    def __init__(
        self,
        settings: Settings,
        staging: Staging,
        python: Path,
        preimports: tuple[str, ...],
        progress: Progress,
    ) -> None:
        self.settings = settings
        self.progress = progress
        self.staging = staging
        self.scratch = Path(tempfile.mkdtemp(prefix="vcp-"))
        self._workplaces = Workplaces(settings, staging, self.scratch, python, preimports)
        self._payload: Payload | None = None
        self._calls: dict[str, Call] = {}
        self._attempts: dict[str, Attempt] = {}
        self.model_loads = 0
        self.forward_passes = 0
        self._visible = guessed_inputs(settings)
        self._packager = self._workplaces.packager()
        self._loader: Worker | None = None
        self._leftovers: tuple[str, ...] | None = None

    def start(self) -> None:
        """Start the workers; the one that loads begins with the imports it will need."""
        self._packager.start()
        if not self.settings.skip_inference:
            self._loader = self._workplaces.started_loader(self._visible)

    # Steps, each asked for once; the reply is kept.

    def import_sources(self) -> Attempt:
        """Import model_code's wrapper module and model_spec where the model is packaged."""
        for name in (self.settings.model_class.module, "model_spec"):
            attempt = self._once(f"importing {name}", "probe.import_module", {"name": name})
            if attempt.failure is not None:
                break
        return attempt

    def describe_spec(self) -> Attempt:
        """Describe model_spec.py, which was imported before.

        Raises ToolError for an exception that didn't come through the author's code.
        """
        attempt = self._once("reading model_spec.py", "spec.describe", {})
        failure = attempt.failure
        if failure is not None and failure.kind == "raised" and failure.where is None:
            raise ToolError(
                f"model_spec.py could not be described: {failure.summary}",
                "report this as a bug of pytest-vcp, with model_spec.py",
            )
        return attempt

    def package(self) -> Attempt:
        """Save the model, and send both workers on to what follows from success."""
        settings = self.settings
        attempt = self._once(
            "packaging the model",
            "packaging.save",
            {
                "module": settings.model_class.module,
                "name": settings.model_class.name,
                "config": settings.model_config,
                "artifacts": dict(settings.artifacts),
                "metadata": {MADE_BY: SIGNATURE_OF_OURS, **_tags(settings)},
                "destination": str(self.staging.artifact),
            },
        )
        if attempt.failure is None and self._loader is not None and not self.missing_files():
            self._send_on()
        return attempt

    def missing_files(self) -> tuple[str, ...]:
        """What the staged artifact lacks."""
        return missing_files(self.staging.artifact, dict(self.settings.artifacts))

    def _send_on(self) -> None:
        """Load in the one worker and validate in the other, without waiting for either."""
        loader = self._loader_that_sees(self.payload)
        artifact = str(self.staging.artifact)
        self._calls["load"] = loader.submit(
            "forward.load", {"artifact": artifact}, doing="loading the artifact"
        )
        self._calls["validate"] = self._packager.submit(
            "packaging.validate",
            {"artifact": artifact, "payload": self.payload, "keep": str(self._kept)},
            doing="validating the serving example",
        )
        self._calls["predict"] = loader.submit(
            "forward.predict", {"payload": self.payload}, doing="predicting"
        )

    def _loader_that_sees(self, payload: Payload) -> Worker:
        """The loader; a new one where the guess was wrong about what it may see.

        Inputs inside the package stay readable while the source tree around them does not, and
        which they are had to be guessed before model_spec.py was imported: it may compute their
        names, or name files that are no inputs.
        """
        assert self._loader is not None
        wanted = tuple(Path(uri) for uri in inputs(payload, self.settings.policy.input_column))
        seen = (*self._visible, *self._visible_anyway())
        unseen = any(not _lies_in(path, seen) and path.exists() for path in wanted)
        hidden = source_tree(self.settings)
        others = (path for path in self._visible if _lies_in(path, hidden))
        if unseen or not all(_lies_in(path, wanted) for path in others):
            self._loader.close(grace=0)
            self._visible = wanted
            self._loader = self._workplaces.started_loader(wanted)
        return self._loader

    def _visible_anyway(self) -> tuple[Path, ...]:
        hidden = source_tree(self.settings)
        uris = inputs(self.payload, self.settings.policy.input_column)
        return tuple(Path(uri) for uri in uris if not _lies_in(Path(uri), hidden))

    @property
    def _kept(self) -> Path:
        return self.scratch / "other-process.npz"

    @property
    def payload(self) -> Payload:
        """The request for the forward pass, its inputs absolute."""
        if self._payload is None:
            settings = self.settings
            given = (
                read_payload(settings.payload)
                if settings.payload is not None
                else json.loads((self.staging.artifact / "serving_input_example.json").read_text())
            )
            self._payload = resolved(given, settings.policy.input_column, settings.pkg_dir)
        return self._payload

    def load(self) -> Attempt:
        """Load the artifact where nothing but the artifact is to be had."""
        return self._finish("load", loads=1)

    def predict(self) -> Attempt:
        """The first forward pass."""
        return self._finish("predict", passes=1)

    def sees_gpu(self) -> bool:
        """Whether the process of the first forward pass had a GPU before or after it."""
        load, predict = self.load().reply, self.predict().reply
        return bool((load and load["gpu"]) or (predict and predict["device"]["gpus"]))

    def validate(self) -> Attempt:
        """The serving payload through MLflow's validate_serving_input, in the packaging worker."""
        return self._finish("validate", loads=1, passes=1)

    def leftovers(self) -> tuple[str, ...]:
        """Processes that the model left running in a worker that loaded it and has ended."""
        if self._leftovers is None:
            self.validate()
            self._leftovers = tuple(self._packager.close(grace=_EXIT_SECONDS))
        return self._leftovers

    def repeat(self) -> Attempt:
        """The forward pass again, after one with other params."""
        attempt = self._ask(
            "repeat",
            "repeating the forward pass",
            {"payload": self.payload, "tolerance": asdict(self.settings.policy.repeat_tolerance)},
        )
        if attempt.reply is not None:
            self.forward_passes += attempt.reply["passes"]
        return attempt

    def compare_processes(self) -> Attempt:
        """The result here against the one of the packaging worker."""
        return self._ask(
            "compare_kept",
            "comparing two processes",
            {
                "path": str(self._kept),
                "tolerance": asdict(self.settings.policy.repeat_tolerance),
            },
        )

    def as_json(self) -> Attempt:
        """The result through MLflow's JSON and back."""
        tolerance = asdict(self.settings.policy.json_tolerance)
        return self._ask("as_json", "sending the prediction as JSON", {"tolerance": tolerance})

    def observations(self) -> tuple[Observations, ...]:
        """The observations of each input."""
        uris = inputs(self.payload, self.settings.policy.input_column)
        attempt = self._ask("observations", "counting observations", {"inputs": uris})
        if attempt.reply is None:
            problem = str(attempt.failure)
            return tuple(Observations(uri, True, None, problem) for uri in uris)
        counts = attempt.reply["counts"]
        return tuple(Observations(uri, **entry) for uri, entry in zip(uris, counts, strict=True))

    def ask_model(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """One more question to the loaded model. Raises WorkerFailure."""
        assert self._loader is not None
        with self.progress.step("asking the model"):
            return self._loader.call(f"forward.{method}", dict(params), doing="asking the model")

    def figures(self) -> dict[str, float | int | None]:
        """What the run cost: seconds, bytes, loads of the model and forward passes."""
        load, predict = (self._attempts.get(name) for name in ("load", "predict"))
        peaks = [
            worker.peak_rss_bytes
            for worker in (self._packager, self._loader)
            if worker is not None and worker.peak_rss_bytes
        ]
        return {
            "load_seconds": _seconds(load),
            "forward_seconds": _seconds(predict),
            "peak_rss_bytes": max(peaks, default=None),
            "model_loads": self.model_loads,
            "forward_passes": self.forward_passes,
        }

    def outputs(self) -> dict[str, dict[str, object]] | None:
        """What the first forward pass returned: each array's shape, dtype, digest and range."""
        attempt = self._attempts.get("predict")
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
        """End the workers, and remove the scratch directory."""
        try:
            for worker in (self._packager, self._loader):
                if worker is not None:
                    worker.close()
        finally:
            shutil.rmtree(self.scratch, ignore_errors=True)

    def _once(self, doing: str, method: str, params: Mapping[str, Any]) -> Attempt:
        """Ask the packaging worker, and keep the answer."""
        if doing not in self._attempts:
            call = self._packager.submit(method, dict(params), doing=doing)
            self._attempts[doing] = self._waited(call)
        return self._attempts[doing]

    def _ask(self, method: str, doing: str, params: Mapping[str, Any]) -> Attempt:
        """Ask the worker that loaded the artifact, and keep the answer."""
        assert self._loader is not None
        if doing not in self._attempts:
            call = self._loader.submit(f"forward.{method}", dict(params), doing=doing)
            self._attempts[doing] = self._waited(call)
        return self._attempts[doing]

    def _finish(self, key: str, loads: int = 0, passes: int = 0) -> Attempt:
        """Wait for a call that was sent ahead, and count what it cost."""
        if key not in self._attempts:
            self._attempts[key] = self._waited(self._calls[key])
            self.model_loads += loads
            self.forward_passes += passes
        return self._attempts[key]

    def _waited(self, call: Call) -> Attempt:
        with self.progress.step(call.doing):
            try:
                return Attempt(call.result())
            except WorkerFailure as failure:
                if failure.disk_problem is not None:
                    raise ToolError(
                        f"{failure.disk_problem} while {call.doing}",
                        "free space where the artifact goes, and in the temporary directory",
                    ) from None
                return Attempt(None, failure)


def _tags(settings: Settings) -> dict[str, Any]:
    return {"model_tags": dict(settings.model_tags)} if settings.model_tags else {}


def _seconds(attempt: Attempt | None) -> float | None:
    return None if attempt is None or attempt.reply is None else float(attempt.reply["seconds"])


def _lies_in(path: Path, roots: Iterable[Path]) -> bool:
    real = path.resolve()
    return any(real.is_relative_to(root.resolve()) for root in roots)
