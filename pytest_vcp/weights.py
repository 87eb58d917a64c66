"""The weights in model_data/ as they were when the run began, to hold the artifact against."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_vcp.artifact_sources import ArtifactSource


@dataclass(frozen=True)
class WeightFile:
    """One file: where it lies, where it goes in the artifact, its size and time of change."""

    source: Path
    target: str
    bytes: int
    mtime_ns: int

    def is_unchanged(self) -> bool:
        """Whether the file still has the size and time of change that it had at the beginning."""
        try:
            status = self.source.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.bytes, self.mtime_ns)


@dataclass(frozen=True)
class Weights:
    """All files of all artifacts, in the order of their paths."""

    files: tuple[WeightFile, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(file.source for file in self.files)


def snapshot(sources: Iterable[ArtifactSource]) -> Weights:
    """Note every file of the artifacts, without reading any."""
    return Weights(tuple(file for source in sources for file in _files(source.path)))


def _files(path: Path) -> Iterator[WeightFile]:
    target = Path("artifacts") / path.name
    if path.is_file():
        yield _file(path, target)
        return
    for parent, directories, names in os.walk(path, followlinks=True):
        directories.sort()
        for name in sorted(names):
            file = Path(parent) / name
            yield _file(file, target / file.relative_to(path))


def _file(source: Path, target: Path) -> WeightFile:
    status = source.stat()
    return WeightFile(source, target.as_posix(), status.st_size, status.st_mtime_ns)
