"""Section 3: the environment that the requirements make."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP301",
        "static",
        "the target Python is one that the platform accepts",
        "downstream systems refuse older interpreters",
    ),
    Rule(
        "VCP302",
        "environment",
        "the environment builds from requirements.txt",
        "the hub builds the same environment before it loads the model",
    ),
    Rule(
        "VCP303",
        "environment",
        "pip check finds no broken requirement in the environment",
        "a missing or mismatched dependency fails later, at import or amid a prediction",
    ),
    Rule(
        "VCP304",
        "environment",
        "what is installed is what requirements.txt pins",
        "a verdict on other versions says nothing about the ones that the hub installs",
    ),
    Rule(
        "VCP305",
        "environment",
        "the MLflow in the environment is the platform's version, and whole",
        "mlflow-skinny and damaged installs save models that can't be served",
    ),
    Rule(
        "VCP306",
        "environment",
        "model_code and model_spec import with the package directory and nothing else on the path",
        "the hub imports them from the package alone",
        scope="variant",
    ),
)
