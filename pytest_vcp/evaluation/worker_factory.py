"""The directories of the two workers of a variant, and the conditions they run under."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from pytest_vcp.evaluation.relaxation import Condition
from pytest_vcp.settings.devices import variables
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.preimports import source_tree
from pytest_vcp.worker.client import Conditions, Worker
from pytest_vcp.worker.conditions import TEMPORARY
from pytest_vcp.worker.launching import Launcher


def _scratch() -> Path:
    return Path(tempfile.mkdtemp(prefix="vcp-"))


@dataclass(frozen=True)
class WorkerFactory:
    """Makes the workers of one variant, in the environment of the interpreter `python`.

    `artifact` is the artifact under test, `protected` the directory around it that must not be
    written to meanwhile, `preimports` are libraries that are imported ahead of loading. `tmp` is
    the packager's temporary directory, on the file system of the artifact so that weights can be
    linked and moved. `loads_alone` is whether the model must not be loaded in two processes at
    once. `scratch` is a temporary directory of the variant. `launcher` starts the processes.
    """

    settings: Settings
    artifact: Path
    protected: Path
    python: Path
    launcher: Launcher
    preimports: tuple[str, ...] = ()
    tmp: Path | None = None
    loads_alone: bool = False
    scratch: Path = field(default_factory=_scratch)

    def packager(self) -> Worker:
        """Return the worker that sees the source tree, if there is one; it is not started yet."""
        sources = () if self.settings.artifact_only else (self.settings.pkg_dir,)
        conditions = Conditions(
            cwd=sources[0] if sources else self.scratch / "packager",
            home=self.scratch / "packager-home",
            tmp=self.tmp or self.scratch / "packager-tmp",
            path=sources,
            # An artifact that was made elsewhere must not be changed.
            read_only=() if sources else (self.protected,),
            private=TEMPORARY,
            public=(*sources, self.protected, self.scratch),
            environ=variables(self.settings.device),
        )
        return self._worker("packager", conditions)

    def started_loader(
        self, visible: tuple[Path, ...], relaxed: frozenset[Condition], number: int
    ) -> Worker:
        """Start the worker that sees the artifact and, inside the package, only `visible` paths.

        `relaxed` are the conditions lifted for it; `number` distinguishes the processes of one
        variant, each of which has its own empty directories.
        """
        folder, home = self.scratch / f"loader-{number}", self.home(number)
        own = (folder / "elsewhere", folder / "tmp", *TEMPORARY)
        at_home = (home,) if "home" in relaxed else ()
        conditions = Conditions(
            cwd=folder / "elsewhere",
            home=home,
            tmp=folder / "tmp",
            network="on" if "network" in relaxed else "off",
            read_only=(
                *(self.protected,) * (self.settings.artifact_only is not None),
                *(() if "outside" in relaxed else (self.protected,)),
                *(() if "home" in relaxed else (home,)),
            ),
            writable=None if "outside" in relaxed else (*own, *at_home),
            hidden=source_tree(self.settings),
            # The scratch directory, too: TMPDIR may lie inside the package.
            visible=(*visible, self.scratch),
            shared=TEMPORARY,
            private=() if "outside" in relaxed else TEMPORARY,
            environ=variables(self.settings.device),
        )
        loader = self._worker("loader", conditions)
        loader.start()
        loader.submit("probe.preimport", {"names": ["mlflow.pyfunc", *self.preimports]})
        return loader

    def home(self, number: int) -> Path:
        """Return the home directory of a loading worker."""
        return self.scratch / f"loader-{number}" / "home"

    def _worker(self, name: str, conditions: Conditions) -> Worker:
        settings = self.settings
        return Worker(
            self.python,
            name=name,
            conditions=conditions,
            timeout=settings.timeout,
            log_file=settings.report_dir / "logs" / f"{settings.variant}-{name}.log",
            source_roots=(settings.pkg_dir, self.artifact / "code"),
            launcher=self.launcher,
        )
