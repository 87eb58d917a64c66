"""What is built from the checkout: complete, nothing besides, and working away from it."""

from __future__ import annotations

import email
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

from fixtures.references import PCA_50
from pytest_vcp import __version__
from pytest_vcp.rules.registry import RULES
from pytest_vcp.util import locks
from tests.runs import environment

CHECKOUT = Path(__file__).parents[2]
# What tools leave in a checkout. A `build` folder in particular finds its way into wheels.
LITTER = (".*", "__pycache__", "*.egg-info", "build", "_build", "dist", "demo")
INFO = f"pytest_vcp-{__version__}.dist-info"


class Built(NamedTuple):
    """The two distributions."""

    wheel: Path
    sdist: Path


def run(
    *command: str | Path, cwd: Path, codes: Sequence[int] = (0,)
) -> subprocess.CompletedProcess[str]:
    """Run a command that has to end with one of these exit codes; stderr comes with stdout."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode in codes, done.stdout
    return done


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the processes of pytest-xdist have in common."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "shared-wheel"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def once(folder: Path) -> Iterator[Path | None]:
    """Let one process fill the folder, in a place that becomes it at the end; others get None."""
    with locks.hold(folder.with_suffix(".lock")):
        if folder.exists():
            yield None
            return
        filling = folder.with_suffix(".new")
        filling.mkdir()
        yield filling
        filling.rename(folder)


@pytest.fixture(scope="module")
def built(shared: Path) -> Built:
    """The sdist, and the wheel made from it."""
    pytest.importorskip("build", reason="the build frontend is not installed")
    with once(shared / "dist") as folder:
        if folder is not None:
            source = folder / "source"
            shutil.copytree(CHECKOUT, source, ignore=shutil.ignore_patterns(*LITTER))
            run(sys.executable, "-m", "build", "--outdir", folder, source, cwd=folder)
    (wheel,) = (shared / "dist").glob("*.whl")
    (sdist,) = (shared / "dist").glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="module")
def content(built: Built) -> set[str]:
    """Names of all files in the wheel."""
    with zipfile.ZipFile(built.wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(built: Built) -> Message:
    """The core metadata."""
    with zipfile.ZipFile(built.wheel) as archive:
        return email.message_from_bytes(archive.read(f"{INFO}/METADATA"))


def sources(folder: str, pattern: str) -> set[str]:
    """Files of the checkout, relative to the folder."""
    root = CHECKOUT / folder
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob(pattern)
        if "__pycache__" not in path.parts
    }


def test_no_generic_name_at_the_top(content: set[str]) -> None:
    assert {name.split("/")[0] for name in content} == {"pytest_vcp", INFO}


def test_every_module_is_inside(content: set[str]) -> None:
    wanted = {f"pytest_vcp/{name}" for name in sources("pytest_vcp", "*.py")}
    wanted |= {f"pytest_vcp/conformance/{name}" for name in sources("conformance", "*.py")}
    wanted |= {f"pytest_vcp/rule_pages/{name}" for name in sources("docs/rules", "*.py")}
    assert {name for name in content if name.endswith(".py")} == wanted


def test_every_rule_has_its_page_and_its_test_inside(content: set[str]) -> None:
    pages = {name for name in content if name.startswith("pytest_vcp/rule_pages/VCP")}
    assert pages == {f"pytest_vcp/rule_pages/{rule.id}.md" for rule in RULES}
    assert any(name.startswith("pytest_vcp/conformance/test_") for name in content)


def test_nothing_else_is_inside(content: set[str]) -> None:
    others = {name for name in content if not name.endswith((".py", ".md"))}
    assert {name for name in others if not name.startswith(INFO)} == {
        "pytest_vcp/environment/platform-3.1.0.txt",
        "pytest_vcp/locking/pip-tools.txt",
        "pytest_vcp/report/report.css",
        "pytest_vcp/report/report.html.jinja",
        "pytest_vcp/report/report.schema.json",
        "pytest_vcp/settings/policy.yaml",
        "pytest_vcp/rules/registry.csv",
        "pytest_vcp/py.typed",
    }


def test_licence_and_entry_point(built: Built, content: set[str]) -> None:
    assert f"{INFO}/licenses/LICENSE" in content
    with zipfile.ZipFile(built.wheel) as archive:
        entry_points = archive.read(f"{INFO}/entry_points.txt").decode()
    assert entry_points.split() == [
        *("[console_scripts]", "pytest-vcp", "=", "pytest_vcp.__main__:main"),
        *("[pytest11]", "vcp", "=", "pytest_vcp.plugin"),
    ]


def test_metadata(metadata: Message) -> None:
    assert (metadata["Name"], metadata["Version"]) == ("pytest-vcp", __version__)
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "MIT"
    assert "Framework :: Pytest" in metadata.get_all("Classifier", [])


def test_no_library_of_a_model_is_required(metadata: Message) -> None:
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    names = {line.split(">")[0].split("[")[0].strip() for line in required}
    assert "pytest" in names
    assert not names & {"mlflow", "numpy", "pandas", "anndata", "torch"}


def test_sdist_can_be_built_from_and_has_no_litter(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "conformance/test_layout.py"} <= names
    assert not [name for name in names if ".tox" in name or "__pycache__" in name]
    # Of the documentation, what the messages of the rules name.
    assert not [name for name in names if re.match("docs/(?!rules)", name)]


@pytest.fixture(scope="module")
def installed(built: Built, shared: Path) -> Path:
    """The interpreter of a fresh environment with the wheel and what it requires."""
    python = shared / "venv" / "bin" / "python"
    with once(shared / "venv-ready") as marker:
        if marker is not None:
            run(sys.executable, "-m", "venv", shared / "venv", cwd=shared)
            run(python, "-m", "pip", "install", "--quiet", built.wheel, cwd=shared)
            run(python, "-m", "pip", "check", cwd=shared)
    return python


def test_installed_it_judges_away_from_the_checkout(installed: Path, package: Path) -> None:
    """A failure that is found in the files, so that no environment of a model is needed."""
    options = [option for option in PCA_50.options if "config-json" not in option]
    command = [*options, "--vcp-model-config-json=[]", "--vcp-cache-dir=../cache"]
    done = run(installed, "-m", "pytest", *command, cwd=package, codes=[1])
    report = json.loads((package / ".vcp" / "report.json").read_text(encoding="utf-8"))
    rules = report["variants"]["default"]["rules"]
    assert [rule for rule in rules if rules[rule]["outcome"] == "failed"] == ["VCP108"]
    assert list(rules) == [rule.id for rule in RULES]
    (page,) = {line.split()[-1] for line in done.stdout.splitlines() if "page  " in line}
    assert Path(page).is_file()
    assert not Path(page).is_relative_to(CHECKOUT)
    assert str(CHECKOUT) not in done.stdout


def test_installed_and_inactive_it_stays_out_of_the_way(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "test_trivial.py").write_text("def test_trivial(): ...\n", encoding="utf-8")
    done = run(installed, "-m", "pytest", "--strict-config", cwd=tmp_path)
    assert f"vcp-{__version__}" in done.stdout
    assert "vcp verdict" not in done.stdout


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return PCA_50.copy(tmp_path)
