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
        "VCP107",
        "static",
        "a licence file is there, and is filled in",
        "without a licence nobody may use the model; a template names nobody",
    ),
    Rule(
        "VCP108",
        "static",
        "the model config is one JSON object",
        "MLflow stores it as a mapping, and the wrapper receives it as a dictionary",
        scope="variant",
    ),
    Rule(
        "VCP109",
        "static",
        "the metadata file parses, and each variant in it names a class and at least one artifact",
        "the hub packages each variant with the arguments that stand there",
    ),
    Rule(
        "VCP110",
        "static",
        "no path of the author's machine stands in the code",
        "it leads nowhere on any other machine",
        level="advice",
    ),
    Rule(
        "VCP111",
        "static",
        "no device is used without a check that it is there",
        "the hub may load the model on a machine without a GPU",
        level="advice",
    ),
    Rule(
        "VCP112",
        "static",
        "no module beside model_code hides one of Python's or of a pinned distribution",
        "whatever imports the hidden one gets this one, in libraries too",
    ),
    Rule(
        "VCP113",
        "static",
        "model_code holds code, and no weights",
        "code is imported, weights are declared as artifacts, digested and shown",
        level="advice",
    ),
    Rule(
        "VCP114",
        "static",
        "no credentials stand in what would be packaged",
        "everyone who downloads the model can read them",
        level="advice",
    ),
    Rule(
        "VCP115",
        "static",
        "no two artifacts of different content share a base name",
        "MLflow copies artifacts by base name, and the last one silently replaces the others",
        scope="variant",
    ),
    Rule(
        "VCP116",
        "static",
        "every key of the model config is read somewhere in model_code",
        "a key with a typo is ignored without a word, and the model runs with a default",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP117",
        "static",
        "at least one artifact is given, under each name that loading reads",
        "the hub's packager demands an artifact, and a name that is not there fails at loading",
        scope="variant",
    ),
    Rule(
        "VCP118",
        "static",
        "the model class can be called without arguments",
        "the platform's packager does so, and hands the model config over at loading",
        level="advice",
        scope="variant",
    ),
    Rule(
        "VCP119",
        "static",
        "no artifact path holds what MLflow reads as part of a URI",
        "MLflow decodes the path, and then looks for weights that are not there",
        scope="variant",
    ),
)
