"""The facts about layout, source and artifacts, oddities that are legal included."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pytest_vcp.source.artifact_sources import read_artifacts
from pytest_vcp.source.package import SourceModule, read_package

RUNNING = sys.version_info[:2]


def _module(tmp_path: Path, source: bytes, target: tuple[int, int] = RUNNING) -> SourceModule:
    (tmp_path / "model_code").mkdir()
    (tmp_path / "model_code" / "module.py").write_bytes(source)
    (module,) = read_package(tmp_path, target).modules
    return module


@pytest.mark.parametrize(
    "source",
    [
        "größe = 'µm'\n".encode(),
        b"\xef\xbb\xbfx = 1\n",
        b"x = 1\r\nif x:\r\n    y = 2\r\n",
        b"# -*- coding: latin-1 -*-\nx = '\xf6'\n",
        b"pattern = '\\d'\n",  # a warning, which -W error must not turn into a failure
        b"",
        b"match = 1\nmatch match:\n    case 1:\n        pass\n",
    ],
    ids=["non-ascii", "bom", "crlf", "latin-1", "escape", "empty", "match"],
)
@pytest.mark.filterwarnings("error")
def test_legal_source_parses(source: bytes, tmp_path: Path) -> None:
    assert _module(tmp_path, source).problem is None


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (b"x = 1\n\ny = (\n", 3),
        (b"x = 1\n\ny = '\xf6'\n", 3),
        (b"# \xf6\n", 1),
        (b"x = '\x00'\n", None),
        (b"# coding: nonesuch\n", None),
    ],
    ids=["open parenthesis", "not utf-8", "not utf-8 in a comment", "null byte", "encoding"],
)
def test_broken_source_is_located(source: bytes, line: int | None, tmp_path: Path) -> None:
    module = _module(tmp_path, source)
    assert module.problem
    assert module.tree is None
    assert module.where.path == "model_code/module.py"
    if line is not None:
        assert module.where.line == line


def test_syntax_newer_than_the_target_is_refused(tmp_path: Path) -> None:
    source = b"try:\n    pass\nexcept* ValueError:\n    pass\n"  # Python 3.11
    assert _module(tmp_path, source, (3, 10)).problem


def test_an_older_parser_is_not_certain_about_newer_syntax(tmp_path: Path) -> None:
    newer = (RUNNING[0], RUNNING[1] + 1)
    assert not _module(tmp_path, b"x = = 1\n", newer).certain


def test_litter_is_no_module_and_namespace_folders_hold_some(tmp_path: Path) -> None:
    for path in ("a.py", "sub/b.py", ".hidden/c.py", "__pycache__/d.py", "._e.py", "notes.txt"):
        file = tmp_path / "model_code" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
    names = [module.name for module in read_package(tmp_path, RUNNING).modules]
    assert names == ["model_code.a", "model_code.sub.b"]


def test_a_link_to_a_folder_above_ends(tmp_path: Path) -> None:
    (tmp_path / "model_code").mkdir()
    (tmp_path / "model_code" / "__init__.py").touch()
    (tmp_path / "model_code" / "again").symlink_to(".")
    package = read_package(tmp_path, RUNNING)
    assert [module.name for module in package.modules] == ["model_code"]


def test_a_name_in_other_letters_is_named(tmp_path: Path) -> None:
    (tmp_path / "Model_Data").mkdir()
    missing = {entry.name: entry.found for entry in read_package(tmp_path, RUNNING).missing}
    if not (tmp_path / "model_data").exists():  # else the file system ignores case
        assert missing["model_data/"] == "Model_Data"
    assert missing["requirements.txt"] is None


@pytest.mark.parametrize(
    "declared", ["/abs", "../up", "a/../../b", "s3://bucket/x", "C:\\x", "file:///x", " "]
)
def test_a_path_that_is_not_inside_is_not_looked_at(declared: str, tmp_path: Path) -> None:
    (source,) = read_artifacts(tmp_path, (("weights", declared),))
    assert source.misnamed
    assert not source.lies_inside
    assert not source.stand_ins


def test_links_within_model_data_are_fine(tmp_path: Path) -> None:
    store = tmp_path / "a large disk"
    (store / "real").mkdir(parents=True)
    (store / "real" / "w.bin").write_bytes(b"weights")
    (store / "alias").symlink_to("real")
    (tmp_path / "model_data").symlink_to(store)
    for declared in ("real", "alias", "real/w.bin", ".", "real/"):
        (source,) = read_artifacts(tmp_path, (("weights", declared),))
        assert source.lies_inside, declared
        assert not source.stand_ins


def test_a_linked_directory_above_the_artifact_counts(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "v1").mkdir(parents=True)
    (tmp_path / "elsewhere" / "v1" / "w.bin").write_bytes(b"x")
    (tmp_path / "model_data").mkdir()
    (tmp_path / "model_data" / "runs").symlink_to("../elsewhere")
    (source,) = read_artifacts(tmp_path, (("weights", "runs/v1"),))
    assert [str(link.where) for link in source.stray_links] == ["model_data/runs"]


def test_dot_files_and_markers_may_be_empty_beside_content(tmp_path: Path) -> None:
    data = tmp_path / "model_data" / "volume.zarr"
    data.mkdir(parents=True)
    (data / ".zgroup").write_text('{"zarr_format": 2}')
    for empty in (".gitkeep", "__init__.py"):
        (data / empty).touch()
    (source,) = read_artifacts(tmp_path, (("volume", "volume.zarr"),))
    assert not source.stand_ins


def test_stand_ins_behind_a_link_are_found(tmp_path: Path) -> None:
    data = tmp_path / "model_data"
    (data / "real").mkdir(parents=True)
    (data / "used").mkdir()
    (data / "real" / "w.bin").touch()
    (data / "used" / "weights").symlink_to("../real")
    (source,) = read_artifacts(tmp_path, (("weights", "used"),))
    assert "an empty file" in {stand_in.kind for stand_in in source.stand_ins}


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("w.bin.ptr", b"{}", "a pointer file of the hub"),
        ("w.bin", b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"),
        ("w.bin", b"", "an empty file"),
        (".w", b"", "an empty file"),
    ],
)
def test_a_single_file_can_be_a_stand_in(
    name: str, content: bytes, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "model_data").mkdir()
    (tmp_path / "model_data" / name).write_bytes(content)
    (source,) = read_artifacts(tmp_path, (("weights", name),))
    assert [stand_in.kind for stand_in in source.stand_ins] == [kind]


def test_base_names_are_those_of_mlflow(tmp_path: Path) -> None:
    declared = (("a", "x/w"), ("b", "x/w/"), ("c", "."))
    names = [source.base_name for source in read_artifacts(tmp_path, declared)]
    assert names == ["w", "w", "model_data"]
    assert os.sep not in "".join(names)
