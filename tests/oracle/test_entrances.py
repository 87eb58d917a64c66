"""A package, the artifact of its run, and the one that the platform's packager makes of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fixtures.environments import environment_of
from fixtures.references import REFERENCES, Reference
from tests.gpus import skip_on_another_python
from tests.runs import run_vcp

_PACKAGER = Path(__file__).with_name("packager.py")
ARTIFACT = "mlflow_model_artifact"
# What the platform's packager leaves in every artifact, and what only a package can tell.
ITS_OWN = frozenset({"VCP606", "VCP608"})


def given(sound: Reference) -> tuple[str, dict[str, str], str]:
    """Class, artifacts and configuration, from the options of a reference package."""
    pairs = [option.removeprefix("--vcp-").split("=", 1) for option in sound.options]
    artifacts = [value.split("=", 1) for name, value in pairs if name == "artifact"]
    options = dict(pairs)
    return options["model-class"], dict(artifacts), options.get("model-config-json", "{}")


def packaged_by_the_platform(sound: Reference, package: Path) -> Path:
    """The artifact that the platform's own way makes of a package."""
    python = environment_of(package / "requirements.txt").python
    model_class, artifacts, config = given(sound)
    destination = package / "by_the_platform"
    done = subprocess.run(
        [python, _PACKAGER, model_class, json.dumps(artifacts), config, destination],
        cwd=package,
        env={**os.environ, "MLFLOW_TRACKING_URI": (package.parent / "mlruns").as_uri()},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return destination


@pytest.mark.parametrize("sound", REFERENCES, ids=lambda sound: sound.name)
def test_every_entrance_comes_to_the_same(sound: Reference, tmp_path: Path) -> None:
    skip_on_another_python(sound)
    package = sound.copy(tmp_path)
    run = run_vcp(package, sound.options)
    assert run.code == 0, run.output
    theirs = packaged_by_the_platform(sound, package)
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
