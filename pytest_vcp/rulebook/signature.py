"""Section 4: the signature that model_spec.py declares."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP401",
        "spec",
        "MODEL_SIGNATURE is an mlflow.models.ModelSignature with inputs and outputs",
        "without a signature MLflow checks nothing and the hub can't document the model",
    ),
    Rule(
        "VCP402",
        "spec",
        "the first input is a required string column named input_uri",
        "the hub passes the location of the data in this column",
    ),
    Rule(
        "VCP403",
        "spec",
        "every further input is a named column, and no name occurs twice",
        "requests name their columns; an unnamed or doubled one can't be addressed",
    ),
    Rule(
        "VCP404",
        "spec",
        "there is at least one output, each a TensorSpec, and several are named apart",
        "consumers read the shape and dtype of the output from its TensorSpec",
    ),
    Rule(
        "VCP405",
        "spec",
        "every output shape has rank 1 or more and dimensions that are positive or -1",
        "a scalar, zero or symbolic dimension describes no array",
    ),
    Rule(
        "VCP406",
        "spec",
        "every param has a default of its own declared type",
        "a request without params runs with the defaults",
    ),
    Rule(
        "VCP407",
        "spec",
        "no param bears the name of an input column",
        "who builds or logs a request by name can't tell the two apart",
    ),
    Rule(
        "VCP408",
        "spec",
        "the signature survives MLflow's JSON and back",
        "consumers see the signature that MLflow reads from MLmodel, not the author's object",
    ),
    Rule(
        "VCP409",
        "artifact",
        "the saved MLmodel carries exactly the declared signature",
        "a type hint on predict makes MLflow replace the signature",
        scope="variant",
    ),
    Rule(
        "VCP410",
        "spec",
        "the declared output dtypes can travel as JSON",
        "the server's answer is JSON; what has no form there fails or comes back as something else",
    ),
    Rule(
        "VCP411",
        "spec",
        "every output of rank 2 or more has a dimension of declared size",
        "a shape that is free in all dimensions tells the consumer nothing but the rank",
        level="advice",
    ),
)
