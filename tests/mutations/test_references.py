"""The whole plugin on every reference package, each process started as a user's is: accepted.

MLflow's own command, on the artifact that was published, then predicts what the report says.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fixtures.environments import environment_of
from fixtures.references import REFERENCES, Reference
from tests.gpus import skip_on_another_python
from tests.mutations.judging import ARTIFACT, assert_accepted, entries
from tests.runs import COMMAND_RULES, Run, run_vcp

# Run by the model's Python: the digest of the predictions in a file, by the report's definition.
_DIGEST = """
import hashlib, json, sys
import numpy
file, dtype = sys.argv[1:]
with open(file, encoding="utf-8") as stream:
    array = numpy.array(json.load(stream)["predictions"], dtype=dtype)
print(hashlib.sha256(f"{array.dtype}{array.shape}".encode() + array.tobytes()).hexdigest())
"""


class Judged(NamedTuple):
    """A copy of a reference package, what was in it before, the run, its TMPDIR, the reference."""

    package: Path
    before: frozenset[str]
    run: Run
    temporary: Path
    sound: Reference


def parameter(sound: Reference) -> Any:
    return pytest.param(sound, marks=pytest.mark.xdist_group(sound.name), id=sound.name)


@pytest.fixture(scope="module", params=map(parameter, REFERENCES))
def judged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Judged:
    sound: Reference = request.param
    skip_on_another_python(sound)
    package = sound.copy(tmp_path_factory.mktemp("sound"), recorded=True)
    before = entries(package)
    temporary = tmp_path_factory.mktemp("tmp")
    own = {"TMPDIR": str(temporary)}
    commands = COMMAND_RULES if _is_first_of_its_package(sound) else ()
    run = run_vcp(package, sound.options, commands=commands, cold=True, pictures=True, env=own)
    return Judged(package, before, run, temporary, sound)


def _is_first_of_its_package(sound: Reference) -> bool:
    """Whether MLflow's commands are run: what they do depends on the lock, which a package shares.

    Each of them makes an environment. Where all is cold, they are run every time.
    """
    others = (entry for entry in REFERENCES if entry.package == sound.package)
    return sound is next(others) or bool(os.environ.get("VCP_TEST_COLD"))


def test_a_reference_is_accepted(judged: Judged) -> None:
    package, before, run, _, sound = judged
    with_commands = _is_first_of_its_package(sound)
    unserved = {"VCP804"} if with_commands and "VCP215" in sound.advice else set()
    assert_accepted(run, advice=sound.advice | unserved)
    assert len(run.variant["commands"]) == (2 if with_commands else 0), run.output
    added = {Path(entry).parts[0] for entry in entries(package) - before}
    assert added == {ARTIFACT}, run.output


def test_nothing_of_a_run_stays_but_its_reports(judged: Judged) -> None:
    package, _, _, temporary, sound = judged
    assert list(temporary.iterdir()) == []
    logs = {path.name for path in (package / ".vcp" / "logs").iterdir()}
    of_commands = {"default-mlflow-predict.log", "default-mlflow-serve.log"}
    assert logs & of_commands == (of_commands if _is_first_of_its_package(sound) else set())


def test_predict_command_gives_the_digest_of_the_report(judged: Judged) -> None:
    package, _, run, _, _ = judged
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
    assert run.variant["artifact"]["sha256"] == artifact_digest(package / ARTIFACT)


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
