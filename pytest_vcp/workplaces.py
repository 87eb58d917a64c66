"""Where the two workers of a run work, and under which conditions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_vcp.settings import Settings
from pytest_vcp.sources import source_tree
from pytest_vcp.staging import Staging
from pytest_vcp.worker import Conditions, Worker


@dataclass(frozen=True)
class Workplaces:
    """Makes the workers of one variant, in the environment of the interpreter `python`.

    `scratch` is a temporary directory of the run; `preimports` are libraries that are imported
    ahead of loading.
    """

    settings: Settings
    staging: Staging
    scratch: Path
    python: Path
    preimports: tuple[str, ...]

    def packager(self) -> Worker:
        """The worker that sees the source tree; not started yet."""
        conditions = Conditions(
            cwd=self.settings.pkg_dir,
            home=self.scratch / "packager-home",
            # On the destination's file system, where weights can be linked and moved.
            tmp=self.staging.tmp,
            path=(self.settings.pkg_dir,),
            environ=self._device_variables(),
        )
        return self._worker("packager", conditions)

    def started_loader(self, visible: tuple[Path, ...]) -> Worker:
        """The worker that sees the artifact and, inside the package, only what is `visible`."""
        conditions = Conditions(
            cwd=self.scratch / "elsewhere",
            home=self.scratch / "loader-home",
            tmp=self.scratch / "loader-tmp",
            network="off",
            read_only=(self.staging.root,),
            hidden=source_tree(self.settings),
            # The scratch too: TMPDIR may lie inside the package.
            visible=(*visible, self.scratch),
            environ=self._device_variables(),
        )
        loader = self._worker("loader", conditions)
        loader.start()
        loader.submit("probe.preimport", {"names": ["mlflow.pyfunc", *self.preimports]})
        return loader

    def _worker(self, name: str, conditions: Conditions) -> Worker:
        settings = self.settings
        return Worker(
            self.python,
            name=name,
            conditions=conditions,
            timeout=settings.timeout,
            log_file=settings.report_dir / "logs" / f"{settings.variant}-{name}.log",
            source_roots=(settings.pkg_dir, self.staging.artifact / "code"),
        )

    def _device_variables(self) -> dict[str, str]:
        return {"CUDA_VISIBLE_DEVICES": ""} if self.settings.device == "cpu" else {}
