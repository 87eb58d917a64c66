"""Facts about the environment that the requirements make."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.other_pythons import OtherPython
from pytest_vcp.environment.pip_report import Chosen
from pytest_vcp.environment.resolution import choices, pins_here
from pytest_vcp.facts.fact import fact
from pytest_vcp.facts.files import FileFacts
from pytest_vcp.requirements.lock import RequirementLine
from pytest_vcp.source.imported import Imported, imported_by
from pytest_vcp.trial.prediction import Attempt
from pytest_vcp.trial.workshop import Workshop


class EnvironmentFacts(FileFacts):
    """The same, and what the environment holds."""

    @fact
    def python_version(self) -> str:
        """The Python that the artifact has to name, in full: major, minor and micro."""
        return self.environment.version

    @fact
    def markers(self) -> Mapping[str, str]:
        """Values of the environment markers of requirements, where the model runs."""
        return self.environment.markers

    @fact
    def environment_build(self) -> Environment:
        """The environment, or the facts about why it could not be built."""
        self._gates.enter(self, "environment")
        self._variant.prepare_staging()
        return self._run.prepare_environment()

    @fact
    def environment(self) -> Environment:
        build = self.environment_build
        self._gates.require(self, "VCP208", "VCP302")
        self._variant.open_workshop(build)
        return build

    @fact
    def whole_environment(self) -> Environment:
        """The environment, where all that is pinned and all that is needed is installed."""
        environment = self.environment
        self._gates.hold(self, "VCP303", "VCP304")
        return environment

    @fact
    def pins(self) -> Mapping[str, RequirementLine]:
        """The lines of requirements.txt that apply in the environment, by distribution."""
        return pins_here(self.lock, self.environment)

    @fact
    def choices(self) -> tuple[Chosen, ...]:
        """What pip installed when it built the environment."""
        return choices(self.environment)

    @fact
    def other_pythons(self) -> tuple[OtherPython, ...]:
        """What the lock comes to on each further Python that the policy names.

        Of none, where it has no environment, whose pip would be asked.
        """
        build = self.environment_build
        if build.failure is not None or build.manager == "local":
            return ()
        return tuple(self._run.other_pythons(build, self.lock))

    @fact
    def imported(self) -> tuple[Imported, ...]:
        """The imports in model_code and model_spec.py of anything that is not theirs."""
        return imported_by(self.package)

    @fact
    def imports(self) -> Attempt:
        """The import of model_code and model_spec in the environment."""
        workshop = self._open_workshop()
        self._gates.hold(self, "VCP303", "VCP304", "VCP305", "VCP213")
        return workshop.import_sources()

    @fact
    def workshop(self) -> Workshop:
        self._gates.enter(self, "spec")
        return self._open_workshop()

    def _open_workshop(self) -> Workshop:
        return self._variant.open_workshop(self.environment)
