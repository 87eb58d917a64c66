"""Of a message of many lines, the one that tells the cause is shown."""

from __future__ import annotations

import pytest

from pytest_vcp.worker.failure import telling_line

WEIGHTS_ONLY = (
    "Weights only load failed. This file can still be loaded, to do so you have two options, "
    "\x1b[1mdo those steps only if you trust the source of the checkpoint\x1b[0m. \n"
    "\t(1) In PyTorch 2.6, we changed the default value of the `weights_only` argument.\n"
    "\t(2) Alternatively, to load with `weights_only=True` please check the recommended steps.\n"
    "\tWeightsUnpickler error: Unsupported global: GLOBAL model_code.network.UNet was not an "
    "allowed global.\n\n"
    "Check the documentation of torch.load to learn more."
)


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("'ensembl_id'", "'ensembl_id'"),
        ("", ""),
        ("\n", ""),
        (
            WEIGHTS_ONLY,
            "Unsupported global: GLOBAL model_code.network.UNet was not an allowed global.",
        ),
        (
            'Error(s) in loading state_dict for UNet:\n\tMissing key(s) in state_dict: "a.weight".',
            'Error(s) in loading state_dict for UNet: Missing key(s) in state_dict: "a.weight".',
        ),
        ("\x1b[31mno such gene\x1b[0m", "no such gene"),
        ("the first\nthe second", "the first"),
        ("while reading x\nValueError: no header\nsee the manual", "no header"),
    ],
)
def test_the_line_with_the_cause(message: str, line: str) -> None:
    assert telling_line(message) == line
