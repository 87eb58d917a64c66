"""The benchmark of repeated runs: it passes what is the same each time, and can fail."""

from __future__ import annotations

import re
from dataclasses import astuple
from pathlib import Path

import pytest

from benchmarks.repeats import repeated
from fixtures.mutants.forward.outputs import returning
from fixtures.references import PCA_50, Reference

# Within every tolerance, and never the same to the last bit.
UNSTEADY = """
noise = np.random.default_rng().random(scores.shape, dtype=np.float32)
return scores * (1 + np.float32(1e-5) * noise)
"""


class Unsteady(Reference):
    """A package that conforms, and predicts something else each time."""

    def copy(self, destination: Path, *, recorded: bool = False) -> Path:
        package = super().copy(destination, recorded=recorded)
        returning(UNSTEADY)(package)
        return package


def test_the_same_each_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert repeated(PCA_50, tmp_path, 2, commands=False)
    assert re.fullmatch(r"pbmc_pca-pcs50 +2 +1 +1 +1  conformant\n", capsys.readouterr().out)


def test_another_digest_each_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not repeated(Unsteady(*astuple(PCA_50)), tmp_path, 2, commands=False)
    row, told = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"pbmc_pca-pcs50 +2 +1 +1 +2  conformant", row)
    assert re.fullmatch(r"  the output: 1 times \w{64}, 1 times \w{64}", told)
