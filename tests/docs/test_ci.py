"""The pages on CI and submission: commands run, exit codes are those of the plugin."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.references import PCA_50
from pytest_vcp.report.outcomes import ERROR_EXIT, NONCONFORMANT_EXIT, UNVERIFIED_EXIT
from tests.docs.pages import DOCS, blocks, commands
from tests.runs import COMMAND_RULES, run_vcp

PAGE = DOCS / "how-to" / "ci.md"


def steps(value: Any) -> Iterator[str]:
    """What the jobs of a workflow run, wherever it stands: `run` on GitHub, `script` on GitLab."""
    if isinstance(value, dict):
        if isinstance(command := value.get("run"), str):
            yield command
        yield from value.get("script", [])
        for inner in value.values():
            yield from steps(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from steps(inner)


def gates() -> list[list[str]]:
    """The pytest commands of all workflows, as lists of words."""
    commands = (step for text in blocks(PAGE, "yaml") for step in steps(yaml.safe_load(text)))
    words = (shlex.split(text) for text in commands)
    return [command for command in words if command[0] == "pytest"]


def test_every_workflow_has_its_gate() -> None:
    assert len(gates()) == len(blocks(PAGE, "yaml")) == 3


@pytest.mark.parametrize("words", gates(), ids=" ".join)
def test_the_gate_passes(tmp_path: Path, words: list[str]) -> None:
    package = PCA_50.copy(tmp_path)
    (package / "pytest.ini").write_text(blocks(PAGE, "ini")[0], encoding="utf-8")
    if "--vcp-variant=all" in words:
        (package / "pytest.ini").unlink()
    # The environment is there already: a cache of the job's own would build it again.
    run = run_vcp(package, [word for word in words[1:] if "--vcp-cache-dir" not in word])
    assert run.code == 0, run.output
    assert run.report is not None
    assert run.report["verdict"] == "conformant"


@pytest.mark.parametrize("words", commands(DOCS / "how-to" / "submitting.md"), ids=" ".join)
def test_the_checklist_before_submission(tmp_path: Path, words: list[str]) -> None:
    package = PCA_50.copy(tmp_path)
    (package / "pytest.ini").write_text(blocks(PAGE, "ini")[0], encoding="utf-8")
    run = run_vcp(package, words[1:], commands=COMMAND_RULES)
    assert run.code == 0, run.output
    assert "CONFORMANT  default: " in run.output


def test_gitlab_finds_the_junit_file() -> None:
    text = next(text for text in blocks(PAGE, "yaml") if "junit" in text)
    job = yaml.safe_load(text)["conformance"]
    (words,) = (shlex.split(text) for text in job["script"])
    (file,) = (word.partition("=")[2] for word in words if word.startswith("--junitxml="))
    assert job["before_script"][-1] == "cd mlflow_pkg"
    assert job["artifacts"]["reports"]["junit"] == f"mlflow_pkg/{file}"


def test_the_exit_codes() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| (.+?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    told = {int(code): meaning for codes, meaning in rows for code in codes.split(",")}
    assert "a required rule failed" in told[NONCONFORMANT_EXIT]
    assert "its infrastructure failed" in told[ERROR_EXIT]
    assert "could not be judged" in told[UNVERIFIED_EXIT]
    assert "invalid option" in told[pytest.ExitCode.USAGE_ERROR]
    assert "no test" in told[pytest.ExitCode.NO_TESTS_COLLECTED]
