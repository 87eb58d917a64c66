"""One run over one package: the state shared by its variants, and the final clean-up."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from functools import cached_property

import pytest

from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.environment.build import Environment, EnvironmentRequest, prepare
from pytest_vcp.environment.interpreters import Interpreter
from pytest_vcp.environment.other_pythons import OtherPython, judge_other_python
from pytest_vcp.environment.platform import Background, platform_environment
from pytest_vcp.evaluation.finished import Finished
from pytest_vcp.evaluation.variant import Variant
from pytest_vcp.facts.finished import ArtifactFacts
from pytest_vcp.facts.variant import Facts
from pytest_vcp.gates import Gates
from pytest_vcp.mlflow_cli.commands import COMMAND_RULES, PREDICT_RULE
from pytest_vcp.requirements.lock import Lock, read_lock
from pytest_vcp.rules.registry import ARTIFACT_STAGES, BY_ID, STAGES
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.imported import Imported, imported_by
from pytest_vcp.source.package import ModelPackage, read_package
from pytest_vcp.source.preimports import find_set_use, find_state_change, preimports
from pytest_vcp.util.progress import Progress
from pytest_vcp.worker.byte_code import (
    FOR_COMMANDS,
    FOR_MODELS,
    FOR_STORES,
    write_byte_code,
)
from pytest_vcp.worker.launching import Launch, Launched, Launcher, start
from pytest_vcp.worker.template import NEUTRAL, ForkingLauncher

RUN: pytest.StashKey[Run] = pytest.StashKey()
# The function that starts the workers of a run, if it is not the default one.
LAUNCHER: pytest.StashKey[Launcher] = pytest.StashKey()
# Stages whose rules are about what workers do.
_OF_WORKERS = STAGES[STAGES.index("environment") + 1 :]


class Run:
    """Facts about one package, gathered when first requested.

    `variants` are the settings of each variant, at least one. `interpreter` is None if the
    settings name none that the platform accepts. `launcher` starts the workers.
    """

    def __init__(
        self,
        variants: Sequence[Settings],
        interpreter: Interpreter | None,
        progress: Progress,
        launcher: Launcher = start,
    ) -> None:
        # Settings that are not specific to a variant are the same in all of them.
        self.settings = variants[0]
        self.interpreter = interpreter
        self.progress = progress
        self.launcher = launcher
        self.started = time.time()
        self.digests = FileDigests()
        self.environment: Environment | None = None
        self._platform: Environment | None = None
        self._building: Background | None = None
        # The rules that this run judges, once they have been collected.
        self.selected: frozenset[str] = frozenset()
        self._ends = contextlib.ExitStack()
        self.variants: dict[str, Variant | Finished] = {
            settings.variant: self._variant(settings) for settings in variants
        }
        # A finished artifact has all its files from the start; they are judged before any runs.
        self.stages = ARTIFACT_STAGES if self.settings.artifact_only else STAGES
        gates = Gates(
            self.settings.waivers.waives,
            self.settings.policy.level_of,
            self.stages,
            lambda: self.selected,
        )
        self.facts = {name: self._facts(variant, gates) for name, variant in self.variants.items()}

    def _variant(self, settings: Settings) -> Variant | Finished:
        kind = Variant if settings.artifact_only is None else Finished
        launcher = self._launch if kind is Variant else self.launcher
        return kind(settings, lambda: self.package, self.digests, self.progress, launcher)

    def _launch(self, launch: Launch) -> Launched:
        return self._forking(launch)

    @cached_property
    def _forking(self) -> ForkingLauncher:
        """The launcher of the workers that run the author's code.

        A run that proves the most it can, with MLflow's commands, has an interpreter of its own for
        what packages the model and for what loads it; so has a model that may depend on the order
        of sets, which is different in each interpreter.
        """
        refusal, separately = None, None
        if change := find_state_change(self.package):
            refusal = f"the package changes the interpreter's state at import ({change})"
        if self.selected & COMMAND_RULES:
            separately = "this run judges MLflow's commands"
        elif use := find_set_use(self.package):
            separately = f"the order of sets may matter ({use})"
        names = ("mlflow.pyfunc", *sorted(NEUTRAL & set(preimports(self.package))))
        launcher = ForkingLauncher(
            self.launcher, names, self.progress, refusal=refusal, separately=separately
        )
        self._ends.callback(launcher.close)
        return launcher

    def _facts(self, variant: Variant | Finished, gates: Gates) -> Facts:
        if isinstance(variant, Finished):
            return ArtifactFacts(self, variant, gates)
        return Facts(self, variant, gates)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the variants, in the order of the metadata file."""
        return tuple(self.variants)

    @cached_property
    def primary_variant(self) -> str:
        """The variant used to judge the rules that do not depend on a variant.

        The first whose files are sound, so that a fault in one does not block the others.
        """
        sound = (name for name in self.names if self.facts[name].are_files_sound)
        return next(sound, self.names[0])

    @cached_property
    def package(self) -> ModelPackage:
        """The package; of a finished artifact, the code in it."""
        artifact = self.settings.artifact_only
        root = self.settings.pkg_dir if artifact is None else artifact / "code"
        return read_package(root, self.settings.target_python)

    @cached_property
    def imported(self) -> tuple[Imported, ...]:
        return imported_by(self.package)

    @cached_property
    def lock(self) -> Lock:
        return read_lock(self.settings.pkg_dir)

    def prepare_environment(self) -> Environment:
        """Build or reuse the environment, once. Raises ToolError if that fails."""
        if self.environment is None:
            assert self.interpreter is not None
            lock = (self.settings.artifact_only or self.settings.pkg_dir) / "requirements.txt"
            request = EnvironmentRequest(
                manager=self.settings.env_manager,
                interpreter=self.interpreter,
                lock=lock,
                lock_bytes=lock.read_bytes(),
                cache_dir=self.settings.cache_dir,
                limits=self.settings.policy.cache,
                python=self.settings.python,
            )
            if self._needs_platform:
                self._begin_platform()
            self.environment = prepare(request, self.progress.reporter(), self._ends)
            imported = {entry.module for entry in self.imported}
            self._compile(self.environment, {*FOR_MODELS, *imported})
            is_usable = self.environment.failure is None and not self.settings.artifact_only
            if is_usable and any(BY_ID[rule].stage in _OF_WORKERS for rule in self.selected):
                self._forking.warm_up(self.environment.python)
        return self.environment

    @property
    def _needs_platform(self) -> bool:
        """Whether the platform's MLflow will be wanted, if no rule before is broken."""
        predicts = PREDICT_RULE in self.selected and self.settings.env_manager != "local"
        return predicts or self.settings.tracking is not None

    def _compile(self, environment: Environment, modules: set[str]) -> None:
        """Write the byte-code of modules that will be imported, unless the environment is local."""
        if environment.failure is None and environment.manager != "local":
            write_byte_code(
                environment.directory, environment.python, modules, self.progress.reporter()
            )

    def platform(self) -> Environment:
        """Build the environment of the platform's own MLflow, once. Raises ToolError."""
        if self._platform is None:
            self._begin_platform()
            assert self._building is not None
            self._platform = self._building.result()
            modules = {*FOR_MODELS, *FOR_STORES, *FOR_COMMANDS}
            self._compile(self._platform, modules)
        return self._platform

    def _begin_platform(self) -> None:
        """Start to build the environment of the platform's MLflow, or to reuse it."""
        if self._building is not None:
            return
        assert self.interpreter is not None
        policy, python, cache = self.settings.policy, self.interpreter, self.settings.cache_dir
        self._building = Background(
            lambda progress: platform_environment(policy, python, cache, progress, self._ends),
            self.progress.reporter(),
        )
        self._ends.callback(self._building.close)

    def other_pythons(self, build: Environment, lock: Lock) -> Iterator[OtherPython]:
        """Yield the result of the lock on each other Python that the policy names.

        Raises ToolError if it can't be determined.
        """
        for version in self.settings.policy.pythons:
            if version != self.settings.target_python:
                yield judge_other_python(
                    ".".join(map(str, version)),
                    build,
                    lock,
                    self.settings.artifact_only or self.settings.pkg_dir,
                    self.settings.cache_dir,
                    self.progress.reporter(),
                )

    def close(self) -> None:
        """End every process, and remove everything temporary."""
        self.digests.stop()
        with contextlib.ExitStack() as ends:
            # In reverse order, and each one even if another fails.
            ends.callback(self.progress.close)
            ends.callback(self._ends.close)
            for variant in self.variants.values():
                ends.callback(variant.close)
