"""Section 9: the forward pass on a GPU."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP902",
        "device",
        "with a GPU visible the forward pass runs on it",
        "a model that silently stays on the CPU wastes the hub's GPU and the user's time",
        scope="variant",
    ),
    Rule(
        "VCP903",
        "device",
        "the output computed on a GPU is on the host, of the declared rank, shape and dtype",
        "an array left on the device can't be turned into JSON",
        scope="variant",
    ),
)
