"""Packages that were judged, once for all tests that look at what the run has left."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from fixtures.mutants import append_text
from fixtures.mutants.forward.outputs import returning
from fixtures.references import PCA_50
from tests.report.pages import Page, read_page
from tests.runs import Run, run_vcp

# What a browser would run, if it came to it as it is.
SCRIPT = "<script>document.title = 'taken over'</script>"
IMAGE = "<img src=x onerror=alert(1)>.txt"


class Judged(NamedTuple):
    """A package, the run on it, and its page."""

    package: Path
    run: Run
    page: Page


def judged(package: Path, *options: str) -> Judged:
    run = run_vcp(package, options or PCA_50.options, pictures=True)
    assert run.report is not None, run.output
    return Judged(package, run, read_page(package))


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    package = PCA_50.copy(tmp_path_factory.mktemp("sound"))
    return judged(package, *PCA_50.options, "--vcp-scaling")


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Whatever it can name, it names as markup, and its message is no UTF-8."""
    package = PCA_50.copy(tmp_path_factory.mktemp("hostile"))
    (package / "model_data" / "pcs50" / IMAGE).write_text("no picture", encoding="utf-8")
    returning(f"raise ValueError({SCRIPT!r} + chr(0xDCE9))")(package)
    return judged(package)


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Broken in two files, and waived once."""
    package = PCA_50.copy(tmp_path_factory.mktemp("broken"))
    append_text(package / "requirements.txt", "scanpy\n")
    (package.parent / "LICENSE").unlink(missing_ok=True)
    (package / "LICENSE").unlink(missing_ok=True)
    options = ("--vcp-model-config-json=[50]", "--vcp-waive=VCP202: it is only a test")
    return judged(package, *PCA_50.options, *options)


@pytest.fixture(scope="session")
def variants(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Two variants, each judged by another process where pytest-xdist is there."""
    pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    package = PCA_50.copy(tmp_path_factory.mktemp("variants"))
    return judged(package, "--vcp-variant=all", "-n", "2")
