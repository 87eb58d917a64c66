"""The page on several Pythons: its matrix is run for real, and its table is what comes of it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from fixtures.environments import CACHE_VARIABLE
from fixtures.mutants import append_text
from fixtures.references import PCA_50
from pytest_vcp.environment import interpreters
from pytest_vcp.report.json import STEPS
from tests.docs.pages import DOCS, blocks, commands
from tests.runs import COMMAND_RULES, environment, run_vcp

PAGE = DOCS / "how-to" / "pythons.md"
CI = DOCS / "how-to" / "ci.md"
# Of those on the page, the one that runs the tests and one that the model does not know.
PYTHONS = ("3.11", "3.13")
# What the plugin is installed from.
PLUGIN = ("pyproject.toml", "README.md", "LICENSE", "pytest_vcp", "conformance", "docs/rules")
# Loads everywhere but on 3.13: what the last column is for.
STUBBORN = """

def _load_context(self, context, load=PbmcPcaMLflowModel.load_context):
    import sys

    if sys.version_info >= (3, 13):
        raise RuntimeError("this model knows no such Python")
    return load(self, context)


PbmcPcaMLflowModel.load_context = _load_context
"""


def found() -> list[interpreters.Interpreter]:
    """Those that are installed here."""
    there = []
    for python in PYTHONS:
        try:
            there.append(interpreters.find(python))
        except interpreters.InterpreterNotFound:
            continue
    return there


def with_all(there: Iterable[interpreters.Interpreter]) -> dict[str, str]:
    """The environment of a shell where all of them are on PATH, behind what is there already."""
    inherited = environment()
    places = [inherited["PATH"], *(str(entry.executable.parent) for entry in there)]
    return {**inherited, "PATH": os.pathsep.join(places)}


def environments() -> str:
    """Their environments in the tox.ini of the page, and the one that compares."""
    return ",".join((*(f"py{python.replace('.', '')}" for python in PYTHONS), "compare"))


def project(root: Path) -> Path:
    """The clone of the plugin, a package, and the tox.ini of the page, side by side."""
    package = PCA_50.copy(root)
    append_text(package / "model_code" / "pbmc_pca_mlflow_model.py", STUBBORN)
    (package / "pytest.ini").write_text(blocks(CI, "ini")[0], encoding="utf-8")
    (package.parent / "tox.ini").write_text(blocks(PAGE, "ini")[0], encoding="utf-8")
    clone = package.parent / "pytest-vcp"
    for name in PLUGIN:
        source = DOCS.parent / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, clone / name, ignore=ignored)
        else:
            clone.mkdir(exist_ok=True)
            shutil.copy(source, clone / name)
    return package.parent


def test_the_matrix(tmp_path: Path) -> None:
    if importlib.util.find_spec("tox") is None:
        pytest.skip("tox is not installed beside these tests")
    folder = project(tmp_path)
    (words,) = (command for command in commands(PAGE) if "tox" in command)
    cache = environment().get(CACHE_VARIABLE)
    options = [f"--vcp-cache-dir={cache}"] if cache else []
    # MLflow's own commands build environments of their own; they are not what is shown here, and
    # neither are pictures.
    options += ["--vcp-no-pictures", "-k", f"not ({' or '.join(COMMAND_RULES).lower()})"]
    done = subprocess.run(
        [sys.executable, *words[1:], "--colored=no", "-e", environments(), "--", *options],
        cwd=folder,
        env=with_all(found()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    rows = [line.split() for line in done.stdout.splitlines() if re.match(r"3\.\d+\.\d+ ", line)]
    told = [(row[0], *row[2:7]) for row in rows]
    sound = ("conformant", "yes", "yes", "yes", "yes")
    broken = ("nonconformant", "yes", "yes", "no", "-")
    wanted = [
        (".".join(map(str, entry.version)), *(broken if entry.version >= (3, 13) else sound))
        for entry in found()
    ]
    assert told == wanted, done.stdout
    last = [" ".join(row[7:]) for row in rows if row[0].startswith("3.13")]
    assert all(text.startswith("VCP701: model_code/") for text in last), done.stdout
    assert done.returncode == (1 if last else 0), done.stdout


def test_the_table_of_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    (title,) = (line for line in text.splitlines() if line.startswith("Python "))
    assert title.split() == ["Python", "variant", "verdict", *STEPS, "fix", "first"]
    (entry,) = blocks(PAGE, "json")
    assert set(json.loads(entry)["python"]) == {"version", "lock", *STEPS}


def test_the_policy_of_the_page(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    (package / "hub.yaml").write_text(blocks(PAGE, "yaml")[0], encoding="utf-8")
    (words,) = (command for command in commands(PAGE) if "--vcp-policy=hub.yaml" in command)
    run = run_vcp(package, PCA_50.options, *words[1:], "-k", "vcp207 or vcp209")
    assert (run.outcomes["VCP207"], run.outcomes["VCP209"]) == ("passed", "passed"), run.output
