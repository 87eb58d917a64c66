"""A path below /tmp that is the same in every process: told each time, and never a coincidence."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from fixtures.mutants.forward.outputs import loading, returning
from fixtures.references import PCA_50
from tests.mutations.judging import assert_accepted
from tests.runs import run_vcp


@pytest.fixture(params=["/tmp", "/var/tmp"])
def fixed(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A path of which the model is certain that nobody else has it."""
    path = Path(request.param, f"vcp-fixed-{uuid4().hex}")
    yield path
    if path.is_symlink():
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)


HABITS: dict[str, Callable[[Path], str]] = {
    "links the weights": lambda path: (
        f'if not os.path.lexists("{path}"): os.symlink(context.artifacts["checkpoint"], "{path}")'
    ),
    "unpacks a folder": lambda path: (
        f'os.makedirs("{path}/genes", exist_ok=True)\n'
        f'open("{path}/genes/names.txt", "w").write("CD3D")'
    ),
    "puts it together": lambda path: (
        f'os.makedirs(os.path.join("{path.parent}", "{path.name}"), exist_ok=True)'
    ),
}


@pytest.mark.parametrize("habit", HABITS)
def test_it_is_told_as_advice(habit: str, fixed: Path, tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path, recorded=True)
    loading(HABITS[habit](fixed), "import os")(package)
    run = run_vcp(package, PCA_50.options)
    assert_accepted(run, frozenset({"VCP703"}))
    assert fixed.name in run.variant["rules"]["VCP703"]["found"]


def test_one_that_predicting_writes(tmp_path: Path, fixed: Path) -> None:
    package = PCA_50.copy(tmp_path, recorded=True)
    returning(f'np.save("{fixed}.npy", scores)\nreturn scores')(package)
    try:
        run = run_vcp(package, PCA_50.options)
    finally:
        Path(f"{fixed}.npy").unlink(missing_ok=True)
    assert_accepted(run, frozenset({"VCP703"}))


def test_a_directory_of_the_process_s_own_is_none(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path, recorded=True)
    loading("self.place = tempfile.mkdtemp()", "import tempfile")(package)
    assert_accepted(run_vcp(package, PCA_50.options))


@pytest.mark.parametrize("fixed", ["/tmp"], indirect=True)
def test_each_process_has_it_for_itself(fixed: Path, tmp_path: Path) -> None:
    """As on a machine on which the model is loaded for the first time."""
    package = PCA_50.copy(tmp_path, recorded=True)
    loading(f'os.mkdir("{fixed}")', "import os")(package)
    run = run_vcp(package, PCA_50.options, commands=("VCP803", "VCP804"))
    assert_accepted(run, frozenset({"VCP703"}))
    assert not fixed.exists()
