"""Facts from the files of the package, which need no environment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.artifact.weights import Code, Weights
from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.interpreters import Interpreter
from pytest_vcp.environment.other_pythons import OtherPython
from pytest_vcp.evaluation.variant import Variant
from pytest_vcp.facts.fact import fact
from pytest_vcp.requirements.lock import Lock
from pytest_vcp.rules.outcomes import Blocked, ToolError
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.artifact_sources import ArtifactSource
from pytest_vcp.source.author_paths import AuthorPath, author_paths
from pytest_vcp.source.code_files import NoCode, files_that_are_no_code
from pytest_vcp.source.config_use import ConfigUse, read_config_use
from pytest_vcp.source.credentials import Credentials, read_credentials
from pytest_vcp.source.fixed_devices import FixedDevice, fixed_devices
from pytest_vcp.source.imported import Imported
from pytest_vcp.source.licence import Licence, read_licence
from pytest_vcp.source.metadata import Metadata, read_metadata
from pytest_vcp.source.package import ModelPackage, SourceModule
from pytest_vcp.source.shadows import Shadow, shadows
from pytest_vcp.source.wrapper import NotFound, WrapperFacts
from pytest_vcp.util.progress import Progress

if TYPE_CHECKING:
    from pytest_vcp.evaluation.finished import Finished
    from pytest_vcp.gates import Gates


class SharedFacts(Protocol):
    """The state shared by the variants of a run: package, environments and selected rules."""

    interpreter: Interpreter | None
    selected: frozenset[str]
    progress: Progress
    digests: FileDigests

    @property
    def package(self) -> ModelPackage: ...

    @property
    def imported(self) -> tuple[Imported, ...]: ...

    @property
    def lock(self) -> Lock: ...

    def prepare_environment(self) -> Environment: ...

    def platform(self) -> Environment: ...

    def other_pythons(self, build: Environment, lock: Lock) -> Iterator[OtherPython]: ...


class FileFacts:
    """Facts about one variant and its package that come from the files alone."""

    def __init__(self, run: SharedFacts, subject: Variant | Finished, gates: Gates) -> None:
        self._run = run
        self._subject = subject
        self._gates = gates

    @property
    def _variant(self) -> Variant:
        """The variant; only the subclass for finished artifacts has another subject."""
        assert isinstance(self._subject, Variant)
        return self._subject

    @property
    def variant(self) -> str:
        """The name of the variant."""
        return self._subject.name

    @property
    def settings(self) -> Settings:
        """Every setting of this run."""
        return self._subject.settings

    @property
    def model_config(self) -> object:
        """The model config as given; a JSON object if the package is correct."""
        return self.settings.model_config

    @property
    def package(self) -> ModelPackage:
        return self._run.package

    @property
    def sources(self) -> tuple[ArtifactSource, ...]:
        """The file or directory that each --vcp-artifact points to."""
        return self._variant.sources

    @property
    def wrapper(self) -> WrapperFacts | NotFound:
        """The wrapper class, found in the source."""
        return self._variant.wrapper

    @fact
    def lock(self) -> Lock:
        """requirements.in and requirements.txt, line by line."""
        return self._run.lock

    @fact
    def licence(self) -> Licence:
        """The licence files, and leftover template text in them."""
        return read_licence(self.package.pkg_dir, self.settings.policy.licence_files)

    @fact
    def metadata(self) -> Metadata | None:
        """The metadata file with its variants; None without one."""
        return read_metadata(self.package.pkg_dir, self.settings.policy)

    @fact
    def author_paths(self) -> tuple[AuthorPath, ...]:
        """Paths in the code that belong to the author's own machine."""
        return author_paths(self._all_modules)

    @fact
    def fixed_devices(self) -> tuple[FixedDevice, ...]:
        """Devices that the code uses without checking that they are available."""
        return fixed_devices(self.package.modules)

    @fact
    def shadows(self) -> tuple[Shadow, ...]:
        """Modules next to model_code that shadow others of the same name."""
        pinned = {line.name for line in self.lock.pinned if line.name is not None}
        return shadows(self.package.pkg_dir, pinned, self.package.target_python)

    @fact
    def no_code(self) -> tuple[NoCode, ...]:
        """Files inside model_code that are not code."""
        return files_that_are_no_code(self.package.pkg_dir, self.settings.policy.code_file_bytes)

    @fact
    def credentials(self) -> Credentials:
        """Credentials in files that would be packaged."""
        return read_credentials(self.package, self.settings.policy.metadata_files)

    @fact
    def config_use(self) -> ConfigUse:
        """The keys of the model config that the code reads."""
        return read_config_use(self.package.modules)

    @property
    def _all_modules(self) -> tuple[SourceModule, ...]:
        spec = self.package.spec_module
        return self.package.modules if spec is None else (*self.package.modules, spec)

    @property
    def weights(self) -> Weights:
        """The weights as they were at the start of the run."""
        return self._variant.weights

    @property
    def code(self) -> Code | None:
        """The files of model_code; None if there is only an artifact."""
        return self._variant.code

    @property
    def digests(self) -> FileDigests:
        """Digests of files, each read once."""
        return self._run.digests

    @property
    def are_files_sound(self) -> bool:
        """Whether every required rule that needs no environment holds."""
        try:
            self._gates.enter(self, "environment")
        except (Blocked, ToolError):
            return False
        return True
