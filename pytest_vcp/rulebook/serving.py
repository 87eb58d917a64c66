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
    Rule(
        "VCP803",
        "serving",
        "mlflow models predict, in an environment of its own making, gives the same predictions",
        "this is the command that the platform and its users run",
        scope="variant",
        on_demand=True,
    ),
    Rule(
        "VCP804",
        "serving",
        "mlflow models serve gives the same predictions, refuses what is no request, and ends",
        "a model that answers a test may still not answer behind a server",
        scope="variant",
        on_demand=True,
    ),
    Rule(
        "VCP805",
        "serving",
        "requests that come again, or at the same time, get the same predictions",
        "the server runs requests side by side, in threads of one process",
        scope="variant",
        on_demand=True,
    ),
    Rule(
        "VCP806",
        "serving",
        "nothing is printed on standard output while predicting",
        "mlflow models predict prints its answer there, and what stands beside it spoils it",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP807",
        "serving",
        "the first request is answered within the time-out of the server",
        "the server gives up on it, and whoever asked gets nothing",
        level="advice",
        scope="variant",
        on_demand=True,
    ),
    Rule(
        "VCP808",
        "serving",
        "the platform's own packager can save the model too",
        "it calls the class without arguments, and pickles the object after it was loaded",
        level="advice",
        scope="variant",
    ),
)
