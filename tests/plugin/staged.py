"""Directories that stand for artifacts where only their coming and going matters."""

from __future__ import annotations

from pathlib import Path

from pytest_vcp.artifact.publishing import MADE_BY, SIGNATURE_OF_OURS
from pytest_vcp.artifact.staging import Staging


def write_artifact(path: Path, content: str) -> Path:
    """A directory that counts as an artifact of ours, in several files."""
    (path / "artifacts" / "weights").mkdir(parents=True)
    (path / "MLmodel").write_text(f"metadata:\n  {MADE_BY}: {SIGNATURE_OF_OURS}\n")
    for name in ("python_model.pkl", "artifacts/weights/a.bin", "artifacts/weights/b.bin"):
        (path / name).write_text(content)
    return path


def staged(destination: Path, content: str = "new") -> Staging:
    """A staging with a finished artifact in it."""
    staging = Staging(destination)
    staging.create()
    write_artifact(staging.artifact, content)
    return staging


def tree(path: Path) -> dict[str, bytes | None]:
    """Everything at `path`: files with their content, directories and links as None."""
    if path.is_symlink() or not path.exists():
        return {}
    if path.is_file():
        return {".": path.read_bytes()}
    entries = sorted(path.rglob("*"))
    return {
        entry.relative_to(path).as_posix(): entry.read_bytes() if entry.is_file() else None
        for entry in entries
    }


def content_of(artifact: Path) -> str:
    """The content of a whole artifact; fails where it is not whole."""
    found = tree(artifact)
    (content,) = {
        found["python_model.pkl"],
        found["artifacts/weights/a.bin"],
        found["artifacts/weights/b.bin"],
    }
    assert content is not None
    assert len(found) == 6, sorted(found)
    return content.decode()
