"""What people are told of the runs that MLflow keeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from pytest_vcp.report.terminal import near
from pytest_vcp.tracking.keeping import DATABASE, folder_of, log_of

if TYPE_CHECKING:
    from pytest_vcp.settings.resolved import Settings
    from pytest_vcp.tracking.keeping import Kept


def told(kept: Kept, settings: Settings) -> Iterator[str]:
    """A line each: which runs are where, what was registered, what went wrong."""
    assert settings.tracking is not None
    if kept.runs:
        names = ", ".join(str(run["name"]) for run in kept.runs.values())
        yield f"tracking    {names} in experiment {kept.experiment} at {_place(kept, settings)}"
        if settings.tracking.uri is None:
            folder, python = quote(_near(folder_of(settings))), quote(str(kept.python))
            look = f"{python} -m mlflow ui --backend-store-uri sqlite:///{DATABASE}"
            yield f"            to look at it: (cd {folder} && {look})"
    if kept.left_out is not None:
        yield f"tracking    not kept: {kept.left_out}"
    if (name := settings.tracking.registered) is not None:
        versions = [str(run["version"]) for run in kept.runs.values() if run["version"]]
        yield f"registered  {_registered(name, versions)}"
    if kept.problem is not None:
        log = log_of(settings)
        where = f", and the log is {_near(log)}" if log.is_file() else ""
        yield f"error       {problem_of(kept, settings)}; the verdict stands{where}"


def problem_of(kept: Kept, settings: Settings) -> str:
    """What went wrong, and where."""
    return f"the run was not kept with MLflow at {_place(kept, settings)}: {kept.problem}"


def _place(kept: Kept, settings: Settings) -> str:
    return kept.place or _near(folder_of(settings))


def _registered(name: str, versions: list[str]) -> str:
    if not versions:
        return f"no version of {name}: a conformant run without a failed test makes one"
    return f"{name}, version {', '.join(versions)}"


def _near(path: Path) -> str:
    """As the terminal names a path, without the sign for the current directory."""
    return near(path).removeprefix("./")
