"""MLflow's own commands accept the published artifact and give the predictions that were judged."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.environments import environment_of
from fixtures.references import REFERENCES, Reference
from tests.runs import run_vcp

# Run by the model's Python: the digest of the predictions in a file, by the report's definition.
_DIGEST = """
import hashlib, json, sys
import numpy
file, dtype = sys.argv[1:]
with open(file, encoding="utf-8") as stream:
    array = numpy.array(json.load(stream)["predictions"], dtype=dtype)
print(hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest())
"""


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda case: case.name)
def test_predict_command_gives_the_digest_of_the_report(
    reference: Reference, tmp_path: Path
) -> None:
    if reference.python not in (None, sys.version_info[:2]):
        pytest.skip(f"the lock of {reference.package} is for Python {reference.python}")
    package = reference.copy(tmp_path)
    run = run_vcp(package, reference.options)
    assert run.code == 0, run.output
    (output,) = run.variant["outputs"].values()
    python = environment_of(package / "requirements.txt").python
    predicted = predict(python, package)
    digest = subprocess.run(
        [python, "-c", _DIGEST, predicted, output["dtype"]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert digest.stdout.strip() == output["sha256"]
    assert run.variant["artifact"]["sha256"] == artifact_digest(package / "mlflow_model_artifact")


def predict(python: Path, package: Path) -> Path:
    """Run the platform's command in the package directory, where the example's paths lead."""
    output = package.parent / "test_output.json"
    arguments: list[Any] = [
        *(python.with_name("mlflow"), "models", "predict"),
        *("--model-uri", "./mlflow_model_artifact", "--content-type", "json"),
        *("--input-path", "mlflow_model_artifact/serving_input_example.json"),
        *("--output-path", output, "--env-manager", "local"),
    ]
    path = os.pathsep.join([str(python.parent), os.environ["PATH"]])
    # Byte-code would change the artifact that the report digests.
    environ = {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        arguments, cwd=package, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(json.loads(output.read_text(encoding="utf-8"))) == ["predictions"]
    return output


def artifact_digest(artifact: Path) -> str:
    """The digest of a directory as the report defines it, computed on the published files."""
    files = sorted(path for path in artifact.rglob("*") if path.is_file())
    lines = sorted(
        (path.relative_to(artifact).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
    )
    listing = "".join(f"{digest}  {path}\n" for path, digest in lines)
    return hashlib.sha256(listing.encode()).hexdigest()
