"""What is still the template's in model_spec.py, for a to-do list that nothing was run for.

The rules on the signature and the example need an environment, which is not built while a rule of
the files is broken. What is certain from the text alone is named ahead of them; it judges nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pytest_vcp.report.outcomes import Outcome
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.trial.spec import FILE


class Remains(NamedTuple):
    """Something that the author has yet to fill in: the rule that will ask for it, and where."""

    rule: str
    line: int
    what: str


def foreseen(settings: Settings, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """A line for each thing to come, as long as its own rule has not been judged."""
    if settings.artifact_only is not None:
        return
    for entry in remains(settings):
        if entry.rule not in outcomes or outcomes[entry.rule].kind == "skipped":
            yield f"then        {entry.rule}: {FILE}:{entry.line}: {entry.what}"


def remains(settings: Settings) -> list[Remains]:
    """What model_spec.py still has of the template, in the order of the rules."""
    try:
        tree = ast.parse((settings.pkg_dir / FILE).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return []
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "outputs" and _is_empty(node.value):
            what = "outputs=Schema([]) is empty; declare what predict returns as TensorSpec"
            found.append(Remains("VCP401", node.value.lineno, what))
        if isinstance(node, ast.Constant) and node.value == settings.policy.placeholders.input:
            what = f"{node.value} is the template's; name a small real input of your own"
            found.append(Remains("VCP504", node.lineno, what))
    return sorted(found)


def _is_empty(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or node.keywords or len(node.args) != 1:
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    (fields,) = node.args
    return name == "Schema" and isinstance(fields, ast.List) and not fields.elts
