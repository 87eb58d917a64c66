"""Section 2: what the package requires."""

from __future__ import annotations

from pytest_vcp.rulebook.rule import Rule

RULES: tuple[Rule, ...] = (
    Rule(
        "VCP201",
        "static",
        "the platform's section of requirements.in is intact",
        "the hub runs the model with its own MLflow version",
    ),
    Rule(
        "VCP202",
        "static",
        "every requirement in requirements.txt is an exact == pin",
        "an open range resolves to something else next month",
    ),
    Rule(
        "VCP203",
        "static",
        "requirements.txt names nothing that another machine can't fetch",
        "a path, an editable install or a moving branch exists only at the author's",
    ),
    Rule(
        "VCP205",
        "static",
        "no distribution is pinned twice",
        "two pins of one distribution contradict each other, or will",
    ),
    Rule(
        "VCP206",
        "static",
        "every requirement of requirements.in is met by its pin in requirements.txt",
        "a lock that was not compiled again installs something other than what was asked for",
    ),
    Rule(
        "VCP208",
        "environment",
        "pip's resolver accepts the whole of requirements.txt",
        "the hub installs with the resolver on; a conflict stops it there",
    ),
)
