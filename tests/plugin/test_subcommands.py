"""`pytest-vcp COMMAND` and `python -m pytest_vcp COMMAND`: pytest's options by another name."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import pytest_vcp
from pytest_vcp import __main__ as command
from pytest_vcp.options import (
    ATTESTATION,
    CACHE,
    COMPARE_FLAG,
    DOCTOR_FLAG,
    LOCK_FLAG,
    RULES_FLAG,
)
from tests.runs import environment


def _run(tmp_path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest_vcp", *words],
        cwd=tmp_path,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["rules"], [f"{RULES_FLAG}="]),
        (["rules", "VCP705"], [f"{RULES_FLAG}=VCP705"]),
        (["lock"], [f"{LOCK_FLAG}="]),
        (["lock", "upgrade", "-q"], [f"{LOCK_FLAG}=upgrade", "-q"]),
        (["cache", "--vcp-cache-dir=x"], [f"{CACHE.flag}=show", "--vcp-cache-dir=x"]),
        (["cache", "prune"], [f"{CACHE.flag}=prune"]),
        (["doctor"], [DOCTOR_FLAG]),
        (["compare", "a", "b"], [COMPARE_FLAG, "a", "b"]),
        (["verify", "a.json", "dir"], [f"{ATTESTATION.flag}=a.json", "--vcp-verify-artifact=dir"]),
    ],
    ids=" ".join,
)
def test_a_subcommand_is_an_option(words: list[str], options: list[str]) -> None:
    assert command.pytest_options(words) == options


def test_it_prints_what_the_option_prints(tmp_path: Path) -> None:
    done = _run(tmp_path, "rules", "vcp705")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# VCP705: ")
    assert list(tmp_path.iterdir()) == []


def test_its_exit_code_is_that_of_the_option(tmp_path: Path) -> None:
    done = _run(tmp_path, "rules", "VCP999")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "there is no rule 'VCP999'" in done.stdout + done.stderr


@pytest.mark.parametrize("words", [[], ["loc"], ["verify", "attestation.json"], ["lock", "newer"]])
def test_a_wrong_command_line_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(words)
    assert ended.value.code == pytest.ExitCode.USAGE_ERROR
    assert "usage: pytest-vcp" in capsys.readouterr().err


def test_the_script_is_installed() -> None:
    (script,) = entry_points(group="console_scripts", name="pytest-vcp")
    assert script.load() is command.main


def test_the_public_names_are_there() -> None:
    assert all(isinstance(getattr(pytest_vcp, name), type) for name in pytest_vcp.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Workshop'"):
        _ = pytest_vcp.Workshop


def test_they_are_imported_when_asked_for() -> None:
    told = subprocess.check_output(
        [sys.executable, "-c", "import sys, pytest_vcp; print(*sys.modules)"], text=True
    )
    assert [name for name in told.split() if name.startswith("pytest_vcp.")] == []
