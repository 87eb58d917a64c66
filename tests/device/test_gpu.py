"""The packages with torch, unchanged, on a real GPU; their defects there are in tests/mutations."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.references import KNOCKOUT, VAE, VOLUMES, Reference
from pytest_vcp.evaluation import nvml
from tests.gpus import skip_on_another_python, skip_without_gpu
from tests.mutations.judging import assert_accepted
from tests.runs import run_vcp

JUDGED_THERE = ("VCP901", "VCP902", "VCP903", "VCP904", "VCP905", "VCP907")
# What other processes of the machine may take meanwhile.
SLACK_BYTES = 50_000_000


@pytest.mark.gpu
@pytest.mark.parametrize("sound", [VAE, KNOCKOUT, VOLUMES], ids=lambda sound: sound.name)
def test_a_reference_is_accepted_on_a_gpu(sound: Reference, tmp_path: Path) -> None:
    skip_on_another_python(sound)
    skip_without_gpu(sound)
    before = nvml.used_bytes()
    run = run_vcp(sound.copy(tmp_path, recorded=True), sound.options, "--vcp-device=cuda")
    assert_accepted(run)
    assert {run.outcomes[rule] for rule in JUDGED_THERE} == {"passed"}, run.output
    after = nvml.used_bytes()
    assert before is not None
    assert after is not None
    assert after - before < SLACK_BYTES, "memory of the model is still in use on the GPU"
    for name, figure in run.variant["figures"].items():
        print(f"{sound.name} {name}: {figure}")
