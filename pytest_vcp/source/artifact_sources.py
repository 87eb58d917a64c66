"""Facts about the artifacts in model_data: where their links lead, and whether they hold weights.

Directories are listed and files measured; only small files that may be pointers are read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pytest_vcp.rules.outcomes import Location
from pytest_vcp.source.package import DATA

# The beginnings of the files that version-control systems leave in place of large ones.
_POINTERS = (
    (b"version https://git-lfs.github.com/spec/", "a Git LFS pointer"),
    (b"version https://hawser.github.com/spec/", "a Git LFS pointer"),
    (b"# xet version ", "a Xet pointer"),
    (b"/annex/objects/", "a git-annex pointer"),
)
_POINTER_SIZES = range(20, 1024)  # by its specification a Git LFS pointer is below 1024 bytes
_MAX_HUB_POINTER = 1 << 20
# Files that are commonly empty beside real content.
_EMPTY_BY_CUSTOM = frozenset({"__init__.py", "py.typed", "_SUCCESS"})
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True)
class StandIn:
    """A stand-in for weights: its kind and its location."""

    kind: str
    where: Location


@dataclass(frozen=True)
class StrayLink:
    """A symbolic link that leaves model_data or is broken, with its target as written.

    `inside`: it leads into this model_data, but by an absolute path, and so from every copy;
    `target` is then relative to the package directory.
    """

    where: Location
    target: str
    broken: bool
    inside: bool = False


@dataclass(frozen=True)
class ArtifactSource:
    """One `--vcp-artifact`: the declared path, and what was found there.

    `misnamed` says why the declared path is not a relative path inside model_data; None if it is
    one.
    """

    name: str
    declared: str
    path: Path
    where: Location
    misnamed: str | None
    exists: bool
    stray_links: tuple[StrayLink, ...]
    stand_ins: tuple[StandIn, ...]

    @property
    def base_name(self) -> str:
        """The name under which MLflow copies the artifact."""
        return os.path.basename(os.path.normpath(self.path))

    @property
    def lies_inside(self) -> bool:
        """Whether the artifact exists and lies completely inside model_data."""
        return self.misnamed is None and self.exists and not self.stray_links


def read_artifacts(
    pkg_dir: Path, artifacts: tuple[tuple[str, str], ...]
) -> tuple[ArtifactSource, ...]:
    """Read each declared artifact, given as pairs of name and path relative to model_data."""
    return tuple(_read_artifact(pkg_dir, name, declared) for name, declared in artifacts)


def _read_artifact(pkg_dir: Path, name: str, declared: str) -> ArtifactSource:
    data = pkg_dir / DATA
    path = data / declared
    misnamed = _why_misnamed(declared)
    # Other paths are not read: they may be an entire disk, or not the author's.
    exists = misnamed is None and path.exists()
    links = tuple(_stray_links(pkg_dir, path)) if misnamed is None else ()
    return ArtifactSource(
        name=name,
        declared=declared,
        path=path,
        where=Location.within(pkg_dir, path),
        misnamed=misnamed,
        exists=exists,
        stray_links=links,
        stand_ins=tuple(_stand_ins(pkg_dir, path)) if exists and not links else (),
    )


def _why_misnamed(declared: str) -> str | None:
    if not declared.strip():
        return "an empty path"
    if declared.startswith(("/", "\\")) or _DRIVE.match(declared):
        return "an absolute path"
    if _REMOTE.match(declared):
        return "a remote location"
    if ".." in PurePosixPath(declared.replace("\\", "/")).parts:
        return "a path with '..'"
    return None


def _entries(path: Path, *, follow: bool) -> Iterator[os.DirEntry[str]]:
    """Yield all entries below the directory `path`; with `follow`, also behind directory links."""
    seen = {os.path.realpath(path)}
    folders = [str(path)]
    while folders:
        with os.scandir(folders.pop()) as listing:
            found = sorted(listing, key=lambda entry: entry.name)
        yield from found
        for entry in reversed(found):
            if entry.is_symlink() and entry.is_dir() and follow:
                real = os.path.realpath(entry.path)
                if real not in seen:  # otherwise a link to a parent folder never ends
                    seen.add(real)
                    folders.append(entry.path)
            elif entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)


def _stray_links(pkg_dir: Path, path: Path) -> Iterator[StrayLink]:
    # model_data itself may be a link, to a larger disk for example: its content is what counts.
    data = (pkg_dir / DATA).resolve()
    # A link in the path to the artifact can leave model_data just like one below it.
    on_the_way = [path, *path.parents]
    on_the_way = on_the_way[: on_the_way.index(pkg_dir / DATA)]
    links = [step for step in reversed(on_the_way) if step.is_symlink()]
    if path.is_dir() and _is_inside(path, data):
        links += [Path(entry.path) for entry in _entries(path, follow=False) if entry.is_symlink()]
    for link in links:
        broken, target, inside = not link.exists(), os.readlink(link), _is_inside(link, data)
        if broken or not inside or os.path.isabs(target):
            if inside and not broken:
                target = f"{DATA}/{link.resolve().relative_to(data).as_posix()}"
            where = Location.within(pkg_dir, link)
            yield StrayLink(where, target, broken, inside and not broken)


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder)


def _stand_ins(pkg_dir: Path, path: Path) -> Iterator[StandIn]:
    if not path.is_dir():
        size = path.stat().st_size
        kind = _pointer_kind(path, size) if size else "an empty file"
        if kind is not None:
            yield StandIn(kind, Location.within(pkg_dir, path))
        return
    found = holds_bytes = False
    for entry in _entries(path, follow=True):
        if not entry.is_file():
            continue
        size = entry.stat().st_size
        holds_bytes = holds_bytes or size > 0
        kind = _pointer_kind(Path(entry.path), size)
        if kind is None and size == 0 and not _empty_by_custom(entry.name):
            kind = "an empty file"
        if kind is not None:
            found = True
            yield StandIn(kind, Location.within(pkg_dir, Path(entry.path)))
    if not (found or holds_bytes):
        yield StandIn("a directory without content", Location.within(pkg_dir, path))


def _empty_by_custom(name: str) -> bool:
    return name.startswith(".") or name in _EMPTY_BY_CUSTOM


def _pointer_kind(path: Path, size: int) -> str | None:
    if path.suffix.lower() == ".ptr" and size <= _MAX_HUB_POINTER:
        return "a pointer file of the hub"
    if size in _POINTER_SIZES:
        with path.open("rb") as file:
            start = file.read(200)
        return next((kind for prefix, kind in _POINTERS if start.startswith(prefix)), None)
    return None
