"""One output for all cells of an input: legal, where its author says so."""

from __future__ import annotations

from pathlib import Path

from fixtures.mutants.forward.outputs import returning
from fixtures.references import PCA_50
from tests.runs import run_vcp


def test_a_pooled_output_conforms_with_a_waiver(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    returning("return scores.mean(axis=0, keepdims=True)")(package)

    run = run_vcp(package, PCA_50.options, "--vcp-waive=VCP709: one embedding for each sample")

    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant", run.output
    assert run.outcomes["VCP709"] == "waived", run.output
    open_ones = {rule for rule, word in run.not_passed.items() if word == "unverified"}
    assert run.not_passed.keys() - {"VCP709"} == open_ones, run.output
    assert (package / "mlflow_model_artifact" / "MLmodel").is_file()
