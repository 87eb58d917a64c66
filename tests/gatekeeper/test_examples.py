"""An artifact whose examples were damaged is at fault, not the tool that reads them."""

from __future__ import annotations

import pytest

from tests.gatekeeper.conftest import Delivery

DAMAGED = {
    "input_example.json": "{",
    "serving_input_example.json": '["example_data/pbmc_48_cells.h5ad"]',
}


@pytest.mark.parametrize("name", DAMAGED)
def test_an_example_that_can_not_be_read(delivery: Delivery, name: str) -> None:
    (delivery.artifact / name).write_text(DAMAGED[name], encoding="utf-8")
    run = delivery.verify()
    assert run.outcomes["VCP601"] == "failed", run.output
    assert f"{name} is not" in run.variant["rules"]["VCP601"]["received"]
    assert "Traceback" not in run.output
    assert run.code == 1, run.output
