"""Tensors in a pickled wrapper: their bytes are followed, and only what torch writes passes."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tarfile
import types
from pathlib import Path

import pytest

from pytest_vcp.artifact.pickles import read_pickle

MAGIC = 0x1950A86A20F9469CFC6C
PARTS: tuple[object, ...] = (MAGIC, 1001, {"little_endian": True}, ("storage", "cpu", 4), ["0"])
NUMBERS = bytes(16)


class Runs:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("true",)


class Stored:
    """Is loaded from bytes as torch loads a storage."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return sys.modules["torch.storage"]._load_from_bytes, (self.content,)


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of that name, with the function that pickles of tensors call."""
    storage = types.ModuleType("torch.storage")

    def _load_from_bytes(content: bytes) -> None: ...

    _load_from_bytes.__module__ = storage.__name__
    _load_from_bytes.__qualname__ = "_load_from_bytes"
    storage._load_from_bytes = _load_from_bytes  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    monkeypatch.setitem(sys.modules, "torch.storage", storage)


def storage(*parts: object, protocol: int = 2) -> bytes:
    return b"".join(pickle.dumps(part, protocol) for part in parts) + NUMBERS


def as_archive() -> bytes:
    """A tar file that begins like a storage: torch would look into it first."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        name = storage(*PARTS)[:40].replace(b"\0", b"x").decode("utf-8", "surrogateescape")
        archive.addfile(tarfile.TarInfo(name))
    return written.getvalue()


def harmful(folder: Path, content: bytes) -> tuple[str, ...]:
    path = folder / "python_model.pkl"
    path.write_bytes(pickle.dumps({"weights": Stored(content), "again": 1}, 4))
    found = read_pickle(path)
    assert found.problem is None
    return found.harmful


def test_what_torch_writes_builds_a_tensor(tmp_path: Path) -> None:
    assert harmful(tmp_path, storage(*PARTS)) == ()
    # More than is read at once.
    assert harmful(tmp_path, storage(*PARTS) + bytes(2 << 20)) == ()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        NUMBERS,
        storage(*PARTS[:4]),
        storage(*PARTS[:2], Runs(), *PARTS[3:]),
        storage(*PARTS[:4], [Runs()]),
        storage(*PARTS, protocol=0),
        storage(*PARTS[:2])[: -len(NUMBERS)] + storage(*PARTS[2:], protocol=0),
        as_archive(),
        b"PK\x03\x04" + storage(*PARTS),
    ],
)
def test_whatever_else_may_run(tmp_path: Path, content: bytes) -> None:
    assert harmful(tmp_path, content) == ("calls torch.storage._load_from_bytes",)
