"""The page on expected outputs: what it records is there, is read, and is compared with."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from fixtures.references import PCA_50
from tests.docs.pages import DOCS, blocks, commands
from tests.runs import run_vcp

PAGE = DOCS / "how-to" / "expected.md"


def test_the_commands(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    record, look, compare = commands(PAGE)
    recorded = run_vcp(package, record[1:])
    assert recorded.code == 0, recorded.output
    (package / "policy.yaml").write_text(blocks(PAGE, "yaml")[0], encoding="utf-8")
    compared = run_vcp(package, ["--vcp-variant=pcs50", "-k", "vcp714"], *compare[1:])
    assert compared.outcomes["VCP714"] == "passed", compared.output
    if shutil.which(look[0]) is None:
        pytest.skip(f"{look[0]} is not installed: what was recorded was not looked at")
    text = subprocess.run(look, cwd=package, stdout=subprocess.PIPE, text=True, check=True).stdout
    tolerance = json.loads(text)["tolerance"]
    # Recorded with the shipped policy.
    assert (tolerance["absolute"], tolerance["relative"]) == (1e-4, 1e-3)
