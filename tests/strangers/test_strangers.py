"""Packages never seen before conform: other libraries, other inputs, other ways to write them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fixtures.environments import environment_of
from fixtures.references import KNOCKOUT, PACKAGES, PCA_50, VAE
from tests.mutations.judging import OPEN_HERE
from tests.oracle.entrances import assert_every_entrance_agrees
from tests.runs import run_vcp
from tests.strangers.building import Stranger
from tests.strangers.cells import SCORER
from tests.strangers.images import COUNTER, DENOISER
from tests.strangers.tables import CELL_TYPER, PERTURBATION
from tests.strangers.texts import ANNOTATOR
from tests.strangers.volumes import PROFILER

STRANGERS = (CELL_TYPER, PERTURBATION, DENOISER, COUNTER, ANNOTATOR, SCORER, PROFILER)


# With the lock that a compiler writes as it is: uv for the first half, pip-compile for the rest.
PLAIN = {
    stranger.name: VAE if position < len(STRANGERS) // 2 else KNOCKOUT
    for position, stranger in enumerate(STRANGERS)
}


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: stranger.name)
def test_a_stranger_conforms(stranger: Stranger, tmp_path: Path) -> None:
    # A lock with torch is for one Python; the careful one is for all.
    plain = PLAIN[stranger.name]
    sound = plain if plain.python == sys.version_info[:2] else PCA_50
    advice = stranger.advice | sound.advice
    lock_from = PACKAGES / sound.package / "mlflow_pkg"
    python = environment_of(lock_from / "requirements.txt").python
    package = stranger.build(tmp_path, python, lock_from)
    variables = {name: value.format(package=package) for name, value in stranger.variables.items()}

    run = run_vcp(package, stranger.options, env=variables)

    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant"
    assert {rule for rule, word in run.not_passed.items() if word == "advice"} == advice
    # No recorded output; no GPU, or no library that would use one.
    assert set(run.not_passed) <= OPEN_HERE | advice, run.output
    assert set(run.not_passed.values()) <= {"unverified", "advice"}
    assert_every_entrance_agrees(run, package, stranger.options, tmp_path, variables)
