"""What is attested of a finished artifact, be it sound or not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.report.attestation import read_statement
from tests.gatekeeper.conftest import Delivery
from tests.runs import Run

Payload = Callable[..., str]


def file(delivery: Delivery) -> Path:
    return delivery.artifact.parent / ".vcp" / "attestation.json"


def predicate(delivery: Delivery) -> dict[str, Any]:
    values = json.loads(file(delivery).read_bytes())["predicate"]
    assert isinstance(values, dict)
    return values


def compare(delivery: Delivery) -> Run:
    return delivery.verify(f"--vcp-attestation={file(delivery)}")


def test_it_says_the_same_again_and_elsewhere(
    delivery: Delivery, payload: Payload, tmp_path: Path
) -> None:
    run = delivery.verify(payload())
    assert "  attestation  ./.vcp/attestation.json\n" in run.output
    assert predicate(delivery)["result"] == "PASSED"
    assert compare(delivery).code == 0
    shutil.copytree(delivery.artifact, tmp_path / "elsewhere" / "renamed")
    other = Delivery(tmp_path / "elsewhere" / "renamed", delivery.cells)
    assert other.verify(payload()).code == 0
    assert file(other).read_bytes() == file(delivery).read_bytes()


def test_one_that_fails_is_attested_to_have_failed(delivery: Delivery, payload: Payload) -> None:
    content = delivery.weights.read_bytes()
    delivery.weights.write_bytes(content[: len(content) // 2])
    assert delivery.verify(payload()).code == 1
    told = predicate(delivery)
    assert told["result"] == "FAILED"
    assert told["failedTests"] == ["VCP701"]
    run = compare(delivery)
    assert run.code == 1
    assert run.output.startswith("the artifact that was judged NONCONFORMANT: ")


@pytest.mark.parametrize("parallel", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_so_is_what_cannot_even_be_read(delivery: Delivery, parallel: tuple[str, ...]) -> None:
    if parallel:
        pytest.importorskip("xdist", reason="pytest-xdist is not installed")
    (delivery.artifact / "MLmodel").unlink()
    # A name that is no UTF-8 can't travel between processes as it is.
    os.close(os.open(os.fsencode(delivery.artifact) + b"/caf\xe9", os.O_CREAT))
    assert delivery.verify(*parallel).code == 1
    assert predicate(delivery)["result"] == "FAILED"
    assert "caf\udce9" in read_statement(file(delivery).read_bytes()).files
    assert compare(delivery).output.startswith("the artifact that was judged NONCONFORMANT: ")


def test_an_error_says_nothing_about_an_artifact(
    delivery: Delivery, payload: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # No model sees a GPU then.
    file(delivery).parent.mkdir()
    file(delivery).write_text("of an earlier run")
    run = delivery.verify(payload(), "--vcp-require-gpu")
    assert run.code == 10, run.output
    assert not file(delivery).exists()
    assert "  attestation  " not in run.output
