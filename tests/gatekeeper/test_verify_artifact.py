"""A finished artifact, judged without its source package."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.environments import environment_of
from fixtures.mutants import append_text
from fixtures.references import PCA_50
from pytest_vcp.rules.registry import BY_ID
from tests.gatekeeper.conftest import Delivery
from tests.plugin.staged import tree

Payload = Callable[..., str]

# What MLflow itself makes of the package, by a call as its documentation has it.
_SAVE = """
import sys
sys.path.insert(0, ".")
import mlflow.pyfunc
import model_spec
from model_code.pbmc_pca_mlflow_model import PbmcPcaMLflowModel
mlflow.pyfunc.save_model(
    sys.argv[1],
    python_model=PbmcPcaMLflowModel(),
    code_paths=["model_code"],
    artifacts={"checkpoint": "model_data/pcs50"},
    model_config={"n_components": 50},
    signature=model_spec.MODEL_SIGNATURE,
    input_example=model_spec.INPUT_EXAMPLE,
    pip_requirements="requirements.txt",
)
"""


def test_with_an_input_all_that_it_allows_is_judged(delivery: Delivery, payload: Payload) -> None:
    before = tree(delivery.artifact)
    run = delivery.verify(payload())
    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant", run.output
    assert set(run.not_passed.values()) == {"unverified"}
    for rule in ("VCP202", "VCP302", "VCP402", "VCP602", "VCP608", "VCP701", "VCP705", "VCP802"):
        assert run.outcomes[rule] == "passed", run.output
    assert tree(delivery.artifact) == before


def test_its_figures_are_measured(delivery: Delivery, payload: Payload) -> None:
    before = tree(delivery.artifact)
    run = delivery.verify(payload(), "--vcp-scaling")
    assert run.code == 0, run.output
    figures = run.variant["figures"]
    assert [step["rows"] for step in figures["scaling"]] == [48, 192, 768]
    # Nothing of it is imported before it is loaded.
    assert figures["import_seconds"] is None
    assert figures["load_seconds"] > 0
    assert tree(delivery.artifact) == before


def test_what_needs_the_package_is_never_passed(delivery: Delivery, payload: Payload) -> None:
    run = delivery.verify(payload())
    layout = [rule for rule in BY_ID if rule.startswith("VCP1")]
    assert {run.outcomes[rule] for rule in layout} == {"unverified"}, run.output
    for rule in ("VCP201", "VCP206", "VCP306", "VCP409", "VCP504", "VCP604", "VCP714"):
        assert run.outcomes[rule] == "unverified", run.output


def test_the_inputs_of_the_example_count_where_they_are_at_hand(delivery: Delivery) -> None:
    place = delivery.artifact.parent / "example_data"
    place.mkdir()
    shutil.copy(delivery.cells, place)
    run = delivery.verify()
    assert run.variant["verdict"] == "conformant", run.output
    assert run.outcomes["VCP707"] == "passed"


def test_without_an_input_the_forward_pass_stays_open(delivery: Delivery) -> None:
    run = delivery.verify()
    assert run.variant["verdict"] == "unverified", run.output
    assert run.outcomes["VCP701"] == "passed", "it loads all the same"
    assert run.outcomes["VCP705"] == "unverified"
    assert "--vcp-json-payload-filepath" in run.output
    assert delivery.verify("--vcp-must-verify=VCP705").code == 11


def test_an_artifact_that_mlflow_made(delivery: Delivery, packaged: Path, payload: Payload) -> None:
    shutil.rmtree(delivery.artifact)
    python = environment_of(packaged / "requirements.txt").python
    subprocess.run([python, "-c", _SAVE, delivery.artifact], cwd=packaged, check=True)
    run = delivery.verify(payload(), "--vcp-waive=VCP608: MLflow loads before it pickles")
    # MLflow 3.1.0 pickles the weights that load_context put on the model, and its own fields.
    assert run.outcomes["VCP608"] == "waived", run.output
    assert run.outcomes["VCP705"] == "passed", run.output
    assert run.code == 0, run.output


def test_truncated_weights(delivery: Delivery, payload: Payload) -> None:
    content = delivery.weights.read_bytes()
    delivery.weights.write_bytes(content[: len(content) // 2])
    run = delivery.verify(payload())
    assert run.outcomes["VCP701"] == "failed", run.output
    assert run.code == 1


@pytest.mark.parametrize(
    "name", ["MLmodel", "python_model.pkl", "python_env.yaml", "conda.yaml", "requirements.txt"]
)
def test_a_missing_file(delivery: Delivery, name: str) -> None:
    (delivery.artifact / name).unlink()
    run = delivery.verify()
    assert run.outcomes["VCP601"] == "failed", run.output
    assert f"no {name}" in run.variant["rules"]["VCP601"]["found"]
    assert run.code == 1


@pytest.mark.parametrize("text", ["{", "- a list\n", "\x00\x01", "name: caf\udce9"])
def test_an_mlmodel_that_is_no_yaml(delivery: Delivery, text: str) -> None:
    (delivery.artifact / "MLmodel").write_bytes(text.encode("utf-8", "surrogateescape"))
    run = delivery.verify()
    assert run.outcomes["VCP601"] == "failed", run.output
    assert "MLmodel is not" in run.variant["rules"]["VCP601"]["found"]
    assert "Traceback" not in run.output


def test_a_yaml_tag_builds_nothing(delivery: Delivery) -> None:
    trap = delivery.artifact.parent / "trap"
    tag = "!!python/object/apply:pathlib.Path.touch"
    append_text(delivery.artifact / "MLmodel", f"\nx: {tag} [!!python/name:x '{trap}']\n")
    run = delivery.verify()
    assert run.outcomes["VCP601"] == "failed", run.output
    assert "asks for an object to be built" in run.output
    assert not trap.exists()


def test_a_pickle_that_runs_a_command(delivery: Delivery, payload: Payload) -> None:
    trap = delivery.artifact.parent / "trap"
    command = f"touch {trap}".encode()
    pickle = b"cos\nsystem\n(V" + command + b"\ntR."
    (delivery.artifact / "python_model.pkl").write_bytes(pickle)
    run = delivery.verify(payload())
    assert run.outcomes["VCP608"] == "failed", run.output
    assert "os.system" in run.output
    assert not trap.exists(), "it was unpickled"


def test_a_path_that_is_no_directory(tmp_path: Path, delivery: Delivery) -> None:
    run = delivery.verify("--vcp-verify-artifact=elsewhere")
    assert run.code == 4, run.output
    assert "--vcp-verify-artifact: 'elsewhere' is not usable; it is no directory" in run.output


def test_options_of_packaging_have_no_meaning(delivery: Delivery) -> None:
    run = delivery.verify(PCA_50.options[0])
    assert run.code == 4, run.output
    assert "judges what is packaged already" in run.output


def test_the_report_names_no_artifact_that_was_made(delivery: Delivery) -> None:
    run = delivery.verify()
    report = json.loads((delivery.artifact.parent / ".vcp" / "report.json").read_text("utf-8"))
    assert report["variants"]["default"]["artifact"] is None, run.output
