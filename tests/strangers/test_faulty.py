"""Faults as they come up in practice: the right rule rejects them, and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs import run_vcp
from tests.strangers import faulty
from tests.strangers.building import Stranger

FAULTS = {
    "needs the spec": (
        faulty.NEEDS_SPEC,
        "VCP701",
        ("No module named 'model_spec'", "model_code/model.py:3", "move it into model_code"),
    ),
    "writes beside its weights": (
        faulty.WRITES_BESIDE_WEIGHTS,
        "VCP703",
        ("PermissionError", "weights.txt.cache", "write into a directory from the tempfile module"),
    ),
    "downloads": (
        faulty.DOWNLOADS,
        "VCP702",
        ("name resolution", "put what is downloaded into model_data/"),
    ),
    "adds to its result": (
        faulty.ADDS_TO_ITS_RESULT,
        "VCP710",
        ("a second time: 6 of 6 values differ", "keep no state"),
    ),
    "order of a set": (
        faulty.ORDER_OF_A_SET,
        "VCP710",
        ("in another process:", "don't rely on the order of a set"),
    ),
}


@pytest.mark.parametrize(("stranger", "rule", "told"), FAULTS.values(), ids=list(FAULTS))
def test_a_fault_is_told(
    stranger: Stranger,
    rule: str,
    told: tuple[str, ...],
    tmp_path: Path,
    environment_python: Path,
) -> None:
    package = stranger.build(tmp_path, environment_python)

    run = run_vcp(package, stranger.options)

    failed = [entry for entry, word in run.outcomes.items() if word == "failed"]
    assert (run.code, failed) == (1, [rule]), run.output
    found = run.variant["rules"][rule]
    message = " ".join((found["found"], found["where"], found["remedy"]))
    assert [part for part in told if part not in message] == [], message
    assert not (package / "mlflow_model_artifact").exists()
