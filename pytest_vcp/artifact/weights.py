"""Weights and code at the start of the run, to compare the artifact with."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_vcp.source.artifact_sources import ArtifactSource
from pytest_vcp.source.package import CODE
from pytest_vcp.worker.server.packaging import find_ignored


@dataclass(frozen=True)
class SourceFile:
    """One file: its path, its path in the artifact, its size and modification time."""

    source: Path
    target: str
    bytes: int
    mtime_ns: int

    def is_unchanged(self) -> bool:
        """Return whether the file still has its original size and modification time."""
        try:
            status = self.source.stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.bytes, self.mtime_ns)


@dataclass(frozen=True)
class Snapshot:
    """Files in the order of their paths."""

    files: tuple[SourceFile, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        return tuple(file.source for file in self.files)


class Weights(Snapshot):
    """All files of all artifacts."""


class Code(Snapshot):
    """All files of model_code, without litter."""


def snapshot(sources: Iterable[ArtifactSource]) -> Weights:
    """List every file of the artifacts, without reading any."""
    return Weights(
        tuple(
            file
            for source in sources
            for file in _files(source.path, Path("artifacts") / source.path.name)
        )
    )


def code_snapshot(pkg_dir: Path) -> Code:
    """List every file of model_code, without reading any."""
    files = _files(pkg_dir / CODE, Path("code") / CODE)
    return Code(tuple(file for file in files if find_ignored(file.target) is None))


def _files(path: Path, target: Path) -> Iterator[SourceFile]:
    if path.is_file():
        yield _file(path, target)
        return
    for parent, directories, names in os.walk(path, followlinks=True):
        directories.sort()
        for name in sorted(names):
            file = Path(parent) / name
            if file.is_file():
                yield _file(file, target / file.relative_to(path))


def _file(source: Path, target: Path) -> SourceFile:
    status = source.stat()
    return SourceFile(source, target.as_posix(), status.st_size, status.st_mtime_ns)
