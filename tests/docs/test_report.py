"""The page on the report, the schema that it publishes, and the code that writes it, agree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any, get_args

import jsonschema_rs

from pytest_vcp.evaluation.figures import Figures, ScalingStep
from pytest_vcp.report.json import SCHEMA_VERSION, STEPS
from pytest_vcp.report.outcomes import WORDS, Kind
from tests.docs.pages import DOCS
from tests.schema import FILE, SCHEMA

PAGE = DOCS / "report.md"
DEFINED: dict[str, dict[str, Any]] = SCHEMA["$defs"]


def described() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of the schema with what it says of it, and every object that has fields."""
    for name, entry in {"": SCHEMA, **DEFINED}.items():
        yield name, entry
        for field, value in entry.get("properties", {}).items():
            yield f"{name}.{field}", value


def test_it_is_a_schema_of_the_version_that_is_written() -> None:
    jsonschema_rs.meta.validate(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["properties"]["schema"]["const"] == SCHEMA_VERSION
    assert SCHEMA["$id"].endswith(f":{SCHEMA_VERSION}")


def test_it_is_strict_and_describes_everything() -> None:
    for name, entry in described():
        assert entry["description"].endswith("."), name
        if "properties" in entry:
            assert entry["additionalProperties"] is False, name
            assert entry["required"] == list(entry["properties"]), name


def test_it_says_what_the_code_says() -> None:
    assert DEFINED["verdict"]["enum"] == list(WORDS)
    assert DEFINED["rule"]["properties"]["outcome"]["enum"] == list(get_args(Kind))
    assert list(DEFINED["figures"]["properties"]) == [entry.name for entry in fields(Figures)]
    steps = [entry.name for entry in fields(ScalingStep)]
    assert list(DEFINED["scaling_step"]["properties"]) == steps
    assert list(DEFINED["python"]["properties"]) == ["version", "lock", *STEPS]


def test_the_page_names_every_field_and_no_other() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("## What is in it")[2]
    table = text.partition("## What is not in it")[0]
    rows = (row for row in table.splitlines() if row.startswith("| `"))
    told = set(re.findall(r"`(\w+)`", "".join(rows)))
    known = {name.rpartition(".")[2] for name, _ in described() if "." in name}
    assert known | {"default", *WORDS} == told


def test_the_page_names_every_word_for_a_directory() -> None:
    source = (FILE.parent / "redaction.py").read_text(encoding="utf-8")
    words = set(re.findall(r'"([A-Z]{3,}|~)"', source)) | {"TMP"}
    text = PAGE.read_text(encoding="utf-8").partition("## What is not in it")[2]
    assert set(re.findall(r"^\| `(.+?)` \|", text, re.MULTILINE)) == words
    for word in words:
        assert word in SCHEMA["description"]


def test_the_page_links_the_schema() -> None:
    links = re.findall(r"\]\(([^)#]+)", PAGE.read_text(encoding="utf-8"))
    assert FILE in {(PAGE.parent / link).resolve() for link in links}
