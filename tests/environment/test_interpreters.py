"""Finding the Python that an environment is to be based on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pytest_vcp.environment.interpreters import InterpreterNotFound, clean_environ, find

HERE = "{}.{}".format(*sys.version_info)


@pytest.fixture
def pyenv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pyenv with stand-ins for interpreters, none of them activated."""
    for version in ("9.9.2", "9.9.10", "9.8.1", "9.9-dev"):
        python = tmp_path / "versions" / version / "bin" / "python"
        python.parent.mkdir(parents=True)
        answer = version.replace(".", ", ")
        python.write_text(f"#!/bin/sh\necho '[[{answer}], \"CPython\"]'\n")
        python.chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "versions"


def test_none_is_the_running_one_without_its_virtual_environment() -> None:
    found = find(None)
    assert found.version == sys.version_info[:3]
    assert found.executable == Path(os.path.realpath(sys.executable))
    assert found.platform.startswith(sys.platform)


@pytest.mark.parametrize("spec", [HERE, "{}.{}.{}".format(*sys.version_info)])
def test_the_running_one_comes_first(spec: str) -> None:
    assert find(spec) == find(None)


def test_pyenv_versions_that_are_not_active_are_found(pyenv: Path) -> None:
    found = find("9.9")
    assert found.version == (9, 9, 10)
    assert found.executable == pyenv / "9.9.10" / "bin" / "python"


def test_a_patch_version_is_taken_at_its_word(pyenv: Path) -> None:
    assert find("9.9.2").version == (9, 9, 2)


def test_a_version_is_no_prefix(pyenv: Path) -> None:
    with pytest.raises(InterpreterNotFound):
        find("9.9.1")


def test_not_found_says_what_is_there_and_what_to_do(pyenv: Path) -> None:
    with pytest.raises(InterpreterNotFound, match=r"pyenv install 9\.7") as caught:
        find("9.7")
    assert caught.value.spec == "9.7"
    assert caught.value.found[1:] == ("9.9.10", "9.9.2", "9.8.1")


def test_a_broken_interpreter_is_not_found(pyenv: Path) -> None:
    (pyenv / "9.8.1" / "bin" / "python").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(InterpreterNotFound):
        find("9.8")


def test_no_variable_bends_another_python() -> None:
    given = {"PYTHONPATH": "x", "VIRTUALENV_SYSTEM_SITE_PACKAGES": "1", "PATH": "/bin"}
    assert set(clean_environ(given)) == {"PATH", "VIRTUALENV_CONFIG_FILE"}
