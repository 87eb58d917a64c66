"""What a run says when not the package but what is around it is at fault, or is unusual."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

import pytest_vcp
from fixtures.environments import environment_of
from fixtures.references import PCA_50
from pytest_vcp.rules import suite
from tests.runs import command, environment, run_vcp

# Refuses connections at once: nothing listens on the discard port of this machine.
UNREACHABLE = {
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_NO_INDEX": "0",
    "PIP_RETRIES": "0",
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_CACHE_DIR": "1",
}


@pytest.mark.parametrize("parallel", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_index_unreachable(package: Path, parallel: tuple[str, ...]) -> None:
    if parallel:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    (package / "requirements.txt").open("a").write("colorama==0.4.6\n")
    options = [*PCA_50.options, "--vcp-cache-dir=../cache", *parallel]
    run = run_vcp(package, options, env=UNREACHABLE)
    assert run.code == 10, run.output
    assert run.report is not None
    assert run.report["verdict"] == "error"
    assert "failed" not in run.outcomes.values(), "the package is blamed"
    assert "skipped" not in run.outcomes.values(), "the author is told to fix a rule"
    errors = [rule for rule, word in run.outcomes.items() if word == "error"]
    assert errors == ["VCP207"], "the first rule that needs the index"
    entry = run.variant["rules"]["VCP207"]
    assert "requirements.txt was installed" in entry["message"]
    assert "check the connection" in entry["remedy"]
    later = run.variant["rules"]["VCP701"]
    assert (later["outcome"], later["message"]) == ("unverified", "the error at VCP207 came first")
    assert "ERROR  default: " in run.output
    assert "Traceback" not in run.output
    assert run.output.count("check the connection") == 2  # where it happened, and in the verdict
    assert not [path for path in package.parent.glob("cache/environments/*/*") if path.is_dir()]
    assert not list(package.glob(".mlflow_model_artifact*"))


def test_error_comes_before_unverified_under_a_gate(package: Path) -> None:
    (package / "requirements.txt").open("a").write("colorama==0.4.6\n")
    options = [*PCA_50.options, "--vcp-cache-dir=../cache", "--vcp-must-verify=all"]
    assert run_vcp(package, options, env=UNREACHABLE).code == 10


@pytest.fixture
def locked_python(package: Path) -> Path:
    """An interpreter with everything that the package's lock pins, and nothing else."""
    return environment_of(package / "requirements.txt").python


@pytest.fixture
def plugin_path(tmp_path: Path) -> str:
    """The plugin as a wheel lays it out, and this environment's libraries, as a search path."""
    folder = tmp_path / "plugin"
    source = Path(pytest_vcp.__file__).parent
    litter = shutil.ignore_patterns("__pycache__", "conformance", "rule_pages")
    shutil.copytree(source, folder / "pytest_vcp", ignore=litter)
    shutil.copytree(suite.directory(), folder / "pytest_vcp" / "conformance")
    shutil.copytree(suite.page("VCP101").parent, folder / "pytest_vcp" / "rule_pages")
    return os.pathsep.join([str(folder), sysconfig.get_path("purelib")])


def test_local_environment(package: Path, locked_python: Path, plugin_path: str) -> None:
    """The running interpreter has the lock; that a hub could build it stays unproved."""

    def run(*extra: str) -> subprocess.CompletedProcess[str]:
        options = [*PCA_50.options, "--vcp-env-manager=local", "-p", "pytest_vcp.plugin", *extra]
        # Two environments are mixed here: plugins found by their metadata may lie in the other.
        variables = {"PYTHONPATH": plugin_path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(
            [str(locked_python), *command(options)[1:]],
            cwd=package,
            env=environment(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    done = run()
    assert done.returncode == 0, done.stdout
    assert "vcp environment: local (option), " in done.stdout
    assert "CONFORMANT  default: " in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if "VCP302" in line]
    assert line.startswith("  unverified  VCP208, VCP302: the running interpreter was used as is")
    gate = run("--vcp-must-verify=VCP302", "-k", "vcp302")
    assert gate.returncode == 11, gate.stdout


def test_local_environment_without_the_lock(package: Path) -> None:
    """The interpreter that runs the tests has no MLflow: the rules say so, not an import error."""
    run = run_vcp(package, PCA_50.options, "--vcp-env-manager=local")
    assert run.code == 1
    assert run.outcomes["VCP302"] == "unverified"
    assert run.outcomes["VCP304"] == "failed"
    assert "Traceback" not in run.output
