"""Environments by conda: our side of it, against a stand-in for the command."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from fixtures.references import PCA_50
from pytest_vcp.environment.build import Environment, EnvironmentRequest, prepare
from pytest_vcp.environment.conda import explain, find_command, progress_of, specification
from pytest_vcp.environment.resolution import read_pip_report
from pytest_vcp.rules.outcomes import ToolError
from tests.runs import run_vcp

from .conda_stand_in import FAILURE, install
from .conftest import Builder, Shelf
from .test_environment_interruptions import gone, wait_for

VERSION = ".".join(map(str, sys.version_info[:3]))


@pytest.fixture
def no_conda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that makes conda environments, whatever this machine has."""
    monkeypatch.setenv("PATH", os.pathsep.join(["/usr/bin", "/bin"]))
    for name in ("CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.delenv(name, raising=False)


# Of tests where what the commands print, or how they end, makes no difference.
only_conda = pytest.mark.parametrize("command", ["conda"], indirect=True)


@pytest.fixture(params=["conda", "micromamba"])
def command(
    request: pytest.FixtureRequest, no_conda: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The stand-in, on PATH."""
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return install(folder, request.param)


def by_conda(
    build: Builder,
    lock: str,
    python: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Environment:
    request = replace(build.request(lock), manager="conda", python=python)
    return prepare(request, progress or build.told.append)


def test_it_is_as_one_of_virtualenv(build: Builder, shelf: Shelf, command: Path) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=1")
    shelf.wheel("lower", "1.5")
    lock = "upper==2.0\nlower==1.5  # via upper\n"
    built, usual = by_conda(build, lock), build(lock)
    assert built.failure is None
    assert (built.manager, built.version, built.broken) == ("conda", VERSION, ())
    assert built.directory != usual.directory
    for name in ("upper", "lower"):
        versions = [
            [entry.version for entry in environment.installed if entry.name == name]
            for environment in (built, usual)
        ]
        assert versions[0] == versions[1] != []
    assert built.markers == usual.markers
    assert built.pip_report is not None
    chosen = read_pip_report(built.pip_report, built.pip_report.with_name("pip.log"))
    assert {(entry.name, entry.requested) for entry in chosen} == {("upper", True), ("lower", True)}


@only_conda
def test_it_is_used_again_without_the_command(build: Builder, shelf: Shelf, command: Path) -> None:
    shelf.wheel("lower", "1.5")
    first = by_conda(build, "lower==1.5\n")
    command.unlink()
    again = by_conda(build, "lower==1.5\n")
    assert (first.reused, again.reused) == (False, True)
    assert again.directory == first.directory
    assert again.python.is_relative_to(again.directory)


@only_conda
def test_it_tells_what_it_does(build: Builder, shelf: Shelf, command: Path) -> None:
    shelf.wheel("lower", "1.5")
    by_conda(build, "lower==1.5\n")
    assert "reading the channels of conda" in build.told


@only_conda
def test_the_python_is_the_one_that_is_asked_for(
    build: Builder, shelf: Shelf, command: Path
) -> None:
    minor = ".".join(map(str, sys.version_info[:2]))
    assert by_conda(build, "", python=minor).version == VERSION
    with pytest.raises(ToolError, match=r"no python=3\.99 for this platform .*--vcp-python"):
        by_conda(build, "", python="3.99")


@pytest.mark.parametrize(
    ("lock", "kind"),
    [
        ("upper==2.0\nlower==1.5\n", "resolver"),
        ("lower==9.9\n", "unavailable"),
        ("elsewhere==1.0\n", "python"),
        ("stubborn==1.0\n", "build"),
    ],
)
def test_what_pip_refuses_is_the_same_fact(
    build: Builder, shelf: Shelf, command: Path, lock: str, kind: str
) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=2")
    shelf.wheel("lower", "1.5")
    shelf.wheel("lower", "2.5")
    shelf.wheel("elsewhere", "1.0", python="<3.5")
    shelf.sdist("stubborn", "1.0", failure="import a_compiler")
    built, usual = by_conda(build, lock).failure, build(lock).failure
    assert built is not None
    assert usual is not None
    assert built.kind == kind
    assert built.log.is_file()
    assert replace(built, log=usual.log) == usual
    assert list((build.cache / "environments").iterdir()) == []


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("offline", "a conda channel did not answer: channel.example.org .*check the connection"),
        ("crash", "conda failed: CorruptedEnvironmentError: .*see the end of "),
    ],
)
def test_what_conda_fails_at_is_not_the_packages_fault(
    build: Builder,
    shelf: Shelf,
    command: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: str,
    words: str,
) -> None:
    monkeypatch.setenv(FAILURE, failure)
    with pytest.raises(ToolError, match=words):
        by_conda(build, "lower==1.5\n")
    assert list((build.cache / "environments").iterdir()) == []
    (log,) = (build.cache / "logs").iterdir()
    assert "Collecting package metadata" in log.read_text()


def test_an_index_that_does_not_answer(
    build: Builder, shelf: Shelf, command: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(ToolError, match=r"a package index did not answer: 127\.0\.0\.1"):
        by_conda(build, "lower==1.5\n")


@only_conda
def test_the_users_settings_do_not_bend_pip(
    build: Builder, shelf: Shelf, command: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=1")
    shelf.wheel("lower", "1.5")
    monkeypatch.setenv("PIP_NO_DEPS", "1")
    built = by_conda(build, "upper==2.0\n")
    assert "lower" in {entry.name for entry in built.installed}


def test_interrupted_leaves_nothing(build: Builder, shelf: Shelf, command: Path) -> None:
    shelf.sdist("slow", "1.0")
    shelf.hold.touch()

    def progress(text: str) -> None:
        if shelf.builders():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        by_conda(build, "slow==1.0\n", progress=progress)
    assert list((build.cache / "environments").iterdir()) == []
    wait_for(lambda: all(gone(pid) for pid in shelf.builders()), seconds=5)


def test_the_first_command_is_taken(
    no_conda: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolError, match=r"no conda, micromamba or mamba on PATH.*; install one"):
        find_command()
    for variable in ("CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.setenv(variable, str(install(tmp_path, variable.lower())))
        assert find_command() == tmp_path / variable.lower()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    for name in ("mamba", "micromamba", "conda"):
        command = install(tmp_path / "bin", name)
        assert find_command() == command


def test_a_run_without_conda_is_an_error(no_conda: None, tmp_path: Path) -> None:
    run = run_vcp(PCA_50.copy(tmp_path), PCA_50.options, "--vcp-env-manager=conda")
    assert run.code == 10, run.output
    assert run.variant["verdict"] == "error"
    assert "no conda, micromamba or mamba on PATH" in run.output
    assert "--vcp-env-manager virtualenv" in run.output


def test_the_specification_is_as_mlflow_writes_it() -> None:
    lock = (
        "# compiled\n--extra-index-url https://wheels.example.org\n\nmlflow==3.1.0  # via -r\n"
        "numpy==2.2.6 \\\n    --hash=sha256:12 \\\n    --hash=sha256:34\n"
        "tomli==2.0 ; python_version < '3.11'\r\n"
    )
    assert yaml.safe_load(specification("3.11.7", lock.encode())) == {
        "channels": ["conda-forge"],
        "dependencies": [
            "python=3.11.7",
            "pip<=26.99",
            {
                "pip": [
                    "--extra-index-url https://wheels.example.org",
                    "mlflow==3.1.0",
                    "numpy==2.2.6 --hash=sha256:12 --hash=sha256:34",
                    "tomli==2.0 ; python_version < '3.11'",
                ]
            },
        ],
        "name": "mlflow-env",
    }


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("error    libmamba Could not solve for environment specs", "machine"),
        ("ResolvePackageNotFound: \n  - python=3.99", "machine"),
        ("critical libmamba Download error (6) Could not resolve hostname", "network"),
        ("CondaSSLError: Encountered an SSL error.", "network"),
        ("", "machine"),
    ],
)
def test_reasons(line: str, kind: str) -> None:
    assert explain(line, "3.99", Path("pip.log")).kind == kind


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Solving environment: ...working... done", "choosing the packages of conda"),
        ("Linking python-3.11.7-h1", "installing the packages of conda"),
        ("Collecting numpy==2.2.6", "resolving numpy"),
        ("done", None),
    ],
)
def test_progress(line: str, words: str | None) -> None:
    assert progress_of(line) == words


def test_another_python_is_another_environment(build: Builder, shelf: Shelf) -> None:
    request: EnvironmentRequest = replace(build.request("a==1"), manager="conda")
    # A Python that no interpreter has: by default conda's is that of the interpreter at hand.
    others = [replace(request, python=python) for python in ("3.99", "3.99.1")]
    assert len({entry.slot.folder for entry in (request, *others, build.request("a==1"))}) == 4
