"""The whole plugin on every mutant: rejected by its rule alone."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from fixtures.environments import adopt
from fixtures.mutants import Mutation
from fixtures.mutants.environment import EnvironmentMutation
from fixtures.mutants.requirements import PythonsMutation
from fixtures.mutations import (
    ENVIRONMENT_MUTATIONS,
    MUTATIONS,
    ON_A_GPU,
    environ,
    options,
    reference,
)
from fixtures.references import PACKAGES
from pytest_vcp.mlflow_cli.commands import SERVER_RULES
from pytest_vcp.rules.registry import BY_ID
from tests.gpus import skip_on_another_python, skip_without_gpu
from tests.levels import level_of
from tests.mutations.judging import RECORDED, assert_rejected, entries
from tests.runs import COMMAND_RULES, PREDICT_RULES, Run, run_vcp

Recorder = Callable[[str, object], None]

# Rules of the build itself: their mutants never get an environment.
BUILD_RULES = ("VCP207", "VCP208", "VCP302")
# Rules whose mutants are about what a process has imported, or finds, when it starts.
COLD_RULES = ("VCP611", "VCP701", "VCP720")

# Of each section, the last that needs no torch, no new environment and no command of MLflow.
SAMPLES = {
    mutation.rule[3]: mutation
    for mutation in MUTATIONS
    if mutation.package == "pbmc_pca" and mutation.rule not in (*BUILD_RULES, *COMMAND_RULES)
}.values()


def title(mutation: Mutation | EnvironmentMutation) -> str:
    return f"{mutation.rule}-{mutation.name}"


def parameter(mutation: Mutation) -> ParameterSet:
    marks = [pytest.mark.gpu] if mutation in ON_A_GPU else []
    if mutation in SAMPLES:
        marks.append(pytest.mark.sample)
    return pytest.param(mutation, marks=marks, id=title(mutation))


def record_message(run: Run, rule: str, record_property: Recorder) -> None:
    """Keep what the report says, for the page that `table` writes."""
    for part in ("expected", "found", "where", "remedy"):
        text = run.variant["rules"][rule].get(part, "")
        text = text.replace("PACKAGE/", "").replace("PACKAGE", ".")
        record_property(part, re.sub(r"\S+/environments/\w+/\w+/", "ENVIRONMENT/", text))


@pytest.mark.parametrize("mutation", [parameter(mutation) for mutation in MUTATIONS])
def test_a_mutant_is_rejected_by_its_rule_alone(
    mutation: Mutation, tmp_path: Path, record_property: Recorder
) -> None:
    _skip_unless_it_can_run(mutation)
    # What is broken is seldom the model any more whose output was recorded.
    package = reference(mutation).copy(tmp_path, recorded=mutation.rule == RECORDED)
    mutation.apply(package)
    before = entries(package)
    cache = tmp_path / "cache"
    ends_early = BY_ID[mutation.rule].stage == "static" and level_of(mutation.rule) == "required"
    never_built = mutation.rule in BUILD_RULES and not isinstance(mutation, PythonsMutation)
    needs_none = ends_early or never_built
    adopts = isinstance(mutation, PythonsMutation) and _adopt(mutation, package, cache)
    extra = [f"--vcp-cache-dir={cache}"] if needs_none or adopts else []
    if level_of(mutation.rule) == "advice":
        extra.append("--vcp-strict")
    if _is_further_shape(mutation):
        extra.append("--vcp-skip-inference")
    run = run_vcp(
        package,
        options(mutation),
        *extra,
        env=environ(mutation),
        commands=_commands(mutation.rule),
        cold=_is_cold(mutation),
    )

    assert_rejected(run, mutation.rule, reference(mutation).advice)
    record_message(run, mutation.rule, record_property)
    assert entries(package) - before == set(mutation.leaves), run.output
    if ends_early:
        assert not (cache / "environments").exists(), "building began before the files were right"
    if adopts:
        shutil.rmtree(cache)
    assert list(cache.glob("environments/*/*")) == [], run.output


@pytest.mark.parametrize("mutation", ENVIRONMENT_MUTATIONS, ids=title)
def test_an_altered_environment_is_rejected_by_its_rule_alone(
    mutation: EnvironmentMutation, tmp_path: Path, record_property: Recorder
) -> None:
    package = reference(mutation).copy(tmp_path)
    before = entries(package)
    lock, cache = package / "requirements.txt", tmp_path / "cache"
    mutation.alter(adopt(lock, lock, cache).directory)

    extra = ["--vcp-strict"] if level_of(mutation.rule) == "advice" else []

    run = run_vcp(package, reference(mutation).options, f"--vcp-cache-dir={cache}", *extra)

    assert_rejected(run, mutation.rule)
    record_message(run, mutation.rule, record_property)
    assert entries(package) == before, run.output
    shutil.rmtree(cache)  # It has tens of thousands of files; pytest would keep three of each.


def _adopt(mutation: Mutation, package: Path, cache: Path) -> bool:
    """Give a lock that lacks what another Python needs the environment of the sound one.

    On the running Python both come to the same.
    """
    sound = PACKAGES / mutation.package / "mlflow_pkg" / "requirements.txt"
    lock = package / "requirements.txt"
    if lock.read_bytes() == sound.read_bytes():
        return False
    adopt(sound, lock, cache)
    return True


def _commands(rule: str) -> Collection[str]:
    """The rules that are judged by the same command of MLflow; by both, where all is cold."""
    if rule in COMMAND_RULES and os.environ.get("VCP_TEST_COLD"):
        return COMMAND_RULES
    return next((rules for rules in (PREDICT_RULES, SERVER_RULES) if rule in rules), ())


def _is_further_shape(mutation: Mutation) -> bool:
    """Whether another mutant shows already what a broken rule of packaging does to a whole run.

    No model is loaded after such a rule; to start the process for it takes half of the time.
    """
    first = next(entry for entry in MUTATIONS if entry.rule == mutation.rule)
    packaging = BY_ID[mutation.rule].stage in ("spec", "artifact")
    return mutation is not first and packaging and level_of(mutation.rule) == "required"


def _is_cold(mutation: Mutation) -> bool:
    """Whether its run is to be started as a user's is: the first of each stage, and some rules."""
    of_its_stage = (
        entry for entry in MUTATIONS if BY_ID[entry.rule].stage == BY_ID[mutation.rule].stage
    )
    return mutation.rule in COLD_RULES or mutation is next(of_its_stage)


def _skip_unless_it_can_run(mutation: Mutation) -> None:
    skip_on_another_python(reference(mutation))
    if mutation in ON_A_GPU:
        skip_without_gpu(reference(mutation))
