"""Section 7: the forward pass of the finished artifact."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP701",
        "forward",
        "the artifact loads in a fresh process, in another directory, without the source tree",
        "the consumer has the artifact and nothing else",
        scope="variant",
    ),
    Rule(
        "VCP704",
        "forward",
        "predict returns one numpy array, or a dict of them for several outputs",
        "tensors, frames and lists fail or change on their way to JSON",
        scope="variant",
    ),
    Rule(
        "VCP705",
        "forward",
        "the output has the declared rank and fixed dimensions, and free ones are positive",
        "MLflow never enforces output schemas; the consumer relies on them",
        scope="variant",
    ),
    Rule(
        "VCP706",
        "forward",
        "the output has the declared dtype",
        "MLflow never enforces output schemas; the consumer relies on them",
        scope="variant",
    ),
    Rule(
        "VCP707",
        "forward",
        "every value of the output is finite",
        "NaN and infinity make a response that is not JSON",
        scope="variant",
    ),
    Rule(
        "VCP709",
        "forward",
        "for AnnData inputs the output has one row for each observation",
        "the consumer joins the rows back to the cells",
        scope="variant",
    ),
    Rule(
        "VCP710",
        "forward",
        "the same input gives the same output within tolerance",
        "a result that can't be repeated can't be verified or cited",
        scope="variant",
    ),
)
