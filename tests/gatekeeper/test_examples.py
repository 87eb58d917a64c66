"""An artifact whose examples were damaged is at fault, not the tool that reads them."""

from __future__ import annotations

import pytest

from tests.gatekeeper.conftest import Delivery

DAMAGED = {
    "input_example.json": "{",
    "serving_input_example.json": '["example_data/pbmc_48_cells.h5ad"]',
}


OF_ANOTHER_KIND = {"a list": "[1, 2]", "a text": '"cells"', "no frame": '{"rows": [[1], [2, 3]]}'}


@pytest.mark.parametrize("text", OF_ANOTHER_KIND.values(), ids=list(OF_ANOTHER_KIND))
def test_an_example_that_mlflow_can_not_read(delivery: Delivery, text: str) -> None:
    (delivery.artifact / "input_example.json").write_text(text, encoding="utf-8")
    run = delivery.verify()
    failed = {rule for rule, word in run.outcomes.items() if word == "failed"}
    assert failed
    assert failed <= {"VCP501", "VCP502"}, run.output
    assert "Traceback" not in run.output
    assert run.code == 1, run.output


def test_a_signature_that_mlflow_can_not_read(delivery: Delivery) -> None:
    mlmodel = delivery.artifact / "MLmodel"
    text = mlmodel.read_text(encoding="utf-8")
    assert text.count('"string"') >= 1
    mlmodel.write_text(text.replace('"string"', '"strange"'), encoding="utf-8")
    run = delivery.verify()
    assert [rule for rule, word in run.outcomes.items() if word == "failed"] == ["VCP401"]
    assert run.variant["rules"]["VCP401"]["where"] == "MLmodel"
    assert run.code == 1, run.output


@pytest.mark.parametrize("name", DAMAGED)
def test_an_example_that_can_not_be_read(delivery: Delivery, name: str) -> None:
    (delivery.artifact / name).write_text(DAMAGED[name], encoding="utf-8")
    run = delivery.verify()
    assert run.outcomes["VCP601"] == "failed", run.output
    assert f"{name} is not" in run.variant["rules"]["VCP601"]["found"]
    assert "Traceback" not in run.output
    assert run.code == 1, run.output
