"""The packaging and testing of one variant. Workers start early; replies are awaited late."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from pytest_vcp.artifact.artifact import missing_files
from pytest_vcp.artifact.publishing import MADE_BY, SIGNATURE_OF_OURS
from pytest_vcp.evaluation.artifact_session import ArtifactSession
from pytest_vcp.evaluation.figures import seconds_of
from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.evaluation.requests import Request, RequestCache
from pytest_vcp.evaluation.worker_factory import WorkerFactory
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.payload import Payload, read_payload, resolve_inputs
from pytest_vcp.util.progress import Progress


class PackagingSession:
    """Owns the workers and the scratch directory of one variant.

    The packaging worker then serves as the tester of the session, with the sources imported.
    """

    def __init__(self, settings: Settings, factory: WorkerFactory, progress: Progress) -> None:
        self.settings = settings
        self.artifact = factory.artifact
        self._factory = factory
        self._packager = factory.packager()
        self._requests = RequestCache(progress)
        self.session = ArtifactSession(settings, self.artifact, factory, self._packager, progress)

    def start(self) -> None:
        """Start the workers; the loading worker begins with its imports."""
        self._packager.start()
        if not self.settings.skip_inference:
            self.session.warm_up()

    def import_sources(self) -> Reply:
        """Import model_code's wrapper module and model_spec in the packaging worker."""
        for name in self._modules:
            reply = self._ask(_import_request(name))
            if reply.failure is not None:
                break
        return reply

    def import_seconds(self) -> float | None:
        """Return the seconds to import both modules; None if one was not imported here."""
        took = [seconds_of(self._requests.known(_import_request(name))) for name in self._modules]
        known = [seconds for seconds in took if seconds is not None]
        return sum(known) if len(known) == len(took) else None

    @property
    def _modules(self) -> tuple[str, str]:
        return self.settings.model_class.module, "model_spec"

    def describe_spec(self) -> Reply:
        """Describe model_spec.py, which has already been imported.

        Raises ToolError for an exception that didn't come through the author's code.
        """
        return require_description(self._ask(Request("spec.describe", {}, "reading model_spec.py")))

    def examine(self, doing: str, method: str, params: dict[str, Any]) -> Reply:
        """Send a request that depends on the description of model_spec.py."""
        described = self.describe_spec()
        return described if described.failure else self._ask(Request(method, params, doing))

    def package(self) -> Reply:
        """Save the model, and begin its session if that succeeds."""
        settings = self.settings
        # With several variants, the spec may have been judged in the session of another.
        for step in (self.import_sources, self.describe_spec):
            reply = step()
            if reply.failure is not None:
                return reply
        more = {"artifacts": dict(settings.artifacts), "destination": str(self.artifact)}
        saving = Request("packaging.save", {**self._saved, **more}, "packaging the model")
        reply = self._ask(saving)
        if reply.failure is None and not self.missing_files():
            if not settings.skip_inference:
                self.session.begin(request_for(settings, self.artifact, settings.pkg_dir))
            self.session.send_to_tester(self._saving_again)
        return reply

    def package_again(self) -> Reply:
        """Wait for the result of packaging a second time."""
        return self.session.wait_for(self._saving_again)

    @property
    def _saving_again(self) -> Request:
        params = {**self._saved, "artifact": str(self.artifact)}
        return Request("packaging.save_again", params, "packaging the model a second time")

    @property
    def _saved(self) -> dict[str, Any]:
        """The params that define the saved model."""
        settings = self.settings
        return {
            "module": settings.model_class.module,
            "name": settings.model_class.name,
            "config": settings.model_config,
            "metadata": {MADE_BY: SIGNATURE_OF_OURS, **_tags(settings)},
        }

    def missing_files(self) -> tuple[str, ...]:
        """List the files that the staged artifact lacks."""
        return missing_files(self.artifact, dict(self.settings.artifacts))

    def close(self) -> None:
        """End the workers, and remove the scratch directory."""
        try:
            self._packager.close()
            self.session.close()
        finally:
            shutil.rmtree(self._factory.scratch, ignore_errors=True)

    def _ask(self, request: Request) -> Reply:
        return self._requests.ask(self._packager, request)


def _import_request(module: str) -> Request:
    return Request("probe.import_module", {"name": module}, f"importing {module}")


def require_description(reply: Reply) -> Reply:
    """Return the description of a spec. Raises ToolError for a failure that is not the author's."""
    failure = reply.failure
    if failure is not None and failure.kind == "raised" and failure.where is None:
        raise ToolError(
            f"model_spec.py could not be described: {failure.summary}",
            "report this as a bug of pytest-vcp, with model_spec.py",
        )
    return reply


def request_for(settings: Settings, artifact: Path, root: Path) -> Payload:
    """Return the request for the forward pass, given or example; relative inputs below `root`."""
    return resolve_inputs(request_as_given(settings, artifact), settings.policy.input_column, root)


def request_as_given(settings: Settings, artifact: Path) -> Payload:
    """Return the request for the forward pass with its inputs as written."""
    if settings.payload is not None:
        return read_payload(settings.payload)
    example = (artifact / "serving_input_example.json").read_text(encoding="utf-8")
    given: Payload = json.loads(example)
    return given


def _tags(settings: Settings) -> dict[str, Any]:
    return {"model_tags": dict(settings.model_tags)} if settings.model_tags else {}
