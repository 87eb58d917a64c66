"""What the reports say means the same on another machine: no path of this one, no user's name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.mutants import append_text
from fixtures.references import PCA_50
from pytest_vcp.report.redaction import Portable
from tests.plugin.conftest import Configure
from tests.runs import Run, run_vcp

pytest_plugins = ["pytester"]

USER = "mendelova"
WRAPPER = Path("model_code", "pbmc_pca_mlflow_model.py")
SPEC = "model_spec.py"


def run_as_her(place: Path, change: Callable[[Path], None], *extra: str) -> tuple[Run, str]:
    """A run in a directory that has the user's name; also the reports as they were written."""
    home = place / USER
    home.mkdir()
    package = PCA_50.copy(home)
    change(package)
    env = {"HOME": str(home), "LOGNAME": USER, "USER": USER}
    run = run_vcp(package, PCA_50.options, *extra, env=env)
    assert run.report is not None, run.output
    written = (package / ".vcp" / f"report.{kind}" for kind in ("json", "html"))
    return run, "".join(report.read_text(encoding="utf-8") for report in written)


def is_sound(package: Path) -> None:
    """Change nothing."""


def reads_files_of_hers(package: Path) -> None:
    append_text(package / WRAPPER, f'\nMORE = "/home/{USER}/more.npz"\n')
    append_text(package / SPEC, f'\nMORE = "{package}/more.npz"\n')
    append_text(package / "requirements.txt", "scanpy\n")


def names_where_it_is(package: Path) -> None:
    append_text(
        package / WRAPPER,
        "\ndef _broken(self, context, model_input, params=None):\n"
        "    raise ValueError(f'no file {__file__}, none at {context.artifacts}')\n"
        "PbmcPcaMLflowModel.predict = _broken\n",
    )


CASES: dict[Callable[[Path], None], str] = {
    is_sound: "conformant",
    reads_files_of_hers: "nonconformant",
    names_where_it_is: "nonconformant",
}


@pytest.mark.parametrize("change", CASES, ids=lambda change: change.__name__)
def test_neither_place_nor_user(tmp_path: Path, change: Callable[[Path], None]) -> None:
    run, written = run_as_her(tmp_path, change)
    assert run.report is not None
    assert run.report["verdict"] == CASES[change], run.output
    assert USER not in written
    assert str(tmp_path) not in written
    assert tempfile.gettempdir() + "/" not in written


def test_a_finding_is_still_told_and_the_terminal_names_it_as_it_is(tmp_path: Path) -> None:
    run, _ = run_as_her(tmp_path, reads_files_of_hers)
    assert "~/more.npz" in run.variant["rules"]["VCP110"]["found"]
    assert f"/home/{USER}/more.npz" in run.output


def test_an_artifact_elsewhere(tmp_path: Path) -> None:
    run, written = run_as_her(tmp_path, is_sound, f"--vcp-artifact-dir-path={tmp_path}/models/new")
    assert run.code == 0, run.output
    assert run.variant["artifact"]["path"] == "ARTIFACT"
    assert str(tmp_path) not in written
    assert f"{tmp_path}/models/new" in run.output


@pytest.fixture
def portable(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Portable:
    monkeypatch.setenv("HOME", "/scratch/homes/mendelova")
    monkeypatch.setenv("LOGNAME", USER)
    return Portable([replace(configure(), cache_dir=Path("/var/cache/models"))])


TEXTS = {
    "/var/cache/models/environments/1 is full": "CACHE/environments/1 is full",
    "/var/cache/models2 is full": "/var/cache/models2 is full",
    "no '/scratch/homes/mendelova/x'.": "no '~/x'.",
    "see /scratch/homes/mendelova.": "see ~.",
    "/data/mendelova/runs/1 is not there": "~/runs/1 is not there",
    "in /home/somebody.else/w, line 3": "in ~/w, line 3",
    r"C:\Users\lee\atlas.h5ad": r"~\atlas.h5ad",
    "file:///Users/lee/wheels": "file://~/wheels",
    "https://hub.org/home/lee/w": "https://hub.org/home/lee/w",
    "https://hub.org/mendelova/w": "https://hub.org/mendelova/w",
    "/usr/lib/libz.so": "/usr/lib/libz.so",
    "/rooted/x and 3/4": "/rooted/x and 3/4",
    f"{tempfile.gettempdir()}/vcp-1x/in/a.h5ad:3": "TMP/…/a.h5ad:3",
    f"no '{tempfile.gettempdir()}/a.h5ad'": "no 'TMP/a.h5ad'",
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_text(portable: Portable, text: str) -> None:
    assert portable.text(text) == TEXTS[text]


def test_a_path_of_the_package(portable: Portable, package: Path) -> None:
    assert portable.path(f"{package}/model_spec.py:3") == "model_spec.py:3"
    assert portable.path(f"{package.parent}/out/model") == "../out/model"
    assert portable.path(str(package)) == "."
    assert portable.text(f"no {package}/model_spec.py") == "no PACKAGE/model_spec.py"
    assert portable.text(f"no {package}_2") == "no PACKAGE/../mlflow_pkg_2"
