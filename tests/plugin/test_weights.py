"""Weights on their way into the artifact: shared where that is safe, copied where it is not."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fixtures.references import PCA_50
from pytest_vcp.artifact.artifact import read_artifact
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.worker.server.packaging import link_file
from tests.runs import run_vcp

WEIGHTS = Path("pcs50", "pca.npz")


def place(source: Path, destination: Path) -> None:
    """What packaging does with one file of the weights."""
    if not link_file(str(source), str(destination)):
        shutil.copy2(source, destination)


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o664])
def test_a_file_that_may_be_written_to_is_no_second_name(tmp_path: Path, mode: int) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.write_bytes(b"trained once")
    source.chmod(mode)
    place(source, destination)
    with source.open("r+b") as file:  # in place, as numpy and torch save
        file.write(b"TRAINED")
    assert destination.read_bytes() == b"trained once"
    assert destination.stat().st_ino != source.stat().st_ino


def test_a_protected_file_may_be_one(tmp_path: Path) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.write_bytes(b"from a store")
    source.chmod(0o444)
    assert link_file(str(source), str(destination))
    assert destination.read_bytes() == b"from a store"
    # Whoever saves over it by replacing it, as careful programs do, leaves the artifact alone.
    (tmp_path / "new").write_bytes(b"trained again")
    os.replace(tmp_path / "new", source)
    assert destination.read_bytes() == b"from a store"


def test_what_can_not_be_linked_is_left_to_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, destination = tmp_path / "source", tmp_path / "destination"
    source.write_bytes(b"x" * 100)
    source.chmod(0o444)

    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    place(source, destination)
    assert destination.read_bytes() == source.read_bytes()
    assert destination.stat().st_mtime_ns == source.stat().st_mtime_ns


def test_an_artifact_stays_what_it_was(package: Path) -> None:
    weights = package / "model_data" / WEIGHTS
    run = run_vcp(package, PCA_50.options)
    assert run.code == 0, run.output
    artifact = package / "mlflow_model_artifact"
    original = weights.read_bytes()
    assert (artifact / "artifacts" / WEIGHTS).read_bytes() == original
    with weights.open("r+b") as file:
        file.write(b"trained again, and not well")
    assert (artifact / "artifacts" / WEIGHTS).read_bytes() == original
    verified = run.variant["artifact"]["sha256"]
    assert read_artifact(artifact, FileDigests()).sha256 == verified


def test_protected_weights_are_packaged_and_replaced(package: Path) -> None:
    weights = package / "model_data" / WEIGHTS
    weights.chmod(0o444)
    weights.parent.chmod(0o555)
    first = run_vcp(package, PCA_50.options)
    assert first.code == 0, first.output
    packaged = package / "mlflow_model_artifact" / "artifacts" / WEIGHTS
    assert packaged.read_bytes() == weights.read_bytes()
    again = run_vcp(package, PCA_50.options)
    assert again.code == 0, again.output
    assert weights.read_bytes() == packaged.read_bytes()
    assert not list(package.glob(".mlflow_model_artifact*"))


def test_a_file_is_read_once_under_all_its_names(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"weights")
    os.link(one, other)
    digests = FileDigests()
    digest = digests.digest(one)
    assert digest == hashlib.sha256(b"weights").hexdigest()
    status = one.stat()
    with one.open("r+b") as file:
        file.write(b"WEIGHTS")
    # Made to look unchanged: whoever read it again would notice.
    os.utime(one, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert digests.digest(one) == digests.digest(other) == digest
    os.utime(one, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert digests.digest(one) == digests.digest(other) == hashlib.sha256(b"WEIGHTS").hexdigest()


def test_a_file_that_is_being_read_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(b"w" * (1 << 20))
    digests = FileDigests()
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(digests.digest, [file] * 64))
    assert found == {hashlib.sha256(file.read_bytes()).hexdigest()}


def test_a_digest_that_failed_is_tried_again(tmp_path: Path) -> None:
    digests = FileDigests()
    with pytest.raises(IsADirectoryError):
        digests.digest(tmp_path)
    with pytest.raises(IsADirectoryError):
        digests.digest(tmp_path)


def test_reading_ahead_stops(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"weights")
    digests = FileDigests()
    digests.read_ahead([file, tmp_path / "missing", file]).join()
    digests.stop()
    never = digests.read_ahead([tmp_path])
    never.join()
    assert digests.digest(file) == FileDigests().digest(file)
