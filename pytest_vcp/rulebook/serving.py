"""Section 8: the model behind MLflow's own commands."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP801",
        "serving",
        "the shipped serving example passes MLflow's own validate_serving_input",
        "it is the first request that the hub sends",
        scope="variant",
    ),
    Rule(
        "VCP802",
        "serving",
        "predictions are strict JSON and equal the array within float tolerance",
        "what travels is the JSON, not the array",
        scope="variant",
    ),
)
