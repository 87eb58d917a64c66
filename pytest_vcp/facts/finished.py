"""Facts about a finished artifact; those that need the source package raise Unverified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from pytest_vcp.artifact.artifact import ModelArtifact
from pytest_vcp.environment.build import Environment
from pytest_vcp.evaluation.artifact_session import ArtifactSession
from pytest_vcp.evaluation.prediction import Packaging, Reply
from pytest_vcp.evaluation.spec import Description, ExampleInput, read_description
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.files import SharedFacts
from pytest_vcp.facts.variant import Facts
from pytest_vcp.requirements.lock import Lock, read_artifact_lock
from pytest_vcp.requirements.markers import target_environment
from pytest_vcp.rules.outcomes import Blocked, Unverified
from pytest_vcp.source.imported import Imported

if TYPE_CHECKING:
    from pytest_vcp.evaluation.finished import Finished
    from pytest_vcp.gates import Gates

# Facts that only a source package has.
_ABSENT = (
    "package",
    "model_config",
    "sources",
    "wrapper",
    "weights",
    "imports",
    "packaging_session",
    "source_spec",
    "expected",
)


class ArtifactFacts(Facts):
    """Facts about a finished artifact. None of it runs before its files have been judged."""

    def __init__(self, run: SharedFacts, finished: Finished, gates: Gates) -> None:
        super().__init__(run, finished, gates)
        self._finished = finished

    code = None

    @fact
    def lock(self) -> Lock:
        return read_artifact_lock(self._finished.path / "requirements.txt")

    @fact
    def imported(self) -> tuple[Imported, ...]:
        if not (self._finished.path / "code" / "model_code").is_dir():
            raise Unverified("the artifact has no code/model_code")
        return self._run.imported

    @fact
    def python_version(self) -> str:
        return str(self.artifact.python_env.get("python"))

    @fact
    def markers(self) -> Mapping[str, str]:
        return target_environment(self.settings.target_python)

    @fact
    def packaging(self) -> Packaging:
        missing, problem = self._finished.missing_files(), None
        if not missing:
            try:
                _ = self._finished.artifact
            except (OSError, ValueError) as unreadable:
                problem = str(unreadable)
        return Packaging(None, missing, problem)

    @fact(requires="VCP601")
    def artifact(self) -> ModelArtifact:
        return self._finished.artifact

    @fact(stage="environment")
    def environment_build(self) -> Environment:
        return self._run.prepare_environment()

    @fact(after="environment_build", requires=("VCP208", "VCP302"))
    def environment(self) -> Environment:
        build = self.environment_build
        self._finished.open_session(build.python)
        return build

    @fact(after="environment", stage="spec")
    def description(self) -> Description:
        return read_description(self._finished.describe_spec(), self._finished.path / "MLmodel")

    def _examine(self, doing: str, method: str, params: dict[str, Any]) -> Reply:
        return self._finished.examine(doing, method, params)

    @fact
    def inputs(self) -> tuple[ExampleInput, ...]:
        try:
            return super().inputs
        except Blocked as blocked:
            if blocked.rule != "VCP504":
                raise
            raise Unverified("the inputs of the example are not part of an artifact") from None

    @fact
    def session(self) -> ArtifactSession:
        session = super().session
        session.begin(self._finished.payload)
        return session

    def _open_session(self) -> ArtifactSession:
        if self._finished.session is None:
            raise Blocked("VCP302")
        return self._finished.session

    def _run_on_example(self) -> ArtifactSession:
        if self._finished.payload is None:
            raise Unverified(
                "the input of the example is not here; start pytest where it lies, "
                "or name one with --vcp-json-payload-filepath"
            )
        return self._open_session()

    @property
    def needs_gpu(self) -> bool | None:
        known = {"always": True, "never": False}
        return known.get(self.settings.policy.gpu_only)

    @fact(after="loaded")
    def evaluated_session(self) -> ArtifactSession:
        return self._run_on_example()


def _not_in_an_artifact(facts: ArtifactFacts) -> NoReturn:
    raise Unverified("the artifact alone is judged, without its source package")


for _name in _ABSENT:
    setattr(ArtifactFacts, _name, property(_not_in_an_artifact))
