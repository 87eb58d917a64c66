"""A tracking server of MLflow's own on loopback: one that is there, and some that are not."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.environments import environment_of
from fixtures.references import PCA_50
from pytest_vcp.mlflow_cli.serve import free_port
from tests.place import Place, place
from tests.runs import run_vcp
from tests.tracking.serving import served
from tests.tracking.store import EXPERIMENT, Store

__all__ = ["place"]  # A fixture.

PASSWORD = "hunter2"
ERROR = "error       the run was not kept with MLflow at "


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(package: Path, tmp_path: Path) -> Iterator[str]:
    """A running `mlflow server`, by its URI."""
    folder = tmp_path / "server"
    folder.mkdir()
    store = ("--backend-store-uri", f"sqlite:///{folder / 'server.db'}")
    artifacts = ("--artifacts-destination", str(folder / "artifacts"))
    python = environment_of(package / "requirements.txt").python
    with served(python, "server", *store, *artifacts, folder=folder) as uri:
        yield uri


def test_a_server_keeps_the_run_and_registers_the_model(
    server: str, package: Path, tmp_path: Path
) -> None:
    # This server asks nobody who they are; MLflow prints the address of what it has kept.
    secret = server.replace("://", f"://anna:{PASSWORD}@")
    run = run_vcp(
        package,
        PCA_50.options,
        f"--vcp-tracking-uri={secret}",
        "--vcp-register-model=served",
        "--vcp-tracking-experiment=ours",
    )
    assert run.code == 0, run.output
    shown = server.replace("://", "://****@")
    assert f"in experiment ours at {shown}" in run.output
    _assert_not_told(package, run.output)
    assert "registered  served, version 1" in run.output
    assert not (package / ".vcp" / "mlflow").exists()
    assert not (package / "mlruns").exists()
    (example,) = (package / "example_data").glob("*.h5ad")
    store = Store(server, package, tmp_path / "elsewhere")
    told = store.prediction("models:/served/1", example)
    assert told["finite"]


def test_a_server_that_is_down_costs_nothing_but_the_record(place: Place, port: int) -> None:
    uri = f"http://127.0.0.1:{port}"
    run = place.run(f"--vcp-tracking-uri={uri}", "--vcp-register-model=lost")
    # What was asked for did not come about, so the run is no success; its verdict stands.
    assert run.code == 10
    assert run.variant["verdict"] == "conformant"
    assert f"{ERROR}{uri}: no connection: Connection refused; the verdict stands" in run.output
    assert "no version of lost: a conformant run without a failed test makes one" in run.output
    assert (place.artifact / "MLmodel").is_file()
    for name in ("report.json", "report.html", "attestation.json"):
        assert (place.package / ".vcp" / name).is_file()
    log = place.package / ".vcp" / "logs" / "tracking.log"
    assert "Connection refused" in log.read_text(encoding="utf-8")
    place.assert_nothing_staged()
    place.assert_nothing_left()


def test_a_fault_of_the_package_weighs_more(package: Path, port: int) -> None:
    wrapper = package / "model_code" / "pbmc_pca_mlflow_model.py"
    text = wrapper.read_text(encoding="utf-8")
    wrapper.write_text(text.replace("return np.concatenate(scores, axis=0)", "return None"))
    run = run_vcp(package, PCA_50.options, f"--vcp-tracking-uri=http://127.0.0.1:{port}")
    assert run.code == 1
    assert ERROR in run.output


def test_no_password_is_told(package: Path, port: int) -> None:
    uri = f"http://anna:{PASSWORD}@127.0.0.1:{port}"
    run = run_vcp(package, PCA_50.options, f"--vcp-tracking-uri={uri}")
    assert f"{ERROR}http://****@127.0.0.1:{port}" in run.output
    _assert_not_told(package, run.output)


def _assert_not_told(package: Path, output: str) -> None:
    assert PASSWORD not in output
    kept = [path for path in (package / ".vcp").rglob("*") if path.is_file()]
    assert [path.name for path in kept if PASSWORD.encode() in path.read_bytes()] == []


def test_a_run_that_waits_for_a_server_can_be_interrupted(place: Place) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with place.running(f"--vcp-tracking-uri={uri}") as started:
            started.wait_for("keeping the run with MLflow")
            code = started.stop(signal.SIGINT)
    # What was judged is told all the same.
    assert code == 2, started.output
    assert "CONFORMANT  default" in started.output
    assert f"{ERROR}{uri}: it was interrupted; the verdict stands" in started.output
    assert "Traceback" not in started.output
    report = json.loads((place.package / ".vcp" / "report.json").read_text(encoding="utf-8"))
    assert report["verdict"] == "conformant"
    assert (place.artifact / "MLmodel").is_file()
    place.wait_for_processes_to_end()
    place.assert_nothing_left()


def test_a_store_of_our_own_that_can_not_be_made(package: Path) -> None:
    """Nobody asked for it by name: the run is what it is without."""
    folder = package / ".vcp" / "mlflow"
    folder.parent.mkdir()
    folder.write_text("not a folder")
    run = run_vcp(package, PCA_50.options, f"--vcp-tracking-experiment={EXPERIMENT}")
    assert run.code == 0, run.output
    assert re.search(rf"{ERROR}\.vcp/mlflow: .*File exists", run.output), run.output
    assert folder.read_text() == "not a folder"
