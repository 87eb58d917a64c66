"""A rule is known, judged, explained and seen to fail, or it is no rule: the tables agree."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest

from fixtures.mutations import ALL, MUTATIONS, ON_A_GPU, reference
from pytest_vcp.rules import suite
from pytest_vcp.rules.registry import BY_ID, RULES, SECTIONS, STAGES, Level, Rule, Scope

PAGES = Path(__file__).parents[2] / "docs" / "rules"


def _tests() -> Iterator[tuple[str, Callable[..., None]]]:
    """Every test of the suite, with its name."""
    for file in sorted(suite.directory().glob("test_*.py")):
        module = importlib.import_module(f"{suite.SUITE}.{file.stem}")
        for name, member in vars(module).items():
            if name.startswith("test_"):
                yield name, member


def _judged(test: Callable[..., None]) -> list[str]:
    marks = getattr(test, "pytestmark", ())
    return [mark.args[0] for mark in marks if mark.name == "vcp_rule"]


def test_ids_are_unique_and_in_the_order_of_the_catalogue() -> None:
    ids = [entry.id for entry in RULES]
    assert ids == sorted(set(ids))
    assert all(re.fullmatch(r"VCP[1-9]\d\d", rule) for rule in ids)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_row_has_known_values(rule: Rule) -> None:
    assert rule.stage in STAGES
    assert rule.level in get_args(Level)
    assert rule.scope in get_args(Scope)


@pytest.mark.parametrize("number", SECTIONS)
def test_a_section_has_no_gap(number: str) -> None:
    found = [int(rule.id[3:]) for rule in RULES if rule.id[3] == number]
    assert found == list(range(found[0], found[0] + len(found)))
    assert found[0] == int(f"{number}01")


@pytest.mark.parametrize(("number", "section"), SECTIONS.items())
def test_a_section_has_one_name(number: str, section: str) -> None:
    """The modules in which its rules are judged and broken are called as it is."""
    judged = {
        rule for rule in BY_ID if suite.judging_tests()[rule].__module__.endswith(f"test_{section}")
    }
    mutants = importlib.import_module(f"fixtures.mutants.{section}").MUTATIONS
    assert {rule[3] for rule in judged} == {mutation.rule[3] for mutation in mutants} == {number}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_worded_once(rule: Rule) -> None:
    """The docstring of its test begins with its title."""
    docstring = inspect.getdoc(suite.judging_tests()[rule.id]) or ""
    sentence = " ".join(docstring.split("\n\n")[0].split())
    assert sentence.casefold() == f"{rule.title}.".casefold()


def test_every_rule_has_exactly_one_conformance_test() -> None:
    counted = Counter(rule for _, test in _tests() for rule in _judged(test))
    assert counted == Counter(BY_ID.keys())


@pytest.mark.parametrize(("name", "test"), list(_tests()), ids=[name for name, _ in _tests()])
def test_a_conformance_test_judges_one_rule_and_says_what(
    name: str, test: Callable[..., None]
) -> None:
    (rule,) = _judged(test)
    assert name.startswith(f"test_{rule.lower()}_")
    assert (test.__doc__ or "").strip().endswith(".")


def test_every_rule_has_a_mutant_and_no_mutant_is_without_a_rule() -> None:
    shown_anywhere = set(ALL) - set(ON_A_GPU)
    assert {mutation.rule for mutation in shown_anywhere} == BY_ID.keys()
    assert {mutation.rule for mutation in ON_A_GPU} <= BY_ID.keys()


def test_mutants_are_named_apart() -> None:
    names = Counter(mutation.name for mutation in ALL)
    assert [name for name, count in names.items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z0-9_]+", name) for name in names)


def test_both_dialects_are_broken() -> None:
    assert len({reference(mutation).package for mutation in MUTATIONS}) >= 2


def test_every_rule_has_a_page_and_every_page_a_rule() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == BY_ID.keys()


@pytest.mark.parametrize("rule", BY_ID)
def test_the_page_is_about_the_rule(rule: str) -> None:
    page = PAGES / f"{rule}.md"
    first, blank, section = page.read_text(encoding="utf-8").splitlines()[:3]
    assert re.fullmatch(rf"# {rule}: \S.*", first)
    assert (blank, section) == ("", "## What must hold")
    # The page that a message names is this one.
    assert suite.page(rule).read_bytes() == page.read_bytes()
