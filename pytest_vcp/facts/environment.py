"""Facts about the environment that is built from the requirements."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.other_pythons import OtherPython
from pytest_vcp.environment.resolution import Chosen, choices, pins_here
from pytest_vcp.evaluation import nvml
from pytest_vcp.evaluation.device_runs import wants_a_gpu
from pytest_vcp.evaluation.packaging_session import PackagingSession
from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.files import FileFacts
from pytest_vcp.requirements.lock import RequirementLine
from pytest_vcp.rules.outcomes import ToolError, Unverified
from pytest_vcp.settings.devices import wants_gpu
from pytest_vcp.source.imported import Imported
from pytest_vcp.source.metadata import says_gpu


class EnvironmentFacts(FileFacts):
    """Facts about the environment of the model."""

    @fact
    def python_version(self) -> str:
        """The full Python version that the artifact has to name: major, minor and micro."""
        return self.environment.version

    @fact
    def markers(self) -> Mapping[str, str]:
        """The values of environment markers in the environment of the model."""
        return self.environment.markers

    @fact(stage="environment")
    def environment_build(self) -> Environment:
        """The environment, or the reason why it could not be built."""
        self._variant.prepare_staging()
        return self._run.prepare_environment()

    @fact(after="environment_build", requires=("VCP208", "VCP302"))
    def environment(self) -> Environment:
        build = self.environment_build
        self._variant.open_packaging_session(build)
        return build

    @fact(after="environment", holds=("VCP303", "VCP304"))
    def complete_environment(self) -> Environment:
        """The environment, if everything that is pinned or needed is installed."""
        return self.environment

    @fact
    def pins(self) -> Mapping[str, RequirementLine]:
        """The lines of requirements.txt that apply in the environment, by distribution."""
        return pins_here(self.lock, self.environment)

    @fact
    def choices(self) -> tuple[Chosen, ...]:
        """The distributions that pip installed when it built the environment."""
        return choices(self.environment)

    @fact
    def other_pythons(self) -> tuple[OtherPython, ...]:
        """The result of the lock on each other Python that the policy names.

        Empty if no environment was built, whose pip is needed for this.
        """
        build = self.environment_build
        if build.failure is not None or build.manager == "local":
            return ()
        return tuple(self._run.other_pythons(build, self.lock))

    @fact
    def imported(self) -> tuple[Imported, ...]:
        """The imports in model_code and model_spec.py of modules from elsewhere."""
        return self._run.imported

    @fact(after="environment", holds=("VCP303", "VCP304", "VCP305", "VCP213"))
    def imports(self) -> Reply:
        """The result of importing model_code and model_spec in the environment."""
        reply = self._open_packaging_session().import_sources()
        if reply.failure is not None and wants_a_gpu(reply.failure):
            self._excuse_without_gpu()
        return reply

    @fact(stage="spec", after="imports")
    def packaging_session(self) -> PackagingSession:
        # Code that can't be imported without a GPU remains unverified from here on.
        return self._open_packaging_session()

    def _excuse_without_gpu(self) -> None:
        """Raise Unverified if importing failed for lack of a GPU that the package may require."""
        if not self.needs_gpu or nvml.visible_with(self.settings.device):
            return
        self._want_gpu()
        raise Unverified("model_code can't be imported without a GPU, and none is visible here")

    @property
    def needs_gpu(self) -> bool | None:
        """Whether the package may require a GPU; None if unknown."""
        policy = self.settings.policy
        if policy.gpu_only != "declared":
            return policy.gpu_only == "always"
        return says_gpu(self.settings.pkg_dir.parent / policy.model_card)

    def _want_gpu(self) -> None:
        """Raise ToolError if a GPU was requested: its absence is no fault of the model."""
        settings = self.settings
        if wants_gpu(settings.device):
            asked = f"{settings.given('device', '').origin} {settings.device}"
        elif settings.require_gpu:
            asked = settings.given("require-gpu", "").origin
        else:
            return
        raise ToolError(
            f"{asked} was given, and {self._no_gpu}",
            "run where there is one that the model's libraries can use, or use --vcp-device auto",
        )

    @property
    def _no_gpu(self) -> str:
        """The reason why the model's process has no GPU."""
        there = nvml.visible_with(self.settings.device)
        if there:
            return f"no library that the model has loaded can use the {there[0].name} that is here"
        return "no GPU is visible to a GPU library of the model"

    def _open_packaging_session(self) -> PackagingSession:
        return self._variant.open_packaging_session(self.environment)
