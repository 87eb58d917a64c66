"""Section 1: the layout of the package directory."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP101",
        "static",
        "the package directory holds model_code/, model_data/, model_spec.py, requirements.in "
        "and requirements.txt",
        "the hub's packager looks for exactly these names",
    ),
    Rule(
        "VCP102",
        "static",
        "model_code is a package whose every module parses on the target Python",
        "code that does not parse can't be imported where the model is loaded",
    ),
    Rule(
        "VCP103",
        "static",
        "the module that --vcp-model-class names holds the model class",
        "the hub imports the class by this name",
        scope="variant",
    ),
    Rule(
        "VCP104",
        "static",
        "the model class has load_context and predict, finished, and callable as MLflow calls them",
        "MLflow calls both by fixed names and arguments; a hook left open fails on first use",
        scope="variant",
    ),
    Rule(
        "VCP105",
        "static",
        "every artifact is a path inside model_data/ that exists and does not lead outside",
        "only what lies in model_data/ reaches the hub",
        scope="variant",
    ),
    Rule(
        "VCP106",
        "static",
        "every artifact holds weights, not a stand-in for them",
        "a pointer file packages without complaint and fails when the model is loaded",
        scope="variant",
    ),
    Rule(
        "VCP108",
        "static",
        "the model config is one JSON object",
        "MLflow stores it as a mapping, and the wrapper receives it as a dictionary",
        scope="variant",
    ),
    Rule(
        "VCP115",
        "static",
        "no two artifacts share a base name",
        "MLflow copies artifacts by base name, and the last one silently replaces the others",
        scope="variant",
    ),
)
