"""Section 5: the input example."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP501",
        "spec",
        "INPUT_EXAMPLE is a pair of a DataFrame with at least one row and a dict of params",
        "it is the request with which the hub tries the model",
    ),
    Rule(
        "VCP502",
        "spec",
        "the example's frame satisfies the input schema under MLflow's own enforcement",
        "MLflow refuses the request before the model sees it",
    ),
    Rule(
        "VCP503",
        "spec",
        "the example's params are declared and of their declared types",
        "MLflow drops or refuses anything else",
    ),
    Rule(
        "VCP504",
        "spec",
        "every input_uri of the example names an existing input inside the package, relative to it",
        "the hub replays the example from a copy of the package",
    ),
    Rule(
        "VCP505",
        "spec",
        "every input of the example opens as what its name says, and is not empty",
        "a broken input fails in the forward pass, where it looks like a fault of the model",
    ),
    Rule(
        "VCP506",
        "spec",
        "the inputs of the example are small",
        "the hub replays the example with every build",
        level="advice",
    ),
    Rule(
        "VCP507",
        "spec",
        "the example survives the way through serving JSON and back",
        "over HTTP the model receives the parsed JSON, not the author's DataFrame",
    ),
    Rule(
        "VCP508",
        "spec",
        "a payload given by --vcp-json-payload-filepath satisfies the signature",
        "it is sent in place of the example, and MLflow drops or refuses what it does not know",
        scope="variant",
    ),
)
