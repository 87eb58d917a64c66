"""The schema of report.json as tables: an object each, its fields in the order of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

_DEFS = "#/$defs/"


def part() -> Iterator[str]:
    """The whole report first, then what it is made of."""
    schema = json.loads((files("pytest_vcp.report") / "report.schema.json").read_text("utf-8"))
    yield from _object("The report", schema)
    for name, entry in schema["$defs"].items():
        yield from _object(f"`{name}`", entry)


def _object(title: str, entry: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n## {title}\n"
    yield entry["description"]
    if "properties" not in entry:
        yield f"\nOne of {_kind(entry)}."
        return
    yield "\n| field | type | what it is |\n|---|---|---|"
    for name, value in entry["properties"].items():
        yield f"| `{name}` | {_kind(value)} | {value['description']} |"


def _kind(value: Mapping[str, Any]) -> str:
    """The type of a value in a few words, with links to the objects of this page."""
    if "$ref" in value:
        name = value["$ref"].removeprefix(_DEFS)
        return f"[{name}](#{name})"
    if "anyOf" in value:
        return " or ".join(_kind(entry) for entry in value["anyOf"])
    if "const" in value:
        return f"`{json.dumps(value['const'])}`"
    if "enum" in value:
        return ", ".join(f"`{word}`" for word in value["enum"])
    names = value["type"] if isinstance(value["type"], list) else [value["type"]]
    return " or ".join(_named(name, value) for name in names)


def _named(name: str, value: Mapping[str, Any]) -> str:
    if name == "array" and "items" in value:
        return f"array of {_kind(value['items'])}"
    within = value.get("additionalProperties")
    if name == "object" and isinstance(within, Mapping):
        return f"object by name, of {_kind(within)}"
    return name
