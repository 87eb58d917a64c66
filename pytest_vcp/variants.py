"""The variants of a run: one Settings for each, with the arguments from the metadata file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pytest_vcp.artifact.publishing import holds_our_artifacts, made_by_us
from pytest_vcp.settings.reading import BY_NAME
from pytest_vcp.settings.resolved import Settings, refuse_duplicates, refuse_overlaps
from pytest_vcp.settings.values import (
    Given,
    ModelClass,
    artifact,
    json_value,
    model_class,
    nearest,
    pair,
    refusal,
)
from pytest_vcp.source.metadata import Metadata, VariantEntry, read_metadata

ALL = "all"
# Options whose values come from the metadata file, so that giving them as well is a conflict.
_SAID_THERE = ("model-class", "artifact", "model-config-json")
NO_CLASS = ModelClass("", "")

T = TypeVar("T")


def resolve_variants(base: Settings) -> tuple[Settings, ...]:
    """Return the settings of each requested variant; only `base` if none was requested.

    Unusable arguments are problems of the metadata file, which VCP109 judges. Raises
    pytest.UsageError for a variant that the file lacks, and for options that conflict with it.
    """
    wanted = base.texts.get("variant")
    if wanted is None or _is_outdone(base):
        return (base,)
    given = base.given("variant", wanted)
    for name in _SAID_THERE:
        if base.sources[name] == base.sources["variant"]:
            origin = base.given(name, "").origin
            raise refusal(
                given, f"{origin} says the same for one variant; leave one of the two out"
            )
    metadata = read_metadata(base.pkg_dir, base.policy)
    if metadata is None:
        names = " or ".join(base.policy.metadata_files)
        raise refusal(given, f"there is no {names} in {base.pkg_dir}; name the class instead")
    chosen = _choose(given, metadata)
    if not chosen:
        return (replace(base, model_class=NO_CLASS),)
    several = len(chosen) > 1 or _is_folder_of_variants(base.artifact_dir)
    if several:
        _refuse_folder(base)
    made = tuple(_Entry(base, metadata, entry).settings(several) for entry in chosen)
    problems = tuple(problem for settings in made for problem in settings.metadata_problems)
    return tuple(replace(settings, metadata_problems=problems) for settings in made)


def _is_outdone(base: Settings) -> bool:
    """Return whether a class on the command line overrides the variant of an ini file."""
    return base.sources["variant"] == "ini" and base.sources["model-class"] == "option"


def _choose(given: Given, metadata: Metadata) -> tuple[VariantEntry, ...]:
    if given.text == ALL or metadata.problem is not None:
        return metadata.variants
    chosen = tuple(entry for entry in metadata.variants if entry.name == given.text)
    if not chosen:
        names = [entry.name for entry in metadata.variants]
        hint = nearest(given.text, names) or f"there is {', '.join(names) or 'none'}"
        raise refusal(given, f"{metadata.path.name} has no variant of this name; {hint}")
    return chosen


def _is_folder_of_variants(path: Path) -> bool:
    """Return whether earlier runs put the artifacts of several variants in this directory."""
    return not made_by_us(path) and holds_our_artifacts(path)


def _refuse_folder(base: Settings) -> None:
    """Refuse a directory that can't hold the artifacts of several variants."""
    folder = base.artifact_dir
    given = base.given("artifact-dir-path", folder)
    if made_by_us(folder):
        raise refusal(
            given, "it is the artifact of one variant; move it away, or name another place"
        )
    if folder.is_symlink() or (os.path.lexists(folder) and not holds_our_artifacts(folder)):
        raise refusal(
            given, "it exists and was not made by pytest-vcp; move it away or name another path"
        )


class _Entry:
    """One variant of the metadata file, to be converted to settings."""

    def __init__(self, base: Settings, metadata: Metadata, entry: VariantEntry) -> None:
        self._base = base
        self._where = f"{metadata.path.name}:{entry.line}"
        self._entry = entry
        self._problems: list[tuple[str, str]] = []

    def settings(self, several: bool) -> Settings:
        """Return the settings of the variant; list unusable arguments as problems."""
        base, name = self._base, self._entry.name
        destination = base.artifact_dir / name if several else base.artifact_dir
        if not name or name in (".", "..") or "/" in name or "\\" in name:
            self._problems.append((self._where, f"the variant's name {name!r} names no folder"))
            destination = base.artifact_dir
        settings = replace(
            base,
            variant=name,
            model_class=NO_CLASS,
            artifact_dir=destination,
            sources={**base.sources, **dict.fromkeys(_SAID_THERE, "metadata")},
            texts={**base.texts, "variant": name},
        )
        if self._entry.problem is None and not self._entry.is_placeholder:
            settings = replace(settings, **self._read_arguments(settings))
            refuse_overlaps(settings)
        return replace(settings, metadata_problems=tuple(self._problems))

    def _read_arguments(self, settings: Settings) -> dict[str, Any]:
        """Convert the arguments of the variant to settings."""
        arguments = self._entry.arguments
        data = settings.pkg_dir / "model_data"
        values: dict[str, Any] = {}
        if arguments.model_class is not None:
            values["model_class"] = self._value("model-class", arguments.model_class, model_class)
        pairs = refuse_duplicates(lambda given: artifact(given, data))
        values["artifacts"] = tuple(
            found for text in arguments.artifacts if (found := self._value("artifact", text, pairs))
        )
        tags = refuse_duplicates(pair)
        own = (self._value("model-tag", text, tags) for text in arguments.model_tags)
        merged = {**dict(filter(None, own)), **dict(settings.model_tags)}
        values["model_tags"] = tuple(merged.items())
        if arguments.model_config_json is not None:
            config = self._value("model-config-json", arguments.model_config_json, json_value)
            values["model_config"] = config
        if arguments.json_payload_filepath is not None and settings.payload is None:
            values["payload"] = settings.pkg_dir / arguments.json_payload_filepath
        is_free = settings.sources["artifact-dir-path"] == "default"
        if arguments.artifact_dir_path is not None and is_free:
            values["artifact_dir"] = settings.pkg_dir / arguments.artifact_dir_path
        return {name: value for name, value in values.items() if value is not None}

    def _value(self, option: str, text: str, convert: Callable[[Given], T]) -> T | None:
        try:
            return convert(Given(text, BY_NAME[option], "metadata"))
        except pytest.UsageError as problem:
            self._problems.append((self._where, f"{self._entry.name}: {problem}"))
            return None
