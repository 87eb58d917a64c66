"""Which links in an artifact lead out of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.artifact.artifact import StrayLink, stray_links


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    root = tmp_path / "artifact"
    (root / "artifacts" / "deep").mkdir(parents=True)
    (root / "artifacts" / "weights.npz").write_bytes(b"weights")
    (tmp_path / "beside.npz").write_bytes(b"weights")
    return root


@pytest.mark.parametrize("target", ["../weights.npz", "..", "./../deep/../weights.npz", "../.."])
def test_a_relative_link_within_is_none(artifact: Path, target: str) -> None:
    (artifact / "artifacts" / "deep" / "link").symlink_to(target)
    assert stray_links(artifact) == ()


@pytest.mark.parametrize(
    "target",
    [
        "../../../beside.npz",
        "../../..",
        "missing.npz",
        "link",
        "/",
        # Out and back in by the name of the folder, which is another one after publishing.
        "../../../artifact/artifacts/weights.npz",
    ],
)
def test_all_others_are(artifact: Path, target: str) -> None:
    (artifact / "artifacts" / "deep" / "link").symlink_to(target)
    assert stray_links(artifact) == (StrayLink("artifacts/deep/link", target),)


def test_an_absolute_link_is_one_even_within(artifact: Path) -> None:
    target = artifact / "artifacts" / "weights.npz"
    (artifact / "link").symlink_to(target)
    assert stray_links(artifact) == (StrayLink("link", str(target)),)


def test_an_artifact_behind_a_link(artifact: Path, tmp_path: Path) -> None:
    (artifact / "link").symlink_to("artifacts/weights.npz")
    (tmp_path / "elsewhere").symlink_to("artifact")
    assert stray_links(tmp_path / "elsewhere") == ()
