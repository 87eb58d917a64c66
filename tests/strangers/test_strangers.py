"""Packages never seen before conform: other libraries, other inputs, other ways to write them."""

from __future__ import annotations

from pathlib import Path

import pytest

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


@pytest.mark.parametrize("stranger", STRANGERS, ids=lambda stranger: stranger.name)
def test_a_stranger_conforms(stranger: Stranger, tmp_path: Path, environment_python: Path) -> None:
    package = stranger.build(tmp_path, environment_python)
    variables = {name: value.format(package=package) for name, value in stranger.variables.items()}

    run = run_vcp(package, stranger.options, env=variables)

    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant"
    assert {rule for rule, word in run.not_passed.items() if word == "advice"} == stranger.advice
    # No recorded output; no GPU, or no library that would use one.
    assert set(run.not_passed) <= OPEN_HERE | stranger.advice, run.output
    assert set(run.not_passed.values()) <= {"unverified", "advice"}
    assert_every_entrance_agrees(run, package, stranger.options, tmp_path, variables)
