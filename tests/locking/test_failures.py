"""Locks that can't be made: the author's fault, or another's, and the old file stays."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.environment.conftest import Shelf

from .conftest import Package

OLD = "# the old lock\r\nlower==1.5\n"


@pytest.fixture(autouse=True)
def nothing_else_is_written(package: Package) -> Iterator[None]:
    """Where there was a lock, it is byte for byte as it was, and nothing lies beside it."""
    yield
    if package.pinned.exists():
        assert package.pinned.read_bytes() == OLD.encode()
    left = {path.name for path in package.folder.iterdir()}
    assert left <= {"requirements.in", "requirements.txt"}


def refused(package: Package, *lines: str, options: tuple[str, ...] = ()) -> str:
    """What is said about a declaration for which the package is to blame."""
    package.declare(*lines)
    package.pinned.write_bytes(OLD.encode())
    run = package.lock(*options)
    assert run.code == 1, run.output
    assert "requirements.in can't be locked for Python 3" in run.output
    assert "Traceback" not in run.output
    return run.output


def test_a_conflict_in_its_few_lines(package: Package, shelf: Shelf) -> None:
    for minor in range(6):
        shelf.wheel("middle", f"2.{minor}", requires="lower>=2")
    shelf.wheel("top", "1.0", requires="middle")
    shelf.wheel("lower", "1.5")
    shelf.wheel("lower", "2.5")
    told = refused(package, "top", "lower==1.5")
    assert told.splitlines()[-5:] == [
        "requirements.in can't be locked for Python "
        + told.partition("for Python ")[2].partition("\n")[0],
        "  found  requirements of requirements.in contradict each other",
        "         The user requested lower==1.5",
        "         middle 2.5 (and 5 other versions) depends on lower>=2 (by way of top)",
        "  fix    loosen or drop one of them in requirements.in",
    ]


def test_a_version_that_is_not_there(package: Package, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    told = refused(package, "lower>=9")
    assert "no index has lower>=9 for this Python and platform" in told
    assert "fix    ask for a version that there is, in requirements.in" in told


def test_a_release_for_another_python(package: Package, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5", python="<3.5")
    told = refused(package, "lower==1.5")
    assert "lower requires Python <3.5" in told
    assert "choose another --vcp-python" in told


def test_an_sdist_that_does_not_build(package: Package, shelf: Shelf) -> None:
    shelf.sdist("stubborn", "1.0", failure="import a_compiler")
    told = refused(package, "stubborn")
    assert "stubborn can't be built" in told
    assert "ModuleNotFoundError: No module named 'a_compiler'" in told


REFUSED = {
    "./tool": "(requirements.in:2)\n  fix    move the code into model_code/",
    "-e ./tool": "an editable install",
    "numpy >> 2": "no requirement in pip's form: numpy >> 2 (requirements.in:2)",
    "tool @ git+https://example.org/tool.git@main": "the moving revision 'main'",
    "--find-links /home/me/wheels": "a local path under --find-links",
    "--extra-index-url https://me:hunter2@example.org/simple": "a user name, password or token",
    "tool @ https://${TOKEN}@example.org/tool.whl#sha256=00": "a URL with the variable TOKEN",
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_no_lock_can_hold(package: Package, line: str) -> None:
    told = refused(package, "lower", line)
    assert REFUSED[line] in told
    assert "hunter2" not in told


def test_no_declaration(package: Package) -> None:
    run = package.lock()
    assert run.code == 1, run.output
    assert "there is no requirements.in in" in run.output
    assert "fix    create it, beginning with mlflow==3.1.0; or name the package" in run.output


@pytest.mark.parametrize("without_shelf", [True, False])
def test_an_index_out_of_reach(
    package: Package, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, without_shelf: bool
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.delenv("PIP_NO_INDEX")
    if without_shelf:
        monkeypatch.delenv("PIP_FIND_LINKS")
    package.declare("lower==1.5")
    package.pinned.write_bytes(OLD.encode())
    run = package.lock()
    assert run.code == 10, run.output
    assert "error: a package index did not answer: 127.0.0.1 while requirements.in" in run.output
    assert "check the connection" in run.output
    assert "requirements.txt is as it was" in run.output


def test_pip_tools_out_of_reach(package: Package, tmp_path: str) -> None:
    package.declare("lower==1.5")
    run = package.lock(f"--vcp-cache-dir={tmp_path}/empty-cache")
    assert run.code == 10, run.output
    assert "error: pip-tools can't be installed on" in run.output


def test_a_python_that_is_not_here(package: Package) -> None:
    package.declare("lower==1.5")
    run = package.lock("--vcp-python=3.98")
    assert run.code == 10, run.output
    assert "error: there is no Python 3.98 here" in run.output


WRONG = {
    "--vcp-lock=upgrad": "--vcp-lock: 'upgrad' is not usable; did you mean upgrade?",
    "--vcp-lock=UPGRADE": "--vcp-lock: 'UPGRADE' is not usable; did you mean upgrade?",
    "--vcp-lock=numpy": "write it without a value, to keep existing pins, or --vcp-lock=upgrade",
}


@pytest.mark.parametrize("how", WRONG)
def test_a_value_that_is_none(package: Package, how: str) -> None:
    run = package.lock(how=how)
    assert run.code == 4, run.output
    assert WRONG[how] in run.output


def test_a_python_that_the_platform_does_not_run(package: Package) -> None:
    run = package.lock("--vcp-python=3.9")
    assert run.code == 4, run.output
    assert "the platform runs Python 3.10 or newer: --vcp-python 3.10" in run.output
