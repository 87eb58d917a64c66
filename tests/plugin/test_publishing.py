"""Publishing: whole or not at all, over nothing but what this tool made itself."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_vcp.artifact import publishing
from pytest_vcp.artifact.publishing import DestinationTaken, check_destination
from pytest_vcp.artifact.staging import Staging
from tests.plugin.staged import content_of, staged, tree, write_artifact


@pytest.fixture(params=["exchange", "two steps"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A system that can exchange two names in one step, and one that can't."""
    if request.param == "two steps":
        monkeypatch.setattr(publishing, "_rename", lambda *_: False)
    return str(request.param)


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "mlflow_model_artifact"


def publish(staging: Staging) -> None:
    try:
        staging.publish()
    finally:
        staging.discard()


@pytest.mark.usefixtures("system")
def test_a_free_destination_gets_the_artifact(destination: Path) -> None:
    publish(staged(destination))
    assert content_of(destination) == "new"
    assert os.listdir(destination.parent) == [destination.name]


@pytest.mark.usefixtures("system")
def test_an_artifact_of_ours_is_replaced(destination: Path) -> None:
    write_artifact(destination, "old")
    (destination / "artifacts" / "weights" / "only_in_old.bin").write_text("old")
    publish(staged(destination))
    assert content_of(destination) == "new"
    assert os.listdir(destination.parent) == [destination.name]


def test_until_published_the_old_one_stays(destination: Path) -> None:
    write_artifact(destination, "old")
    staging = staged(destination)
    assert content_of(destination) == "old"
    staging.discard()
    assert content_of(destination) == "old"
    assert os.listdir(destination.parent) == [destination.name]


def test_byte_code_in_the_old_one_is_nobodys_work(destination: Path) -> None:
    write_artifact(destination, "old")
    (destination / "__pycache__").mkdir()
    publish(staged(destination))
    assert content_of(destination) == "new"


def test_parents_are_made_and_taken_back(tmp_path: Path) -> None:
    destination = tmp_path / "deep" / "down" / "artifact"
    staged(destination).discard()
    assert os.listdir(tmp_path) == []
    publish(staged(destination))
    assert content_of(destination) == "new"


def test_names_with_special_characters(tmp_path: Path) -> None:
    destination = tmp_path / "run [1] *é"
    publish(staged(destination, "old"))
    publish(staged(destination))
    assert content_of(destination) == "new"
    assert os.listdir(tmp_path) == [destination.name]


def _a_file(path: Path) -> None:
    path.write_text("notes")


def _an_empty_directory(path: Path) -> None:
    path.mkdir()


def _the_users_files(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("years of work")


def _a_model_of_somebody_else(path: Path) -> None:
    path.mkdir()
    (path / "MLmodel").write_text("flavors: {}\nmodel_uuid: 1\n")


def _metadata_of_somebody_else(path: Path) -> None:
    path.mkdir()
    (path / "MLmodel").write_text("metadata: {packaged_by: hand}\n")


def _no_yaml(path: Path) -> None:
    path.mkdir()
    (path / "MLmodel").write_bytes(b"\xff: [")


def _a_link_to_one_of_ours(path: Path) -> None:
    path.symlink_to(write_artifact(path.parent / "elsewhere", "old"))


def _a_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere")


def _a_file_of_the_users_in_one_of_ours(path: Path) -> None:
    write_artifact(path, "old")
    (path / "predictions.json").write_text("[]")


TAKEN: tuple[Callable[[Path], None], ...] = (
    _a_file,
    _an_empty_directory,
    _the_users_files,
    _a_model_of_somebody_else,
    _metadata_of_somebody_else,
    _no_yaml,
    _a_link_to_one_of_ours,
    _a_dangling_link,
)


@pytest.mark.parametrize("take", TAKEN)
def test_what_is_not_ours_is_refused_at_once(
    destination: Path, take: Callable[[Path], None]
) -> None:
    take(destination)
    with pytest.raises(DestinationTaken):
        check_destination(destination)


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("take", [*TAKEN, _a_file_of_the_users_in_one_of_ours])
def test_what_comes_meanwhile_is_never_touched(
    destination: Path, take: Callable[[Path], None]
) -> None:
    staging = staged(destination)
    take(destination)
    before = tree(destination), destination.is_symlink()
    with pytest.raises(DestinationTaken):
        publish(staging)
    assert (tree(destination), destination.is_symlink()) == before
    left = {destination.name, "elsewhere"} & set(os.listdir(destination.parent))
    assert set(os.listdir(destination.parent)) == left


def test_the_users_file_is_named(destination: Path) -> None:
    _a_file_of_the_users_in_one_of_ours(destination)
    with pytest.raises(DestinationTaken, match=r"predictions\.json, which pytest-vcp did not put"):
        publish(staged(destination))


@pytest.mark.usefixtures("system")
@pytest.mark.parametrize("take", [_an_empty_directory, _the_users_files])
@pytest.mark.parametrize("old", [True, False])
def test_taken_between_the_look_and_the_step(
    destination: Path, monkeypatch: pytest.MonkeyPatch, take: Callable[[Path], None], old: bool
) -> None:
    staging = staged(destination)
    if old:
        write_artifact(destination, "old")
    takes = iter([take])

    def look_then_take(path: Path) -> None:
        check_destination(path)
        for each in takes:
            if old:
                shutil.rmtree(path)
            each(path)

    monkeypatch.setattr(publishing, "check_destination", look_then_take)
    with pytest.raises(DestinationTaken):
        publish(staging)
    assert not set(tree(destination)) - {"thesis.tex"}
    assert destination.is_dir()
    assert os.listdir(destination.parent) == [destination.name]


def test_a_name_that_is_taken_is_not_taken_over(destination: Path) -> None:
    staging = staged(destination)
    _an_empty_directory(destination)
    assert not publishing._take_free(staging.artifact, destination)
    assert tree(destination) == {}
    assert content_of(staging.artifact) == "new"
    staging.discard()


@pytest.mark.usefixtures("system")
def test_what_was_put_in_the_place_of_ours_is_given_back(destination: Path) -> None:
    staging = staged(destination)
    _the_users_files(destination)
    before = tree(destination)
    assert not publishing._swap(staging.artifact, destination, staging.root / "previous")
    assert tree(destination) == before
    assert content_of(staging.artifact) == "new"
    staging.discard()


@pytest.mark.usefixtures("system")
def test_an_old_one_that_went_away_is_no_obstacle(destination: Path) -> None:
    staging = staged(destination)
    assert not publishing._swap(staging.artifact, destination, staging.root / "previous")
    publish(staging)
    assert content_of(destination) == "new"


def test_what_the_system_refuses_is_told(destination: Path) -> None:
    staging = staged(destination)
    # Gone from under us: neither a taken place nor one that can't be exchanged.
    os.rename(staging.artifact, staging.root / "lost")
    with pytest.raises(FileNotFoundError):
        publishing._take_free(staging.artifact, destination)
    staging.discard()
