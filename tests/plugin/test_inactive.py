"""Installed and not asked for, the plugin is as good as not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_vcp.options import ACTIVATING, OPTIONS, Option
from tests.runs import environment

pytest_plugins = ["pytester"]

HEAVY = {"mlflow", "numpy", "pandas", "anndata", "torch", "jinja2", "yaml", "virtualenv"}
# What every pytest run on a machine with the plugin pays for.
THIN = {"pytest_vcp", "pytest_vcp.plugin", "pytest_vcp.options"}


def python(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run this Python in `cwd`, without anything that the tests around it have set."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def pytest_in(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(cwd, "-m", "pytest", "-p", "no:cacheprovider", *arguments)


def modules_told(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The last line of the output, a JSON list of modules."""
    assert done.returncode == 0, done.stdout
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_of_the_entry_point_is_light(tmp_path: Path) -> None:
    before_and_after = (
        "import json, sys, pytest; before = set(sys.modules); import pytest_vcp.plugin;"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    assert modules_told(python(tmp_path, "-c", before_and_after)) == THIN


def test_plain_run_loads_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "test_trivial.py").write_text("def test_trivial(): ...\n", encoding="utf-8")
    (tmp_path / "conftest.py").write_text(
        "import json, sys\n"
        "def pytest_unconfigure():\n"
        "    print()\n"
        "    print(json.dumps(sorted(sys.modules)))\n",
        encoding="utf-8",
    )
    modules = modules_told(pytest_in(tmp_path))
    assert "_pytest.main" in modules
    assert not modules & HEAVY
    assert {name for name in modules if name.split(".")[0] == "pytest_vcp"} == THIN


def test_plain_run_shows_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_trivial.py").write_text("def test_trivial(): ...\n", encoding="utf-8")
    run = pytest_in(tmp_path, "--strict-config", "--strict-markers")
    assert run.returncode == pytest.ExitCode.OK
    assert "vcp verdict" not in run.stdout
    assert "vcp package" not in run.stdout
    left = sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__")
    assert left == ["test_trivial.py"]


@pytest.mark.parametrize("option", [entry for entry in OPTIONS if entry.name not in ACTIVATING])
def test_other_options_need_a_model_class(pytester: pytest.Pytester, option: Option) -> None:
    flag = option.flag if option.metavar is None else f"{option.flag}=x"
    with pytest.raises(pytest.UsageError) as caught:
        pytester.parseconfigure(flag)
    assert str(caught.value).startswith(f"{option.flag} was given without --vcp-model-class: ")


def test_an_empty_model_class_is_a_wrong_one(pytester: pytest.Pytester) -> None:
    with pytest.raises(pytest.UsageError) as caught:
        pytester.parseconfigure("--vcp-model-class=")
    assert str(caught.value).startswith("--vcp-model-class: '' is not usable; write MODULE:CLASS")


def test_the_suite_by_itself_says_what_it_needs(tmp_path: Path) -> None:
    run = pytest_in(tmp_path, "--pyargs", "pytest_vcp.conformance")
    assert run.returncode == pytest.ExitCode.USAGE_ERROR
    assert "the conformance suite needs a package: add --vcp-model-class" in run.stdout


def test_options_are_in_the_help(tmp_path: Path) -> None:
    told = pytest_in(tmp_path, "--help").stdout
    missing = [word for option in OPTIONS for word in (option.flag, option.key) if word not in told]
    assert missing == []
