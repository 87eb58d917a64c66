"""The rules of section 3 and VCP208, judged on facts made by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from conformance import test_environment as suite
from conformance import test_requirements as resolution
from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.inspection import Installed, MlflowFacts
from pytest_vcp.environment.other_pythons import OtherPython
from pytest_vcp.environment.pip_messages import BuildFailure, FailureKind, Refused
from pytest_vcp.environment.resolution import applying
from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.requirements.lock import Lock, read_lock
from pytest_vcp.rules.outcomes import Blocked, Location, Unverified, Violation
from pytest_vcp.settings.policy import load_policy
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.worker.failure import WorkerFailure

SOUND = Environment(
    manager="virtualenv",
    directory=Path("/cache/env"),
    python=Path("/cache/env/bin/python"),
    version="3.11.7",
    installed=(
        Installed("mlflow", "3.1.0", "/cache/env/mlflow-3.1.0.dist-info"),
        Installed("torch", "2.1.0+cpu", "/cache/env/torch-2.1.0+cpu.dist-info"),
        Installed("unpinned", "1", "/cache/env/unpinned-1.dist-info"),
    ),
    broken=(),
    mlflow=MlflowFacts("3.1.0", False, ()),
    markers={"python_version": "3.11", "sys_platform": "linux"},
)


@dataclass(frozen=True)
class _Settings:
    target_python: tuple[int, int] = (3, 11)
    policy: object = load_policy()


def settings(python: tuple[int, int] = (3, 11)) -> Settings:
    return cast(Settings, _Settings(python))


def failed(kind: FailureKind, *, resolved: bool = False) -> Environment:
    failure = BuildFailure(kind, "headline", ("a depends on b", "c"), Path("pip.log"), resolved)
    return replace(SOUND, failure=failure, installed=(), broken=None)


def lock(tmp_path: Path, text: str) -> Lock:
    (tmp_path / "requirements.txt").write_text(text)
    return read_lock(tmp_path)


def received(caught: pytest.ExceptionInfo[Violation]) -> str:
    return caught.value.found


def test_a_sound_environment_holds_all(tmp_path: Path) -> None:
    pins = lock(tmp_path, "torch==2.1.0\nmlflow==3.1.0\ntomli==2.0 ; python_version < '3.11'\n")
    resolution.test_vcp208_resolver_accepts_the_lock(SOUND)
    suite.test_vcp301_target_python_is_accepted(settings())
    suite.test_vcp302_environment_builds(SOUND, settings())
    suite.test_vcp303_pip_check_is_clean(SOUND)
    suite.test_vcp304_what_is_pinned_is_installed(SOUND, pins)
    suite.test_vcp305_mlflow_is_the_platforms_and_whole(SOUND, settings())
    suite.test_vcp306_code_imports_in_the_environment(Reply(None))


@pytest.mark.parametrize("kind", ["resolver", "unavailable"])
def test_a_refused_lock_fails_208_alone(kind: FailureKind) -> None:
    with pytest.raises(Violation, match=r"found (a depends on b; c|headline: c)"):
        resolution.test_vcp208_resolver_accepts_the_lock(failed(kind))
    with pytest.raises(Blocked, match="VCP208"):
        suite.test_vcp302_environment_builds(failed(kind), settings())


def test_a_failed_build_fails_302_alone() -> None:
    with pytest.raises(Violation, match="headline"):
        suite.test_vcp302_environment_builds(failed("build"), settings())
    with pytest.raises(Blocked, match="VCP302"):
        resolution.test_vcp208_resolver_accepts_the_lock(failed("build"))
    resolution.test_vcp208_resolver_accepts_the_lock(failed("build", resolved=True))


def test_nothing_is_built_for_local() -> None:
    local = replace(SOUND, manager="local")
    with pytest.raises(Unverified, match="--vcp-env-manager local"):
        resolution.test_vcp208_resolver_accepts_the_lock(local)
    with pytest.raises(Unverified, match="--vcp-env-manager local"):
        suite.test_vcp302_environment_builds(local, settings())


def test_a_manager_that_the_platform_does_not_use_is_unverified() -> None:
    suite.test_vcp302_environment_builds(SOUND, settings())
    suite.test_vcp302_environment_builds(replace(SOUND, manager="conda"), settings())
    other = cast(Settings, _Settings(policy=replace(load_policy(), env_managers=("conda",))))
    with pytest.raises(Unverified, match="builds with conda, not with virtualenv"):
        suite.test_vcp302_environment_builds(SOUND, other)


@pytest.mark.parametrize(
    ("requires", "advised"),
    [
        ("<3.11,>=3.8", "package on Python 3.10 (--vcp-python), or"),
        (">=3.13", "package on Python 3.13 (--vcp-python), or"),
        ("<3.10", "change requirements.in"),
        (">=3.99", "change requirements.in"),
    ],
)
def test_a_python_that_207_advises_is_one_that_301_accepts(
    tmp_path: Path, requires: str, advised: str
) -> None:
    failure = BuildFailure(
        "python", "headline", (), Path("pip.log"), refused=Refused("torch", requires)
    )
    broken = replace(SOUND, failure=failure, installed=(), broken=None)
    pins = lock(tmp_path, "torch==2.1.0\n")
    with pytest.raises(Violation) as caught:
        resolution.test_vcp207_every_pin_admits_the_python(broken, pins, (), settings())
    assert caught.value.remedy.startswith(advised)


def elsewhere(lock: Lock, **found: object) -> OtherPython:
    """What was found out about a lock on Python 3.13, where its markers are evaluated."""
    markers = {"python_version": "3.13", "sys_platform": "linux"}
    installed = cast(tuple[Installed, ...], found.pop("installed", ()))
    there = replace(SOUND, version="3.13.99", markers=markers, installed=installed)
    return replace(OtherPython("3.13", there), **cast(dict[str, Any], found))


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"refused": Refused("torch", "<3.13")}, "torch==2.1.0, which requires Python <3.13"),
        ({"missing": "torch"}, "torch==2.1.0, which has no file for it in any index"),
    ],
)
def test_a_pin_that_another_python_refuses_fails_207(
    tmp_path: Path, found: dict[str, object], words: str
) -> None:
    pins = lock(tmp_path, "torch==2.0.0 ; python_version < '3.12'\ntorch==2.1.0\n")
    other = elsewhere(pins, **found)
    with pytest.raises(Violation) as caught:
        resolution.test_vcp207_every_pin_admits_the_python(SOUND, pins, (other,), settings())
    assert caught.value.expected == "torch in a release for Python 3.13, which the policy names"
    assert received(caught) == words
    assert caught.value.where == Location("requirements.txt", 2)
    assert all(len(text) <= 100 for text in (caught.value.remedy, caught.value.expected))
    # What the pins need there is not known then, and is no second fault.
    resolution.test_vcp209_everything_needed_is_pinned(SOUND, {}, pins, (other,))


@pytest.mark.parametrize(
    ("needs", "name", "binds"),
    [
        (("setuptools<70",), "setuptools", False),
        (("pip", "wheel"), "pip", False),
        (("setuptools", "unpinned"), "unpinned", True),
    ],
)
def test_what_pip_compile_leaves_out_is_advice(
    tmp_path: Path, needs: tuple[str, ...], name: str, binds: bool
) -> None:
    pins = lock(tmp_path, "torch==2.1.0\n")
    torch = Installed("torch", "2.1.0", "", needs)
    others = tuple(Installed(need.partition("<")[0], "1.0", "") for need in needs)
    built = replace(SOUND, installed=(torch, *others))
    here = {"torch": pins.pinned[0]}
    with pytest.raises(Violation, match=f"none for {name}, which torch needs") as caught:
        resolution.test_vcp209_everything_needed_is_pinned(built, here, pins, ())
    assert caught.value.binds is binds


def test_what_nobody_can_say_of_another_python_is_unverified(tmp_path: Path) -> None:
    pins = lock(tmp_path, "torch==2.1.0\n")
    other = elsewhere(pins, unjudged=("odd==1", "odder==1"))
    with pytest.raises(Unverified, match=r"odd==1 \(and 1 more\) has no wheel for Python 3\.13"):
        resolution.test_vcp207_every_pin_admits_the_python(SOUND, pins, (other,), settings())
    local = replace(SOUND, manager="local")
    named = cast(Settings, _Settings(policy=replace(load_policy(), pythons=((3, 13),))))
    with pytest.raises(Unverified, match="the pip in a built environment"):
        resolution.test_vcp207_every_pin_admits_the_python(local, pins, (), named)


@pytest.mark.parametrize(
    ("pinned", "words", "line"),
    [
        ("", "none, and torch needs numpy>=2 there", 1),
        ("numpy==1.26.4\n", "numpy==1.26.4, and torch needs numpy>=2 there", 2),
        (
            "numpy==1.26.4 ; python_version < '3.13'\nnumpy==2.1.0 ; python_version > '3.12'\n",
            "",
            0,
        ),
    ],
)
def test_what_only_another_python_lacks_fails_209(
    tmp_path: Path, pinned: str, words: str, line: int
) -> None:
    pins = lock(tmp_path, f"torch==2.1.0\n{pinned}")
    needs = ("numpy>=2 ; python_version >= '3.13'", "tomli ; python_version < '3.13'")
    _, *numpy = applying(pins.pinned, elsewhere(pins).environment)
    versions = tuple(Installed("numpy", str(entry.exact_version), "") for entry in numpy)
    other = elsewhere(pins, installed=(Installed("torch", "2.1.0", "", needs), *versions))
    resolution.test_vcp207_every_pin_admits_the_python(SOUND, pins, (other,), settings())
    if not words:
        resolution.test_vcp209_everything_needed_is_pinned(SOUND, {}, pins, (other,))
        return
    with pytest.raises(Violation) as caught:
        resolution.test_vcp209_everything_needed_is_pinned(SOUND, {}, pins, (other,))
    assert received(caught) == words
    assert "numpy" in caught.value.remedy
    assert caught.value.where == Location("requirements.txt", line)


def test_an_old_python_fails_301() -> None:
    with pytest.raises(Violation, match=r"3\.10 or newer; found Python 3\.9"):
        suite.test_vcp301_target_python_is_accepted(settings((3, 9)))


def test_a_broken_requirement_fails_303() -> None:
    with pytest.raises(Violation) as caught:
        suite.test_vcp303_pip_check_is_clean(replace(SOUND, broken=("a requires b", "c", "d")))
    assert received(caught) == "a requires b (and 2 more)"
    with pytest.raises(Unverified, match="no pip"):
        suite.test_vcp303_pip_check_is_clean(replace(SOUND, broken=None))


@pytest.mark.parametrize(
    ("pin", "words"),
    [
        ("torch==2.1.1", "torch 2.1.0+cpu is installed, pinned is ==2.1.1"),
        ("torch==2.1.0+cu118", "torch 2.1.0+cpu is installed"),
        ("absent==1", "absent is not installed"),
        ("absent==1 ; sys_platform == 'linux'", "absent is not installed"),
    ],
)
def test_what_differs_from_its_pin_fails_304(tmp_path: Path, pin: str, words: str) -> None:
    with pytest.raises(Violation) as caught:
        suite.test_vcp304_what_is_pinned_is_installed(SOUND, lock(tmp_path, f"# x\n{pin}\n"))
    assert words in received(caught)
    assert caught.value.where == Location("requirements.txt", 2)


def test_two_copies_fail_304(tmp_path: Path) -> None:
    again = Installed("torch", "2.1.0", "/cache/env/torch-2.1.0.dist-info")
    twice = replace(SOUND, installed=(*SOUND.installed, again))
    with pytest.raises(Violation, match="torch is installed 2 times"):
        suite.test_vcp304_what_is_pinned_is_installed(twice, lock(tmp_path, "torch==2.1.0\n"))


def test_a_version_that_is_none_fails_304(tmp_path: Path) -> None:
    odd = replace(SOUND, installed=(Installed("odd", "unknown", "/cache/env/odd.egg-info"),))
    with pytest.raises(Violation, match="odd unknown is installed"):
        suite.test_vcp304_what_is_pinned_is_installed(odd, lock(tmp_path, "odd==1\n"))


@pytest.mark.parametrize(
    ("version", "facts", "words"),
    [
        (None, MlflowFacts(None, True, ("mlflow/server/__init__.py",)), "mlflow-skinny alone"),
        (None, MlflowFacts(None, False, ("mlflow/__init__.py",)), "mlflow is not installed"),
        ("3.2.0", MlflowFacts("3.2.0", False, ()), "mlflow 3.2.0 is installed"),
        ("3.1.0", MlflowFacts("3.1.0", False, ("mlflow/a.py", "b")), "no mlflow/a.py (and 1 more)"),
    ],
)
def test_another_mlflow_fails_305_alone(
    tmp_path: Path, version: str | None, facts: MlflowFacts, words: str
) -> None:
    entries = (Installed("mlflow", version, "/cache/env/mlflow.dist-info"),) if version else ()
    broken = replace(SOUND, installed=entries, mlflow=facts)
    with pytest.raises(Violation) as caught:
        suite.test_vcp305_mlflow_is_the_platforms_and_whole(broken, settings())
    assert words in received(caught)
    suite.test_vcp304_what_is_pinned_is_installed(broken, lock(tmp_path, "mlflow==3.1.0\n"))


@pytest.mark.parametrize(
    ("exception", "remedy"),
    [
        ("ModuleNotFoundError", "requirements.in"),
        ("SystemExit", "without sys.exit"),
        ("FileNotFoundError", "importing must only define"),
        ("RuntimeError", ""),
        (None, ""),
    ],
)
def test_an_import_that_fails_fails_306(exception: str | None, remedy: str) -> None:
    where = Location("model_spec.py", 3)
    failure = WorkerFailure(
        kind="raised", method="import", summary="it broke", where=where, exception=exception
    )
    with pytest.raises(Violation) as caught:
        suite.test_vcp306_code_imports_in_the_environment(Reply(None, failure))
    assert received(caught) == "it broke"
    assert caught.value.where == where
    assert remedy in caught.value.remedy
    assert bool(remedy) is bool(caught.value.remedy)


def test_messages_fit_the_terminal() -> None:
    for caught in (failed("resolver"), failed("unavailable")):
        with pytest.raises(Violation) as info:
            resolution.test_vcp208_resolver_accepts_the_lock(caught)
        lines = [info.value.expected, *info.value.found.splitlines(), info.value.remedy]
        assert all(len(line) <= 100 for line in lines)
        assert len(lines) <= 5
