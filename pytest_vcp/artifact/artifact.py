"""ModelArtifact: the contents of a finished artifact, read without loading anything from it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.source.package import DATA
from pytest_vcp.util import yaml_text

# The files of an MLflow pyfunc model with an input example, as the hub expects them.
EXPECTED = (
    "MLmodel",
    "code/model_code",
    "conda.yaml",
    "input_example.json",
    "python_env.yaml",
    "python_model.pkl",
    "requirements.txt",
    "serving_input_example.json",
)
# The example for readers of the artifact, and as a request to a server, which is a JSON object.
EXAMPLES = ("input_example.json", "serving_input_example.json")


@dataclass(frozen=True)
class ArtifactFile:
    """One file: POSIX path relative to the artifact, size in bytes, SHA-256 in hexadecimal."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class ModelArtifact:
    """A packaged model.

    `files` are sorted by path, `bytes` is the sum of their sizes. `sha256` is the digest of one
    line ``<sha256>  <path>`` per file; `mlmodel`, `conda` and `python_env` are the parsed YAML
    files.
    """

    path: Path
    files: tuple[ArtifactFile, ...]
    sha256: str
    bytes: int
    mlmodel: Mapping[str, Any]
    conda: Mapping[str, Any]
    python_env: Mapping[str, Any]

    @property
    def flavor(self) -> Mapping[str, Any]:
        """The python_function flavor of MLmodel."""
        flavor = self.mlmodel.get("flavors", {}).get("python_function", {})
        return flavor if isinstance(flavor, Mapping) else {}

    @property
    def signature(self) -> dict[str, Any]:
        """The saved signature as plain JSON values."""
        saved = self.mlmodel.get("signature") or {}
        return {part: json.loads(text) if text else None for part, text in saved.items()}

    def text(self, name: str) -> str:
        """Read a text file by its path in the artifact. Raises OSError; ValueError if not UTF-8."""
        return (self.path / name).read_text(encoding="utf-8")


def missing_files(path: Path, artifacts: Mapping[str, str]) -> tuple[str, ...]:
    """List files that are missing at `path`; `artifacts` maps names to paths below model_data/."""
    weights = tuple(f"artifacts/{Path(DATA, source).name}" for source in artifacts.values())
    return tuple(name for name in (*EXPECTED, *weights) if not (path / name).exists())


def read_artifact(path: Path, digests: FileDigests) -> ModelArtifact:
    """Read and digest the artifact at `path`.

    Raises OSError, or ValueError for metadata that is not YAML of the expected kind, and for
    examples that are not JSON.
    """
    for name in EXAMPLES:
        _require_json(path / name)
    files = read_files(path, digests)
    return ModelArtifact(
        path=path,
        files=files,
        sha256=digest_of(files),
        bytes=sum(entry.bytes for entry in files),
        mlmodel=_mapping(path / "MLmodel"),
        conda=_mapping(path / "conda.yaml"),
        python_env=_mapping(path / "python_env.yaml"),
    )


def digest_of(files: Iterable[ArtifactFile]) -> str:
    """Return the SHA-256 of the digests and names of all files, in their order."""
    listing = "".join(f"{entry.sha256}  {entry.path}\n" for entry in files)
    return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def read_files(path: Path, digests: FileDigests) -> tuple[ArtifactFile, ...]:
    """Digest all files at `path`, an artifact or not. Raises OSError."""
    return tuple(
        ArtifactFile(name, (path / name).stat().st_size, digests.digest(path / name))
        for name in sorted(_walk(path))
    )


def _walk(path: Path) -> Iterator[str]:
    for parent, _, names in os.walk(path):
        for name in names:
            file = Path(parent) / name
            # A broken link is not a file; VCP607 reports it.
            if file.is_file():
                yield file.relative_to(path).as_posix()


def _require_json(path: Path) -> None:
    try:
        example = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ValueError(f"{path.name} is not JSON: {problem}") from None
    if path.name == EXAMPLES[1] and not isinstance(example, dict):
        raise ValueError(f"{path.name} is not a JSON object")


def _mapping(path: Path) -> Mapping[str, Any]:
    try:
        loaded = yaml_text.load(path.read_text(encoding="utf-8"))
    except yaml.constructor.ConstructorError as problem:
        line = f" in line {problem.problem_mark.line + 1}" if problem.problem_mark else ""
        raise ValueError(
            f"{path.name} asks for an object to be built{line}: {problem.problem}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise ValueError(f"{path.name} is not YAML: {' '.join(str(problem).split())}") from None
    if not isinstance(loaded, dict):
        raise ValueError(f"{path.name} is not a YAML mapping")
    return loaded


# ----------------------------------------------------------------------------------------- links
#
# Symbolic links in an artifact that point outside it, or nowhere.


@dataclass(frozen=True)
class StrayLink:
    """A symbolic link: its path in the artifact, and its target as written in the link."""

    path: str
    target: str


def stray_links(root: Path) -> tuple[StrayLink, ...]:
    """List the links below `root` whose target is not a file or directory inside it."""
    return tuple(
        StrayLink(link.relative_to(root).as_posix(), os.readlink(link))
        for link in _links(root)
        if not _leads_inside(link, root)
    )


def _links(root: Path) -> Iterator[Path]:
    for parent, directories, names in os.walk(root):
        for name in sorted((*directories, *names)):
            path = Path(parent, name)
            if path.is_symlink():
                yield path


def _leads_inside(link: Path, root: Path) -> bool:
    target = Path(os.readlink(link))
    way = os.path.normpath(link.parent.relative_to(root) / target)
    # A target that is absolute, or goes through the name of the artifact's own directory, is
    # inside only as long as the artifact is not moved.
    if target.is_absolute() or way.split(os.sep)[0] == os.pardir or not os.path.exists(link):
        return False
    return Path(os.path.realpath(link)).is_relative_to(os.path.realpath(root))


# ----------------------------------------------------------------------------------- local paths
#
# Paths in texts that do not exist on another machine.

# A path of some machine, wherever it is read: below a home directory, or in temporary files.
_ROOTED = re.compile(
    r"(?:^|[\s\"'=(,\[])"
    r"(?P<path>(?:file:/+)?(?:/(?:home|Users|root|tmp|private)/"
    r"|[A-Za-z]:\\)[^\s\"',\])]*)"
)

# Any other absolute path: it counts if its first directory exists on this machine.
_ABSOLUTE = re.compile(r"(?:^|[\s\"'=(,\[])(?P<path>(?:file://)?/(?P<first>[\w.-]+)/[^\s\"',\])]+)")


def local_path(text: str, pkg_dir: Path) -> str | None:
    """Return the first path in a text that belongs to this machine or to a home directory."""
    if str(pkg_dir) in text:
        return str(pkg_dir)
    if found := _ROOTED.search(text):
        return found["path"]
    for found in _ABSOLUTE.finditer(text):
        if Path("/", found["first"]).is_dir():
            return found["path"]
    return None
