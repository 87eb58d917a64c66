"""A package, the artifact of its run, and the one that the platform's packager makes of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ways import MANUAL
from fixtures.environments import environment_of
from fixtures.references import REFERENCES, Reference
from tests.gpus import skip_on_another_python
from tests.runs import run_vcp

ARTIFACT = "mlflow_model_artifact"
# What the platform's packager leaves in every artifact, and what only a package can tell.
ITS_OWN = frozenset({"VCP606", "VCP608"})


def given(sound: Reference) -> tuple[str, str, str]:
    """Class, artifact and configuration, from the options of a reference package."""
    options = dict(option.removeprefix("--vcp-").split("=", 1) for option in sound.options)
    return options["model-class"], options["artifact"], options["model-config-json"]


def packaged_by_the_platform(sound: Reference, package: Path) -> Path:
    """The artifact that the platform's own way makes of a package, which has none yet."""
    python = environment_of(package / "requirements.txt").python
    done = subprocess.run(
        [python, MANUAL, *given(sound)],
        cwd=package,
        env={**os.environ, "MLFLOW_TRACKING_URI": (package.parent / "mlruns").as_uri()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return (package / ARTIFACT).rename(package / "by_the_platform")


@pytest.mark.parametrize("sound", REFERENCES, ids=lambda sound: sound.name)
def test_every_entrance_comes_to_the_same(sound: Reference, tmp_path: Path) -> None:
    skip_on_another_python(sound)
    package = sound.copy(tmp_path)
    theirs = packaged_by_the_platform(sound, package)
    run = run_vcp(package, sound.options)
    assert run.code == 0, run.output
    words: dict[str, Any] = {}
    own = sound.advice
    for artifact, advised in ((package / ARTIFACT, own), (theirs, own | ITS_OWN)):
        again = run_vcp(package, [f"--vcp-verify-artifact={artifact.name}"])
        assert again.code == 0, again.output
        assert again.report is not None
        assert again.report["verdict"] == "conformant", again.output
        found = {rule: word for rule, word in again.outcomes.items() if word == "advice"}
        assert found.keys() <= advised, again.output
        words[artifact.name] = again.outcomes
        judged = {rule for rule, word in again.outcomes.items() if word == "passed"}
        assert all(run.outcomes[rule] in ("passed", "unverified") for rule in judged)
    assert {"error", "failed"}.isdisjoint(set(words[ARTIFACT].values()))
