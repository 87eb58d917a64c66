"""Real virtual environments, built from small locks, found again, and rebuilt when they must be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vcp.environment import cache as environment_cache
from pytest_vcp.environment import pruning
from pytest_vcp.environment.build import EnvironmentRequest, prepare
from pytest_vcp.environment.interpreters import find_running
from pytest_vcp.environment.pruning import clear
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.settings.policy import CacheLimits
from tests.locking.conftest import path_without_uv

from .conftest import Builder, Shelf


def test_installs_the_lock_with_its_dependencies_followed(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=1")
    shelf.wheel("lower", "1.5")
    built = build("upper==2.0\n")
    versions = {entry.name: entry.version for entry in built.installed}
    assert built.failure is None
    assert (versions["upper"], versions["lower"]) == ("2.0", "1.5")
    assert built.broken == ()
    assert built.version == ".".join(map(str, sys.version_info[:3]))
    assert built.pip_version == versions["pip"]
    assert built.build_seconds > 0


def test_keeps_pips_report_and_log(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    built = build("lower==1.5\n")
    assert built.pip_report is not None
    report = json.loads(built.pip_report.read_text())
    assert [entry["metadata"]["name"] for entry in report["install"]] == ["lower"]
    assert "lower-1.5" in (built.directory / "pip.log").read_text()


def test_tells_what_it_does(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    build("lower==1.5\n")
    told = " | ".join(build.told)
    assert "creating a virtual environment on CPython" in told
    assert "reading lower-1.5-py3-none-any.whl" in told
    assert told.endswith("checking what is installed")


def test_a_long_step_keeps_telling(build: Builder, shelf: Shelf) -> None:
    shelf.sdist("slow", "1.0")
    shelf.hold.touch()

    def progress(text: str) -> None:
        if shelf.builders() and text in build.told:
            shelf.hold.unlink(missing_ok=True)
        build.told.append(text)

    assert build("slow==1.0\n", progress=progress).failure is None
    assert not shelf.hold.exists()


def test_uses_it_again(build: Builder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where uv is to install, pip resolves before; it may begin to build until it is stopped.
    monkeypatch.setenv("PATH", path_without_uv())
    shelf.sdist("counted", "1.0")
    first = build("counted==1.0\n")
    again = build("# another comment\ncounted==1.0   # and one more\r\n\r\n")
    assert (first.reused, again.reused) == (False, True)
    assert again.directory == first.directory
    assert again.build_seconds == first.build_seconds
    assert len(shelf.builders()) == 1


@pytest.mark.parametrize("lock", ["lower==1.6\n", "lower==1.5\nupper==2.0\n"])
def test_another_lock_is_another_environment(build: Builder, shelf: Shelf, lock: str) -> None:
    request = build.request("lower==1.5\n")
    slots = [
        environment_cache.slot(build.cache, request.interpreter, text, "")
        for text in (request.lock_bytes, lock.encode())
    ]
    assert slots[0].folder != slots[1].folder


def test_relative_paths_are_taken_from_the_package(build: Builder, shelf: Shelf) -> None:
    wheel = shelf.wheel("lower", "1.5")
    vendored = build.package / "vendored"
    vendored.mkdir()
    shutil.move(wheel, vendored / wheel.name)
    built = build(f"./vendored/{wheel.name}\n")
    assert "lower" in {entry.name for entry in built.installed}


def test_half_built_is_never_used(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    first = build("lower==1.5\n")
    (first.directory.parent / "ready.json").unlink()
    again = build("lower==1.5\n")
    assert not again.reused
    assert build.folders() == [again.directory]


@pytest.mark.parametrize("damage", ["interpreter_gone", "marker_torn", "interpreter_broken"])
def test_a_damaged_one_is_built_again(build: Builder, shelf: Shelf, damage: str) -> None:
    shelf.wheel("lower", "1.5")
    first = build("lower==1.5\n")
    if damage == "marker_torn":
        (first.directory.parent / "ready.json").write_text('{"directory": "')
    else:
        first.python.unlink()
        target = "/nowhere/python" if damage == "interpreter_gone" else "/bin/false"
        first.python.symlink_to(target)
    again = build("lower==1.5\n")
    assert (again.reused, again.failure) == (False, None)
    assert build.folders() == [again.directory]


@pytest.mark.parametrize("loss", ["package", "file"])
def test_one_that_lost_files_is_built_again(build: Builder, shelf: Shelf, loss: str) -> None:
    shelf.wheel("lower", "1.5")
    first = build("lower==1.5\n")
    (site,) = first.directory.glob("lib/python*/site-packages")
    if loss == "package":
        shutil.rmtree(site / "pip")
    else:
        (site / "lower.py").unlink()
    again = build("lower==1.5\n")
    assert (again.reused, again.failure) == (False, None)
    assert f"has lost lib/{site.parent.name}/site-packages/" in " ".join(build.told)
    assert build("lower==1.5\n").reused


def test_byte_code_may_come_and_go(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    first = build("lower==1.5\n")
    for folder in list(first.directory.rglob("__pycache__")):
        shutil.rmtree(folder)
    assert build("lower==1.5\n").reused


def test_its_size_and_purpose_are_kept(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    built = build("# of a person: https://user:secret@host\nlower==1.5\n")
    (entry,) = pruning.entries(build.cache)
    told = subprocess.run(
        ["du", "-sB1", built.directory], capture_output=True, text=True, check=True
    ).stdout
    assert entry.bytes == pytest.approx(int(told.split()[0]), rel=0.01)
    assert entry.lock == str(build.package / "requirements.txt")
    assert entry.requirements == ("lower==1.5",)
    assert entry.python == f"CPython {built.version}"


def test_a_build_makes_room(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    shelf.wheel("lower", "1.6")
    limits = CacheLimits(environments=1, bytes=10**12, days=60)
    first = prepare(replace(build.request("lower==1.5\n"), limits=limits), build.told.append)
    again = prepare(replace(build.request("lower==1.5\n"), limits=limits), build.told.append)
    assert again.reused
    with ExitStack() as until:
        request = replace(build.request("lower==1.6\n"), limits=limits)
        second = prepare(request, build.told.append, until)
        assert build.folders() == [second.directory]
        assert not first.directory.exists()
        assert clear(build.cache).environments == 0
    assert clear(build.cache).environments == 1
    assert build.folders() == []


def test_a_failed_build_leaves_nothing_but_its_log(build: Builder, shelf: Shelf) -> None:
    assert build("absent==1.0\n").failure is not None
    assert list((build.cache / "environments").iterdir()) == []


def test_what_was_changed_in_a_cached_one_is_noticed(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=1")
    shelf.wheel("lower", "1.5")
    lock = "upper==2.0\nlower==1.5\n"
    first = build(lock)
    for path in first.directory.glob("lib/python*/site-packages/lower-1.5.dist-info"):
        shutil.rmtree(path)
    again = build(lock)
    assert again.reused
    assert "lower" not in {entry.name for entry in again.installed}
    assert again.broken == ("upper 2.0 requires lower, which is not installed.",)


def test_a_copy_of_the_cache_works_on_its_own(build: Builder, shelf: Shelf, tmp_path: Path) -> None:
    shelf.wheel("lower", "1.5")
    first = build("lower==1.5\n")
    subprocess.run(["cp", "-al", build.cache, tmp_path / "copy"], check=True)
    copied = Builder(build.package, tmp_path / "copy")("lower==1.5\n")
    assert copied.reused
    assert copied.directory != first.directory
    assert all(str(tmp_path / "copy") in entry.location for entry in copied.installed)


def test_variables_do_not_change_what_is_installed(
    build: Builder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=1")
    shelf.wheel("lower", "1.5")
    bending = {
        "PIP_NO_DEPS": "1",
        "PIP_TARGET": "elsewhere",
        "PIP_USER": "1",
        "PIP_PREFIX": "elsewhere",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_DRY_RUN": "1",
        "PIP_QUIET": "3",
        "PIP_LOG": "/nowhere/pip.log",
        "PIP_CONSTRAINT": "absent.txt",
        "PIP_REQUIREMENT": "absent.txt",
        "VIRTUALENV_NO_PIP": "1",
        "VIRTUALENV_PYTHON": "2.7",
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": "/nowhere",
    }
    for name, value in bending.items():
        monkeypatch.setenv(name, value)
    built = build("upper==2.0\n")
    assert built.failure is None
    assert "lower" in {entry.name for entry in built.installed}


def test_the_users_configuration_says_where_but_not_what(
    build: Builder, shelf: Shelf, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shelf.wheel("upper", "2.0", requires="lower>=1")
    shelf.wheel("lower", "1.5")
    config = tmp_path / "pip.conf"
    config.write_text(
        f"[global]\nfind-links =\n  {tmp_path}/absent\n  {shelf.folder}\n"
        "[install]\nno-deps = true\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.delenv("PIP_FIND_LINKS")
    built = build("upper==2.0\n")
    assert built.failure is None
    assert "lower" in {entry.name for entry in built.installed}


def test_another_python(build: Builder, shelf: Shelf) -> None:
    spec = next(
        (text for text in ("3.12", "3.13", "3.10", "3.11") if _is_another(text)),
        None,
    )
    if spec is None:
        pytest.skip("this machine has one Python only")
    shelf.wheel("lower", "1.5")
    built = build('lower==1.5 ; python_version == "0.1"\n', python=spec)
    assert built.version.startswith(f"{spec}.")
    assert built.markers["python_version"] == spec
    assert "lower" not in {entry.name for entry in built.installed}


def _is_another(spec: str) -> bool:
    from pytest_vcp.environment.interpreters import InterpreterNotFound, find

    try:
        return find(spec).version[:2] != sys.version_info[:2]
    except InterpreterNotFound:
        return False


def test_local_is_the_running_interpreter(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    request = EnvironmentRequest("local", find_running(), lock, b"", tmp_path / "cache")
    found = prepare(request, lambda text: None)
    assert found.python == Path(sys.executable)
    assert found.failure is None
    assert "pytest" in {entry.name for entry in found.installed}


def test_local_needs_no_cache(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the cache should be")
    lock = tmp_path / "requirements.txt"
    request = EnvironmentRequest("local", find_running(), lock, b"", tmp_path / "cache")
    assert prepare(request, lambda text: None).installed


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_cache_that_cannot_be_used_is_an_error_with_its_remedy(
    build: Builder, shelf: Shelf, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").write_text("not a directory")
    broken = Builder(build.package, tmp_path / place)
    with pytest.raises(ToolError, match="--vcp-cache-dir"):
        broken("lower==1.5\n")


def test_a_lock_that_changes_meanwhile_is_not_cached(build: Builder, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    request = build.request("lower==1.5\n")
    request.lock.write_text("lower == 1.5\n")
    with pytest.raises(ToolError, match="was changed while"):
        prepare(request, lambda text: None)
    assert build.folders() == []
