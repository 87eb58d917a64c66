"""The two workers of a run: one packages, one loads what was packaged. Started early, asked late.

The second does its imports while the first packages, and loads the artifact while the first tries
it as the hub's packager would: a passing run loads the model twice, at the same time.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_vcp.artifact import missing_files
from pytest_vcp.calls import Call
from pytest_vcp.payload import Payload, inputs, read_payload, resolved
from pytest_vcp.prediction import Attempt, Observations
from pytest_vcp.progress import Progress
from pytest_vcp.publishing import MADE_BY, SIGNATURE_OF_OURS, Staging
from pytest_vcp.settings import Settings
from pytest_vcp.worker import Conditions, Worker, WorkerFailure


class Workshop:
    """Owns the workers, the staged artifact and the scratch directory of one variant."""

    def __init__(
        self, settings: Settings, python: Path, preimports: tuple[str, ...], progress: Progress
    ) -> None:
        self.settings = settings
        self.progress = progress
        self.staging = Staging(settings.artifact_dir)
        self.scratch = Path(tempfile.mkdtemp(prefix="vcp-"))
        self._python = python
        self._preimports = preimports
        self._payload: Payload | None = None
        self._calls: dict[str, Call] = {}
        self._attempts: dict[str, Attempt] = {}
        self.model_loads = 0
        self.forward_passes = 0
        self._packager = self._worker("packager", self._packaging_conditions())
        self._loader: Worker | None = None

    def start(self) -> None:
        """Start the workers; the one that loads begins with the imports it will need."""
        self._packager.start()
        self._calls["imports"] = self._packager.submit("probe.preimport", {"names": ["mlflow"]})
        if not self.settings.skip_inference:
            self._loader = self._worker("loader", self._loading_conditions())
            self._loader.start()
            self._loader.submit(
                "probe.preimport", {"names": ["mlflow.pyfunc", *self._preimports]}
            )

    def _worker(self, name: str, conditions: Conditions) -> Worker:
        settings = self.settings
        return Worker(
            self._python,
            name=name,
            conditions=conditions,
            timeout=settings.timeout,
            log_file=settings.report_dir / "logs" / f"{settings.variant}-{name}.log",
            source_roots=(settings.pkg_dir, self.staging.artifact / "code"),
        )

    def _packaging_conditions(self) -> Conditions:
        return Conditions(
            cwd=self.settings.pkg_dir,
            home=self.scratch / "packager-home",
            # On the destination's file system, where weights can be linked and moved.
            tmp=self.staging.tmp,
            path=(self.settings.pkg_dir,),
            environ=self._device_variables(),
        )

    def _loading_conditions(self) -> Conditions:
        pkg_dir = self.settings.pkg_dir
        return Conditions(
            cwd=self.scratch / "elsewhere",
            home=self.scratch / "loader-home",
            tmp=self.scratch / "loader-tmp",
            network="off",
            read_only=(self.staging.artifact,),
            hidden=tuple(_source_tree(pkg_dir)),
            visible=self._declared_inputs(),
            environ=self._device_variables(),
        )

    def _device_variables(self) -> dict[str, str]:
        return {"CUDA_VISIBLE_DEVICES": ""} if self.settings.device == "cpu" else {}

    def _declared_inputs(self) -> tuple[Path, ...]:
        """Inputs inside the package stay readable for the worker that loads."""
        return (self.settings.pkg_dir,)

    # Steps, each asked for once; the reply is kept.

    def import_sources(self) -> Attempt:
        """Import model_code's wrapper module and model_spec where the model is packaged."""
        for name in (self.settings.model_class.module, "model_spec"):
            attempt = self._once(
                f"import {name}", self._packager, "probe.import_module", {"name": name}
            )
            if attempt.failure is not None:
                return attempt
        return attempt

    def describe_spec(self) -> Attempt:
        """Describe model_spec.py."""
        return self._once("reading model_spec.py", self._packager, "spec.describe", {})

    def package(self) -> Attempt:
        """Save the model, and send both workers on to what follows from success."""
        settings = self.settings
        attempt = self._once(
            "packaging the model",
            self._packager,
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
        assert self._loader is not None
        artifact = str(self.staging.artifact)
        payload = self.payload
        kept = str(self.scratch / "other-process.npz")
        submit = self._loader.submit
        self._calls["load"] = submit("forward.load", {"artifact": artifact})
        self._calls["validate"] = self._packager.submit(
            "packaging.validate", {"artifact": artifact, "payload": payload, "keep": kept}
        )
        self._calls["predict"] = submit("forward.predict", {"payload": payload})

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
        return self._finish("load", "loading the artifact", loads=1)

    def predict(self) -> Attempt:
        """The first forward pass."""
        return self._finish("predict", "running the forward pass", passes=1)

    def validate(self) -> Attempt:
        """The serving payload through MLflow's validate_serving_input, in the packaging worker."""
        return self._finish("validate", "validating the serving example", loads=1, passes=1)

    def repeat(self) -> Attempt:
        """The forward pass again, after one with other params."""
        attempt = self._ask("repeat", "repeating the forward pass", {"payload": self.payload})
        return attempt

    def compare_processes(self) -> Attempt:
        """The result here against the one of the packaging worker."""
        params = {"path": str(self.scratch / "other-process.npz")}
        return self._ask("compare_kept", "comparing two processes", params)

    def as_json(self) -> Attempt:
        """The result through MLflow's JSON and back."""
        return self._ask("as_json", "sending the prediction through JSON", {})

    def observations(self) -> tuple[Observations, ...]:
        """The observations of each input."""
        uris = inputs(self.payload, self.settings.policy.input_column)
        attempt = self._ask("observations", "counting observations", {"inputs": uris})
        if attempt.reply is None:
            problem = str(attempt.failure)
            return tuple(Observations(uri, True, None, problem) for uri in uris)
        counts = attempt.reply["counts"]
        return tuple(Observations(uri, **entry) for uri, entry in zip(uris, counts, strict=True))
