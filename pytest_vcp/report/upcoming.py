"""Remaining work that can be read from the source files, without running anything.

The rules on imports, the signature and the example need an environment, which is not built while a
rule of the files is broken. Work that the source text alone shows is listed ahead of these rules;
it does not affect the verdict.
"""

from __future__ import annotations

import ast
import contextlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_vcp.environment.platform import comes_with_mlflow
from pytest_vcp.evaluation.spec import FILE
from pytest_vcp.report.outcomes import Outcome
from pytest_vcp.requirements.lock import DECLARED
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.source.imported import import_names
from pytest_vcp.source.package import DATA

# This rule also passes where there is no artifact.
_OF_ARTIFACTS = "VCP106"
if TYPE_CHECKING:
    from pytest_vcp.run import Run

_ABSOLUTE = re.compile(r"[/~]|[A-Za-z]:[\\/]")


@dataclass(frozen=True, order=True)
class Remains:
    """Something that the author has yet to fill in: the rule that will require it, and where."""

    rule: str
    place: str
    what: str


def list_upcoming(run: Run, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """Yield a line for each remaining task, unless its own rule has already been judged."""
    if run.settings.artifact_only is not None:
        return
    for entry in list_remaining(run):
        judged = outcomes.get(entry.rule)
        if judged is None or judged.kind == "skipped" or entry.rule == _OF_ARTIFACTS:
            yield f"then        {entry.rule}: {entry.place}: {entry.what}"


def list_remaining(run: Run) -> list[Remains]:
    """List the remaining tasks, as far as the files show them, in the order of the rules."""
    settings = run.settings
    found = [*_of_the_data(settings), *_of_the_imports(run)]
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        found += _of_the_spec(settings, ast.parse((settings.pkg_dir / FILE).read_bytes()))
    return sorted(set(found))


def _of_the_data(settings: Settings) -> Iterator[Remains]:
    """Yield a task if model_data/ contains no file."""
    data = settings.pkg_dir / DATA
    if data.is_dir() and not any(path.is_file() for path in data.rglob("*")):
        yield Remains(_OF_ARTIFACTS, f"{DATA}/", "it is empty; put the weights there")


def _of_the_imports(run: Run) -> Iterator[Remains]:
    """Yield a task for each import that, judging by names, no requirement provides."""
    try:
        imported, lock = run.imported, run.lock
    except OSError:
        return
    names = {line.name for line in (*lock.declared, *lock.pinned) if line.name}
    names |= comes_with_mlflow(run.settings.policy)
    known = sys.stdlib_module_names.union(*(import_names(name) for name in names))
    reported: set[str] = set()
    for entry in imported:
        if entry.top not in known | reported:
            reported.add(entry.top)
            what = f"probably nothing in {DECLARED} provides {entry.top}; name what does, then lock"
            yield Remains("VCP213", str(entry.where), what)


def _of_the_spec(settings: Settings, tree: ast.AST) -> Iterator[Remains]:
    """Yield a task for each leftover of the template in model_spec.py, and each wrong input."""
    policy = settings.policy
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "outputs" and _is_empty(node.value):
            what = "outputs=Schema([]) is empty; declare what predict returns as TensorSpec"
            yield Remains("VCP401", f"{FILE}:{node.value.lineno}", what)
        if isinstance(node, ast.Constant) and node.value == policy.placeholders.input:
            what = f"{node.value} is the template's; name a small real input of your own"
            yield Remains("VCP504", f"{FILE}:{node.lineno}", what)
        if isinstance(node, ast.Dict):
            for uri in _inputs(node, policy.input_column):
                if uri.value != policy.placeholders.input and (
                    wrong := _describe_wrong_input(settings, uri)
                ):
                    yield Remains("VCP504", f"{FILE}:{uri.lineno}", wrong)


def _inputs(node: ast.Dict, column: str) -> Iterator[ast.Constant]:
    """Yield the strings that a dictionary has under the name of the input column."""
    for key, value in zip(node.keys, node.values, strict=True):
        if isinstance(key, ast.Constant) and key.value == column:
            entries = value.elts if isinstance(value, (ast.List, ast.Tuple)) else [value]
            for entry in entries:
                if isinstance(entry, ast.Constant) and isinstance(entry.value, str):
                    yield entry


def _describe_wrong_input(settings: Settings, uri: ast.Constant) -> str | None:
    """Describe why an input can't be right, and what to do; None where nothing is known."""
    path = str(uri.value)
    if _ABSOLUTE.match(path):
        return f"{path} is absolute; copy it into the package, and name it from there"
    if not path or "://" in path or (settings.pkg_dir / path).exists():
        return None
    return f"{path} is not there; put a small real input there"


def _is_empty(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or node.keywords or len(node.args) != 1:
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    (fields,) = node.args
    return name == "Schema" and isinstance(fields, ast.List) and not fields.elts
