"""The page on tracking: what its command registers loads as its Python shows."""

from __future__ import annotations

import subprocess
from pathlib import Path

from fixtures.environments import environment_of
from fixtures.references import PCA_50
from tests.docs.pages import DOCS, blocks, commands
from tests.runs import run_vcp

PAGE = DOCS / "how-to" / "tracking.md"


def test_a_registered_model(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    (register,) = [words for words in commands(PAGE) if "--vcp-register-model" in words[1]]
    run = run_vcp(package, PCA_50.options, *register[1:])
    assert run.code == 0, run.output
    (text,) = blocks(PAGE, "python")
    python = environment_of(package / "requirements.txt").python
    done = subprocess.run(
        [str(python), "-c", f"{text}\nprint(model.metadata.signature)"],
        cwd=package,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert "'input_uri'" in done.stdout
