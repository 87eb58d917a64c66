"""Small distributions made on the spot, and environments built from them without any network."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_vcp.environment import interpreters
from pytest_vcp.environment.build import Environment, EnvironmentRequest, prepare

# A build backend without requirements of its own. It tells that it runs, waits for as long as
# the file `hold` is there, and then makes an empty wheel, or fails where the sdist says so.
BACKEND = """
import os, pathlib, time, zipfile

def get_requires_for_build_wheel(config_settings=None):
    with open({told!r}, "a") as stream:
        stream.write(f"{{os.getpid()}}\\n")
    deadline = time.monotonic() + 30
    while os.path.exists({hold!r}) and time.monotonic() < deadline:
        time.sleep(0.05)
    {failure}
    return []

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = {stem!r} + "-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as archive:
        info = {stem!r} + ".dist-info/"
        archive.writestr(info + "METADATA", {metadata!r})
        archive.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nTag: py3-none-any\\n")
        archive.writestr(info + "RECORD", "")
    return name
"""


@dataclass(frozen=True)
class Shelf:
    """A folder of distributions. `told` gets a line for each build, `hold` keeps builds waiting."""

    folder: Path
    told: Path
    hold: Path

    def wheel(
        self, name: str, version: str, *, requires: str = "", python: str = "", tag: str = "py3"
    ) -> Path:
        """Put a wheel with one module on the shelf; `tag` is the Python in its file name."""
        stem = f"{name}-{version}"
        headers = _metadata(name, version, requires, python)
        files = {
            f"{name}.py": f"VERSION = {version!r}\n",
            f"{stem}.dist-info/METADATA": headers,
            f"{stem}.dist-info/WHEEL": f"Wheel-Version: 1.0\nTag: {tag}-none-any\n",
        }
        path = self.folder / f"{stem}-{tag}-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for file, content in files.items():
                archive.writestr(file, content)
            record = "".join(f"{file},{digest(text.encode())},\n" for file, text in files.items())
            archive.writestr(f"{stem}.dist-info/RECORD", f"{record}{stem}.dist-info/RECORD,,\n")
        return path

    def sdist(self, name: str, version: str, failure: str = "") -> None:
        """Put an sdist on the shelf; `failure` is the statement with which its build ends."""
        stem = f"{name}-{version}"
        metadata = _metadata(name, version)
        backend = BACKEND.format(
            told=str(self.told),
            hold=str(self.hold),
            stem=stem,
            metadata=metadata,
            failure=failure or "pass",
        )
        files = {
            "PKG-INFO": metadata,
            "backend.py": backend,
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\n'
            'backend-path = ["."]\n',
        }
        with tarfile.open(self.folder / f"{stem}.tar.gz", "w:gz") as archive:
            for file, content in files.items():
                member = tarfile.TarInfo(f"{stem}/{file}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content.encode()))

    def builders(self) -> list[int]:
        """The process ids of the builds so far."""
        return [int(line) for line in self.told.read_text().split()] if self.told.exists() else []


def _metadata(name: str, version: str, requires: str = "", python: str = "") -> str:
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {requires}"] if requires else []
    lines += [f"Provides-Extra: {extra}" for extra in re.findall(r'extra == "(\w+)"', requires)]
    lines += [f"Requires-Python: {python}"] if python else []
    return "\n".join(lines) + "\n"


def digest(content: bytes) -> str:
    """The hash of a file as a RECORD has it."""
    raw = hashlib.sha256(content).digest()
    return f"sha256={base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}"


@dataclass
class Builder:
    """Prepares environments for locks that are given as text; keeps what was told meanwhile."""

    package: Path
    cache: Path
    told: list[str] = field(default_factory=list)

    def request(self, lock: str, *, python: str | None = None) -> EnvironmentRequest:
        path = self.package / "requirements.txt"
        path.write_text(lock, encoding="utf-8")
        return EnvironmentRequest(
            manager="virtualenv",
            interpreter=interpreters.find(python),
            lock=path,
            lock_bytes=path.read_bytes(),
            cache_dir=self.cache,
        )

    def __call__(
        self,
        lock: str,
        *,
        python: str | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> Environment:
        return prepare(self.request(lock, python=python), progress or self.told.append)

    def folders(self) -> list[Path]:
        """The virtual environments in the cache, whole or not."""
        return [path for path in self.cache.glob("environments/*/*") if path.is_dir()]


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """An empty shelf, and a pip that knows of nothing else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in list(os.environ):
        if name.startswith("PIP_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip-cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    return Shelf(folder, told=tmp_path / "told", hold=tmp_path / "hold")


@pytest.fixture
def build(tmp_path: Path, shelf: Shelf) -> Builder:
    """Builds environments from what is on the shelf."""
    package = tmp_path / "mlflow_pkg"
    package.mkdir()
    return Builder(package, tmp_path / "cache")
