"""Large answers: held in files, and after the first for a part of the example."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.mutants.forward.outputs import both, declared, returning
from fixtures.references import PCA_50
from pytest_vcp.mlflow_cli.commands import SERVER_RULES
from tests.runs import Run, run_vcp

WIDTH = 5000
WIDE = f"scores = np.tile(scores, {WIDTH // 50})\n"
_WIDER = declared("(-1, 50)", f"(-1, {WIDTH})")


def judge(folder: Path, statements: str) -> Run:
    package = PCA_50.copy(folder)
    both(_WIDER, returning(WIDE + statements, above="import numpy as np"))(package)
    return run_vcp(package, PCA_50.options, commands=SERVER_RULES)


def test_a_model_with_large_answers_is_conformant(tmp_path: Path) -> None:
    run = judge(tmp_path, "return scores")
    assert run.code == 0, run.output
    assert [run.outcomes[rule] for rule in SERVER_RULES] == ["passed"] * 3, run.output
    # Besides six: of the server the example, one with an unknown param, and six at once.
    assert run.variant["figures"]["forward_passes"] == 6 + 1 + 1 + 6


CHANGES = """
self.asked = getattr(self, 'asked', 0) + 1
return scores + np.float32(self.asked > {after}) * (len(scores) {which} 48)
"""


@pytest.mark.parametrize("which", ["<", "=="])
def test_a_wrong_answer_is_found_in_a_part_and_in_the_whole(which: str, tmp_path: Path) -> None:
    """The server is a process of its own, where the model was asked for nothing before."""
    after = 2 if which == "<" else -1
    statements = (
        "import threading\n"
        "if threading.current_thread() is threading.main_thread():\n    return scores\n"
        + CHANGES.format(after=after, which=which)
    )
    run = judge(tmp_path, statements)
    broken = {rule: run.outcomes[rule] for rule in SERVER_RULES if run.outcomes[rule] != "passed"}
    wanted = {"VCP805": "advice"} if which == "<" else {"VCP804": "advice", "VCP805": "skipped"}
    assert broken == wanted, run.output
    entry = run.variant["rules"][next(iter(wanted))]
    assert "comes back changed" in entry["found"], run.output
