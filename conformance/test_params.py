"""Section 7, params: what a request may say besides its input."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.evaluation.requests import answer
from pytest_vcp.evaluation.spec import ModelSpec
from pytest_vcp.rules.outcomes import Blocked, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.source.methods import Method
from pytest_vcp.source.wrapper import NotFound, WrapperFacts


@rule("VCP711")
def test_vcp711_no_params_means_the_defaults(vcp_params_effect: Reply, vcp_spec: ModelSpec) -> None:
    """Without params, the model predicts as with the declared defaults."""
    found = _taken(vcp_params_effect)
    if found["refused"]:
        raise Blocked("VCP712")
    if found["difference"]:
        raise Violation(
            expected="the same output without params as with all of them at their defaults",
            received=found["difference"]["what"],
            remedy="let predict fall back on the defaults that MODEL_SIGNATURE declares",
            where=vcp_spec.signature.where,
        )


@rule("VCP712")
def test_vcp712_params_are_taken_and_checked(vcp_params_effect: Reply) -> None:
    """Every declared param is accepted at its default, and a value of another type is refused."""
    found = answer(vcp_params_effect, "params at their defaults are taken")
    if found["refused"]:
        refused = found["refused"]
        raise Violation(
            expected=f"a prediction with {refused['name']} at its default",
            received=refused["problem"],
            remedy="take every declared param, by its name and of its declared type",
        )
    if found["mistaken"]:
        raise Violation(
            expected=f"a value of another type for {found['mistaken'][0]!r} is refused",
            received="it was taken, and the model predicted",
            remedy="leave MLflow's check of params in force; don't replace it from model_code",
        )


@rule("VCP713")
def test_vcp713_batches_change_nothing(vcp_other_batches: Reply) -> None:
    """Another batch_size gives the same output within tolerance."""
    found = answer(vcp_other_batches, "a prediction in other batches")
    expected = f"the same output with batch_size={found['size']}"
    if found["problem"]:
        raise Violation(
            expected=expected,
            received=found["problem"],
            remedy="let predict work in batches of any size; the last is seldom a whole one",
        )
    if found["difference"]:
        raise Violation(
            expected=expected,
            received=found["difference"]["what"],
            remedy="call eval(), and normalise with stored statistics instead of the batch's own",
        )


@rule("VCP718")
def test_vcp718_params_reach_the_model(
    vcp_params_effect: Reply, vcp_wrapper: WrapperFacts | NotFound
) -> None:
    """A value given for a declared param reaches the model."""
    found = _taken(vcp_params_effect)
    if not found["declared"]:
        return
    method = vcp_wrapper.predict if isinstance(vcp_wrapper, WrapperFacts) else None
    where = method.where if isinstance(method, Method) else None
    unread = isinstance(method, Method) and not reads_params(method)
    if not found["reaches"] or unread:
        raise Violation(
            expected=f"a predict that uses its params: {', '.join(found['declared'])}",
            received="a predict that never reads them"
            if found["reaches"]
            else "a predict without a parameter named params, so that MLflow drops them",
            remedy="take params=None in predict, and pass the values on to the model",
            where=where,
        )


def _taken(reply: Reply) -> Mapping[str, Any]:
    """What came of the params; where the process ended over them, one rule says so."""
    if reply.content is None:
        raise Blocked("VCP712")
    return reply.content


def reads_params(method: Method) -> bool:
    """Whether the method looks at its params at all, as far as its source tells."""
    nodes = list(ast.walk(method.node))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return bool(names & {"params", "locals", "vars"}) or method.opaque
